"""Domctls with the saved state of an HVM or PVH domain: the whole stream of records, or one of them."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EINVAL, ENOBUFS, ENODATA, ENOENT, ENOSPC
from struct import Struct

from xenfs.simulator.answers import registers
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import ALIVE, Domain

MAGIC = 0x54381286
DESCRIPTOR = Struct("<HHI")  # type, instance, length
LOADED = "loaded_state"  # what somebody has loaded of the records
OF_VCPUS = ("CPU", "LAPIC", "LAPIC_REGS", "MTRR", "VMCE_VCPU", "TSC_ADJUST")
OF_DOMAINS = ("PCI_IRQ", "ISA_IRQ", "PCI_LINK")  # of a PVH domain, too, which has no such lines
OF_BOARD = ("PIC", "PIC", "IOAPIC", "PIT", "RTC", "HPET", "PMTIMER")


def gethvmcontext(xen: Machine, domain: Domain, op: memoryview) -> int:
    """All of it; without a buffer its size. EINVAL for the caller's own domain, a PV one, a dying one."""
    struct = "xen_domctl_hvmcontext"
    if not _saves(domain):
        return -EINVAL
    size, address = xen.get(op, struct, "size", "buffer")
    stream = b"".join(
        b"".join(n.to_bytes(w, "little") for n, w in ((code, 2), (instance, 2), (len(data), 4))) + data
        for code, instance, data in _records(xen, domain)
    )
    if not address:
        xen.put(op, struct, size=len(stream) + 64)  # Xen counts for vCPUs that may be down, too
        return 0
    if size < len(stream):
        return -ENOSPC
    xen.put(op, struct, size=len(stream))
    xen.copy_out(address, stream)
    return 0


def gethvmcontext_partial(xen: Machine, domain: Domain, op: memoryview) -> int:
    """One record without descriptor; without a buffer its length. The first and the last are not for asking."""
    struct = "xen_domctl_hvmcontext_partial"
    kind, instance, room, address = xen.get(op, struct, "type", "instance", "bufsz", "buffer")
    if not _saves(domain) or kind in (_code(xen, "HEADER"), _code(xen, "END")):
        return -EINVAL
    found = {(code, number): data for code, number, data in _records(xen, domain)}.get((kind, instance))
    if found is None:
        return -ENOENT
    if address and room < len(found):
        return -ENOBUFS
    xen.put(op, struct, bufsz=len(found))
    if address:
        xen.copy_out(address, found)
    return 0


def sethvmcontext(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Load records behind a header; what has no CPU record among them goes down. EINVAL, ENODATA for a broken stream.

    Since 4.19 nothing is changed before all has been looked at.
    """
    size, address = xen.get(op, "xen_domctl_hvmcontext", "size", "buffer")
    if domain.domid == 0 or not domain.hvm or domain.dying != ALIVE:
        return -EINVAL
    stream = bytes(xen.at(address, size))
    found: list[tuple[int, int, bytes]] = []
    while True:
        if len(stream) < DESCRIPTOR.size:
            return -ENODATA
        code, instance, length = DESCRIPTOR.unpack_from(stream)
        data, stream = stream[DESCRIPTOR.size :][:length], stream[DESCRIPTOR.size + length :]
        if not found and (code, len(data)) != (_code(xen, "HEADER"), _length(xen, "HEADER")):
            return -ENODATA
        if found and code == _code(xen, "END"):
            break
        found.append((code, instance, data))
    known = {_code(xen, name): name for name in (*OF_VCPUS, *OF_DOMAINS, *OF_BOARD)}
    for code, instance, data in found[1:]:
        name = known.get(code)
        if name is None or len(data) > _length(xen, name):
            return -EINVAL
        if name in OF_VCPUS and domain.vcpu(instance) is None:
            return -EINVAL
        if name == "CPU" and not _is_sane(xen, data):
            return -EINVAL
    loaded = domain.kept.setdefault(LOADED, {})
    loaded.update({(known[code], instance): data for code, instance, data in found[1:]})
    awake = {instance for code, instance, _ in found if known.get(code) == "CPU"}
    xen.world.placement.stop(domain, xen.world.clock.ticks())
    for vcpu in domain.existing():
        vcpu.online = vcpu.id in awake
    xen.world.placement.start(domain, xen.world.clock.ticks())
    return 0


def _is_sane(xen: Machine, data: bytes) -> bool:
    """What Xen looks at of a vCPU's registers: CR0 has ET, and no paging without protection."""
    cpu = memoryview(data.ljust(_length(xen, "CPU"), b"\0"))
    cr0, pad = xen.get(cpu, "hvm_hw_cpu", "cr0", "pad0")
    return bool(cr0 & 0x10) and cr0 & 0x80000001 != 0x80000000 and not pad


def _saves(domain: Domain) -> bool:
    return domain.domid != 0 and domain.hvm and domain.dying == ALIVE


def _records(xen: Machine, domain: Domain) -> Iterator[tuple[int, int, bytes]]:
    """(type, instance, bytes) in the order of types, as Xen writes them."""
    header = bytearray(_length(xen, "HEADER"))
    xen.put(memoryview(header), "hvm_save_header", magic=MAGIC, version=1, changeset=(1 << 64) - 1)
    yield _code(xen, "HEADER"), 0, bytes(header)
    per_vcpu = [
        (name, vcpu.id) for name in OF_VCPUS for vcpu in domain.existing()
        if vcpu.online or name != "CPU"  # of one that is down Xen leaves out its registers alone
    ]  # fmt: skip
    board = OF_DOMAINS + (OF_BOARD if domain.kind == "hvm" else ())
    devices = [(name, board[:place].count(name)) for place, name in enumerate(board)]
    for name, instance in sorted(per_vcpu + devices, key=lambda pair: (_code(xen, pair[0]), pair[1])):
        yield _code(xen, name), instance, _record(xen, domain, name, instance)
    yield _code(xen, "END"), 0, b""


def _record(xen: Machine, domain: Domain, name: str, instance: int) -> bytes:
    loaded = domain.kept.get(LOADED, {}).get((name, instance))
    if loaded is not None:
        return bytes(loaded).ljust(_length(xen, name), b"\0")
    data = bytearray(_length(xen, name))
    if name == "CPU":
        word = registers.values(xen, domain, instance)
        known = {member: word[member] for member in ("rip", "rsp", "rflags", "cr3")}
        xen.put(memoryview(data), "hvm_hw_cpu", **known, cr0=0x80050033, cr4=0x3406E0, msr_efer=0xD01)
    return bytes(data)


def _code(xen: Machine, name: str) -> int:
    return xen.layouts.record(name)[0]


def _length(xen: Machine, name: str) -> int:
    return xen.layouts.record(name)[1]


OPERATIONS: Answers = {
    "XEN_DOMCTL_gethvmcontext": gethvmcontext,
    "XEN_DOMCTL_sethvmcontext": sethvmcontext,
    "XEN_DOMCTL_gethvmcontext_partial": gethvmcontext_partial,
}
