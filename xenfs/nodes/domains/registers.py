"""domains/<d>/vcpus/<v>/regs and context: the registers of a vCPU."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from typing import Any

from xenfs.abi.numbers import DomInf
from xenfs.calls import guest_type, registers
from xenfs.calls.domains import DomainInfo
from xenfs.calls.neighbours import info_recent, together
from xenfs.errors import BadInput, meaning
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_hvm, is_other, require_paused
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.conditions import since, x86
from xenfs.nodes.tables.forms import formed

Path = tuple[str | int, ...]


def _in(struct: str, *names: str) -> dict[str, Path]:
    return {name: (struct, name) for name in names}


# By name the way to the member, in the order that people expect.
_X86_SHOWN: dict[str, Path] = {
    **_in(
        "user_regs", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13",
        "r14", "r15", "rip", "rflags", "cs", "ss", "ds", "es", "fs", "gs",
    ),
    **{name: (name,) for name in ("fs_base", "gs_base_kernel", "gs_base_user")},
    **{f"cr{number}": ("ctrlreg", number) for number in (0, 2, 3, 4)},
    **{f"dr{number}": ("debugreg", number) for number in (0, 1, 2, 3, 6, 7)},
}  # fmt: skip
_ARM_SHOWN: dict[str, Path] = {
    **_in("user_regs", *(f"x{number}" for number in range(31))),
    **_in("user_regs", "pc64", "cpsr", "sp_el0", "sp_el1", "elr_el1", "spsr_el1"),
    **{name: (name,) for name in ("sctlr", "ttbcr", "ttbr0", "ttbr1")},
}
# What a vCPU that is to start needs besides, and what only its kernel cares about later.
_X86_MORE: dict[str, Path] = {
    **{
        name: (name,)
        for name in (
            "flags", "kernel_ss", "kernel_sp", "ldt_base", "ldt_ents", "gdt_ents", "event_callback_eip",
            "failsafe_callback_eip", "syscall_callback_eip", "vm_assist",
        )
    },
    "cr1": ("ctrlreg", 1),
    **{f"gdt_frame{number}": ("gdt_frames", number) for number in range(16)},
}  # fmt: skip
_ARM_MORE: dict[str, Path] = {"flags": ("flags",)}
_NAMES = {*_X86_SHOWN, *_X86_MORE, *_ARM_SHOWN, *_ARM_MORE}
_LONGEST = 8192


def _read(found: Any, path: Path) -> int:
    for step in path:
        found = found[step] if isinstance(step, int) else getattr(found, step)
    return int(found)


def _regs(xen: Hypervisor, domain: Domain, vcpu: int) -> str:
    found = registers.context_or_none(xen, domain.domid, vcpu)
    shown = _X86_SHOWN if x86(xen) else _ARM_SHOWN
    return "" if found is None else show.flat((name, show.hexa(_read(found, path))) for name, path in shown.items())


def _context(xen: Hypervisor, domain: Domain, vcpu: int) -> bytes:
    found = registers.context_or_none(xen, domain.domid, vcpu)
    return b"" if found is None else bytes(xen.abi.ffi.buffer(found))


@formed('"register value" lines, those that are to change', ranged=True)
def parse_regs(text: str) -> dict[str, int]:
    """Registers and their values, as a read shows them; also what regs does not show, such as flags."""
    given: dict[str, int] = {}
    for line in filter(None, (each.strip(" \t") for each in text.split("\n"))):
        words = re.findall(r"[^ \t]+", line)
        if len(words) != 2 or words[0] not in _NAMES:
            raise BadInput('must be "register value", such as "rip 0x1000", on each line', word=line)
        if words[0] in given:
            raise BadInput(f"{words[0]} is there twice", word=line)
        given[words[0]] = parse.integer(0, 2**64 - 1, "value")(words[1])
    if not given:
        raise BadInput("no register was written", at=0)
    return given


def _set_regs(xen: Hypervisor, domain: Domain, vcpu: int, given: dict[str, int], known: DomainInfo) -> None:
    """Change what was written, and leave the rest. A vCPU that was never started begins with zeros."""
    _require_settable(xen, domain, known)
    paths = _X86_SHOWN | _X86_MORE if x86(xen) else _ARM_SHOWN | _ARM_MORE
    odd = next((name for name in given if name not in paths), None)
    if odd is not None:
        raise BadInput("the processors of this machine have no such register", word=odd)
    found = registers.context_or_none(xen, domain.domid, vcpu) or registers.empty(xen)
    for name, value in given.items():
        _change(found, name, paths[name], value)
    _give(xen, domain, vcpu, bytes(xen.abi.ffi.buffer(found)))


def _change(found: Any, name: str, path: Path, value: int) -> None:
    *way, last = path
    for step in way:
        found = getattr(found, str(step))
    try:
        if isinstance(last, int):
            found[last] = value
        else:
            setattr(found, last, value)
    except OverflowError:
        raise BadInput(f"{name} has not so many bits", errno.ERANGE, word=name) from None


def _set_context(xen: Hypervisor, domain: Domain, vcpu: int, data: bytes, known: DomainInfo) -> None:
    size = registers.context_size(xen)
    if len(data) != size:
        raise BadInput(f"a context has {size} bytes here, and must come in one write")
    _require_settable(xen, domain, known)
    _give(xen, domain, vcpu, data)


def _require_settable(xen: Hypervisor, domain: Domain, known: DomainInfo) -> None:
    """From 4.21 on Xen writes the segments of an HVM domain's vCPU where it keeps other things of its."""
    if x86(xen) and since(4, 21)(xen) and is_hvm(xen, domain):
        raise BadInput(
            "this release of Xen spoils its own state of an HVM or PVH domain so: write hvm/context instead",
            errno.EOPNOTSUPP,
        )
    require_paused(known)


