"""domains/<d>/cpuid/: what of the CPUs a domain is shown."""

from __future__ import annotations

import errno
import re

from xenfs.calls import cpuid
from xenfs.calls.cpuid import Leaf, Msr, Policy
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_other
from xenfs.nodes.host.cpuid import POLICY_FORM, policy_text
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import answers, every, x86

_LEAF = re.compile(r"([0-9a-f]{8}):([0-9a-f]{8}) -> " + r"[ :]".join(["([0-9a-f]{8})"] * 4), re.IGNORECASE)
_MSR = re.compile(r"([0-9a-f]{8}) -> ([0-9a-f]{1,16})", re.IGNORECASE)
_LONGEST_POLICY = 65536


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
    _require_once(leaves, msrs)
    return Policy(leaves, msrs)


def _require_once(leaves: list[Leaf], msrs: list[Msr]) -> None:
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


CPUID = Dir(
    "cpuid",
    "What CPUID shows to the domain",
    (
        File(
            "policy", "Its CPUID leaves and MSRs; before it first runs, lines that are written replace those there",
            read=lambda xen, domain: cpuid.domain_policy(xen, domain.domid), show=policy_text, write=_set_policy,
            parse=parse_policy, longest=_LONGEST_POLICY, write_option="debug", tier="B", format=POLICY_FORM,
            call="domctl get_cpu_policy, set_cpu_policy",
        ),
    ),
    when=every(x86, answers(lambda xen: cpuid.domain_policy(xen, 0))),
)  # fmt: skip
