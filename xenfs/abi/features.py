"""What the feature bits of x86 CPUs are called: the names that Xen, its tools and xl's cpuid= use today.

A featureset is a row of words, and each word a register of CPUID or half of MSR_ARCH_CAPABILITIES. What a bit means is
a matter of the CPU, so one table serves every release; an old Xen does not know the later ones. (From 4.14 to 4.16
some took the bit of la57 for that of tsxldtrk.) tests/layouts/test_features.py compares all of it with what a compiler
measured.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

NO_SUBLEAF = 0xFFFFFFFF  # XEN_CPUID_NO_SUBLEAF
ARCH_CAPABILITIES = 0x10A


class Register(NamedTuple):
    """Where a word comes from: one register, a to d, of what CPUID answers to a leaf and subleaf."""

    leaf: int
    subleaf: int
    name: str


class Half(NamedTuple):
    """Where a word comes from: the lower (0) or upper (1) 32 bits of an MSR."""

    msr: int
    which: int


class Feature(NamedTuple):
    """A bit of a word of a featureset."""

    word: int
    bit: int


# A word of a featureset each, in Xen's order. Names stand in the order of the bits: a number says which bit comes next.
_TABLE: tuple[tuple[Register | Half, str], ...] = (
    (
        Register(0x1, NO_SUBLEAF, "d"),
        "0 fpu vme de pse tsc msr pae mce cx8 apic 11 sep mtrr pge mca cmov pat pse36 19 clflush 21 ds acpi mmx fxsr"
        " sse sse2 ss htt tm1 31 pbe",
    ),
    (
        Register(0x1, NO_SUBLEAF, "c"),
        "0 sse3 pclmulqdq dtes64 monitor dscpl vmx smx eist tm2 ssse3 11 sdbg fma cx16 xtpr pdcm 17 pcid dca sse4-1"
        " sse4-2 x2apic movbe popcnt tsc-deadline aesni xsave osxsave avx f16c rdrand hypervisor",
    ),
    (
        Register(0x80000001, NO_SUBLEAF, "d"),  # AMD says more of leaf 1 again here
        "11 syscall 20 nx 22 mmxext 25 ffxsr page1gb rdtscp 29 lm 3dnowext 3dnow",
    ),
    (
        Register(0x80000001, NO_SUBLEAF, "c"),
        "0 lahf-lm cmp-legacy svm extapic cr8-legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt 15 lwp"
        " fma4 19 nodeid-msr 21 tbm topoext 26 dbext 29 monitorx addr-msk-ext",
    ),
    (Register(0xD, 1, "a"), "0 xsaveopt xsavec xgetbv1 xsaves xfd"),
    (
        Register(0x7, 0, "b"),
        "0 fsgsbase tsc-adjust sgx bmi1 hle avx2 fdp-excp-only smep bmi2 erms invpcid rtm pqm no-fpu-sel mpx pqe"
        " avx512f avx512dq rdseed adx smap avx512-ifma 23 clflushopt clwb proc-trace avx512pf avx512er avx512cd sha"
        " avx512bw avx512vl",
    ),
    (
        Register(0x7, 0, "c"),
        "0 prefetchwt1 avx512-vbmi umip pku ospke waitpkg avx512-vbmi2 cet-ss gfni vaes vpclmulqdq avx512-vnni"
        " avx512-bitalg tme avx512-vpopcntdq 16 la57 22 rdpid 24 bld cldemote 27 movdiri movdir64b enqcmd sgx-lc pks",
    ),
    (Register(0x80000007, NO_SUBLEAF, "d"), "7 hw-pstate itsc cpb efro"),
    (
        Register(0x80000008, NO_SUBLEAF, "b"),
        "0 clzero 2 rstr-fp-err-ptrs 9 wbnoinvd 12 ibpb 14 ibrs amd-stibp ibrs-always stibp-always ibrs-fast"
        " ibrs-same-mode no-lmsl 23 amd-ppin amd-ssbd virt-ssbd ssb-no cppc psfd btc-no ibpb-ret",
    ),
    (
        Register(0x7, 0, "d"),
        "1 sgx-keys avx512-4vnniw avx512-4fmaps fsrm uintr 8 avx512-vp2intersect srbds-ctrl md-clear rtm-always-abort"
        " 13 tsx-force-abort serialize hybrid tsxldtrk 18 pconfig arch-lbr cet-ibt 22 amx-bf16 avx512-fp16 amx-tile"
        " amx-int8 ibrsb stibp l1d-flush arch-caps core-caps ssbd",
    ),
    (
        Register(0x7, 1, "a"),
        "0 sha512 sm3 sm4 4 avx-vnni avx512-bf16 lass cmpccxadd arch-perf-mon 10 fzrm fsrs fsrcs 17 fred lkgs wrmsrns"
        " nmi-src amx-fp16 23 avx-ifma 26 lam msrlist 30 no-invd",
    ),
    (
        Register(0x80000021, NO_SUBLEAF, "a"),
        "0 no-nest-bp fs-gs-ns lfence-dispatch 5 verw-clear nscb 8 auto-ibrs 10 amd-fsrs amd-fsrc 17 cpuid-user-dis"
        " epsf fsrsc amd-prefetchi 23 avx512-bmm 27 sbpb ibpb-brtype srso-no srso-us-no srso-msr-fix",
    ),
    (Register(0x7, 1, "b"), "0 intel-ppin"),
    (Register(0x7, 2, "d"), "0 intel-psfd ipred-ctrl rrsba-ctrl ddp-ctrl bhi-ctrl mcdt-no uc-lock-dis"),
    (Register(0x7, 1, "c"), ""),
    (
        Register(0x7, 1, "d"),
        "4 avx-vnni-int8 avx-ne-convert 8 amx-complex 10 avx-vnni-int16 14 prefetchi 17 uiret-uif cet-sss 24 slsm",
    ),
    (
        Half(ARCH_CAPABILITIES, 0),
        "0 rdcl-no eibrs rsba skip-l1dfl intel-ssb-no mds-no if-pschange-mc-no tsx-ctrl taa-no mcu-ctrl misc-pkg-ctrl"
        " energy-filtering doitm sbdr-ssdp-no fbsdp-no psdp-no mcu-ext fb-clear fb-clear-ctrl rrsba bhi-no xapic-status"
        " 23 ovrclk-status pbrsb-no gds-ctrl gds-no rfds-no rfds-clear ign-umonitor mon-umon-mitg",
    ),
    (Half(ARCH_CAPABILITIES, 1), "0 pb-opt-ctrl 30 its-no"),
    (Register(0x80000021, NO_SUBLEAF, "c"), "1 tsa-sq-no tsa-l1-no"),
)
# What xl's cpuid= has called some of them, and takes to this day.
_OLD_NAMES = {
    "aes": "aesni", "altmovcr8": "cr8-legacy", "clfsh": "clflush", "cmplegacy": "cmp-legacy", "cmpxchg16": "cx16",
    "cmpxchg8": "cx8", "cmt": "pqm", "est": "eist", "invtsc": "itsc", "lahfsahf": "lahf-lm", "nodeid": "nodeid-msr",
    "ppin": "amd-ppin", "sse4.1": "sse4-1", "sse4.2": "sse4-2", "sysenter": "sep", "tm": "tm1",
}  # fmt: skip


def _named() -> dict[str, Feature]:
    found: dict[str, Feature] = {}
    for word, (_, names) in enumerate(_TABLE):
        bit = 0
        for name in names.split():
            if name.isdecimal():
                bit = int(name)
            else:
                found[name] = Feature(word, bit)
                bit += 1
    return found


WORDS = tuple(place for place, _ in _TABLE)
"""Where each word of a featureset is, in Xen's order."""
FEATURES = _named()
"""Every feature that has a name, by its name."""


def features_of(words: list[int]) -> list[str]:
    """The names of the bits that are set in a featureset; bits without a name are left out."""
    return [name for name, at in FEATURES.items() if at.word < len(words) and words[at.word] >> at.bit & 1]


def canonical(name: str) -> str:
    """The name in the table of what may also be an old name of xl's, or be spelt with _ for -."""
    return _OLD_NAMES.get(name, name.replace("_", "-"))


def alike(name: str) -> str | None:
    """The name in the table that is most like this one, which may be an old name misspelt; None where none is."""
    found = get_close_matches(canonical(name), [*FEATURES, *_OLD_NAMES], n=1)
    return canonical(found[0]) if found else None
