"""The contents of named sections of an object file, without tools for its architecture."""

from __future__ import annotations

import struct


def sections(data: bytes) -> dict[str, bytes]:
    """Name and bytes of every section of a 64-bit little-endian ELF object. ValueError if it is none."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, count, names_at = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, table + index * entry_size) for index in range(count)]
    names = _bytes(data, headers[names_at])
    return {_text(names, header[0]): _bytes(data, header) for header in headers}


def _bytes(data: bytes, header: tuple[int, ...]) -> bytes:
    _, kind, _, _, offset, size = header
    nobits = 8  # a section of zeros, for which the file has no bytes
    return bytes(size) if kind == nobits else data[offset : offset + size]


def _text(names: bytes, start: int) -> str:
    return names[start : names.index(b"\0", start)].decode()
