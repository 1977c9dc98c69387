"""host/cpuid/: what CPUs can do, and what of it each kind of guest is shown."""

from __future__ import annotations

import errno

from xenfs.abi.features import features_of
from xenfs.abi.numbers import Featureset, HostPolicy, LevellingCap
from xenfs.calls import cpuid
from xenfs.calls.cpuid import Policy
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import answers, every, known, since, x86

NAMES_FORM = "names with a blank between, as xen-cpuid and xl's cpuid= have them"
POLICY_FORM = "leaf:subleaf -> eax ebx ecx edx, then msr -> value, hexadecimal, one a line"

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


def _caps(word: int) -> str:
    return show.words(str(cap.name) for cap in LevellingCap if word & cap)


def _featureset(index: Featureset) -> File:
    return File(
        index.name, f"Feature words {_SETS[index]}", read=lambda xen: cpuid.featureset(xen, index), show=_words,
        call=cpuid.GET_CPU_FEATURESET.name, tier="B", format="words of eight hexadecimal digits, colons between",
        when=known(lambda xen: cpuid.featureset(xen, index), errno.EINVAL, detail=index.name), stays=True,
    )  # fmt: skip


def _names(index: Featureset) -> File:
    return File(
        index.name, f"Features by name {_SETS[index]}", read=lambda xen: features_of(cpuid.featureset(xen, index)),
        show=show.words, call=cpuid.GET_CPU_FEATURESET.name, tier="B", format=NAMES_FORM,
        when=known(lambda xen: cpuid.featureset(xen, index), errno.EINVAL, detail=index.name), stays=True,
    )  # fmt: skip


def _policy(index: HostPolicy) -> File:
    return File(
        index.name, f"CPUID leaves and MSRs {_POLICIES[index]}", read=lambda xen: cpuid.host_policy(xen, index),
        show=policy_text, call=cpuid.GET_HOST_POLICY.name, tier="B", format=POLICY_FORM,
        when=known(lambda xen: cpuid.host_policy(xen, index), detail=index.name), stays=True,
    )  # fmt: skip


CPUID = Dir(
    "cpuid",
    "What the CPUs can do",
    (
        Dir("featuresets", "Features, as words of bits", tuple(map(_featureset, _SETS))),
        Dir("features", "Features, by name", tuple(map(_names, _SETS))),
        File(
            "levelling_caps",
            "What of CPUID Xen can hide from PV domains by hardware",
            tier="C",
            option="debug",
            read=cpuid.levelling_caps,
            show=_caps,
            format="words with a blank between",
            when=every(lambda xen: not since(4, 22)(xen), answers(cpuid.levelling_caps)),
            stays=True,
        ),
        Dir("policies", "All that CPUID and some MSRs say", tuple(map(_policy, _POLICIES))),
    ),
    when=every(x86, answers(cpuid.featureset_size)),
)
