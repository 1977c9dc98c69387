"""domains/<d>/cpuid/: what of the CPUs a domain is shown."""

from __future__ import annotations

import errno
import re
from typing import NamedTuple

from xenfs.abi.features import FEATURES, alike, canonical
from xenfs.abi.numbers import HostPolicy
from xenfs.calls import cpu_features, cpuid
from xenfs.calls.cpuid import Leaf, Msr, Policy
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_hvm, is_other
from xenfs.nodes.host.cpuid import NAMES_FORM, POLICY_FORM, policy_text
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import answers, every, x86

_LEAF = re.compile(r"([0-9a-f]{8}):([0-9a-f]{8}) -> " + r"[ :]".join(["([0-9a-f]{8})"] * 4), re.IGNORECASE)
_MSR = re.compile(r"([0-9a-f]{8}) -> ([0-9a-f]{1,16})", re.IGNORECASE)
_FEATURE = re.compile(r"([+-])([0-9a-z][0-9a-z._-]{0,31})")
_LONGEST_POLICY = 65536


class Change(NamedTuple):
    """What was written: leaves and MSRs that replace those there, then features by name."""

    lines: Policy
    features: dict[str, bool]


def parse_change(text: str) -> Change:
    """Lines as they are shown, +feature and -feature. Colons between the registers, as xen-cpuid has them, will do."""
    leaves: list[Leaf] = []
    msrs: list[Msr] = []
    features: dict[str, bool] = {}
    for line in filter(None, (each.strip(" \t") for each in text.split("\n"))):
        if leaf := _LEAF.fullmatch(line):
            leaves.append(Leaf(*(int(word, 16) for word in leaf.groups())))
        elif msr := _MSR.fullmatch(line):
            msrs.append(Msr(int(msr[1], 16), int(msr[2], 16)))
        elif feature := _FEATURE.fullmatch(line):
            _add_feature(features, feature[2], feature[1] == "+")
        else:
            forms = '"leaf:subleaf -> eax ebx ecx edx", "msr -> value" (hexadecimal), "+feature" or "-feature"'
            raise BadInput(f"none of {forms}", word=line)
    if not leaves and not msrs and not features:
        raise BadInput("no leaf, no MSR and no feature was written", at=0)
    _require_once(leaves, msrs)
    return Change(Policy(leaves, msrs), features)


def _add_feature(features: dict[str, bool], written: str, there: bool) -> None:
    name = canonical(written)
    if name not in FEATURES:
        like = alike(written)
        meant = f"; is {like} meant?" if like else ""
        raise BadInput(f"no feature is called {written}{meant}", word=written)
    if name in features:
        raise BadInput(f"{name} is there twice", word=written)
    features[name] = there


def _require_once(leaves: list[Leaf], msrs: list[Msr]) -> None:
    names = [f"{leaf.leaf:08x}:{leaf.subleaf:08x}" for leaf in leaves] + [f"{msr.idx:08x}" for msr in msrs]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"{name} is there twice", word=name)


def _change(xen: Hypervisor, domain: Domain, change: Change) -> None:
    if not change.features:
        _set_policy(xen, domain, change.lines)
        return
    _require_possible(xen, domain, change.features)
    before = cpuid.domain_policy(xen, domain.domid)
    based = cpu_features.over(before, change.lines)
    _set_policy(xen, domain, cpu_features.over(change.lines, cpu_features.changed(based, change.features)))
    _require_taken(xen, domain, change.features, before)


def _require_possible(xen: Hypervisor, domain: Domain, wanted: dict[str, bool]) -> None:
    """Xen leaves out what no domain of the kind can have here, and says nothing."""
    added = [name for name, there in wanted.items() if there]
    if not added:
        return
    kind, index = ("HVM or PVH", HostPolicy.hvm_max) if is_hvm(xen, domain) else ("PV", HostPolicy.pv_max)
    most = set(cpu_features.names(cpuid.host_policy(xen, index)))
    for name in added:
        if name not in most:
            where = f"host/cpuid/features/{index.name}"
            raise BadInput(f"no {kind} domain can have {name} on this host; {where} has what one can", word=name)


def _require_taken(xen: Hypervisor, domain: Domain, wanted: dict[str, bool], before: Policy) -> None:
    """Xen takes away what is built on features that are not there, and keeps some whatever is asked: undo it then."""
    odd = cpu_features.unlike(cpuid.domain_policy(xen, domain.domid), wanted)
    if odd:
        _set_policy(xen, domain, before)
        why = "with what it builds on, and only to domains that may have it" if wanted[odd[0]] else "to every domain"
        raise BadInput(f"Xen shows {odd[0]} {why}; nothing was changed", word=odd[0])


def _set_policy(xen: Hypervisor, domain: Domain, policy: Policy) -> None:
    try:
        cpuid.set_domain_policy(xen, domain.domid, policy)
    except HypercallError as problem:
        if problem.errno == errno.EEXIST:
            raise BadInput("the domain has run, which fixes its policy", errno.EEXIST) from problem
        if problem.errno == errno.EINVAL and not is_other(xen, domain):
            raise BadInput("this is the domain that xenfs itself runs in") from problem
        raise


CPUID = Dir(
    "cpuid",
    "What CPUID shows to the domain",
    (
        File(
            "policy",
            "Its CPUID leaves and MSRs; before it first runs, lines that are written replace those there, and +feature"
            " or -feature is a bit of one",
            read=lambda xen, domain: cpuid.domain_policy(xen, domain.domid), show=policy_text, write=_change,
            parse=parse_change, longest=_LONGEST_POLICY, write_option="debug", tier="B",
            format=f"{POLICY_FORM}; write: such lines, or +feature, or -feature, by the names of host/cpuid/features",
            call="domctl get_cpu_policy, set_cpu_policy",
        ),
        File(
            "features", "The CPU features that it is shown, by name",
            read=lambda xen, domain: cpu_features.names(cpuid.domain_policy(xen, domain.domid)), show=show.words,
            format=NAMES_FORM, call=cpuid.GET_CPU_POLICY.name, tier="B",
        ),
    ),
    when=every(x86, answers(lambda xen: cpuid.domain_policy(xen, 0))),
)  # fmt: skip