_WHY = {
    errno.EINVAL: "Xen takes no such context: an address that is not canonical, or a mode that is no guest's",
    errno.EOPNOTSUPP: "a PV vCPU that was started keeps its page tables (cr1, cr3), its GDT and its LDT",
}


def _give(xen: Hypervisor, domain: Domain, vcpu: int, data: bytes) -> None:
    with meaning(_WHY):
        registers.set_context(xen, domain.domid, vcpu, data)


@together
def _address_size(xen: Hypervisor, infos: Sequence[DomainInfo]) -> list[int]:
    return guest_type.address_sizes(xen, [info.domain for info in infos])


def has_context(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    """Not the caller's own domain, nor a 32-bit PV guest, whose struct is another."""
    info = info_recent(xen, domain)
    if not is_other(xen, domain) or info.dying:
        return False
    return not x86(xen) or bool(info.flags & DomInf.hvm_guest) or _address_size(xen, domain) == 64


_CALL = f"{registers.GETVCPUCONTEXT.name}, {registers.SETVCPUCONTEXT.name}"
_ERRNOS = "EBUSY EINVAL ERANGE EOPNOTSUPP"

REGISTERS = (
    File(
        "regs", "Its registers, hexadecimal, nothing before it has any; it is paused for the moment. Lines that are "
        "written change them, while its domain is paused", read=_regs, private=True, tier="B", write=_set_regs,
        parse=parse_regs, knowing=True, write_option="debug", only=has_context, longest=_LONGEST, errnos=_ERRNOS,
        call=f"domctl getdomaininfo, {_CALL}", format='"register value" lines',
    ),
    File(
        "context", "struct vcpu_guest_context, binary, nothing before it has any; to be written in one piece, while "
        "its domain is paused", read=_context, private=True, binary=True, show=bytes, tier="B",
        write=_set_context, knowing=True, write_option="debug", only=has_context, errnos=_ERRNOS,
        call=f"domctl getdomaininfo, {_CALL}",
    ),
)  # fmt: skip
