"""Alternate views of an HVM domain's memory: the same frames, with other rights; hvm_op altp2m (x86, Intel's CPUs)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xenfs.abi.numbers import Altp2mOp, HvmOp, Interface, access_default
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import fill
from xenfs.calls.guest_pages import EVERYWHERE, each_access
from xenfs.calls.many import asked, asked_all
from xenfs.calls.plain import plain
from xenfs.calls.rows import Rows
from xenfs.hypervisor.base import Hypervisor

OPERATIONS = {
    each: operation(HvmOp.altp2m, each.name)
    for each in (
        Altp2mOp.get_domain_state, Altp2mOp.set_domain_state, Altp2mOp.create_p2m, Altp2mOp.destroy_p2m,
        Altp2mOp.switch_p2m, Altp2mOp.set_mem_access, Altp2mOp.set_mem_access_multi, Altp2mOp.get_mem_access,
        Altp2mOp.get_p2m_idx, Altp2mOp.set_visibility,
    )
}  # fmt: skip
_STRUCT, _HEAD = "struct xen_hvm_altp2m_op", ("version", "cmd", "domain")
_VERSION = Interface.HVMOP_ALTP2M_INTERFACE_VERSION


def states(xen: Hypervisor, domids: Sequence[int]) -> list[int]:
    """Whether each domain has alternate views, 0 or 1; below 0 the errno: EOPNOTSUPP where none can have, or this kind
    of domain cannot, EINVAL where it was made without (altp2m= of xl.cfg). get_domain_state."""
    pack = plain(xen.abi, _STRUCT, _HEAD).pack
    questions = b"".join(pack(_VERSION, Altp2mOp.get_domain_state, domid) for domid in domids)
    answers = Rows(xen.abi, _STRUCT, ("u.domain_state.state",))
    both = asked(xen, OPERATIONS[Altp2mOp.get_domain_state], questions, answers, HvmOp.altp2m)
    return [result if result < 0 else int(state) for result, (state,) in both]


def set_state(xen: Hypervisor, domid: int, wanted: bool) -> None:
    """Give a domain view 0, with its rights of now, or take all views away; EINVAL if nested. set_domain_state."""
    _altp2m(xen, domid, Altp2mOp.set_domain_state, "domain_state", state=wanted)


def create(xen: Hypervisor, domid: int) -> int:
    """A new view, whose frames have the rights that they have by default; its number, the lowest that is free.

    EINVAL where there are as many as there can be. create_p2m.
    """
    default = access_default(xen.abi.release)
    return int(_altp2m(xen, domid, Altp2mOp.create_p2m, "view", hvmmem_default_access=default).view)


def destroy(xen: Hypervisor, domid: int, view: int) -> None:
    """Take a view away; EBUSY for view 0, one that a vCPU uses, or none at all. destroy_p2m."""
    _altp2m(xen, domid, Altp2mOp.destroy_p2m, "view", view=view)


def switch(xen: Hypervisor, domid: int, view: int) -> None:
    """Let all its vCPUs use this view; EINVAL without it, or where it is not visible. switch_p2m."""
    _altp2m(xen, domid, Altp2mOp.switch_p2m, "view", view=view)


def set_visibility(xen: Hypervisor, domid: int, view: int, visible: bool) -> None:
    """Whether the domain itself may switch to a view; EINVAL without it. set_visibility."""
    _altp2m(xen, domid, Altp2mOp.set_visibility, "set_visibility", altp2m_idx=view, visible=visible)


def view_of(xen: Hypervisor, domid: int, vcpu: int) -> int:
    """Which view a vCPU uses; EOPNOTSUPP while there are none, EINVAL without the vCPU. get_p2m_idx."""
    return int(_altp2m(xen, domid, Altp2mOp.get_p2m_idx, "get_vcpu_p2m_idx", vcpu_id=vcpu).altp2m_idx)


def views(xen: Hypervisor, domid: int, most: int) -> list[int]:
    """The numbers below `most` that are views; get_mem_access, of what holds where nothing was said."""
    questions = _which(xen, domid, [(number, EVERYWHERE) for number in range(most)])
    both = asked(xen, *questions, HvmOp.altp2m)
    return [number for number, (result, _) in enumerate(both) if result >= 0]


def accesses(xen: Hypervisor, domid: int, view: int, frames: Sequence[int]) -> list[int]:
    """MemAccess of each frame in a view; EINVAL without the view, ESRCH without the frame. get_mem_access."""
    questions = _which(xen, domid, [(view, frame) for frame in frames])
    return [access for (access,) in asked_all(xen, *questions, HvmOp.altp2m)]


def _which(xen: Hypervisor, domid: int, places: Sequence[tuple[int, int]]) -> tuple[Operation, bytes, Rows]:
    """A question for each (view, frame), and what takes the access out of its answer."""
    pack = plain(xen.abi, _STRUCT, (*_HEAD, "u.mem_access.view", "u.mem_access.gfn")).pack
    questions = b"".join(pack(_VERSION, Altp2mOp.get_mem_access, domid, view, frame) for view, frame in places)
    return OPERATIONS[Altp2mOp.get_mem_access], questions, Rows(xen.abi, _STRUCT, ("u.mem_access.access",))


def set_access(xen: Hypervisor, domid: int, view: int, frame: int, access: int) -> None:
    """What a domain may do with a frame in a view; EINVAL without it, ESRCH without the frame. set_mem_access."""
    _altp2m(xen, domid, Altp2mOp.set_mem_access, "mem_access", view=view, gfn=frame, access=access)


def set_accesses(xen: Hypervisor, domid: int, view: int, frames: Sequence[int], accesses: Sequence[int]) -> None:
    """The same of many frames, each with its own; set_mem_access_multi."""
    with each_access(xen, frames, accesses) as given:
        _altp2m(xen, domid, Altp2mOp.set_mem_access_multi, "set_mem_access_multi", view=view, **given)


def _altp2m(xen: Hypervisor, domid: int, what: Altp2mOp, arm: str, **given: Any) -> Any:
    with xen.pool.take(xen.abi.sizeof(_STRUCT)) as buf:
        view = xen.abi.view(_STRUCT, buf)
        view.version, view.cmd, view.domain = _VERSION, what, domid
        body = getattr(view.u, arm)
        fill(xen.abi, buf, body, given)
        xen.hypercall(OPERATIONS[what], HvmOp.altp2m, buf, domid=domid)
        return xen.abi.copy(body)
