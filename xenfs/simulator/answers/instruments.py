"""What Xen measures of itself: its trace buffers and, in a build for it, counters, locks and coverage (sysctl)."""

from __future__ import annotations

from errno import E2BIG, EBUSY, EINVAL, ENOMEM, EOPNOTSUPP

from xenfs.simulator.machine import Answers, Machine

TBUF, PERFC, LOCKPROF, COVERAGE = (f"xen_sysctl_{name}_op" for name in ("tbuf", "perfc", "lockprof", "coverage"))
INFO_MFN = 0x43210
MOST_PAGES = 1 << 14  # of Xen's own memory that is free, in one piece
TRC_GUEST = 0x0800F000


def tbuf_op(xen: Machine, op: memoryview) -> int:
    """What there is of trace buffers, and what is to be noted in them."""
    found = xen.world.host.tracing
    cmd, mask, size = xen.get(op, TBUF, "cmd", "evt_mask", "size")
    names = {xen.constant(f"XEN_SYSCTL_TBUFOP_{name}"): name for name in _TBUF}
    name = names.get(cmd)
    if name == "get_info":
        xen.put(op, TBUF, evt_mask=found.mask, buffer_mfn=found.mfn, size=found.info_bytes)
    elif name == "set_evt_mask":
        found.mask = mask
    elif name == "set_cpu_mask":
        found.cpus = xen.read_bitmap(op, TBUF, "cpu_mask", xen.world.host.nr_cpus)
    elif name == "set_size":
        return _make_buffers(xen, size)
    elif name in ("enable", "disable"):
        if name == "enable" and not found.pages:
            return -EINVAL
        found.enabled = name == "enable"
        found.lost = found.lost if found.enabled else 0
    else:
        return -EINVAL
    return 0


def trace_name(xen: Machine, op: memoryview) -> str:
    """What a record of calls has for it."""
    (cmd,) = xen.get(op, TBUF, "cmd")
    return next((name for name in _TBUF if xen.constant(f"XEN_SYSCTL_TBUFOP_{name}") == cmd), str(cmd))


_TBUF = ("get_info", "set_cpu_mask", "set_evt_mask", "set_size", "enable", "disable")


def _make_buffers(xen: Machine, pages: int) -> int:
    found = xen.world.host.tracing
    if found.pages and pages != found.pages:
        return -EINVAL
    if found.pages:
        return -EBUSY
    if not pages:
        return -EINVAL
    host = xen.world.host
    pages = min(pages, 0xFFFF // max(1, host.nr_cpus - 1))  # what the words of a CPU's list can say, as Xen does
    if pages * host.nr_cpus > MOST_PAGES:
        return -ENOMEM
    found.make(pages, [cpu.id for cpu in host.cpus if cpu.online], host.nr_cpus, INFO_MFN)
    return 0


def xentrace(xen: Machine, address: int) -> int:
    """A record of a guest's own; up to seven words, and an event of twelve bits."""
    op = xen.struct(address, "xen_hvm_xentrace")
    event, nbytes, extra = xen.get(op, "xen_hvm_xentrace", "event", "extra_bytes", "extra")
    if nbytes % 4 or nbytes > len(extra) or event >> 12:
        return -EINVAL
    cycles = xen.world.clock.now() * xen.world.host.cpu_khz // 10**6
    xen.world.host.tracing.note(0, event | TRC_GUEST, cycles, bytes(extra[:nbytes]))  # without them in its record
    return 0


def perfc_op(xen: Machine, op: memoryview) -> int:
    """All counters wherever there is room for or not, then zeros after a reset."""
    cmd, desc, val = xen.get(op, PERFC, "cmd", "desc", "val")
    reset = cmd == xen.constant("XEN_SYSCTL_PERFCOP_reset")
    if not reset and cmd != xen.constant("XEN_SYSCTL_PERFCOP_query"):
        return -EINVAL
    counters = xen.world.host.measured.counters(sum(cpu.online for cpu in xen.world.host.cpus))
    if desc:
        packer = xen.layouts.array("xen_sysctl_perfc_desc", "name", "nr_vals")
        xen.copy_out(desc, b"".join(packer.pack(name.encode(), len(values)) for name, values in counters))
        xen.copy_out(val, b"".join(value.to_bytes(4, "little") for _, values in counters for value in values))
    if reset:
        xen.world.host.measured.counted = 0
    xen.put(op, PERFC, nr_counters=len(counters), nr_vals=sum(len(values) for _, values in counters))
    return 0


def lockprof_op(xen: Machine, op: memoryview) -> int:
    """As many locks as there is room for; the number is of all."""
    cmd, room, address = xen.get(op, LOCKPROF, "cmd", "max_elem", "data")
    measured, now = xen.world.host.measured, xen.world.clock.now()
    if cmd == xen.constant("XEN_SYSCTL_LOCKPROF_reset"):
        measured.watched_from = now
        return 0
    if cmd != xen.constant("XEN_SYSCTL_LOCKPROF_query"):
        return -EINVAL
    of_xen, of_domain = xen.constant("LOCKPROF_TYPE_GLOBAL"), xen.constant("LOCKPROF_TYPE_PERDOM")
    locks = [(name, of_xen, 0) for name in ("domlist_update_lock", "sysctl_lock")]
    locks += [("event_lock", of_domain, domid) for domid in sorted(xen.world.domains)]
    members = ("name", "type", "idx", "lock_cnt", "block_cnt", "lock_time", "block_time")
    packer = xen.layouts.array("xen_sysctl_lockprof_data", *members)
    since = now - measured.watched_from
    times = (since // 10**6, since // 10**8, since // 10**3, since // 10**5)
    packed = (packer.pack(name.encode(), kind, index, *times) for name, kind, index in locks[:room])
    xen.copy_out(address, b"".join(packed))
    xen.put(op, LOCKPROF, nr_elem=len(locks), time=since)
    return 0


def coverage_op(xen: Machine, op: memoryview) -> int:
    """What was run, where there is room for all of it."""
    cmd, room, address = xen.get(op, COVERAGE, "cmd", "size", "buffer")
    data = xen.world.host.measured.coverage()
    if cmd == xen.constant("XEN_SYSCTL_COVERAGE_reset"):
        xen.world.host.measured.covered = 0
    elif cmd == xen.constant("XEN_SYSCTL_COVERAGE_get_size"):
        xen.put(op, COVERAGE, size=len(data))
    elif cmd != xen.constant("XEN_SYSCTL_COVERAGE_read"):
        return -EOPNOTSUPP
    elif room < len(data):
        return -E2BIG
    else:
        xen.copy_out(address, data)
        xen.put(op, COVERAGE, size=len(data))
    return 0


def without_coverage(xen: Machine, op: memoryview) -> int:
    """A build without it has the operation, and nothing behind it."""
    return -EOPNOTSUPP


SYSCTL: Answers = {"XEN_SYSCTL_tbuf_op": tbuf_op}
SYSCTL_MEASURED: Answers = {
    "XEN_SYSCTL_perfc_op": perfc_op,
    "XEN_SYSCTL_lockprof_op": lockprof_op,
    "XEN_SYSCTL_coverage_op": coverage_op,
}
"""Of a Xen that was built to count."""
SYSCTL_UNMEASURED: Answers = {"XEN_SYSCTL_coverage_op": without_coverage}
HVM_X86: Answers = {"HVMOP_xentrace": xentrace}
