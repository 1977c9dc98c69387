"""Tiny kernels of the tests' own, in machine code: they say a line and shut down. And Debian's, unpacked.

No assembler is asked: the dom0 images have none.
"""

from __future__ import annotations

import ctypes
import gzip
import lzma
import os
import platform
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

WORDS = b"hello from nothing but files\n"
X86_BASE = 0x100000
_PHYS32_ENTRY = 18
_CONSOLE_IO, _SCHED_OP, _SHUTDOWN = 18, 29, 2
_POWEROFF = 0
_ARM_RING, _RING_OUT, _RING_PRODUCED = 0x39000000, 1024, 3084


def tiny(path: Path, *, ring: bool = False, reason: int = _POWEROFF) -> Path:
    """A kernel for this machine's guests that says WORDS, and shuts down for a reason. On arm64 it has no port to say
    them to, and does so with a `ring` alone: that of the console of a domain that has a name."""
    path.write_bytes(_x86(reason) if platform.machine() == "x86_64" else _arm64(reason, ring))
    return path


def _x86(reason: int) -> bytes:
    """Protected mode, flat, no paging: WORDS to Xen's debug port, a page of hypercalls, SCHEDOP_shutdown."""
    code_at, data_at = X86_BASE, X86_BASE + 0x100
    argument_at, stack_at, page_at = X86_BASE + 0x200, X86_BASE + 0x1000, X86_BASE + 0x1000
    u32 = struct.Struct("<I").pack
    code = b"".join((
        b"\xbc", u32(stack_at),                    # mov esp, stack
        b"\xbe", u32(data_at),                     # mov esi, words
        b"\xb9", u32(len(WORDS)),                  # mov ecx, their number
        b"\xac\xe6\xe9\xe2\xfb",                   # again: lodsb; out 0xe9, al; loop again
        b"\xb8", u32(0x40000002), b"\x0f\xa2",     # mov eax, leaf; cpuid
        b"\x89\xd9\xb8", u32(page_at),             # mov ecx, ebx; mov eax, page
        b"\x31\xd2\x0f\x30",                       # xor edx, edx; wrmsr
        b"\xbb", u32(_SHUTDOWN), b"\xb9", u32(argument_at),
        b"\xb8", u32(page_at + 32 * _SCHED_OP), b"\xff\xd0",  # call the hypercall
        b"\xf4\xeb\xfd",                           # hlt, for good
    ))  # fmt: skip
    image = code.ljust(data_at - code_at, b"\0") + WORDS
    image = image.ljust(argument_at - code_at, b"\0") + u32(reason)
    note = struct.pack("<III4sI", 4, 4, _PHYS32_ENTRY, b"Xen\0", code_at)
    headers, first = 52, 0x1000
    segments = (
        (1, first, code_at, code_at, len(image), 0x3000, 7, 0x1000),
        (4, first - 0x100, 0, 0, len(note), len(note), 4, 4),
    )
    sizes = (headers, 32, len(segments), 0, 0, 0)
    head = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, code_at, headers, 0, 0, *sizes)
    table = b"".join(struct.pack("<8I", *each) for each in segments)
    return (head + table).ljust(first - 0x100, b"\0") + note.ljust(0x100, b"\0") + image


def _arm64(reason: int, ring: bool) -> bytes:
    """An Image: the MMU is off, so that an address is where it is."""
    start, argument = 64, 0xC0
    says = struct.pack(
        "<10I",
        0x10000000 | (argument + 4 - start) >> 2 << 5,  # adr x0, words
        0xD2A00001 | _ARM_RING >> 16 << 5,  # mov x1, ring
        0x91000022 | _RING_OUT << 10,  # add x2, x1, out
        0x52800003 | len(WORDS) << 5,  # mov w3, their number
        0x38401404,  # again: ldrb w4, [x0], 1
        0x38001444,  # strb w4, [x2], 1
        0x71000463,  # subs w3, w3, 1
        0x54000001 | (-3 & 0x7FFFF) << 5,  # b.ne again
        0x52800004 | len(WORDS) << 5,  # mov w4, their number
        0xB9000024 | _RING_PRODUCED // 4 << 10,  # str w4, [x1, produced]
    )
    said = says if ring else b""
    code = said + struct.pack(
        "<6I",
        0xD2800000 | _SCHED_OP << 5 | 16,  # mov x16, sched_op
        0xD2800000 | _SHUTDOWN << 5,  # mov x0, shutdown
        0x10000001 | (argument - start - len(said) - 8) >> 2 << 5,  # adr x1, the reason
        0xD4000002 | 0xEA1 << 5,  # hvc 0xea1
        0xD503207F,  # wfi
        0x17FFFFFF,  # back to it
    )
    image = struct.pack("<II", 0x14000000 | start >> 2, 0) + struct.pack("<QQQ", 0x80000, 0x2000, 0xA)
    image = image.ljust(56, b"\0") + b"ARM\x64" + bytes(4) + code
    return image.ljust(argument, b"\0") + struct.pack("<I", reason) + WORDS


