"""What Xen makes of a domain's policy when the domain is created, and after whatever is laid over it."""

from __future__ import annotations

from errno import EINVAL
from typing import NamedTuple

from xenfs.simulator.world.dependencies import Dependencies, consistent
from xenfs.simulator.world.policies import PLATFORM_INFO, SVM, VMX, Policy, Rejected, say_again
from xenfs.simulator.world.processor import NO_SUBLEAF, Registers

XSAVE, AVX = 1 << 26, 1 << 28  # of leaf 1, ecx
MPX, AVX512F, PKU = 1 << 14, 1 << 16, 1 << 3  # of leaf 7, ebx and ecx
FOLDED = 1 << 6 | 1 << 13  # of leaf 7, ebx: how the FPU behaves, which is the CPU's for every guest
NOT_BY_SHADOW = {1: 1 << 17, 2: 1 << 26, 5: 1 << 10, 6: 1 << 3 | 1 << 31}  # of the words: PCID PAGE1GB INVPCID PKU PKS
NOTHING: Registers = (0, 0, 0, 0)


class Bounds(NamedTuple):
    """What a policy is kept within: what the kind of domain can have, what the host has, which feature needs which."""

    most: Policy
    host: Policy
    rules: Dependencies
    hvm: bool
    hap: bool
    subleaves: bool  # whether Xen looks at how many there are of leaf 7: since 4.15
    vendor: bool  # ... and at the vendor: since 4.22


def compare(policy: Policy, bounds: Bounds) -> None:
    """Rejected where there is more than a guest of the kind can have; of features Xen takes away what is too much."""
    wheres = ((0, NO_SUBLEAF), (7, 0), (0x80000000, NO_SUBLEAF))
    if bounds.vendor and policy.leaf(0)[1:] != bounds.most.leaf(0)[1:]:
        raise Rejected(EINVAL, 0, NO_SUBLEAF)
    for mine, theirs, where in zip(policy.tops, bounds.most.tops, wheres, strict=True):
        if mine > theirs and (where != (7, 0) or bounds.subleaves):
            raise Rejected(EINVAL, *where)
    if policy.msrs[PLATFORM_INFO] & ~bounds.most.msrs[PLATFORM_INFO]:
        raise Rejected(EINVAL, msr=PLATFORM_INFO)


def trim(policy: Policy) -> None:
    """Forget leaves above the highest that it says there are."""
    basic, feature, extended = policy.tops
    for leaf, subleaf in list(policy.leaves):
        beyond = leaf > basic if leaf < 0x40000000 else leaf > extended if leaf >= 0x80000000 else False
        if beyond or (leaf == 7 and subleaf > feature):
            del policy.leaves[leaf, subleaf]


def settle(policy: Policy, bounds: Bounds) -> None:
    """No features but what the domain can have, none without what it is built on, and the rest as they say it."""
    basic, feature, _ = bounds.most.tops
    policy.cap(basic, feature, 0x80000000 | policy.limits.extended)
    words = [word & limit for word, limit in zip(policy.words, bounds.most.words, strict=True)]
    if bounds.hvm:
        words[1] &= ~VMX  # no domain here is for guests of its own
        words[3] &= ~SVM
        if not bounds.hap:
            words = [word & ~NOT_BY_SHADOW.get(at, 0) for at, word in enumerate(words)]
    if policy.tops[0] < 0xD:
        words[1] &= ~XSAVE
    words = consistent(words, bounds.rules)
    words[5] = words[5] & ~FOLDED | bounds.host.words[5] & FOLDED
    policy.words = words
    say_again(policy)
    _extended_state(policy, bounds.host)
    if not words[3] & SVM:
        policy.leaves[0x8000000A, NO_SUBLEAF] = NOTHING


def _extended_state(policy: Policy, host: Policy) -> None:
    """The parts of leaf 0xd that the features have registers for."""
    words, optional = policy.words, policy.leaf(0xD, 1)[0]
    for leaf, subleaf in list(policy.leaves):
        if leaf == 0xD:
            del policy.leaves[leaf, subleaf]
    if not words[1] & XSAVE:
        return
    states = 3 | (words[1] & AVX and 4) | (words[5] & MPX and 0x18) | (words[5] & AVX512F and 0xE0)
    states |= words[6] & PKU and 0x200
    numbers = [number for number in range(2, 63) if states >> number & 1]
    size = max((sum(host.leaf(0xD, number)[:2]) for number in numbers), default=576)
    policy.leaves[0xD, 0] = (states, size, size, 0)
    policy.leaves[0xD, 1] = (optional, 0, 0, 0)
    for number in numbers:
        policy.leaves[0xD, number] = host.leaf(0xD, number)
