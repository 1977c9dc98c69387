"""Domctls with more of a vCPU's state: xsave area, MSRs, system call entries; and what its processor traces."""

from __future__ import annotations

from errno import EINVAL, ENOBUFS, ENOENT, ENXIO, ESRCH

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain

XSAVE, MSRS, MSR, EXT = (
    "xen_domctl_vcpuextstate", "xen_domctl_vcpu_msrs", "xen_domctl_vcpu_msr", "xen_domctl_ext_vcpucontext"
)  # fmt: skip
TRACE = "xen_domctl_vmtrace_op"
FEATURES = 0x7  # x87, SSE and AVX
SIZES = {0: 16, 3: 16 + 576, 7: 16 + 832}  # of all that was ever in XCR0: two words, the legacy area, AVX
OWN = (0x48, 0x140, 0xC0000103, 0xC0011027, 0xC0011019, 0xC001101A, 0xC001101B)  # SPEC_CTRL, ..., DR3_ADDRESS_MASK
RTIT_CTL, RTIT_STATUS = 0x570, 0x571
TRACE_BYTES = 64 << 10


def _is_asking(domain: Domain, number: int) -> bool:
    return domain.domid == 0 and number == 0


def getvcpuextstate(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The size that it may have, then the state: XCR0, all that was in it, and the area."""
    number, mask, size, address = xen.get(op, XSAVE, "vcpu", "xfeature_mask", "size", "buffer")
    if domain.vcpu(number) is None:
        return -ESRCH
    if _is_asking(domain, number):
        return -EINVAL
    if not address or not (size or mask):
        xen.put(op, XSAVE, xfeature_mask=FEATURES, size=SIZES[FEATURES])
        return 0
    used = FEATURES if domain.hvm else 3
    if size < SIZES[used] or mask != FEATURES:
        return -EINVAL
    words = b"".join(word.to_bytes(8, "little") for word in (used, used))
    xen.copy_out(address, words + xen.world.digest("xsave", domain.unique_id, number).ljust(SIZES[used] - 16, b"\0"))
    xen.put(op, XSAVE, size=SIZES[used])
    return 0


def _own_msrs(domain: Domain, number: int) -> dict[int, int]:
    kept: dict[int, dict[int, int]] = domain.kept.setdefault("vcpu_msrs", {})
    return kept.setdefault(number, {0xC0000103: number})


def _of_pv(domain: Domain, number: int) -> int:
    """An errno, or 0 for a vCPU that has such MSRs."""
    if domain.vcpu(number) is None:
        return ESRCH
    return EINVAL if domain.hvm or _is_asking(domain, number) else 0


def get_vcpu_msrs(xen: Machine, domain: Domain, op: memoryview) -> int:
    """How many there may be, then those that are not 0."""
    number, room, address = xen.get(op, MSRS, "vcpu", "msr_count", "msrs")
    problem = _of_pv(domain, number)
    if problem:
        return -problem
    found = [(index, value) for index, value in sorted(_own_msrs(domain, number).items()) if value]
    if not address:
        xen.put(op, MSRS, msr_count=len(OWN))
        return 0
    packer = xen.layouts.array(MSR, "index", "value")
    xen.copy_out(address, b"".join(packer.pack(*each) for each in found[:room]))
    xen.put(op, MSRS, msr_count=len(found))
    return -ENOBUFS if len(found) > room else 0


def set_vcpu_msrs(xen: Machine, domain: Domain, op: memoryview) -> int:
    """One after the other, up to one that no vCPU has."""
    number, count, address = xen.get(op, MSRS, "vcpu", "msr_count", "msrs")
    problem = _of_pv(domain, number)
    if problem or count > len(OWN):
        return -(problem or EINVAL)
    size = xen.layouts.size(MSR)
    for done in range(count):
        index, reserved, value = xen.get(xen.at(address + done * size, size), MSR, "index", "reserved", "value")
        if reserved or index not in OWN:
            xen.put(op, MSRS, msr_count=done)
            return -EINVAL if reserved or xen.release < (4, 19) else -ENXIO
        _own_msrs(domain, number)[index] = value
    return 0


def get_ext_vcpucontext(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Where system calls go, of a PV vCPU, and what all know of machine checks."""
    (number,) = xen.get(op, EXT, "vcpu")
    if domain.vcpu(number) is None or _is_asking(domain, number):
        return -ESRCH
    xen.put(op, EXT, size=xen.layouts.size(EXT), mcg_cap=0x1000002)
    if not domain.hvm:
        xen.put(op, EXT, sysenter_callback_eip=0xFFFFFFFF82001000, sysenter_callback_cs=0xE033)
        xen.put(op, EXT, syscall32_callback_eip=0xFFFFFFFF82002000, syscall32_callback_cs=0xE033)
    return 0


def vmtrace_op(xen: Machine, domain: Domain, op: memoryview) -> int:
    """What the processor notes of a vCPU, where the domain was made with room for that."""
    cmd, number, key, value = xen.get(op, TRACE, "cmd", "vcpu", "key", "value")
    if not domain.hvm or domain.domid == 0 or not xen.settings.vmtrace:
        return -EINVAL
    if domain.vcpu(number) is None:
        return -ENOENT
    names = ("enable", "disable", "reset_and_enable", "output_position", "get_option", "set_option")
    name = {xen.constant(f"XEN_DOMCTL_vmtrace_{each}"): each for each in names}.get(cmd, "")
    kept: dict[int, dict[int, int]] = domain.kept.setdefault("vmtrace", {})
    trace = kept.setdefault(number, {RTIT_CTL: 0x2500, RTIT_STATUS: 0, 0: 0})
    if name in ("enable", "reset_and_enable"):
        trace[RTIT_STATUS], trace[0] = 2, 0 if name.startswith("reset") else trace[0]
    elif name == "disable":
        trace[RTIT_STATUS] = 0
    elif name == "output_position":
        xen.put(op, TRACE, value=xen.world.clock.ticks() % TRACE_BYTES if trace[RTIT_STATUS] else trace[0])
    elif not name or key not in (RTIT_CTL, RTIT_STATUS):
        return -EINVAL
    elif name == "set_option":
        trace[key] = value
    else:
        xen.put(op, TRACE, value=trace[key])
    return 0


OPERATIONS_X86: Answers = {
    "XEN_DOMCTL_getvcpuextstate": getvcpuextstate,
    "XEN_DOMCTL_get_vcpu_msrs": get_vcpu_msrs,
    "XEN_DOMCTL_set_vcpu_msrs": set_vcpu_msrs,
    "XEN_DOMCTL_get_ext_vcpucontext": get_ext_vcpucontext,
    "XEN_DOMCTL_vmtrace_op": vmtrace_op,
}
