"""domains/<d>/memory/: what single pages of a domain are, what it may do with them, and forks that share them."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from xenfs.abi.numbers import ForkFlag, HvmMemType, MemAccess, PfnType, access_default
from xenfs.calls import domain_memory, domains, guest_memory, guest_pages, memory, sharing
from xenfs.calls.again import again
from xenfs.connect.own import own_domid
from xenfs.errors import BadInput, HypercallError, meaning
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import has_tables_noted, is_other, is_other_hvm
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Exchange, File
from xenfs.nodes.tables.conditions import answers, every, since, x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed
from xenfs.nodes.tables.members import members

MOST_FRAME = 2**40 - 1  # 4 PiB of guest
MOST_FRAMES = guest_pages.MOST_TYPES
FRAME = "guest frame number"
_PINNED = 0x80000000  # XEN_DOMCTL_PFINFO_LPINTAB
_C: dict[str, Any] = {"tier": "C", "option": "debug"}


@formed("guest frame number, or first-last", ranged=True)
def guest_frames(text: str) -> tuple[int, int]:
    """One guest frame number, or first-last, decimal or hexadecimal, as (first, last)."""
    first, last = parse.span(text.strip(" \t"), parse.integer(0, MOST_FRAME, FRAME))
    if last - first >= MOST_FRAMES:
        raise BadInput(f"more than {MOST_FRAMES} frames in one question", at=0)
    return first, last


_MOST_MIB = 1 << 20
_REPEATED = frozenset({errno.EAGAIN, errno.EBUSY})  # half way, or another such operation is


def _set_shadow(xen: Hypervisor, domain: Domain, mib: int) -> None:
    again(
        lambda: domain_memory.set_paging_pool_mib(xen, domain.domid, mib), _REPEATED,
        progress=lambda: domain_memory.paging_pool_mib(xen, domain.domid),
    )  # fmt: skip


SHADOW = File(
    "shadow_mb", "Memory for page tables that Xen keeps for it, MiB, rounded up",
    read=lambda xen, domain: domain_memory.paging_pool_mib(xen, domain.domid), show=show.dec, write=_set_shadow,
    parse=parse.integer(0, _MOST_MIB, "number of MiB"), write_grows=Cost.MEMORY, when=x86, only=has_tables_noted,
    call="domctl shadow_op GET_ALLOCATION, domctl shadow_op SET_ALLOCATION", **_C,
)  # fmt: skip


def _named(types: type[PfnType] | type[HvmMemType], word: int) -> str:
    return types(word).name.lower() if word in list(types) else hex(word)


def _frame_types(xen: Hypervisor, domain: Domain, asked: tuple[int, int]) -> str:
    first, last = asked
    known = guest_memory.known(xen, domains.info(xen, domain))(range(first, last + 1))
    there = [frame for frame in known if frame is not None]
    found = iter(guest_pages.frame_types(xen, domain.domid, there) if there else ())
    return show.lines(
        f"{own:#x} {_type_name(PfnType.XTAB if frame is None else next(found))}"
        for own, frame in enumerate(known, first)
    )


def _type_name(word: int) -> str:
    if word & _PINNED and word < PfnType.BROKEN:
        return f"{_named(PfnType, word & ~_PINNED)},pinned"
    return _named(PfnType, word)


def _memory_types(xen: Hypervisor, domain: Domain, asked: tuple[int, int]) -> str:
    first, last = asked
    found = guest_pages.memory_types(xen, domain.domid, range(first, last + 1))
    return show.lines(f"{frame:#x} {_named(HvmMemType, word)}" for frame, word in enumerate(found, first))


TYPES = (
    Exchange(
        "pfn_types", "Write a guest frame or first-last, read the type of each: page tables of a PV domain, pinned or "
        "not, notab for other memory, xtab for none", private=True, write=_frame_types, parse=guest_frames,
        format='"pfn type" lines', errnos="EOPNOTSUPP", when=x86,
        call=f"domctl getdomaininfo, {guest_pages.GETPAGEFRAMEINFO3.name}", only=is_other, **_C,
    ),
    Exchange(
        "type", "Write a guest frame or first-last, read what is there for each: memory, a device",
        write=_memory_types, parse=guest_frames, format='"gfn type" lines', call=guest_pages.GET_MEM_TYPE.name,
        when=x86, only=is_other_hvm, **_C,
    ),
)  # fmt: skip


def _audit(xen: Hypervisor, domain: Domain) -> str:
    return show.flat(members(xen.abi, guest_pages.audit(xen, domain.domid)))


AUDIT = File(
    "p2m_audit", "What an audit of its table of frames finds wrong: orphans, m2p_bad, p2m_bad", read=_audit,
    format='"key value" lines', call=guest_pages.AUDIT_P2M.name, grows=Cost.MEMORY, only=is_other,
    when=every(x86, answers(lambda xen: guest_pages.audit(xen, own_domid(xen)))), **_C,
)  # fmt: skip


class Access(NamedTuple):
    """Some frames, and what a domain may do with them: None where that is asked."""

    first: int
    nr: int
    access: str | None


_DEFAULT = "default"
ACCESSES = (*(each.name for each in MemAccess), _DEFAULT)


@formed('"gfn nr" lines to ask, "gfn nr access" lines to set; access is r, w, x, rw, rx, wx, rwx, n, ...', ranged=True)
def access_lines(text: str) -> list[Access]:
    """Ranges of guest frames, all with an access or all without."""
    found: list[Access] = []
    for line in filter(None, (each.strip(" \t") for each in text.split("\n"))):
        words = re.findall(r"[^ \t]+", line)
        if not 2 <= len(words) <= 3:
            raise BadInput('must be "gfn nr", or "gfn nr access", on each line', word=line)
        if len(words) == 3 and words[2] not in ACCESSES:
            raise BadInput(f"must be one of: {' '.join(ACCESSES)}", word=words[2])
        first = parse.integer(0, MOST_FRAME, FRAME)(words[0])
        found.append(Access(first, _count(words[1]), words[2] if len(words) == 3 else None))
    if not found:
        raise BadInput("no frame was written", at=0)
    if len({each.access is None for each in found}) > 1:
        raise BadInput("some lines ask and others set", at=0)
    if (len(found) > 1 or found[0].access is None) and sum(each.nr for each in found) > MOST_FRAMES:
        raise BadInput(f"more than {MOST_FRAMES} frames in one question", at=0)
    return found


def _count(word: str) -> int:
    return parse.integer(1, 2**32 - 1, "number of frames")(word)


def number_of(xen: Hypervisor, access: str) -> int:
    """Xen's number of it; 4.20 has one more, which moved the default."""
    default = access_default(xen.abi.release)
    if access == _DEFAULT:
        return default
    number = MemAccess[access]
    if number >= default:
        raise BadInput("this release of Xen has no such access", word=access)
    return int(number)


