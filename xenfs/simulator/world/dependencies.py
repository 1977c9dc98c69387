"""Which CPU features are built on which others, as Xen sees it: no policy has one without what it is built on."""

from __future__ import annotations

from collections.abc import Callable

Dependencies = dict[int, int]
"""For the number of a feature, the bits of all that go when it goes."""

# By Xen's names, without XEN_X86_FEATURE_; what a release has no name for plays no part in it.
_BENEATH = {
    "FPU": "MMX RSTR_FP_ERR_PTRS",
    "PSE": "PSE36",
    "PAE": "LM NX",
    "TSC": "TSC_DEADLINE RDTSCP TSC_ADJUST ITSC",
    "APIC": "X2APIC TSC_DEADLINE EXTAPIC",
    "MMX": "MMXEXT 3DNOW",
    "3DNOW": "3DNOWEXT",
    "FXSR": "FFXSR SSE",
    "SSE": "SSE2 MISALIGNSSE",
    "SSE2": "SSE3 LM AESNI PCLMULQDQ SHA GFNI",
    "SSE3": "SSSE3 SSE4A",
    "SSSE3": "SSE4_1",
    "SSE4_1": "SSE4_2",
    "PCLMULQDQ": "VPCLMULQDQ",
    "AESNI": "VAES",
    "NX": "SMAP",
    "LM": "CX16 LAHF_LM PAGE1GB PCID PKU NO_LMSL AMX_TILE CMPCCXADD LKGS",
    "XSAVE": "XSAVEOPT XSAVEC XGETBV1 XSAVES AVX MPX PKU LWP AMX_TILE",
    "AVX": "AVX2 FMA FMA4 F16C XOP AVX_NE_CONVERT SM3",
    "AVX2": "AVX512F VAES VPCLMULQDQ AVX_VNNI AVX_IFMA AVX_VNNI_INT8 AVX_VNNI_INT16 SHA512 SM4",
    "AVX512F": "AVX512DQ AVX512_IFMA AVX512PF AVX512ER AVX512CD AVX512BW AVX512VL AVX512_4VNNIW AVX512_4FMAPS"
    " AVX512_VNNI AVX512_VPOPCNTDQ AVX512_VP2INTERSECT",
    "AVX512BW": "AVX512_VBMI AVX512_VBMI2 AVX512_BITALG AVX512_BF16 AVX512_FP16 AVX512_BMM",
    "AMX_TILE": "AMX_BF16 AMX_INT8 AMX_FP16 AMX_COMPLEX",
    "RTM": "TSXLDTRK",
    "IBRSB": "STIBP SSBD INTEL_PSFD EIBRS IPRED_CTRL RRSBA_CTRL BHI_CTRL",
    "EIBRS": "RRSBA",
    "IBRS": "AMD_STIBP AMD_SSBD PSFD AUTO_IBRS IBRS_ALWAYS IBRS_FAST IBRS_SAME_MODE",
    "IBPB": "IBPB_RET SBPB IBPB_BRTYPE",
    "AMD_STIBP": "STIBP_ALWAYS",
    "PSFD": "EPSF",
}


def dependencies(number: Callable[[str], int | None]) -> Dependencies:
    """All of a release, whose number of a feature, if it knows it, is `number` of Xen's name."""
    found: Dependencies = {}
    for name in _BENEATH:
        bit = number(name)
        if bit is not None:
            found[bit] = sum({1 << other for each in _all_beneath(name) if (other := number(each)) is not None})
    return found


def _all_beneath(name: str) -> set[str]:
    found: set[str] = set()
    for each in _BENEATH.get(name, "").split():
        found |= {each} | _all_beneath(each)
    return found


def consistent(words: list[int], rules: Dependencies) -> list[int]:
    """Feature words without what is built on features that are not there."""
    features = sum(word << 32 * at for at, word in enumerate(words))
    for bit, beneath in rules.items():
        if not features >> bit & 1:
            features &= ~beneath
    return [features >> 32 * at & 0xFFFFFFFF for at in range(len(words))]
