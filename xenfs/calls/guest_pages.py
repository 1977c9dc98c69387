"""What single pages of a domain are: types as page tables or memory, and what it may do with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xenfs.abi.numbers import AccessOp, Domctl, HvmOp, Memory
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import domctl, fill
from xenfs.calls.lists import lent
from xenfs.calls.many import asked_all
from xenfs.calls.plain import plain
from xenfs.calls.rows import Rows
from xenfs.hypervisor.base import Hypervisor

GETPAGEFRAMEINFO3 = operation(Domctl.getpageframeinfo3)
AUDIT_P2M = operation(Domctl.audit_p2m)
GET_MEM_TYPE = operation(HvmOp.get_mem_type)
GET_ACCESS = operation(Memory.access_op, "get_access")
SET_ACCESS = operation(Memory.access_op, "set_access")
SET_ACCESS_MULTI = operation(Memory.access_op, "set_access_multi")

MOST_TYPES = 1024  # frames that getpageframeinfo3 takes at once
EVERYWHERE = 2**64 - 1  # instead of a frame: what holds where nothing was said
_MEM_TYPE, _ACCESS = "struct xen_hvm_get_mem_type", "struct xen_mem_access_op"


def frame_types(xen: Hypervisor, domid: int, frames: Sequence[int]) -> list[int]:
    """PfnType of each frame, with the bit for a pinned table; getpageframeinfo3 (x86). E2BIG for more than 1024.

    Of a PV domain Xen takes frames of the machine: guest_memory.known() finds them.
    """
    with lent(xen, frames) as array:
        domctl(xen, GETPAGEFRAMEINFO3, domid, "getpageframeinfo3", num=len(frames), array=array)
        return array.memory.cast("Q").tolist()


def audit(xen: Hypervisor, domid: int) -> Any:
    """struct xen_domctl_audit_p2m: orphans, m2p_bad, p2m_bad; audit_p2m (x86).

    EOPNOTSUPP but in a debug build of Xen, EPERM of one's own domain.
    """
    return domctl(xen, AUDIT_P2M, domid, "audit_p2m")


def memory_types(xen: Hypervisor, domid: int, frames: Sequence[int]) -> list[int]:
    """HvmMemType of each frame of an HVM or PVH domain; EINVAL for a PV domain. hvm_op get_mem_type (x86)."""
    pack = plain(xen.abi, _MEM_TYPE, ("domid", "pfn")).pack
    questions, answers = b"".join(pack(domid, frame) for frame in frames), Rows(xen.abi, _MEM_TYPE, ("mem_type",))
    return [kind for (kind,) in asked_all(xen, GET_MEM_TYPE, questions, answers, HvmOp.get_mem_type)]


def accesses(xen: Hypervisor, domid: int, frames: Sequence[int]) -> list[int]:
    """MemAccess of each frame, EVERYWHERE for the default; memory_op access_op get_access.

    ENODEV while nobody listens, EINVAL where processors or kind of domain do not allow it, or beyond all frames;
    ESRCH for a frame that is not there.
    """
    pack = plain(xen.abi, _ACCESS, ("op", "domid", "pfn")).pack
    questions = b"".join(pack(AccessOp.get_access, domid, frame) for frame in frames)
    answers = Rows(xen.abi, _ACCESS, ("access",))
    return [access for (access,) in asked_all(xen, GET_ACCESS, questions, answers, Memory.access_op)]


def set_access(xen: Hypervisor, domid: int, first: int, count: int, access: int) -> None:
    """What a domain may do with a range of frames before somebody is told; EVERYWHERE as the first sets the default.

    ENODEV while nobody listens, EINVAL as above. memory_op access_op set_access.
    """
    _access_op(xen, SET_ACCESS, op=AccessOp.set_access, domid=domid, pfn=first, nr=count, access=access)


def set_accesses(xen: Hypervisor, domid: int, frames: Sequence[int], accesses: Sequence[int]) -> None:
    """The same of frames anywhere, each with what it may do; memory_op access_op set_access_multi."""
    with each_access(xen, frames, accesses) as given:
        _access_op(xen, SET_ACCESS_MULTI, op=AccessOp.set_access_multi, domid=domid, **given)


@contextmanager
def each_access(xen: Hypervisor, frames: Sequence[int], accesses: Sequence[int]) -> Iterator[dict[str, Any]]:
    """The members of a struct that takes frames anywhere, each with what may be done with it."""
    with lent(xen, frames) as pfns, lent(xen, accesses, 1) as words:
        yield {"nr": len(frames), "pfn_list": pfns, "access_list": words}


def _access_op(xen: Hypervisor, op: Operation, /, **given: Any) -> None:
    with xen.pool.take(xen.abi.sizeof(_ACCESS)) as buf:
        fill(xen.abi, buf, xen.abi.view(_ACCESS, buf), given)
        xen.hypercall(op, Memory.access_op, buf, domid=given["domid"])
