"""What a call returns must not lie in memory that has gone: a member of a copied struct does not keep the struct."""

from __future__ import annotations

from typing import Any

import pytest
from worlds import Host, one_moment

from xenfs.abi import Abi
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.contents import about_xen

SETTINGS = ("", "xen=4.22", "arch=arm64", "profile=full")


@pytest.fixture
def spoiling(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Copies whose bytes are spoilt when nobody holds them any more, instead of some time later."""
    spoilt: list[int] = []
    kept: dict[int, Any] = {}

    def copy(abi: Abi, view: Any) -> Any:
        ffi, kind = abi.ffi, abi.ffi.typeof(view)

        def alloc(nbytes: int) -> Any:
            memory = ffi.new("char[]", nbytes)
            kept[int(ffi.cast("uintptr_t", memory))] = memory  # never given back: what has gone can be looked at
            return memory

        def free(pointer: Any) -> None:
            memory = kept[int(ffi.cast("uintptr_t", pointer))]
            ffi.buffer(memory)[:] = b"\xa5" * ffi.sizeof(memory)
            spoilt.append(1)

        new = ffi.new_allocator(alloc, free)
        if kind.kind == "array":
            return original(abi, view)
        if kind.kind == "pointer":
            return new(kind, view[0])
        return new(ffi.typeof(ffi.addressof(view)), view)

    original = Abi.copy
    monkeypatch.setattr(Abi, "copy", copy)
    return spoilt


def contents(settings: str) -> dict[str, bytes]:
    with one_moment(), Host(settings) as host:
        return {
            place.path: place.node.produce(host.xen, place.ids)
            for place in host.files()
            if isinstance(place.node, File) and about_xen(place.path) and not place.path.startswith("xenfs/")
        }


@pytest.mark.parametrize("settings", SETTINGS)
def test_no_node_shows_what_has_gone(settings: str, request: pytest.FixtureRequest) -> None:
    sound = contents(settings)
    spoilt = request.getfixturevalue("spoiling")
    assert contents(settings) == sound
    assert spoilt, "nothing was copied at all"
