"""Domctl getvcpucontext: registers that look like those of a kernel, and stay the same as long as nothing runs."""

from __future__ import annotations

from errno import EINVAL, ENODATA

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain

STRUCT = "vcpu_guest_context"
TEXT = 0xFFFFFFFF81000000
STACK = 0xFFFFC90000000000


def getvcpucontext(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The registers; ENODATA for a vCPU that was never started, EINVAL for the one that asks."""
    number, address = xen.get(op, "xen_domctl_vcpucontext", "vcpu", "ctxt")
    vcpu = domain.vcpu(number)
    if vcpu is None or (domain.domid == 0 and number == 0):
        return -EINVAL
    if not vcpu.online:
        return -ENODATA
    context = bytearray(xen.layouts.size(STRUCT))
    fill = _fill_x86 if xen.x86 else _fill_arm
    fill(xen, memoryview(context), values(xen, domain, number))
    xen.copy_out(address, bytes(context))
    return 0


def values(xen: Machine, domain: Domain, vcpu: int) -> dict[str, int]:
    """Some registers by the names of x86: where it is, its stack, its page tables."""
    word = int.from_bytes(xen.world.digest("registers", domain.unique_id, vcpu), "little")
    return {
        "rip": TEXT + (word & 0xFFFFF0),
        "rsp": STACK + (vcpu << 20) + (word >> 24 & 0x3FF0),
        "rflags": 0x246,
        "cr3": (word >> 40) << 12,
        "rax": word & 0xFF,
    }


def _fill_x86(xen: Machine, context: memoryview, word: dict[str, int]) -> None:
    user = context[xen.layouts.offset(STRUCT, "user_regs") :]
    xen.put(user, "cpu_user_regs", **{name: word[name] for name in ("rip", "rsp", "rflags", "rax")}, cs=0x10, ss=0x18)
    control = xen.layouts.offset(STRUCT, "ctrlreg")
    for number, value in {0: 0x80050033, 3: word["cr3"], 4: 0x3406E0}.items():
        context[control + 8 * number :][:8] = value.to_bytes(8, "little")
    xen.put(context, STRUCT, flags=0x5)


def _fill_arm(xen: Machine, context: memoryview, word: dict[str, int]) -> None:
    user = context[xen.layouts.offset(STRUCT, "user_regs") :]
    xen.put(user, "vcpu_guest_core_regs", x0=word["rax"], pc64=word["rip"], sp_el1=word["rsp"], cpsr=0x3C5)
    xen.put(context, STRUCT, flags=1, ttbr0=word["cr3"], ttbr1=word["cr3"] + 0x1000, sctlr=0x30D5D91D)


OPERATIONS: Answers = {"XEN_DOMCTL_getvcpucontext": getvcpucontext}
