"""The two processors that can be pretended: what CPUID and a few registers say of them. Xen on Arm says nothing."""

from __future__ import annotations

from dataclasses import dataclass

NO_SUBLEAF = 0xFFFFFFFF
Registers = tuple[int, int, int, int]


def mask(text: str) -> tuple[int, ...]:
    """Words in hexadecimal, in the order of Xen's headers."""
    return tuple(int(word, 16) for word in text.split())


KNOWN = mask(
    "bfebfbff fffefbff ee500800 6469bfff 0000001f ffbfffff fb417fff 00000780 779fd205 ffddef3e"
    "  00aa1cb7 f81e0d67 00000001 0000003f 00000000 00044530 1fbeffff 40000001 00000006"
)
"""Features that have a name in Xen: it forgets the others at boot."""


@dataclass(frozen=True)
class Shared:
    """What a cache, or memory bandwidth, can be divided into: mask bits or highest throttle, and the highest class."""

    most: int
    cos_max: int


@dataclass(frozen=True)
class Processor:
    """A processor. `words` are its feature words in the order of Xen's headers, `boot` those that Xen finds at boot
    otherwise: without what Xen turns on itself. `xstates` are (size, offset) by number, as in CPUID leaf 0xd.
    """

    vendor: bytes
    vendor_number: int  # as mca has it
    brand: str
    family: int
    model: int
    stepping: int
    words: tuple[int, ...]
    max_leaf: int
    max_extended: int
    address_bits: int
    caches: tuple[Registers, ...]
    xstates: dict[int, tuple[int, int]]
    xcr0: int
    revision: int
    platform_flags: int
    l3_kib: int
    thermal: int  # CPUID leaf 6, eax
    ppin_msr: int
    mcg_cap: int
    svm: Registers = (0, 0, 0, 0)
    platform_info: int = 0
    l3: Shared = Shared(16, 15)
    l2: Shared | None = None
    bandwidth: Shared | None = None
    rmid_max: int = 255
    upscaling: int = 64

    @property
    def signature(self) -> int:
        """CPUID leaf 1, eax: family, model and stepping in their fields."""
        base, extended = min(self.family, 15), max(0, self.family - 15)
        return extended << 20 | self.model >> 4 << 16 | base << 8 | (self.model & 15) << 4 | self.stepping

    @property
    def boot_words(self) -> tuple[int, ...]:
        """The words that Xen noted at boot, before it turned XSAVE and protection keys on."""
        words = [word & known for word, known in zip(self.words, KNOWN, strict=True)]
        words[1] &= ~(1 << 27)
        words[6] &= ~(1 << 4)
        return tuple(words)

    def vendor_registers(self, leaf: int) -> Registers:
        """Leaf 0 or 0x80000000: the highest leaf and the vendor's name in ebx, edx, ecx."""
        ebx, edx, ecx = (int.from_bytes(self.vendor[at : at + 4], "little") for at in (0, 4, 8))
        return leaf, ebx, ecx, edx

    def brand_registers(self, leaf: int) -> Registers:
        """Leaves 0x80000002 to 4: the name, 16 bytes a leaf."""
        text = self.brand.encode().ljust(48, b"\0")[16 * (leaf - 0x80000002) :]
        a, b, c, d = (int.from_bytes(text[at : at + 4], "little") for at in (0, 4, 8, 12))
        return a, b, c, d


# Words: 1d 1c e1d e1c Da1 7b0 7c0 e7d e8b 7d0 7a1 e21a 7b1 7d2 7c1 7d1 10Al 10Ah e21c.
AMD = Processor(
    vendor=b"AuthenticAMD",
    vendor_number=2,
    brand="AMD EPYC 7313 16-Core Processor",
    family=25,
    model=1,
    stepping=1,
    words=(
        0x178BFBFF, 0x7EFA320B, 0x2FD3FBFF, 0x75C237FF, 0x0000000F, 0x219C97A9, 0x0040069C, 0x00006799, 0x119ED205,
        0x00000010, 0, 0x0000004D, 0, 0, 0, 0, 0, 0, 0,
    ),
    max_leaf=0x10,
    max_extended=0x80000023,
    address_bits=48,
    caches=(),
    xstates={2: (256, 576), 9: (8, 832)},
    xcr0=0x207,
    revision=0x0A0011D5,
    platform_flags=0,
    l3_kib=32768,
    thermal=0x4,
    ppin_msr=0xC00102F1,
    mcg_cap=0x1C,
    svm=(1, 0x8000, 0, 0x119B9CFF),
)  # fmt: skip

INTEL = Processor(
    vendor=b"GenuineIntel",
    vendor_number=0,
    brand="Intel(R) Xeon(R) Gold 6430",
    family=6,
    model=0x8F,
    stepping=8,
    words=(
        0xBFEBFBFF, 0x7FFEFBFF, 0x2C100800, 0x00000121, 0x0000001F, 0xF3BFBFFB, 0x1B415F7E, 0x00000100, 0x00000200,
        0xFFDD4432, 0x00001C30, 0, 0x00000001, 0x00000017, 0, 0, 0x0D00FD6B, 0, 0,
    ),
    max_leaf=0x20,
    max_extended=0x80000008,
    address_bits=52,
    caches=(
        (0x04004121, 0x02C0003F, 0x3F, 0), (0x04004122, 0x01C0003F, 0x3F, 0), (0x04004143, 0x03C0003F, 0x7FF, 0),
        (0x0C1FC163, 0x0380003F, 0xFFFF, 4),
    ),
    xstates={
        2: (256, 576), 5: (64, 1088), 6: (512, 1152), 7: (1024, 1664), 9: (8, 2688), 17: (64, 2752), 18: (8192, 2816),
    },
    xcr0=0x602E7,
    revision=0x2B000639,
    platform_flags=0x80,
    l3_kib=61440,
    thermal=0x00DF8FF7,
    ppin_msr=0x4F,
    mcg_cap=0xF000C15,
    platform_info=1 << 31,
    l3=Shared(15, 14),
    l2=Shared(16, 7),
    bandwidth=Shared(90, 14),
    rmid_max=223,
    upscaling=114688,
)  # fmt: skip

PROCESSORS = {"amd": AMD, "intel": INTEL}
