"""Every name of a CPU feature is Xen's and means the bit that a compiler measured, and no release has others."""

from __future__ import annotations

import pytest
from measured import constants

from xenfs.abi.features import FEATURES, WORDS, alike, canonical, features_of
from xenfs.abi.releases import RELEASES

PREFIX = "XEN_X86_FEATURE_"


def named(constant: str) -> str:
    """As Xen's tools write it."""
    return constant.removeprefix(PREFIX).lower().replace("_", "-")


@pytest.mark.parametrize("release", RELEASES)
def test_features_are_xens(release: tuple[int, int]) -> None:
    measured = {named(name): value for name, value in constants(release, "x86_64").items() if name.startswith(PREFIX)}
    assert len(measured) > 150
    ours = {name: 32 * at.word + at.bit for name, at in FEATURES.items()}
    assert {name: ours.get(name) for name in measured} == measured


def test_each_is_of_some_release() -> None:
    known = {named(name) for release in RELEASES for name in constants(release, "x86_64") if name.startswith(PREFIX)}
    assert set(FEATURES) == known


def test_names_of_words() -> None:
    assert len(WORDS) == 19
    assert features_of([1, 1 << 25]) == ["fpu", "aesni"]
    assert features_of([0, 0, 1 << 29 | 1]) == ["lm"], "what AMD says twice is named once"
    assert len(features_of([0xFFFFFFFF] * 19)) == len(FEATURES)


def test_other_spellings() -> None:
    assert [canonical(name) for name in ("aes", "sse4_1", "sse4.1", "tsc_adjust", "aesni", "no_such")] == [
        "aesni", "sse4-1", "sse4-1", "tsc-adjust", "aesni", "no-such",
    ]  # fmt: skip
    assert all(canonical(name) == name for name in FEATURES)
    assert [alike(name) for name in ("avx22", "sse_42", "qqqqqqqqqq")] == ["avx2", "sse4-2", None]
