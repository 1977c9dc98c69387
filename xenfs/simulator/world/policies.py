"""CPUID and MSR policies of the pretended Xen: what the processor says, and what of it Xen lets each kind of guest see.

Which leaves, words and registers there are is a matter of the point release.
"""

from __future__ import annotations

from errno import EINVAL, ERANGE
from typing import NamedTuple

from xenfs.simulator.settings import Settings
from xenfs.simulator.world.processor import NO_SUBLEAF, Processor, Registers, mask

# How many feature words there are from which point release on.
WORDS = {
    "4.14": {0: 11, 5: 14, 6: 18}, "4.15": {0: 11, 3: 14, 5: 18}, "4.16": {0: 12, 1: 14, 4: 16, 5: 18},
    "4.17": {0: 14, 1: 16, 2: 18, 6: 19}, "4.18": {0: 18, 6: 19}, "4.19": {0: 18, 3: 19}, "4.20": {0: 18, 1: 19},
    "4.21": {0: 19}, "4.22": {0: 19},
}  # fmt: skip
# From which point release on the featuresets of what guests could have can be asked for.
MAX_SETS = {"4.14": 6, "4.15": 5, "4.16": 5, "4.17": 2}
# From which point release on there is a third subleaf of leaf 7, and there are extended leaves up to 0x80000021.
THIRD_SUBLEAF = {"4.14": 5, "4.15": 3, "4.16": 1}
LONG_EXTENDED = {"4.14": 5, "4.15": 3}

PLATFORM_INFO, ARCH_CAPABILITIES = 0xCE, 0x10A
HYPERVISOR, X2APIC, HTT = 1 << 31, 1 << 21, 1 << 28
CMP_LEGACY, SVM, VMX = 1 << 1, 1 << 2, 1 << 5
AMD_ECX = int.from_bytes(b"cAMD", "little")
COMMON = 0x0183F3FF  # of leaf 1, edx: what AMD says again in leaf 0x80000001
FAULTING = 1 << 31  # of PLATFORM_INFO: CPUID can be made to fault

# Where each word lies; of the two that are not CPUID's, which half of ARCH_CAPABILITIES they are.
PLACES: tuple[tuple[int, int, int] | int, ...] = (
    (1, NO_SUBLEAF, 3), (1, NO_SUBLEAF, 2), (0x80000001, NO_SUBLEAF, 3), (0x80000001, NO_SUBLEAF, 2), (0xD, 1, 0),
    (7, 0, 1), (7, 0, 2), (0x80000007, NO_SUBLEAF, 3), (0x80000008, NO_SUBLEAF, 1), (7, 0, 3), (7, 1, 0),
    (0x80000021, NO_SUBLEAF, 0), (7, 1, 1), (7, 2, 3), (7, 1, 2), (7, 1, 3), 0, 1, (0x80000021, NO_SUBLEAF, 2),
)  # fmt: skip


FOR = {
    "pv_max": mask(
        "1fc9cbf5 f6d83203 ea500800 442109e3 00000007 f1af0b39 1a405f43 00000100 64001005 ac814510"
        "  00801cb7 781c0c65 00000000 00000021 00000000 00004430 1d12e173 40000000 00000006"
    ),
    "pv_default": mask(
        "1fc9cbf5 f6d83203 ea500800 442109e3 00000007 f1af0b29 02405f43 00000000 64001005 ac804410"
        "  00801c37 781c0c65 00000000 00000021 00000000 00004430 1d12e173 40000000 00000006"
    ),
    "hvm_max": mask(
        "1fcbfbff f7fa3223 ee500800 442109f7 0000000f f1bf4fbb 9a405f4f 00000100 751fd005 bc814510"
        "  00881cb7 781c0d67 00000000 00000037 00000000 00004430 1d12e173 40000000 00000006"
    ),
    "hvm_default": mask(
        "1fcbfbff f7fa3203 ee500800 442109f3 0000000f f1bf0fab 82405f4f 00000000 751fd005 bc804410"
        "  00881c37 781c0d67 00000000 00000037 00000000 00004430 1d12e173 40000000 00000006"
    ),
}
"""Which features Xen virtualises for which kind of guest."""


