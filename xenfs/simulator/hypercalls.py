"""The hypercalls of the pretended Xen: which struct each takes, what it checks first, and who answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from errno import EACCES, EINVAL, ENOSYS, EOPNOTSUPP, ESRCH
from struct import Struct

from xenfs.errors import BadAddress
from xenfs.politely import politely
from xenfs.simulator.answers import (
    altp2m,
    cpupool_op,
    dirty,
    domctl,
    domctl_scheduler,
    domctl_vcpu,
    domctl_x86,
    domlist,
    dt_overlay,
    firmware,
    flask_op,
    flask_rules,
    foreign,
    guest_ops,
    hvm,
    hypfs_op,
    instruments,
    introspection,
    kexec_op,
    livepatch_op,
    mca_op,
    memory_op,
    microcode,
    own_ops,
    page_offline,
    pages,
    pci_op,
    physdev_op,
    platform,
    pm_op,
    pmstat,
    pmu_op,
    pod,
    policy_op,
    psr_op,
    registers,
    reservation,
    resources,
    saved,
    sysctl,
    sysctl_scheduler,
    vcpu_state,
    version_op,
    vnuma_op,
)
from xenfs.simulator.machine import Answers, Machine, Table

Call = Callable[[tuple[int, ...]], int]
"""A hypercall: at least five arguments in, the result out."""


def table(machine: Machine, counts: Counter[str]) -> dict[int, Call]:
    """The hypercalls that this Xen has, by number."""
    makers = {
        "xen_version": _xen_version, "sysctl": _sysctl, "domctl": _domctl, "platform_op": _platform_op,
        "memory_op": _memory_op, "hvm_op": _hvm_op, "multicall": _multicall, "hypfs_op": _hypfs_op,
        "grant_table_op": _of("grant_table_op", "GNTTABOP_", guest_ops.GRANT_OPERATIONS),
        "event_channel_op": _of("event_channel_op", "EVTCHNOP_", guest_ops.EVENT_OPERATIONS),
        "sched_op": _of("sched_op", "SCHEDOP_", guest_ops.SCHED_OPERATIONS), "dm_op": _dm_op, "xsm_op": _xsm_op,
        "console_io": _three("console_io", own_ops.console_io), "vcpu_op": _three("vcpu_op", own_ops.vcpu_op),
        "kexec_op": _kexec_op, "xenpmu_op": _xenpmu_op,
    }  # fmt: skip
    if not machine.settings.hypfs:
        del makers["hypfs_op"]
    if not machine.x86:  # on Arm only a build for virtio has the first
        del makers["dm_op"], makers["xenpmu_op"]
    if not (machine.x86 and machine.settings.kexec and machine.settings.dom0 == "pv"):
        del makers["kexec_op"]
    if machine.x86 and machine.settings.dom0 == "pv":
        makers["mca"] = _mca
        makers["physdev_op"] = _of("physdev_op", "PHYSDEVOP_", physdev_op.OPERATIONS)
    return {machine.constant(f"__HYPERVISOR_{name}"): make(machine, counts) for name, make in makers.items()}


def _sysctl(machine: Machine, counts: Counter[str]) -> Call:
    groups = [
        sysctl.OPERATIONS,
        domlist.SYSCTL,
        cpupool_op.OPERATIONS,
        sysctl_scheduler.OPERATIONS,
        page_offline.OPERATIONS,
        instruments.SYSCTL,
        instruments.SYSCTL_MEASURED if machine.settings.instruments else instruments.SYSCTL_UNMEASURED,
    ]
    groups += [livepatch_op.OPERATIONS] if machine.settings.livepatch else []
    x86 = [sysctl.OPERATIONS_X86, pci_op.SYSCTL_X86, policy_op.SYSCTL, psr_op.SYSCTL]
    if machine.settings.pm or machine.release < (4, 21):  # older ones cannot be built without
        x86 += [pm_op.OPERATIONS_X86, pmstat.OPERATIONS_X86]
    operations = Table(machine, "XEN_SYSCTL_", *groups, *(x86 if machine.x86 else [dt_overlay.SYSCTL]))
    return _commanded(machine, counts, operations, "sysctl", "xen_sysctl", machine.sysctl)


def _platform_op(machine: Machine, counts: Counter[str]) -> Call:
    groups = (
        [platform.OPERATIONS_X86, firmware.OPERATIONS_X86, microcode.OPERATIONS_X86]
        if machine.x86
        else [platform.OPERATIONS_ARM]
    )
    operations = Table(machine, "XENPF_", *groups)
    return _commanded(machine, counts, operations, "platform_op", "xen_platform_op", machine.platform)


# Answers whose sub-operations are counted apart, for some only look and others change something.
_CLOSER = {
    "sysctl pm_op": pm_op.name_of,
    "sysctl get_pmstat": pmstat.name_of,
    "sysctl tbuf_op": instruments.trace_name,
    "sysctl livepatch_op": livepatch_op.name_of,
    "platform_op core_parking": platform.parking_name,
}


def _commanded(
    machine: Machine, counts: Counter[str], operations: Table, hypercall: str, struct: str, interface: int
) -> Call:
    """A hypercall whose one struct begins with a command and an interface version, and goes on with a union."""
    size, body = machine.layouts.size(struct), machine.layouts.offset(struct, "u")
    header = machine.layouts.format(struct, "cmd", "interface_version")[0].unpack_from
    known = {number: (f"{hypercall} {name}", operation) for number, (name, operation) in operations.by_number.items()}

    def call(args: tuple[int, ...]) -> int:
        memory = machine.at(args[0], size)
        cmd, given = header(memory)
        name, operation = known.get(cmd) or (f"{hypercall} {cmd}", None)
        closer = _CLOSER.get(name)
        counts[f"{name} {closer(machine, memory[body:])}".rstrip() if closer else name] += 1
        if given != interface:
            return -EACCES
        if operation is None:
            return -ENOSYS
        return operation(machine, memory[body:])

    return call


def _domctl(machine: Machine, counts: Counter[str]) -> Call:
    """Domctl: as above, but most operations are on a domain, and the stable one has version 0 of its own."""
    groups = [domctl.OPERATIONS, domctl_vcpu.OPERATIONS, domctl_scheduler.OPERATIONS, registers.OPERATIONS]
    groups += [vnuma_op.DOMCTL]
    groups += [pci_op.DOMCTL, introspection.OPERATIONS]
    x86 = [domctl.OPERATIONS_X86, domctl_x86.OPERATIONS, saved.OPERATIONS, policy_op.DOMCTL, psr_op.DOMCTL]
    x86 += [introspection.OPERATIONS_X86, foreign.OPERATIONS_X86]
    x86 += [dirty.OPERATIONS, pages.DOMCTL_X86, vcpu_state.OPERATIONS_X86]
    arm = [domctl.OPERATIONS_ARM, pci_op.DOMCTL_ARM, foreign.OPERATIONS_ARM, dt_overlay.DOMCTL]
    on_domain = Table(
        machine,
        "XEN_DOMCTL_",
        *groups,
        *(x86 if machine.x86 else arm),
    )
    without = [domctl.OPERATIONS_WITHOUT, domlist.DOMCTL, pci_op.WITHOUT, own_ops.WITHOUT]
    others = Table(machine, "XEN_DOMCTL_", *without)
    stable = {machine.constant(name) for name in domctl.STABLE if machine.layouts.defines(name)}
    size, body = machine.layouts.size("xen_domctl"), machine.layouts.offset("xen_domctl", "u")
    header = machine.layouts.format("xen_domctl", "cmd", "interface_version", "domain")[0].unpack_from
    names = {number: f"domctl {name}" for each in (on_domain, others) for number, (name, _) in each.by_number.items()}
    find, at, speaks = machine.world.domain, machine.at, dict.fromkeys(stable, 0)
    of_domains, of_others = ({number: op for number, (_, op) in each.by_number.items()} for each in (on_domain, others))

    def call(args: tuple[int, ...]) -> int:
        memory = at(args[0], size)
        cmd, given, domid = header(memory)
        counts[names.get(cmd) or f"domctl {cmd}"] += 1
        if given != speaks.get(cmd, machine.domctl):
            return -EACCES
        if cmd in of_others:
            return of_others[cmd](machine, memory)
        domain = find(domid)
        if domain is None:
            return -ESRCH
        operation = of_domains.get(cmd)
        return operation(machine, domain, memory[body:]) if operation else -ENOSYS

    return call


def _xen_version(machine: Machine, counts: Counter[str]) -> Call:
    return _numbered(machine, counts, Table(machine, "XENVER_", version_op.OPERATIONS), "xen_version")


def _hvm_op(machine: Machine, counts: Counter[str]) -> Call:
    operations = Table(
        machine,
        "HVMOP_",
        hvm.OPERATIONS,
        *([hvm.OPERATIONS_X86, instruments.HVM_X86, pages.HVM_X86, altp2m.OPERATIONS_X86] if machine.x86 else []),
    )
    return _numbered(machine, counts, operations, "hvm_op")


def _memory_op(machine: Machine, counts: Counter[str]) -> Call:
    groups = (
        [memory_op.OPERATIONS, memory_op.OPERATIONS_X86, pod.OPERATIONS_X86] if machine.x86 else [memory_op.OPERATIONS]
    )
    groups += [vnuma_op.OPERATIONS, reservation.OPERATIONS, pages.MEMORY, resources.OPERATIONS]
    groups += [pages.MEMORY_SHARING] if machine.x86 and machine.settings.sharing else []
    return _numbered(machine, counts, Table(machine, "XENMEM_", *groups), "memory_op")


def _of(hypercall: str, prefix: str, operations: Answers) -> Callable[[Machine, Counter[str]], Call]:
    """What makes a hypercall of these operations, all of which take one pointer."""
    return lambda machine, counts: _numbered(machine, counts, Table(machine, prefix, operations), hypercall)


def _xsm_op(machine: Machine, counts: Counter[str]) -> Call:
    """As a sysctl, but all is ENOSYS where there is no FLASK, and so is another interface version."""
    operations = Table(machine, "FLASK_", flask_op.OPERATIONS, flask_rules.OPERATIONS).by_number
    size, body = machine.layouts.size("xen_flask_op"), machine.layouts.offset("xen_flask_op", "u")
    version = machine.constant("XEN_FLASK_INTERFACE_VERSION")

    def call(args: tuple[int, ...]) -> int:
        memory = machine.at(args[0], size)
        cmd, given = machine.get(memory, "xen_flask_op", "cmd", "interface_version")
        name, operation = operations.get(cmd) or (str(cmd), None)
        counts[f"xsm_op {name}"] += 1
        if machine.world.policy is None or given != version or operation is None:
            return -ENOSYS
        return operation(machine, memory[body:])

    return call


def _three(
    hypercall: str, operation: Callable[[Machine, int, int, int], tuple[str, int]]
) -> Callable[[Machine, Counter[str]], Call]:
    """What makes a hypercall of three arguments, whose function says itself what it was asked for."""

    def make(machine: Machine, counts: Counter[str]) -> Call:
        def call(args: tuple[int, ...]) -> int:
            name, result = operation(machine, *args[:3])
            counts[f"{hypercall} {name}"] += 1
            return result

        return call

    return make


def _kexec_op(machine: Machine, counts: Counter[str]) -> Call:
    unknown = EOPNOTSUPP if machine.release >= (4, 19) else EINVAL
    return _numbered(machine, counts, Table(machine, "KEXEC_CMD_", kexec_op.OPERATIONS), "kexec_op", unknown)


def _xenpmu_op(machine: Machine, counts: Counter[str]) -> Call:
    """Nothing for a PVH control domain, and nothing at all unless Xen was booted with vpmu."""
    known = _numbered(machine, counts, Table(machine, "XENPMU_", pmu_op.OPERATIONS), "xenpmu_op", EINVAL)
    open_to_it = machine.settings.vpmu and machine.settings.dom0 == "pv"
    return known if open_to_it else lambda args: -EOPNOTSUPP


def _dm_op(machine: Machine, counts: Counter[str]) -> Call:
    def call(args: tuple[int, ...]) -> int:
        name, result = guest_ops.dm_op(machine, *args[:3])
        counts[f"dm_op {name}"] += 1
        return result

    return call


def _mca(machine: Machine, counts: Counter[str]) -> Call:
    def call(args: tuple[int, ...]) -> int:
        name, result = mca_op.call(machine, args[0])
        counts[f"mca {name}"] += 1
        return result

    return call


def _numbered(machine: Machine, counts: Counter[str], operations: Table, hypercall: str, unknown: int = ENOSYS) -> Call:
    """A hypercall whose first argument says what to do and whose second is a pointer."""
    known = {number: (f"{hypercall} {name}", operation) for number, (name, operation) in operations.by_number.items()}

    def call(args: tuple[int, ...]) -> int:
        found = known.get(args[0])
        if found is None:
            counts[f"{hypercall} {args[0]}"] += 1
            return -unknown
        counts[found[0]] += 1
        return found[1](machine, args[1])

    return call


def _hypfs_op(machine: Machine, counts: Counter[str]) -> Call:
    operations = Table(machine, "XEN_HYPFS_OP_", hypfs_op.OPERATIONS).by_number

    def call(args: tuple[int, ...]) -> int:
        found = operations.get(args[0])
        counts[f"hypfs_op {found[0] if found else args[0]}"] += 1
        return found[1](machine, *args[1:5]) if found else -EOPNOTSUPP

    return call


def _multicall(machine: Machine, counts: Counter[str]) -> Call:
    size = machine.layouts.size("multicall_entry")
    number = machine.constant("__HYPERVISOR_multicall")
    op_at, result_at, args_at = (machine.layouts.offset("multicall_entry", name) for name in ("op", "result", "args"))
    entry = Struct(f"<{op_at}xQ{args_at - op_at - 8}x5Q{size - args_at - 40}x")
    write_result = Struct("<q").pack_into

    def pieces(start: int, count: int) -> Iterator[memoryview]:
        """The entries, all at once where they lie in one piece, as they do but for those who try things; else each."""
        try:
            whole = machine.at(start, count * size)
        except BadAddress:
            yield from (machine.at(start + index * size, size) for index in range(count))
        else:
            yield whole

    def call(args: tuple[int, ...]) -> int:
        counts["multicall"] += 1
        first = entry.unpack(machine.at(args[0], size))[1:3] if args[1] else ()
        with machine.staying(*first):
            for piece in pieces(args[0], args[1]):
                members = zip(range(result_at, len(piece), size), entry.iter_unpack(piece), strict=True)
                for at, words in politely(members):
                    result = -EINVAL if words[0] == number else machine.dispatch(words[0], words[1:])
                    write_result(piece, at, result)
        return 0

    return call
