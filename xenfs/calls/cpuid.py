"""CPUID and MSR policies and featuresets: of the host (sysctl) and of a domain (domctl). x86; on Arm ENOSYS.

How many words, leaves and MSRs there are differs between point releases: every call asks for the size first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from xenfs.abi import Abi
from xenfs.abi.numbers import Domctl, Featureset, HostPolicy, Sysctl
from xenfs.abi.operations import operation
from xenfs.calls.control import fill, sysctl
from xenfs.calls.rows import Rows
from xenfs.errors import HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks
from xenfs.pool import Buffer

GET_CPU_FEATURESET = operation(Sysctl.get_cpu_featureset)
GET_CPU_LEVELLING_CAPS = operation(Sysctl.get_cpu_levelling_caps)
GET_HOST_POLICY = operation(Sysctl.get_cpu_policy)
GET_CPU_POLICY = operation(Domctl.get_cpu_policy)
SET_CPU_POLICY = operation(Domctl.set_cpu_policy)

NO_SUBLEAF = 0xFFFFFFFF  # XEN_CPUID_NO_SUBLEAF
_NOT_THIS = 0xFFFFFFFF  # in err_leaf, err_subleaf, err_msr: it is not what was wrong
_LEAF, _MSR = "struct xen_cpuid_leaf", "struct xen_msr_entry"


@asks(GET_CPU_LEVELLING_CAPS)
def levelling_caps(xen: Hypervisor) -> int:
    """LevellingCap bits; get_cpu_levelling_caps, which Xen 4.22 has no more."""
    return int(sysctl(xen, GET_CPU_LEVELLING_CAPS, "cpu_levelling_caps").caps)


class Leaf(NamedTuple):
    """What CPUID answers to one leaf and subleaf (NO_SUBLEAF where the leaf has none)."""

    leaf: int
    subleaf: int
    a: int
    b: int
    c: int
    d: int


class Msr(NamedTuple):
    """A model specific register that belongs to a policy, and its value."""

    idx: int
    val: int


class Policy(NamedTuple):
    """All that a CPUID and MSR policy says."""

    leaves: Sequence[Leaf]
    msrs: Sequence[Msr]


class PolicyRefused(XenfsError):
    """Xen refused a policy, and named what it took offence at: a leaf (with subleaf), or an MSR, or neither."""

    def __init__(self, problem: HypercallError, leaf: tuple[int, int] | None, msr: int | None) -> None:
        if leaf:
            subleaf = "" if leaf[1] == NO_SUBLEAF else f", subleaf {leaf[1]:#x}"
            where = f"; Xen names CPUID leaf {leaf[0]:#x}{subleaf}"
        else:
            where = "" if msr is None else f"; Xen names MSR {msr:#x}"
        super().__init__(f"{problem}{where}", problem.errno)
        self.leaf, self.msr = leaf, msr


def featureset_size(xen: Hypervisor) -> int:
    """How many words of features this Xen has, 11 to 19; get_cpu_featureset without a buffer."""
    return int(sysctl(xen, GET_CPU_FEATURESET, "cpu_featureset").nr_features)


def featureset(xen: Hypervisor, index: Featureset) -> list[int]:
    """The feature words of one set, in the order of Xen's headers; sysctl get_cpu_featureset.

    EINVAL for pv_max and hvm_max before 4.14.6, 4.15.5, 4.16.5 and 4.17.2; EOPNOTSUPP without PV or HVM built in.
    """
    count = featureset_size(xen)
    with xen.pool.take(4 * count) as words:
        arm = sysctl(xen, GET_CPU_FEATURESET, "cpu_featureset", index=index, nr_features=count, features=words)
        return words.memory[: 4 * arm.nr_features].cast("I").tolist()


def host_policy(xen: Hypervisor, index: HostPolicy) -> Policy:
    """One of the host's policies; EOPNOTSUPP without PV or HVM built in. sysctl get_cpu_policy."""
    size = sysctl(xen, GET_HOST_POLICY, "cpu_policy", index=index)
    with _room(xen, size.nr_leaves, size.nr_msrs) as (leaves, msrs):
        arm = sysctl(
            xen, GET_HOST_POLICY, "cpu_policy",
            index=index, nr_leaves=size.nr_leaves, nr_msrs=size.nr_msrs, leaves=leaves, msrs=msrs,
        )  # fmt: skip
        return _read(xen, arm, leaves, msrs)