class Limits(NamedTuple):
    """How much this point release knows: words, subleaves of leaf 7, the last extended leaf, MSRs."""

    words: int
    subleaves: int
    extended: int
    msrs: int

    @property
    def leaves(self) -> int:
        """How many leaves a policy can have at most."""
        return 14 + self.subleaves - 1 + 5 + 1 + 62 + 2 + self.extended + 1


def limits(settings: Settings) -> Limits:
    """Those of the release that is pretended."""
    series, point = settings.series, settings.point
    return Limits(
        words=next(count for since, count in reversed(WORDS[series].items()) if point >= since),
        subleaves=3 if point >= THIRD_SUBLEAF.get(series, 0) else 2,
        extended=0x21 if point >= LONG_EXTENDED.get(series, 0) else 0x1C,
        msrs=1 if (series, point) == ("4.14", 0) else 2,
    )


def has_max_sets(settings: Settings) -> bool:
    """Whether featuresets 4 and 5 can be asked for."""
    return settings.point >= MAX_SETS.get(settings.series, 0)


class Rejected(Exception):
    """A leaf or an MSR that a policy cannot take."""

    def __init__(self, code: int, leaf: int = NO_SUBLEAF, subleaf: int = NO_SUBLEAF, msr: int = NO_SUBLEAF) -> None:
        super().__init__(code, leaf, subleaf, msr)
        self.code, self.leaf, self.subleaf, self.msr = code, leaf, subleaf, msr


class Policy:
    """Leaves by (leaf, subleaf) and MSRs by number. What is not there reads as zeros."""

    def __init__(self, leaves: dict[tuple[int, int], Registers], msrs: dict[int, int], known: Limits) -> None:
        self.leaves, self.msrs, self.limits = leaves, msrs, known

    def copy(self) -> Policy:
        """Another that can be changed."""
        return Policy(dict(self.leaves), dict(self.msrs), self.limits)

    def leaf(self, leaf: int, subleaf: int = NO_SUBLEAF) -> Registers:
        """The four registers."""
        return self.leaves.get((leaf, subleaf), (0, 0, 0, 0))

    @property
    def words(self) -> list[int]:
        """The feature words, as many as this Xen has."""
        found = []
        for place in PLACES[: self.limits.words]:
            if isinstance(place, int):
                found.append(self.msrs[ARCH_CAPABILITIES] >> 32 * place & 0xFFFFFFFF)
            else:
                found.append(self.leaf(*place[:2])[place[2]])
        return found

    @words.setter
    def words(self, words: list[int] | tuple[int, ...]) -> None:
        for place, word in zip(PLACES, words, strict=False):
            if isinstance(place, int):
                half = 0xFFFFFFFF << 32 * place
                self.msrs[ARCH_CAPABILITIES] = self.msrs.get(ARCH_CAPABILITIES, 0) & ~half | word << 32 * place
            elif word or place[:2] in self.leaves:
                registers = list(self.leaf(*place[:2]))
                registers[place[2]] = word
                self.leaves[place[:2]] = (registers[0], registers[1], registers[2], registers[3])

    @property
    def tops(self) -> tuple[int, int, int]:
        """The highest basic leaf, subleaf of leaf 7, and extended leaf."""
        return self.leaf(0)[0], self.leaf(7, 0)[0], self.leaf(0x80000000)[0]

    def cap(self, basic: int, subleaf: int, extended: int) -> None:
        """No leaves above these."""
        for key, top in (((0, NO_SUBLEAF), basic), ((7, 0), subleaf), ((0x80000000, NO_SUBLEAF), extended)):
            now = self.leaf(*key)
            self.leaves[key] = (min(now[0], top), *now[1:])

    def listed(self) -> list[tuple[int, int, Registers]]:
        """(leaf, subleaf, registers) in order: what there is of leaves that have subleaves, all of the others."""
        basic, _, extended = self.tops
        found = []
        for leaf in range(min(basic, 0xD) + 1):
            found += [(leaf, subleaf, self.leaf(leaf, subleaf)) for subleaf in self._subleaves(leaf)]
        found += [(leaf, NO_SUBLEAF, self.leaf(leaf)) for leaf in (0x40000000, 0x40000100)]
        last = min(extended & 0xFFFF, self.limits.extended)
        return found + [(0x80000000 | n, NO_SUBLEAF, self.leaf(0x80000000 | n)) for n in range(last + 1)]

    def _subleaves(self, leaf: int) -> list[int]:
        if leaf == 7:
            return list(range(min(self.tops[1], self.limits.subleaves - 1) + 1))
        if leaf == 0xD:
            states = self.leaf(0xD, 0)[0] | self.leaf(0xD, 0)[3] << 32
            return [0, 1, *(number for number in range(2, 63) if states >> number)]
        if leaf in (4, 0xB):
            place, most = (0, 0x1F, 6) if leaf == 4 else (2, 0xFF00, 2), 0
            register, kind, most = place
            filled = next((n for n in range(most) if not self.leaf(leaf, n)[register] & kind), most - 1)
            return list(range(filled + 1))
        return [NO_SUBLEAF]

    def lay(self, leaf: int, subleaf: int, registers: Registers) -> None:
        """Replace a leaf; Rejected where a policy has no place for it."""
        places = {4: 6, 7: self.limits.subleaves, 0xB: 2, 0xD: 63}
        if leaf <= 0xD:
            there = subleaf < places[leaf] if leaf in places else subleaf == NO_SUBLEAF
        else:
            known = leaf in (0x40000000, 0x40000100) or 0x80000000 <= leaf <= 0x80000000 + self.limits.extended
            there = known and subleaf == NO_SUBLEAF
        if not there:
            raise Rejected(ERANGE, leaf, subleaf)
        self.leaves[leaf, subleaf] = registers

    def lay_msr(self, index: int, flags: int, value: int) -> None:
        """Replace an MSR; Rejected where a policy has no place for it."""
        if flags:
            raise Rejected(EINVAL, msr=index)
        if index not in (PLATFORM_INFO, ARCH_CAPABILITIES)[: self.limits.msrs]:
            raise Rejected(ERANGE, msr=index)
        self.msrs[index] = value


