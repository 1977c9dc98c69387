"""The operations on CPUID and MSR policies: sysctls of the host's, domctls of a domain's."""

from __future__ import annotations

from errno import E2BIG, EEXIST, EINVAL, ENOBUFS

from xenfs.simulator.layouts import version
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world import cpuid, policies
from xenfs.simulator.world.dependencies import Dependencies, dependencies
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.policies import Policy, Rejected
from xenfs.simulator.world.refused import Refused
from xenfs.simulator.world.settled import Bounds, compare, settle, trim

SETS = ("raw", "host", "pv_default", "hvm_default", "pv_max", "hvm_max")
"""The featuresets by number, each as the policy that it is part of."""
POLICIES = ("raw", "host", "pv_max", "hvm_max", "pv_default", "hvm_default")
KEPT = "cpu_policy"
LEAF, MSR = ("leaf", "subleaf", "a", "b", "c", "d"), ("idx", "flags", "val")


def host_policies(xen: Machine) -> dict[str, Policy]:
    """All of the host's, made when they are first asked for."""
    if xen.policies is None:
        known = policies.limits(xen.settings)
        cpu = xen.world.host.processor
        raw = cpuid.raw(cpu, xen.world.host, known)
        host = policies.of_host(cpu, raw, known)
        xen.policies = {"raw": raw, "host": host, **{kind: policies.of_guests(kind, host) for kind in policies.FOR}}
    found: dict[str, Policy] = xen.policies
    return found


def get_cpu_levelling_caps(xen: Machine, op: memoryview) -> int:
    """AMD's CPUs let four words be overridden, Intel's of today fault on CPUID; up to 4.21."""
    names = ("faulting",) if xen.settings.processor == "intel" else ("ecx", "edx", "extd_ecx", "extd_edx")
    caps = sum(xen.constant(f"XEN_SYSCTL_CPU_LEVELCAP_{name}") for name in names)
    xen.put(op, "xen_sysctl_cpu_levelling_caps", caps=caps)
    return 0


def get_cpu_featureset(xen: Machine, op: memoryview) -> int:
    """Feature words; how many there are without a buffer. ENOBUFS where not all of them fit."""
    struct = "xen_sysctl_cpu_featureset"
    index, room, address = xen.get(op, struct, "index", "nr_features", "features")
    words = policies.limits(xen.settings).words
    if not address:
        xen.put(op, struct, nr_features=words)
        return 0
    if index >= (6 if policies.has_max_sets(xen.settings) else 4):
        return -EINVAL
    count = min(room, words)
    found = host_policies(xen)[SETS[index]].words[:count]
    xen.copy_out(address, b"".join(word.to_bytes(4, "little") for word in found))
    xen.put(op, struct, nr_features=count)
    return -ENOBUFS if count < words else 0


def get_host_policy(xen: Machine, op: memoryview) -> int:
    """One of the host's policies."""
    index, reserved = xen.get(op, "xen_sysctl_cpu_policy", "index", "_rsvd")
    if reserved or index >= len(POLICIES):
        return -EINVAL
    return _hand_out(xen, op, "xen_sysctl_cpu_policy", host_policies(xen)[POLICIES[index]])


def of_domain(xen: Machine, domain: Domain) -> Policy:
    """A domain's policy, made when it is first asked for."""
    if KEPT not in domain.kept:
        default = host_policies(xen)["hvm_default" if domain.hvm else "pv_default"]
        domain.kept[KEPT] = default.copy()
        settle(domain.kept[KEPT], _bounds(xen, domain))
    found: Policy = domain.kept[KEPT]
    return found


def get_cpu_policy(xen: Machine, domain: Domain, op: memoryview) -> int:
    """A domain's policy."""
    return _hand_out(xen, op, "xen_domctl_cpu_policy", of_domain(xen, domain))


