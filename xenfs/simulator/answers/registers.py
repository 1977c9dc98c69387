"""Domctls getvcpucontext and setvcpucontext: registers that look like those of a kernel, and stay as long as nothing
runs; or those that somebody gave the vCPU."""

from __future__ import annotations

from errno import EINVAL, ENODATA, EOPNOTSUPP

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.physmap import PAGE

STRUCT = "vcpu_guest_context"
TEXT = 0xFFFFFFFF81000000
STACK = 0xFFFFC90000000000
GIVEN = "contexts"
GUEST_MODES = (0, 4, 5)  # of an Arm processor: EL0t, EL1t, EL1h
GUEST_MODES_32 = (0x10, 0x11, 0x12, 0x13, 0x17, 0x1B, 0x1F)  # user, FIQ, IRQ, supervisor, abort, undefined, system
MOST_LDT = 8192


def getvcpucontext(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The registers; ENODATA for a vCPU that was never started, EINVAL for the one that asks."""
    number, address = xen.get(op, "xen_domctl_vcpucontext", "vcpu", "ctxt")
    vcpu = domain.vcpu(number)
    if vcpu is None or (domain.domid == 0 and number == 0):
        return -EINVAL
    if not vcpu.online and number not in _given(domain):
        return -ENODATA
    xen.copy_out(address, _context(xen, domain, number))
    return 0


def setvcpucontext(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Registers for a vCPU, which says itself whether it is up; without any it goes down and knows nothing."""
    number, address = xen.get(op, "xen_domctl_vcpucontext", "vcpu", "ctxt")
    vcpu = domain.vcpu(number)
    if vcpu is None or domain.domid == 0:
        return -EINVAL
    if address:
        context = bytes(xen.struct(address, STRUCT))
        before = _context(xen, domain, number) if vcpu.online or number in _given(domain) else None
        problem = (_refused_x86 if xen.x86 else _refused_arm)(xen, domain, memoryview(context), before)
        if problem:
            return -problem
        _given(domain)[number] = context
        up = xen.get(memoryview(context), STRUCT, "flags")[0] & xen.constant("VGCF_online")
    else:
        _given(domain).pop(number, None)
        up = 0
    xen.world.placement.stop(domain, xen.world.clock.ticks())
    vcpu.online = bool(up)
    xen.world.placement.start(domain, xen.world.clock.ticks())
    domain.changed()
    return 0


def _given(domain: Domain) -> dict[int, bytes]:
    given: dict[int, bytes] = domain.kept.setdefault(GIVEN, {})
    return given


def _refused_x86(xen: Machine, domain: Domain, context: memoryview, before: bytes | None) -> int:
    """EINVAL for what no vCPU can have; of a PV one that was started page tables, GDT and LDT stay."""
    if domain.hvm:
        return 0
    user = context[xen.layouts.offset(STRUCT, "user_regs") :]
    sp, *_ = xen.get(context, STRUCT, "kernel_sp")
    addresses = (*xen.get(user, "cpu_user_regs", "rip"), *xen.get(user, "cpu_user_regs", "rsp"), sp)
    base, entries = xen.get(context, STRUCT, "ldt_base", "ldt_ents")
    if not all(address < 1 << 47 or address >= (1 << 64) - (1 << 47) for address in addresses):
        return EINVAL
    if base % PAGE or entries > MOST_LDT or xen.get(context, STRUCT, "gdt_ents")[0] > MOST_LDT:
        return EINVAL
    if before is not None:
        return 0 if _tables(xen, context) == _tables(xen, memoryview(before)) else EOPNOTSUPP
    kernel = xen.get(context, STRUCT, "flags")[0] & xen.constant("VGCF_in_kernel")
    return 0 if _control(xen, context, 3) and (kernel or _control(xen, context, 1)) else EINVAL


def _tables(xen: Machine, context: memoryview) -> tuple[int, ...]:
    return (_control(xen, context, 1), _control(xen, context, 3), *xen.get(context, STRUCT, "ldt_ents", "gdt_ents"))


def _refused_arm(xen: Machine, domain: Domain, context: memoryview, before: bytes | None) -> int:
    """EINVAL for a mode that no guest of its width is in."""
    user = context[xen.layouts.offset(STRUCT, "user_regs") :]
    (cpsr,) = xen.get(user, "vcpu_guest_core_regs", "cpsr")
    modes = GUEST_MODES if domain.kept.get("address_size", 64) == 64 else GUEST_MODES_32
    return 0 if cpsr & 0x1F in modes else EINVAL


def _context(xen: Machine, domain: Domain, number: int) -> bytes:
    given = _given(domain).get(number)
    if given is not None:
        return given
    context = bytearray(xen.layouts.size(STRUCT))
    fill = _fill_x86 if xen.x86 else _fill_arm
    fill(xen, memoryview(context), _made_up(xen, domain, number))
    return bytes(context)


def values(xen: Machine, domain: Domain, vcpu: int) -> dict[str, int]:
    """Some registers by the names of x86: where it is, its stack, its page tables."""
    made_up, given = _made_up(xen, domain, vcpu), _given(domain).get(vcpu)
    if given is None:
        return made_up
    user = memoryview(given)[xen.layouts.offset(STRUCT, "user_regs") :]
    names = ("rax", "rip", "rflags", "rsp")
    return made_up | dict(zip(names, xen.get(user, "cpu_user_regs", *names), strict=True))


def _made_up(xen: Machine, domain: Domain, vcpu: int) -> dict[str, int]:
    word = int.from_bytes(xen.world.digest("registers", domain.unique_id, vcpu), "little")
    return {
        "rip": TEXT + (word & 0xFFFFF0),
        "rsp": STACK + (vcpu << 20) + (word >> 24 & 0x3FF0),
        "rflags": 0x246,
        "cr3": (word >> 40) << 12,
        "rax": word & 0xFF,
    }


def _control(xen: Machine, context: memoryview, number: int) -> int:
    at = xen.layouts.offset(STRUCT, "ctrlreg") + 8 * number
    return int.from_bytes(context[at : at + 8], "little")


def _fill_x86(xen: Machine, context: memoryview, word: dict[str, int]) -> None:
    user = context[xen.layouts.offset(STRUCT, "user_regs") :]
    xen.put(user, "cpu_user_regs", **{name: word[name] for name in ("rip", "rsp", "rflags", "rax")}, cs=0x10, ss=0x18)
    control = xen.layouts.offset(STRUCT, "ctrlreg")
    for number, value in {0: 0x80050033, 3: word["cr3"], 4: 0x3406E0}.items():
        context[control + 8 * number :][:8] = value.to_bytes(8, "little")
    up = xen.constant("VGCF_online") | xen.constant("VGCF_in_kernel")
    xen.put(context, STRUCT, flags=up | xen.constant("VGCF_i387_valid"))


def _fill_arm(xen: Machine, context: memoryview, word: dict[str, int]) -> None:
    user = context[xen.layouts.offset(STRUCT, "user_regs") :]
    xen.put(user, "vcpu_guest_core_regs", x0=word["rax"], pc64=word["rip"], sp_el1=word["rsp"], cpsr=0x3C5)
    xen.put(context, STRUCT, flags=1, ttbr0=word["cr3"], ttbr1=word["cr3"] + 0x1000, sctlr=0x30D5D91D)


OPERATIONS: Answers = {"XEN_DOMCTL_getvcpucontext": getvcpucontext, "XEN_DOMCTL_setvcpucontext": setvcpucontext}