PV_PAGES = 6  # its code, where it leaves WORDS, and page tables of four levels
PV_LEFT = 1
_PV_BASE = 0x100000
_FLAT_CS, _FLAT_SS, _IN_KERNEL_AND_ONLINE, _INTERRUPTS = 0xE033, 0xE02B, 0x24, 0x200


def pv(frames: Sequence[int], reason: int = _POWEROFF) -> tuple[list[bytes], dict[str, int]]:
    """What lies in PV_PAGES of a PV guest, with these frames of the machine, and the registers that it begins with."""
    words_at, argument_at, left_at = _PV_BASE + 0x100, _PV_BASE + 0x200, _PV_BASE + 0x1000
    u32 = struct.Struct("<I").pack
    code = b"".join((
        b"\x31\xff\xbe", u32(len(WORDS)), b"\xba", u32(words_at),   # xor edi, edi; mov esi, number; mov edx, words
        b"\xb8", u32(_CONSOLE_IO), b"\x0f\x05",                     # mov eax, op; syscall: only a debug build prints it
        b"\xbe", u32(words_at), b"\xbf", u32(left_at), b"\xb9", u32(len(WORDS)), b"\xf3\xa4",  # rep movsb
        b"\xbf", u32(_SHUTDOWN), b"\xbe", u32(argument_at), b"\xb8", u32(_SCHED_OP), b"\x0f\x05",
        b"\xeb\xfe",                                                # for good
    ))  # fmt: skip
    first = (code.ljust(0x100, b"\0") + WORDS).ljust(0x200, b"\0") + u32(reason)
    present = 0x67  # writable, a user's as all of a PV guest's is
    lowest = _PV_BASE >> 12
    tables = [bytes(8 * lowest) + b"".join((frame << 12 | present).to_bytes(8, "little") for frame in frames[:2])]
    tables += [(frame << 12 | present).to_bytes(8, "little") for frame in frames[2:5]]
    registers = {
        "rip": _PV_BASE, "rsp": left_at + 4096, "rflags": _INTERRUPTS, "cs": _FLAT_CS, "ss": _FLAT_SS,
        "kernel_ss": _FLAT_SS, "kernel_sp": left_at + 4096, "cr3": frames[5] << 12, "flags": _IN_KERNEL_AND_ONLINE,
    }  # fmt: skip
    return [page.ljust(4096, b"\0") for page in (first, b"", *tables)], registers


def debians(path: Path) -> Path:
    """The kernel that dom0 runs, as an ELF: what lies compressed in its bzImage."""
    image = Path(f"/boot/vmlinuz-{os.uname().release}").read_bytes()
    setup = (image[0x1F1] or 4) + 1
    offset, length = struct.unpack_from("<II", image, 0x248)
    payload = image[setup * 512 + offset :][:length]
    if payload.startswith(b"\xfd7zXZ"):
        found = lzma.LZMADecompressor().decompress(payload)
    elif payload.startswith(b"\x1f\x8b"):
        found = gzip.decompress(payload)
    else:  # zstd; behind it the length of what is in it
        found = _unzstd(payload[:-4], *struct.unpack("<I", payload[-4:]))
    path.write_bytes(found)
    return path


def _unzstd(packed: bytes, length: int) -> bytes:
    """By the library, which dpkg needs: the command is not in each dom0."""
    library, into = ctypes.CDLL("libzstd.so.1"), ctypes.create_string_buffer(length)
    library.ZSTD_decompress.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    library.ZSTD_decompress.restype = ctypes.c_size_t
    assert library.ZSTD_decompress(into, length, packed, len(packed)) == length
    return into.raw


def archive(files: Mapping[str, bytes]) -> bytes:
    """A cpio archive for an initrd, each file one that can be run; Linux takes several in a row."""
    made = b""
    for number, (name, data) in enumerate([*files.items(), ("TRAILER!!!", b"")], 1):
        mode = 0o100755 if data else 0o40755 if name != "TRAILER!!!" else 0
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        made += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        made += bytes(-len(made) % 4) + data
        made += bytes(-len(made) % 4)
    return made
