"""Makes overlays of a device tree, as dtc would."""

from __future__ import annotations

import struct
from collections.abc import Mapping


def overlay(fragments: Mapping[str, tuple[str, ...]], *, deep: int = 0, target: str = "target-path") -> bytes:
    """One fragment for each target, with nodes of these names; `deep` more below each."""
    names = f"{target}\0compatible\0".encode()
    body = _begin("")
    for number, (path, nodes) in enumerate(fragments.items()):
        body += _begin(f"fragment@{number}") + _property(0, path.encode() + b"\0") + _begin("__overlay__")
        for node in nodes:
            below = b"".join(_begin(f"n{level}") for level in range(deep))
            body += _begin(node) + _property(len(target) + 1, b"none\0") + below + _word(2) * (deep + 1)
        body += _word(2) * 2
    body += _word(2) + _word(9)
    size = 40 + 16 + len(body) + len(names)
    head = struct.pack(">10I", 0xD00DFEED, size, 56, 56 + len(body), 40, 17, 16, 0, len(names), len(body))
    return head + bytes(16) + body + names


def _word(number: int) -> bytes:
    return struct.pack(">I", number)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _begin(name: str) -> bytes:
    return _word(1) + _padded(name.encode() + b"\0")


def _property(name: int, value: bytes) -> bytes:
    return _word(3) + struct.pack(">II", len(value), name) + _padded(value)
