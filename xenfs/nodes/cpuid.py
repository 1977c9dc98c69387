"""host/cpuid/ and domains/<d>/cpuid/: what CPUs can do, and what of it each kind of guest, or a domain, is shown."""

from __future__ import annotations

import errno
import re

from xenfs.abi.numbers import Featureset, HostPolicy
from xenfs.calls import cpuid
from xenfs.calls.cpuid import Leaf, Msr, Policy
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes import show
from xenfs.nodes.base import Dir, File
from xenfs.nodes.conditions import answers, every, known, x86
from xenfs.nodes.own import is_other

_LEAF = re.compile(r"([0-9a-f]{8}):([0-9a-f]{8}) -> " + r"[ :]".join(["([0-9a-f]{8})"] * 4), re.IGNORECASE)
_MSR = re.compile(r"([0-9a-f]{8}) -> ([0-9a-f]{1,16})", re.IGNORECASE)
_LONGEST_POLICY = 65536
_FORM = "leaf:subleaf -> eax ebx ecx edx, then msr -> value, hexadecimal, one a line"

_SETS = {
    Featureset.raw: "of the CPUs as they are",
    Featureset.host: "that Xen uses itself",
    Featureset.pv: "that a PV domain is given",
    Featureset.hvm: "that an HVM or PVH domain is given",
    Featureset.pv_max: "that a PV domain can be given",
    Featureset.hvm_max: "that an HVM or PVH domain can be given",
}
_POLICIES = {
    HostPolicy.raw: "of the CPUs as they are",
    HostPolicy.host: "that Xen goes by itself",
    HostPolicy.pv_max: "that a PV domain can be given",
    HostPolicy.hvm_max: "that an HVM or PVH domain can be given",
    HostPolicy.pv_default: "that a PV domain is given",
    HostPolicy.hvm_default: "that an HVM or PVH domain is given",
}


def _words(features: list[int]) -> str:
    return ":".join(f"{word:08x}" for word in features)


def policy_text(policy: Policy) -> str:
    """A line for each leaf and each MSR, as xen-cpuid has them; subleaf ffffffff where a leaf has none."""
    leaves = [f"{x.leaf:08x}:{x.subleaf:08x} -> {x.a:08x} {x.b:08x} {x.c:08x} {x.d:08x}" for x in policy.leaves]
    return show.lines(leaves + [f"{msr.idx:08x} -> {msr.val:016x}" for msr in policy.msrs])


def parse_policy(text: str) -> Policy:
    """Such lines again. Colons between the registers, as xen-cpuid prints them, will do too."""
    leaves: list[Leaf] = []
    msrs: list[Msr] = []
    for line in filter(None, (each.strip(" \t") for each in text.split("\n"))):
        if leaf := _LEAF.fullmatch(line):
            leaves.append(Leaf(*(int(word, 16) for word in leaf.groups())))
        elif msr := _MSR.fullmatch(line):
            msrs.append(Msr(int(msr[1], 16), int(msr[2], 16)))
        else:
            raise BadInput('neither "leaf:subleaf -> eax ebx ecx edx" nor "msr -> value", in hexadecimal', word=line)
    if not leaves and not msrs:
        raise BadInput("no leaf and no MSR was written", at=0)
    _once(leaves, msrs)
    return Policy(leaves, msrs)


def _once(leaves: list[Leaf], msrs: list[Msr]) -> None:
    names = [f"{leaf.leaf:08x}:{leaf.subleaf:08x}" for leaf in leaves] + [f"{msr.idx:08x}" for msr in msrs]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"{name} is there twice", word=name)


def _set_policy(xen: Hypervisor, domain: Domain, policy: Policy) -> None:
    try:
        cpuid.set_domain_policy(xen, domain.domid, policy)
    except HypercallError as problem:
        if problem.errno == errno.EEXIST:
            raise BadInput("the domain has run, which fixes its policy", errno.EEXIST) from problem
        if problem.errno == errno.EINVAL and not is_other(xen, domain):
            raise BadInput("this is the domain that xenfs itself runs in") from problem
        raise


def _featureset(index: Featureset) -> File:
    return File(
        index.name, f"Feature words {_SETS[index]}", read=lambda xen: cpuid.featureset(xen, index), show=_words,
        call=cpuid.GET_CPU_FEATURESET.name, tier="B", format="words of eight hexadecimal digits, colons between",
        when=known(lambda xen: cpuid.featureset(xen, index), errno.EINVAL, detail=index.name),
    )  # fmt: skip


def _policy(index: HostPolicy) -> File:
    return File(
        index.name, f"CPUID leaves and MSRs {_POLICIES[index]}", read=lambda xen: cpuid.host_policy(xen, index),
        show=policy_text, call=cpuid.GET_HOST_POLICY.name, tier="B", format=_FORM,
        when=known(lambda xen: cpuid.host_policy(xen, index), detail=index.name),
    )  # fmt: skip


CPUID = Dir(
    "cpuid",
    "What the CPUs can do",
    (
        Dir("featuresets", "Features, as words of bits", tuple(map(_featureset, _SETS))),
        Dir("policies", "All that CPUID and some MSRs say", tuple(map(_policy, _POLICIES))),
    ),
    when=every(x86, answers(cpuid.featureset_size)),
)

DOMAIN_CPUID = Dir(
    "cpuid",
    "What CPUID shows to the domain",
    (
        File(
            "policy", "Its CPUID leaves and MSRs; before it first runs, lines that are written replace those there",
            read=lambda xen, domain: cpuid.domain_policy(xen, domain.domid), show=policy_text, write=_set_policy,
            parse=parse_policy, longest=_LONGEST_POLICY, write_option="debug", tier="B", format=_FORM,
            call="domctl get_cpu_policy, set_cpu_policy",
        ),
    ),
    when=every(x86, answers(lambda xen: cpuid.domain_policy(xen, 0))),
)  # fmt: skip
