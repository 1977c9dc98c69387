"""A policy's features by name: which it has, and the leaves and MSRs that give it more of them or take some away."""

from __future__ import annotations

from collections.abc import Mapping

from xenfs.abi.features import FEATURES, NO_SUBLEAF, WORDS, Half, Register, features_of
from xenfs.calls.cpuid import Leaf, Msr, Policy
from xenfs.errors import BadInput

Wanted = Mapping[str, bool]
"""Features by name, and whether each is to be there."""


def names(policy: Policy) -> list[str]:
    """The features that a policy has, in the order of Xen's words."""
    return features_of(_words(policy))


def changed(policy: Policy, wanted: Wanted) -> Policy:
    """The leaves and MSRs of a policy in which these features are, with each as it is wanted."""
    leaves, msrs = _by_place(policy)
    touched: dict[tuple[int, int] | int, None] = {}
    for name, there in wanted.items():
        at = FEATURES[name]
        place = WORDS[at.word]
        word = _word(place, leaves, msrs)
        if word is None:
            if there:
                raise BadInput(f"the domain is not shown {_described(place)}, where {name} is", word=name)
            continue  # it is not there, as is wanted
        _put(place, word | 1 << at.bit if there else word & ~(1 << at.bit), leaves, msrs)
        touched[place.msr if isinstance(place, Half) else (place.leaf, place.subleaf)] = None
    return Policy(
        [leaves[key] for key in touched if isinstance(key, tuple)],
        [msrs[key] for key in touched if isinstance(key, int)],
    )


def unlike(policy: Policy, wanted: Wanted) -> list[str]:
    """The features that a policy has otherwise than is wanted."""
    there = set(names(policy))
    return [name for name, want in wanted.items() if (name in there) is not want]


def over(policy: Policy, more: Policy) -> Policy:
    """A policy with other leaves and MSRs laid over it, as Xen lays them."""
    leaves, msrs = _by_place(policy)
    leaves |= {(leaf.leaf, leaf.subleaf): leaf for leaf in more.leaves}
    msrs |= {msr.idx: msr for msr in more.msrs}
    return Policy(list(leaves.values()), list(msrs.values()))


def _words(policy: Policy) -> list[int]:
    leaves, msrs = _by_place(policy)
    return [_word(place, leaves, msrs) or 0 for place in WORDS]


def _by_place(policy: Policy) -> tuple[dict[tuple[int, int], Leaf], dict[int, Msr]]:
    return {(leaf.leaf, leaf.subleaf): leaf for leaf in policy.leaves}, {msr.idx: msr for msr in policy.msrs}


def _word(place: Register | Half, leaves: dict[tuple[int, int], Leaf], msrs: dict[int, Msr]) -> int | None:
    if isinstance(place, Half):
        msr = msrs.get(place.msr)
        return None if msr is None else msr.val >> 32 * place.which & 0xFFFFFFFF
    leaf = leaves.get((place.leaf, place.subleaf))
    return None if leaf is None else int(getattr(leaf, place.name))


def _put(place: Register | Half, word: int, leaves: dict[tuple[int, int], Leaf], msrs: dict[int, Msr]) -> None:
    if isinstance(place, Half):
        other = msrs[place.msr].val & ~(0xFFFFFFFF << 32 * place.which)
        msrs[place.msr] = Msr(place.msr, other | word << 32 * place.which)
    else:
        key = place.leaf, place.subleaf
        leaves[key] = leaves[key]._replace(**{place.name: word})


def _described(place: Register | Half) -> str:
    if isinstance(place, Half):
        return f"MSR {place.msr:#x}"
    return f"leaf {place.leaf:#x}" + ("" if place.subleaf == NO_SUBLEAF else f", subleaf {place.subleaf:#x}")
