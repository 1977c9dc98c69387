"""domains/<d>/vcpus/<v>/regs and context: the registers of a vCPU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from xenfs.abi.numbers import DomInf
from xenfs.calls import guest_type, registers
from xenfs.calls.domains import DomainInfo
from xenfs.calls.many import vcpu_times
from xenfs.calls.neighbours import info_recent, together
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains import facts
from xenfs.nodes.domains.own import is_other
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.conditions import x86

_X86_USER = (
    "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
    "rip", "rflags", "cs", "ss", "ds", "es", "fs", "gs",
)  # fmt: skip
_X86_BASES = ("fs_base", "gs_base_kernel", "gs_base_user")
_CONTROL = (0, 2, 3, 4)
_DEBUG = (0, 1, 2, 3, 6, 7)
_ARM_USER = (*(f"x{number}" for number in range(31)), "pc64", "cpsr", "sp_el0", "sp_el1", "elr_el1", "spsr_el1")
_ARM_SYSTEM = ("sctlr", "ttbcr", "ttbr0", "ttbr1")


def _pairs(xen: Hypervisor, found: Any) -> Iterator[tuple[str, int]]:
    """(name, value) in the order that people expect."""
    user = found.user_regs
    if x86(xen):
        yield from ((name, getattr(user, name)) for name in _X86_USER)
        yield from ((name, getattr(found, name)) for name in _X86_BASES)
        yield from ((f"cr{number}", found.ctrlreg[number]) for number in _CONTROL)
        yield from ((f"dr{number}", found.debugreg[number]) for number in _DEBUG)
    else:
        yield from ((name, getattr(user, name)) for name in _ARM_USER)
        yield from ((name, getattr(found, name)) for name in _ARM_SYSTEM)


def _regs(xen: Hypervisor, domain: Domain, vcpu: int) -> str:
    found = registers.context(xen, domain.domid, vcpu)
    return show.flat((name, show.hexa(value)) for name, value in _pairs(xen, found))


def _context(xen: Hypervisor, domain: Domain, vcpu: int) -> bytes:
    return bytes(xen.abi.ffi.buffer(registers.context(xen, domain.domid, vcpu)))


@together
def _address_size(xen: Hypervisor, infos: Sequence[DomainInfo]) -> list[int]:
    return guest_type.address_sizes(xen, [info.domain for info in infos])


@together
def _online(xen: Hypervisor, infos: Sequence[DomainInfo]) -> list[set[int]]:
    """The vCPUs that are online of each domain."""
    vcpus = [(info.domain, vcpu) for info in infos for vcpu in range(facts.nr_vcpus(info))]
    online: dict[int, set[int]] = {info.domain: set() for info in infos}
    for (domid, vcpu), found in zip(vcpus, vcpu_times(xen, vcpus), strict=True):
        if found and found[0]:
            online[domid].add(vcpu)
    return [online[info.domain] for info in infos]


def _readable(xen: Hypervisor, domain: Domain, vcpu: int) -> bool:
    """Not of the caller's own domain, a 32-bit PV guest, whose struct is another, or a vCPU that never started."""
    info = info_recent(xen, domain)
    if not is_other(xen, domain) or info.dying:
        return False
    if x86(xen) and not info.flags & DomInf.hvm_guest and _address_size(xen, domain) != 64:
        return False
    return vcpu in _online(xen, domain) or registers.started(xen, domain.domid, vcpu)


REGISTERS = (
    File(
        "regs", "Its registers, hexadecimal; it is paused for the moment", read=_regs, private=True, tier="B",
        only=_readable, call=registers.GETVCPUCONTEXT.name, format='"register value" lines',
    ),
    File(
        "context", "struct vcpu_guest_context, binary", read=_context, private=True, binary=True, show=bytes, tier="B",
        only=_readable, call=registers.GETVCPUCONTEXT.name,
    ),
)  # fmt: skip