def name_of(xen: Hypervisor, number: int) -> str:
    """Its word."""
    return _DEFAULT if number == access_default(xen.abi.release) else MemAccess(number).name


REFUSED_ACCESS = {
    errno.ENODEV: "nobody listens to this domain's events: a listener such as xen-access has to be there first",
    errno.EINVAL: "Xen restricts access on Intel's CPUs and Arm's alone, and of frames that there are",
}


def _access(xen: Hypervisor, domain: Domain, asked: list[Access]) -> str:
    with meaning(REFUSED_ACCESS, at=0):
        if asked[0].access is None:
            frames = [frame for each in asked for frame in range(each.first, each.first + each.nr)]
            found = guest_pages.accesses(xen, domain.domid, frames)
            return show.lines(f"{frame:#x} {name_of(xen, word)}" for frame, word in zip(frames, found, strict=True))
        set_accesses(
            asked, lambda *one: guest_pages.set_access(xen, domain.domid, *one),
            lambda *many: guest_pages.set_accesses(xen, domain.domid, *many), lambda access: number_of(xen, access),
        )  # fmt: skip
    return done(asked)


def set_accesses(
    asked: list[Access],
    one: Callable[[int, int, int], None] | None,
    many: Callable[[list[int], list[int]], None],
    number: Callable[[str], int],
) -> None:  # fmt: skip
    """One range at once where `one` can do that, else all as a list of frames."""
    if len(asked) == 1 and one is not None:
        one(asked[0].first, asked[0].nr, number(str(asked[0].access)))
        return
    pairs = [(each.first + more, number(str(each.access))) for each in asked for more in range(each.nr)]
    many([frame for frame, _ in pairs], [access for _, access in pairs])


def done(asked: list[Access]) -> str:
    """What was set, a line for each range."""
    return show.lines(f"{each.first:#x} {each.nr} {each.access}" for each in asked)


_ASK = "?"


def _access_default(xen: Hypervisor, domain: Domain, asked: str) -> str:
    with meaning(REFUSED_ACCESS, at=0):
        if asked == _ASK:
            return name_of(xen, guest_pages.accesses(xen, domain.domid, [guest_pages.EVERYWHERE])[0])
        guest_pages.set_access(xen, domain.domid, guest_pages.EVERYWHERE, 0, number_of(xen, asked))
        return asked


def _can_be_restricted(xen: Hypervisor, domain: Domain) -> bool:
    return is_other_hvm(xen, domain) if x86(xen) else is_other(xen, domain)


