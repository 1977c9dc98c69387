"""The registers that Xen lets the control domain at, and the operation that gets at them."""

from __future__ import annotations

from errno import EACCES, EFAULT, EINVAL, ENODEV, EOPNOTSUPP, EPERM

from xenfs.simulator.machine import Machine
from xenfs.simulator.world.host import FULL, Cpu
from xenfs.simulator.world.refused import Refused

TSC, THERM_STATUS, TARGET, PACKAGE_THERM_STATUS = 0x10, 0x19C, 0x1A2, 0x1B1
QM_EVTSEL, QM_CTR = 0xC8D, 0xC8E
MOST = 3  # entries a call
ENTRY = "xenpf_resource_entry"
TJ_MAX, IDLE, WARMER = 100, 38, 35  # degrees C: the most, with nothing to do, and how much more with much
VALID = 1 << 31
SENSOR, PACKAGE_SENSOR, ACPI = 1 << 0, 1 << 6, 1 << 22  # CPUID leaf 6, eax twice; leaf 1, edx


def resource_op(xen: Machine, op: memoryview) -> int:
    """Up to three accesses on one CPU; the result is how many were made, and the next one says why it was not."""
    count, number, address = xen.get(op, "xenpf_resource_op", "nr_entries", "cpu", "entries")
    if not count:
        return 0
    if count > MOST:
        return -EINVAL
    size = xen.layouts.size(ENTRY)
    entries = [xen.at(address + index * size, size) for index in range(count)]
    allowed = _carried_out(xen, entries, lambda *entry: _checked(xen, *entry))
    if not allowed:
        return 0
    cpus = xen.world.host.cpus
    if number >= len(cpus) or not cpus[number].online:
        return -ENODEV
    return _carried_out(xen, entries[:allowed], lambda *entry: _made(xen, cpus[number], *entry))


def _carried_out(xen: Machine, entries: list[memoryview], act: object) -> int:
    """How many of these went well; the first that did not has its errno in place of the command."""
    assert callable(act)
    for done, entry in enumerate(entries):
        cmd, reserved, index, value = xen.get(entry, ENTRY, "u.cmd", "rsvd", "idx", "val")
        try:
            result = act(cmd, reserved, index, value)
        except Refused as why:
            xen.put(entry, ENTRY, **{"u.ret": -why.code & 0xFFFFFFFF})
            return done
        xen.put(entry, ENTRY, val=result)
    return len(entries)


def _checked(xen: Machine, cmd: int, reserved: int, index: int, value: int) -> int:
    if reserved:
        raise Refused(EINVAL)
    reading = cmd == xen.constant("XEN_RESOURCE_OP_MSR_READ")
    if not reading and cmd != xen.constant("XEN_RESOURCE_OP_MSR_WRITE"):
        raise Refused(EOPNOTSUPP)
    if index >> 32:
        raise Refused(EINVAL)
    if index not in _allowed(xen, reading):
        raise Refused(EPERM if xen.release >= (4, 16) else EACCES)
    return value


def _allowed(xen: Machine, reading: bool) -> set[int]:
    """Up to 4.15 the time stamp counter counts as allowed to be written, and is refused later."""
    cpu = xen.world.host.processor
    found = {QM_EVTSEL, QM_CTR}
    if xen.release < (4, 16):
        return found | {TSC} | ({cpu.ppin_msr} if reading else set())
    if reading:
        found |= {TSC, cpu.ppin_msr}
        if xen.release >= (4, 22):
            found |= {THERM_STATUS} if cpu.words[0] & ACPI else set()
            found |= {TARGET} if cpu.vendor == b"GenuineIntel" and cpu.thermal & SENSOR else set()
            found |= {PACKAGE_THERM_STATUS} if cpu.thermal & PACKAGE_SENSOR else set()
    return found


def _made(xen: Machine, cpu: Cpu, cmd: int, _: int, index: int, value: int) -> int:
    if cmd == xen.constant("XEN_RESOURCE_OP_MSR_WRITE"):
        return _written(cpu, index, value)
    world = xen.world
    if index == TSC:
        return world.clock.now()
    if index == QM_EVTSEL:
        return cpu.selected
    if index == QM_CTR:
        select = cpu.selected
        return world.psr.counted(select, cpu.socket, world.clock.ticks()) if world.psr else 0
    if index == TARGET:
        return TJ_MAX << 16
    if index in (THERM_STATUS, PACKAGE_THERM_STATUS):
        return VALID | TJ_MAX - _degrees(xen, cpu, index == PACKAGE_THERM_STATUS) << 16
    return int.from_bytes(world.digest("ppin", cpu.socket), "little")


def _written(cpu: Cpu, index: int, value: int) -> int:
    if index == TSC:
        raise Refused(EPERM)
    if index != QM_EVTSEL or value >> 42:  # the counter is read only, and only ten bits of an id are there
        raise Refused(EFAULT)
    cpu.selected = value
    return value


def _degrees(xen: Machine, cpu: Cpu, package: bool) -> int:
    """A busy CPU is a warm one; a socket is as warm as the warmest of its CPUs."""
    cpus = [each for each in xen.world.host.cpus if each.socket == cpu.socket] if package else [cpu]
    return max(IDLE + each.core % 3 + WARMER * each.busy // FULL for each in cpus if each.online)
