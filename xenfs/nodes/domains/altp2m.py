"""domains/<d>/hvm/altp2m/ and vcpus/<v>/altp2m_view: alternate views of a domain's memory."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from xenfs.abi.numbers import Altp2mOp, DomInf
from xenfs.calls import altp2m
from xenfs.calls.domains import DomainInfo
from xenfs.calls.neighbours import together
from xenfs.connect.own import own_domid
from xenfs.errors import BadInput, HypercallError, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_other_hvm
from xenfs.nodes.domains.pages import MOST_FRAMES, Access, access_lines, done, name_of, number_of, set_accesses
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, Exchange, File
from xenfs.nodes.tables.conditions import recent, since, x86
from xenfs.nodes.tables.cost import Cost

_MOST_BEFORE, _MOST = 10, 512  # views of a domain: MAX_ALTP2M, from 4.21 on up to what it was made with
_C: dict[str, Any] = {"tier": "C", "option": "debug"}
_OPS = altp2m.OPERATIONS


@together
def _states(xen: Hypervisor, infos: Sequence[DomainInfo]) -> list[int]:
    """As `altp2m.states`; below 0 of domains that are not asked."""
    name = _OPS[Altp2mOp.get_domain_state].name
    asked = [info.domain for info in infos if info.flags & DomInf.hvm_guest and info.domain != own_domid(xen)]
    if any(lacking == name for lacking, _ in xen.calls.missing()):  # the CPUs cannot: they will not learn it
        asked = []
    answers = dict(zip(asked, altp2m.states(xen, asked), strict=True))
    if answers and set(answers.values()) == {-errno.EOPNOTSUPP}:
        xen.calls.lacks(name, errno.EOPNOTSUPP)
    return [answers.get(info.domain, -errno.EOPNOTSUPP) for info in infos]


def _can_have(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    return is_other_hvm(xen, domain) and _states(xen, domain) >= 0


def _has(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    return is_other_hvm(xen, domain) and _states(xen, domain) > 0


def _enabled(xen: Hypervisor, domain: Domain) -> int:
    (state,) = altp2m.states(xen, [domain.domid])
    if state < 0:
        raise HypercallError(_OPS[Altp2mOp.get_domain_state].name, -state)
    return state


def _enable(xen: Hypervisor, domain: Domain, wanted: bool) -> None:
    if bool(_enabled(xen, domain)) != wanted:
        altp2m.set_state(xen, domain.domid, wanted)


def _view_of(xen: Hypervisor, domain: Domain, vcpu: int) -> int:
    return altp2m.view_of(xen, domain.domid, vcpu)


def _switch(xen: Hypervisor, domain: Domain, view: int) -> None:
    with answered_by(errno.EINVAL):
        altp2m.switch(xen, domain.domid, view)
        return
    raise BadInput("there is no such view, or it is not visible", word=str(view), at=0)


def _most(xen: Hypervisor) -> int:
    return _MOST if since(4, 21)(xen) else _MOST_BEFORE


def _now(xen: Hypervisor, domain: Domain) -> list[int]:
    return altp2m.views(xen, domain.domid, _most(xen)) if _has(xen, domain) else []


@recent
def _listed(xen: Hypervisor, domain: Domain) -> list[tuple[str, int]]:
    return [(str(view), view) for view in _now(xen, domain)]


def _find(xen: Hypervisor, domain: Domain, name: str) -> int | None:
    return dict(_listed(xen, domain)).get(name)


def _make(xen: Hypervisor, domain: Domain, name: str) -> None:
    """mkdir: Xen makes the lowest one that is free, and no other."""
    there = altp2m.views(xen, domain.domid, _most(xen))
    free = next((view for view in range(_most(xen)) if view not in there), None)
    if free is None or not there:
        raise BadInput(
            "no more views can be made" if there else "the domain has no views: write 1 to enabled", errno.EBUSY
        )
    if name != str(free):
        raise BadInput(f"the next view is {free}", errno.EINVAL)
    made = altp2m.create(xen, domain.domid)
    if made != free:  # somebody else was quicker
        altp2m.destroy(xen, domain.domid, made)
        raise BadInput("somebody else makes views: try again", errno.EAGAIN)


def _remove(xen: Hypervisor, domain: Domain, view: int) -> Callable[[], None]:
    return partial(altp2m.destroy, xen, domain.domid, view)


def _access(xen: Hypervisor, domain: Domain, view: int, asked: list[Access]) -> str:
    if sum(each.nr for each in asked) > MOST_FRAMES:
        raise BadInput(f"more than {MOST_FRAMES} frames at once", at=0)
    if asked[0].access is None:
        frames = [frame for each in asked for frame in range(each.first, each.first + each.nr)]
        found = altp2m.accesses(xen, domain.domid, view, frames)
        return show.lines(f"{frame:#x} {name_of(xen, word)}" for frame, word in zip(frames, found, strict=True))
    if len(asked) == 1 and asked[0].nr == 1:
        altp2m.set_access(xen, domain.domid, view, asked[0].first, number_of(xen, str(asked[0].access)))
    else:
        set_accesses(asked, None, partial(altp2m.set_accesses, xen, domain.domid, view), partial(number_of, xen))
    return done(asked)


_VIEW = Dir(
    "<i>",
    "A view",
    (
        Exchange(
            "access", 'Write "gfn nr" lines, read what it may do with each frame in this view; "gfn nr access" '
            "lines set it", write=_access, parse=access_lines, restricted=True, write_grows=Cost.MEMORY,
            format='"gfn access" lines, or those that were written', errnos="ESRCH",
            call=", ".join(
                _OPS[each].name
                for each in (Altp2mOp.get_mem_access, Altp2mOp.set_mem_access, Altp2mOp.set_mem_access_multi)
            ), **_C,
        ),
        File(
            "visible", "Write whether the domain itself may switch to it. Xen does not tell", parse=parse.switch,
            write=lambda xen, domain, view, wanted: altp2m.set_visibility(xen, domain.domid, view, wanted),
            call=_OPS[Altp2mOp.set_visibility].name, **_C,
        ),
    ),
    remove=_remove,
    make_option="debug",
    call=_OPS[Altp2mOp.destroy_p2m].name,
    tier="C",
)  # fmt: skip

ALTP2M = Dir(
    "altp2m",
    "Alternate views of its memory: the same frames, with other rights",
    (
        File(
            "enabled", "Whether it has any; write 1 for view 0, 0 to take all away. The guest may crash", read=_enabled,
            show=show.flag, write=_enable, parse=parse.switch, write_grows=Cost.MEMORY,
            call=f"{_OPS[Altp2mOp.get_domain_state].name}, {_OPS[Altp2mOp.set_domain_state].name}", **_C,
        ),
        File(
            "active", "The view that its vCPU 0 uses; write one for all vCPUs", write=_switch, show=show.dec,
            read=lambda xen, domain: _view_of(xen, domain, 0), parse=parse.integer(0, _MOST - 1, "view"), only=_has,
            call=f"{_OPS[Altp2mOp.get_p2m_idx].name}, {_OPS[Altp2mOp.switch_p2m].name}", **_C,
        ),
        Dir(
            "views",
            "Its views; mkdir makes the next one, rmdir takes one away that no vCPU uses",
            (Each(label="<i>", list=_listed, find=_find, node=_VIEW),),
            make=_make, make_option="debug", call=_OPS[Altp2mOp.create_p2m].name, only=_has, volatile=True,
            grows=Cost.LENGTH, find_grows=Cost.LENGTH, tier="C",
        ),
    ),
    option="debug",
    when=x86,
    only=_can_have,
)  # fmt: skip

ALTP2M_VIEW = File(
    "altp2m_view", "The view of its domain's memory that it uses", read=_view_of, show=show.dec, when=x86, only=_has,
    call=_OPS[Altp2mOp.get_p2m_idx].name, **_C,
)  # fmt: skip