_ACCESS: dict[str, Any] = {
    "errnos": "ENODEV",
    "when": answers(lambda xen: guest_pages.accesses(xen, own_domid(xen), [guest_pages.EVERYWHERE])),
    "only": _can_be_restricted,
    "write_grows": Cost.MEMORY,
    "restricted": True,
    **_C,
}
ACCESS_OPS = (
    Exchange(
        "access", 'Write "gfn nr" lines, read what it may do with each of these frames; "gfn nr access" lines set it. '
        "A vCPU that does more waits for a listener", write=_access, parse=access_lines,
        format='"gfn access" lines, or those that were written',
        call=f"{guest_pages.GET_ACCESS.name}, {guest_pages.SET_ACCESS.name}, {guest_pages.SET_ACCESS_MULTI.name}",
        **_ACCESS,
    ),
    Exchange(
        "access_default", "Write an access to have it for frames of which nothing was said, ? to ask; read what it is",
        write=_access_default, parse=parse.one_of((*ACCESSES[:-1], _ASK)), format="one word",
        call=f"{guest_pages.GET_ACCESS.name}, {guest_pages.SET_ACCESS.name}", **_ACCESS,
    ),
)  # fmt: skip


_NO_SHARING = {
    errno.EOPNOTSUPP: "only on Intel's CPUs",
    errno.ENODEV: "the domain has no nested page tables (hap)",
    errno.EXDEV: "the domain has an IOMMU",
}


_NO_FORK = {
    errno.EBUSY: "this domain runs: write 1 to freeze first",
    errno.EINVAL: "it and its parent need the same number of vCPUs, and neither may be ending",
}


def _shared() -> AbstractContextManager[None]:
    return meaning(_NO_SHARING, "Xen cannot share its memory: {}", at=0)


def _enable_sharing(xen: Hypervisor, domain: Domain, wanted: bool) -> None:
    with _shared():
        sharing.enable(xen, domain.domid, wanted)


_SHARES: dict[str, Any] = {"when": every(x86, answers(memory.sharing_audit)), "only": is_other_hvm, **_C}

SHARING_ENABLED = File(
    "sharing_enabled", "Write 1: its pages may be shared with other domains; 0 ends that. Xen does not tell",
    write=_enable_sharing, parse=parse.switch, errnos="EOPNOTSUPP ENODEV EXDEV", call=sharing.CONTROL.name, **_SHARES,
)  # fmt: skip

_PARENT = {"iommu": ForkFlag.WITH_IOMMU_ALLOWED, "block_interrupts": ForkFlag.BLOCK_INTERRUPTS}
_RESET = {"state": ForkFlag.RESET_STATE, "memory": ForkFlag.RESET_MEMORY}
_MOST_DOMID = 0x7FEF


@formed("domid of the parent, then any of iommu block_interrupts", ranged=True)
def parent(text: str) -> tuple[int, int]:
    """The domain to be forked, and flags."""
    words = re.findall(r"[^ \t]+", text)
    return parse.integer(0, _MOST_DOMID, "domid")(words[0] if words else ""), _flags(words[1:], _PARENT)


@formed("state or memory or both")
def what_to_reset(text: str) -> int:
    """Flags for one or both."""
    words = re.findall(r"[^ \t]+", text)
    if not words:
        raise BadInput("must be state, memory or both", at=0)
    return _flags(words, _RESET)


def _flags(words: list[str], known: dict[str, ForkFlag]) -> int:
    flags = 0
    for word in words:
        if word not in known or flags & known[word]:
            raise BadInput(f"must be any of {' '.join(known)}, each once", word=word)
        flags |= known[word]
    return flags


def _fork(xen: Hypervisor, domain: Domain, wanted: tuple[int, int]) -> None:
    number, flags = wanted
    if number == domain.domid:
        raise BadInput("a domain is not its own parent", word=str(number))
    with _shared(), meaning(_NO_FORK, at=0):
        sharing.fork(xen, domain.domid, number, flags)


def _fork_reset(xen: Hypervisor, domain: Domain, flags: int) -> None:
    both = ForkFlag.RESET_STATE | ForkFlag.RESET_MEMORY
    if not since(4, 17)(xen):
        if flags != both:
            raise BadInput("before Xen 4.17 it is both: state memory", at=0)
        flags = 0
    try:
        sharing.fork_reset(xen, domain.domid, ForkFlag(flags))
    except HypercallError as problem:
        if problem.errno != errno.ENOSYS:
            raise
        raise BadInput("this domain is no fork", errno.EINVAL, at=0) from problem


FORKS = (
    File(
        "fork_from", "Write the domid of an HVM domain: this one, which was just created, goes on where that one is",
        write=_fork, parse=parent, write_grows=Cost.MEMORY, errnos="EBUSY EOPNOTSUPP ENODEV EXDEV",
        call=sharing.FORK.name, **_SHARES,
    ),
    File(
        "fork_reset", "Write state, memory or both: a fork goes back to where its parent is", write=_fork_reset,
        parse=what_to_reset, write_grows=Cost.MEMORY, call=sharing.FORK_RESET.name, **_SHARES,
    ),
)  # fmt: skip

PAGES = (SHADOW, *TYPES, AUDIT, *ACCESS_OPS, SHARING_ENABLED)
