"""A live patch that changes nothing: an ELF file with the notes that Xen wants, metadata, and a hook that returns."""

from __future__ import annotations

import struct
from typing import NamedTuple

HEADER, SECTION, SYMBOL, RELOCATION = "<16sHHIQQQIHHHHHH", "<IIQQQQIIQQ", "<IBBHQQ", "<QQq"
PROGBITS, SYMTAB, STRTAB, RELA, NOTE = 1, 2, 3, 4, 7
ALLOC, EXEC = 2, 4
X86_64, ARM64, RELOCATABLE = 62, 183, 1
BUILD_ID, ABSOLUTE_64, LOCAL_SECTION = 3, 1, 0x03
RETURN = bytes.fromhex("f30f1efac3")  # endbr64, ret


class Section(NamedTuple):
    """What goes into a section header, and the section's bytes."""

    name: str
    kind: int
    flags: int
    data: bytes
    link: int = 0
    info: int = 0
    entry: int = 0


def note(ident: bytes) -> bytes:
    """A build id as linkers leave it."""
    return struct.pack("<III4s", 4, len(ident), BUILD_ID, b"GNU\0") + ident


def payload(xen: bytes, own: bytes, *metadata: bytes, follows: bytes = b"", machine: int = X86_64) -> bytes:
    """The file, for a Xen with this build id, to `follow` the live patch of that one; `own` is the patch's. x86-64.

    The hook has no name: Xen refuses a patch that brings a function which another one has brought.
    """
    hook, text, symbols, strings = 5, 6, 8, 9
    names = b"\0"
    relocation = struct.pack(RELOCATION, 0, 1 << 32 | ABSOLUTE_64, 0)
    symbol = struct.pack(SYMBOL, 0, LOCAL_SECTION, 0, text, 0, 0)
    sections = [
        Section("", 0, 0, b""),
        Section(".note.gnu.build-id", NOTE, ALLOC, note(own)),
        Section(".livepatch.depends", PROGBITS, ALLOC, note(follows or xen)),
        Section(".livepatch.xen_depends", PROGBITS, ALLOC, note(xen)),
        Section(".modinfo", PROGBITS, ALLOC, b"".join(each + b"\0" for each in metadata)),
        Section(".livepatch.hooks.load", PROGBITS, ALLOC, bytes(8)),
        Section(".text", PROGBITS, ALLOC | EXEC, RETURN),
        Section(".rela.livepatch.hooks.load", RELA, 0, relocation, symbols, hook, 24),
        Section(".symtab", SYMTAB, 0, bytes(24) + symbol, strings, 2, 24),
        Section(".strtab", STRTAB, 0, names),
    ]  # fmt: skip
    return linked(sections, machine)


def linked(sections: list[Section], machine: int) -> bytes:
    """An object file of these sections and one with their names."""
    names, places = b"", []
    for name in [*(section.name for section in sections), ".shstrtab"]:
        places.append(len(names))
        names += name.encode() + b"\0"
    sections = [*sections, Section(".shstrtab", STRTAB, 0, names)]
    body, table = b"", b""
    for place, section in zip(places, sections, strict=True):
        body += bytes(-len(body) % 16)
        at = struct.calcsize(HEADER) + len(body)
        table += struct.pack(
            SECTION, place, section.kind, section.flags, 0, at if section.kind else 0, len(section.data),
            section.link, section.info, 8 if section.kind else 0, section.entry,
        )  # fmt: skip
        body += section.data
    body += bytes(-len(body) % 16)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    at = struct.calcsize(HEADER) + len(body)
    header = struct.pack(
        HEADER, ident, RELOCATABLE, machine, 1, 0, 0, at, 0, struct.calcsize(HEADER), 0, 0,
        struct.calcsize(SECTION), len(sections), len(sections) - 1,
    )  # fmt: skip
    return header + body + table