def of_host(cpu: Processor, raw: Policy, known: Limits) -> Policy:
    """What Xen goes by: what it knows, and nothing that belongs to one CPU alone."""
    policy = raw.copy()
    policy.cap(0xD, known.subleaves - 1, 0x80000000 | known.extended)
    policy.words = cpu.boot_words[: known.words]
    for leaf in (5, 6, 0xA):
        policy.leaves[leaf, NO_SUBLEAF] = (0, 0, 0, 0)
    a, b, c, d = policy.leaf(1)
    policy.leaves[1, NO_SUBLEAF] = (a, b & 0xFF00, c, d)
    say_again(policy)
    return policy


def say_again(policy: Policy) -> None:
    """AMD has some features in two leaves, and so has a policy for AMD; Xen's own note of them has not."""
    words = policy.words
    again = words[0] & COMMON if policy.leaf(0)[2] == AMD_ECX else 0
    words[2] = words[2] & ~COMMON | again
    policy.words = words


def of_guests(kind: str, host: Policy) -> Policy:
    """What a kind of guest is given, or could be."""
    policy, maximal = host.copy(), kind.endswith("max")
    words = [word & mask for word, mask in zip(host.words, FOR[kind], strict=False)]
    words[1] |= HYPERVISOR | (X2APIC if kind != "pv_default" else 0)
    words[0] |= HTT if maximal else host.words[0] & HTT
    words[3] |= CMP_LEGACY if maximal else host.words[3] & CMP_LEGACY
    policy.words = words
    if maximal:
        a = policy.leaf(7, 0)
        policy.leaves[7, 0] = (host.limits.subleaves - 1, *a[1:])
    if not words[3] & SVM:
        policy.leaves[0x8000000A, NO_SUBLEAF] = (0, 0, 0, 0)
    if kind.startswith("hvm"):
        policy.msrs[PLATFORM_INFO] |= FAULTING
    _only_states(policy)
    return policy


def _only_states(policy: Policy) -> None:
    """Only the parts of the extended state that guests can have: no tiles."""
    a, _, _, d = policy.leaf(0xD, 0)
    kept = a & 0x2E7
    sizes = [policy.leaf(0xD, number)[:2] for number in range(2, 63) if kept >> number & 1]
    size = max((size + offset for size, offset in sizes), default=576)
    policy.leaves[0xD, 0] = (kept, size, size, d)
    for number in (17, 18):
        policy.leaves.pop((0xD, number), None)