def set_cpu_policy(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Lay leaves and MSRs over a domain's policy, before it runs; what is wrong is named in the answer."""
    if domain.domid == 0:
        return -EINVAL
    if domain.finished:
        return -EEXIST
    policy, bounds = of_domain(xen, domain).copy(), _bounds(xen, domain)
    try:
        _take_in(xen, op, policy)
        trim(policy)
        compare(policy, bounds)
    except Rejected as why:
        xen.put(op, "xen_domctl_cpu_policy", err_leaf=why.leaf, err_subleaf=why.subleaf, err_msr=why.msr)
        return -why.code
    settle(policy, bounds)
    domain.kept[KEPT] = policy
    return 0


def _bounds(xen: Machine, domain: Domain) -> Bounds:
    host, release = host_policies(xen), version(xen.settings.series)
    return Bounds(
        most=host["hvm_max" if domain.hvm else "pv_max"], host=host["host"], rules=_rules(xen), hvm=domain.hvm,
        hap=domain.hap, subleaves=release >= (4, 15), vendor=release >= (4, 22),
    )  # fmt: skip


def _rules(xen: Machine) -> Dependencies:
    def number(name: str) -> int | None:
        constant = f"XEN_X86_FEATURE_{name}"
        return xen.constant(constant) if xen.layouts.defines(constant) else None

    return dependencies(number)


def _take_in(xen: Machine, op: memoryview, policy: Policy) -> None:
    names = ("nr_leaves", "nr_msrs", "leaves", "msrs")
    nr_leaves, nr_msrs, leaves, msrs = xen.get(op, "xen_domctl_cpu_policy", *names)
    if nr_leaves > policy.limits.leaves:
        raise Rejected(E2BIG)
    size = xen.layouts.size("xen_cpuid_leaf")
    for index in range(nr_leaves):
        leaf, subleaf, *registers = xen.get(xen.at(leaves + index * size, size), "xen_cpuid_leaf", *LEAF)
        policy.lay(leaf, subleaf, (registers[0], registers[1], registers[2], registers[3]))
    if nr_msrs > policy.limits.msrs:
        raise Rejected(E2BIG)
    size = xen.layouts.size("xen_msr_entry")
    for index in range(nr_msrs):
        policy.lay_msr(*xen.get(xen.at(msrs + index * size, size), "xen_msr_entry", *MSR))


def _hand_out(xen: Machine, op: memoryview, struct: str, policy: Policy) -> int:
    """Leaves and MSRs, each only where there is a buffer, or how many there can be."""
    room, msr_room, leaves, msrs = xen.get(op, struct, "nr_leaves", "nr_msrs", "leaves", "msrs")
    rows = [xen.layouts.array("xen_cpuid_leaf", *LEAF).pack(n, s, *registers) for n, s, registers in policy.listed()]
    count = _put_all(xen, leaves, room, rows) if leaves else policy.limits.leaves
    xen.put(op, struct, nr_leaves=count)
    numbers = (policies.PLATFORM_INFO, policies.ARCH_CAPABILITIES)[: policy.limits.msrs]
    rows = [xen.layouts.array("xen_msr_entry", *MSR).pack(number, 0, policy.msrs[number]) for number in numbers]
    xen.put(op, struct, nr_msrs=_put_all(xen, msrs, msr_room, rows) if msrs else policy.limits.msrs)
    return 0


def _put_all(xen: Machine, address: int, room: int, rows: list[bytes]) -> int:
    xen.copy_out(address, b"".join(rows[:room]))
    if room < len(rows):
        raise Refused(ENOBUFS)
    return len(rows)


SYSCTL: Answers = {
    "XEN_SYSCTL_get_cpu_levelling_caps": get_cpu_levelling_caps,
    "XEN_SYSCTL_get_cpu_featureset": get_cpu_featureset,
    "XEN_SYSCTL_get_cpu_policy": get_host_policy,
}
DOMCTL: Answers = {
    "XEN_DOMCTL_get_cpu_policy": get_cpu_policy,
    "XEN_DOMCTL_set_cpu_policy": set_cpu_policy,
}
