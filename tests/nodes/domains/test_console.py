"""domains/<d>/console: what a guest has said."""

from __future__ import annotations

import struct

import pytest
from worlds import Host

FRAME = 0xFEFFF  # where the pretended toolstack has put the ring


def ring(host: Host, written: int, out: bytes) -> None:
    domain = host.world.domains[2]
    domain.physmap.add([FRAME])
    page = domain.physmap.page(FRAME)
    page[1024 : 1024 + len(out)] = out
    page[3080:3088] = struct.pack("<2I", 0, written)


def test_its_lines_in_xens_log(host: Host) -> None:
    host.world.console.print("(XEN) other", "(d2) first", "(XEN) [time] (d2) second", "(d22) another guest")
    assert host.value("domains/2/console") == "first\nsecond"
    assert host.value("domains/3/console") == ""
    assert not host.has("domains/0/console")


@pytest.mark.parametrize(
    ("written", "out", "said"),
    [
        (0, b"", ""), (12, b"hello\nagain\n", "hello\nagain"), (5, b"hello behind", "hello"),
        (2048 + 6, b"newest" + b"x" * 2036 + b"oldest", "x" * 2036 + "oldestnewest"),
    ],
)  # fmt: skip
def test_its_ring(host: Host, written: int, out: bytes, said: str) -> None:
    ring(host, written, out)
    assert host.value("domains/2/console") == said
