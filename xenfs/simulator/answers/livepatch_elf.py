"""What a pretended Xen looks at in the file of a live patch: an ELF object with sections of certain names."""

from __future__ import annotations

import struct
from errno import EINVAL, EOPNOTSUPP

from xenfs.simulator.world.livepatches import Livepatch
from xenfs.simulator.world.refused import Refused

HEADER, SECTION = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQIIQQ")
MACHINES = {True: 62, False: 183}  # x86-64 and AArch64
_WRITE, _ALLOC, _FUNCS = 1, 2, ".livepatch.funcs"
_NOTE = struct.Struct("<III")


def parsed(name: bytes, data: bytes, xen: bytes, *, x86: bool) -> Livepatch:
    """The live patch that it is, for a Xen of this build id; Refused as Xen would refuse it."""
    sections = _sections(data, x86=x86)
    own, depends, of_xen = (
        _build_id(sections, wanted) for wanted in (".note.gnu.build-id", ".livepatch.depends", ".livepatch.xen_depends")
    )
    if of_xen != xen:
        raise Refused(EINVAL)
    has_data = any(flags & _WRITE and flags & _ALLOC and each != _FUNCS for each, (flags, _) in sections.items())
    metadata = sections.get(".modinfo", (0, b""))[1]
    return Livepatch(name, metadata=metadata, build_id=own, depends=depends, has_data=has_data)


def _sections(data: bytes, *, x86: bool) -> dict[str, tuple[int, bytes]]:
    """(flags, content) by name."""
    try:
        ident, kind, machine, *_, at, _, _, _, _, size, count, names = HEADER.unpack_from(data)
        if ident[:4] != b"\x7fELF" or kind != 1:
            raise Refused(EINVAL)
        if ident[4:6] != b"\x02\x01" or machine != MACHINES[x86] or size != SECTION.size:
            raise Refused(EOPNOTSUPP)
        headers = [SECTION.unpack_from(data, at + size * index) for index in range(count)]
        content = [data[where : where + length] for _, _, _, _, where, length, *_ in headers]
        texts = content[names]
        found = [texts[header[0] :].split(b"\0", 1)[0].decode("latin-1") for header in headers]
    except (struct.error, IndexError):
        raise Refused(EINVAL) from None
    return {name: (header[2], body) for name, header, body in zip(found, headers, content, strict=True)}


def _build_id(sections: dict[str, tuple[int, bytes]], name: str) -> bytes:
    """The id in a note."""
    note = sections.get(name, (0, b""))[1]
    if len(note) < _NOTE.size:
        raise Refused(EINVAL)
    owner, length, _ = _NOTE.unpack_from(note)
    start = _NOTE.size + -(-owner // 4) * 4
    return note[start : start + length]