def domain_policy(xen: Hypervisor, domid: int) -> Policy:
    """What CPUID and MSRs show to a domain; domctl get_cpu_policy."""
    size = _domain(xen, domid)
    with _room(xen, size.nr_leaves, size.nr_msrs) as (leaves, msrs):
        arm = _domain(xen, domid, nr_leaves=size.nr_leaves, nr_msrs=size.nr_msrs, leaves=leaves, msrs=msrs)
        return _read(xen, arm, leaves, msrs)


def set_domain_policy(xen: Hypervisor, domid: int, policy: Policy) -> None:
    """Lay leaves and MSRs over a domain's policy, before it first runs; domctl set_cpu_policy.

    EEXIST once it has run, EINVAL for one's own domain; of a policy that does not fit: ERANGE (no such leaf or MSR),
    E2BIG (more than there are), EINVAL (more than the host has), as PolicyRefused.
    """
    with _room(xen, len(policy.leaves), len(policy.msrs)) as (leaves, msrs):
        _write(xen, policy, leaves, msrs)
        with xen.pool.take(xen.abi.sizeof("struct xen_domctl")) as buf:
            body = _policy_arm(xen, buf, SET_CPU_POLICY.cmd, domid)
            body.err_leaf = body.err_subleaf = body.err_msr = _NOT_THIS
            counts = {"nr_leaves": len(policy.leaves), "nr_msrs": len(policy.msrs)}
            fill(xen.abi, buf, body, {**counts, "leaves": leaves, "msrs": msrs})
            try:
                xen.hypercall(SET_CPU_POLICY, buf, domid=domid)
            except HypercallError as problem:
                raise _refused(problem, body) from None


def _refused(problem: HypercallError, body: Any) -> XenfsError:
    leaf = None if body.err_leaf == _NOT_THIS else (int(body.err_leaf), int(body.err_subleaf))
    msr = None if body.err_msr == _NOT_THIS else int(body.err_msr)
    return problem if leaf is None and msr is None else PolicyRefused(problem, leaf, msr)


def _policy_arm(xen: Hypervisor, buf: Buffer, cmd: int, domid: int) -> Any:
    view = xen.abi.view("struct xen_domctl", buf)
    view.cmd, view.interface_version, view.domain = cmd, xen.abi.domctl, domid
    return view.u.cpu_policy


def _domain(xen: Hypervisor, domid: int, **given: Any) -> Any:
    with xen.pool.take(xen.abi.sizeof("struct xen_domctl")) as buf:
        body = _policy_arm(xen, buf, GET_CPU_POLICY.cmd, domid)
        fill(xen.abi, buf, body, given)
        xen.hypercall(GET_CPU_POLICY, buf, domid=domid)
        return xen.abi.copy(body)


@contextmanager
def _room(xen: Hypervisor, nr_leaves: int, nr_msrs: int) -> Iterator[tuple[Buffer, Buffer]]:
    sizes = (max(1, nr_leaves) * xen.abi.sizeof(_LEAF), max(1, nr_msrs) * xen.abi.sizeof(_MSR))
    with xen.pool.take(sizes[0]) as leaves, xen.pool.take(sizes[1]) as msrs:
        yield leaves, msrs


def _read(xen: Hypervisor, arm: Any, leaves: Buffer, msrs: Buffer) -> Policy:
    leaf_rows, msr_rows = _rows(xen.abi)
    return Policy(
        [Leaf(*row) for row in leaf_rows(leaves.memory, arm.nr_leaves)],
        [Msr(*row) for row in msr_rows(msrs.memory, arm.nr_msrs)],
    )


@cache
def _rows(abi: Abi) -> tuple[Rows, Rows]:
    return Rows(abi, _LEAF, Leaf._fields), Rows(abi, _MSR, Msr._fields)


def _write(xen: Hypervisor, policy: Policy, leaves: Buffer, msrs: Buffer) -> None:
    for place, leaf in zip(xen.abi.array(_LEAF, len(policy.leaves), leaves), policy.leaves, strict=True):
        for name, word in zip(leaf._fields, leaf, strict=True):
            setattr(place, name, word)
    for place, msr in zip(xen.abi.array(_MSR, len(policy.msrs), msrs), policy.msrs, strict=True):
        place.idx, place.val = msr
