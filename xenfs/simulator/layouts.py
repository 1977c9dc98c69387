"""Where every member of Xen's structs lies, measured from each release: the simulator's own idea of the ABI.

It is read from golden/*.json and from nowhere else. So a wrong declaration on the side of the caller disagrees with
the simulator, and does not agree with itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from struct import Struct
from typing import Any

GOLDEN = Path(__file__).parent / "golden"
ARCHES = ("x86_64", "arm64")

Reader = Callable[[memoryview], tuple[Any, ...]]
Writer = Callable[..., None]

_INTEGERS = {1: "B", 2: "H", 4: "I", 8: "Q"}


def version(release: str) -> tuple[int, int]:
    """("4.17") -> (4, 17), which compares as releases do."""
    major, minor = release.split(".")[:2]
    return int(major), int(minor)


@cache
def measurements(arch: str) -> dict[str, Any]:
    """The measured layouts of an architecture: releases, interface_versions, structs, constants."""
    with open(GOLDEN / f"{arch}.json", encoding="utf-8") as golden:
        loaded: dict[str, Any] = json.load(golden)
    return loaded


@cache
def releases(arch: str = "x86_64") -> tuple[str, ...]:
    """The releases that were measured, oldest first."""
    return tuple(measurements(arch)["releases"])


class Layouts:
    """Sizes, members and constants of one release on one architecture.

    A member is named as in the headers, nested ones with dots; the struct it is in may stand at an offset.
    Every integer is unsigned, everything that is not 1, 2, 4 or 8 bytes long is bytes.
    """

    def __init__(self, release: str = "4.17", arch: str = "x86_64") -> None:
        self.release, self.arch = release, arch
        golden, wanted = measurements(arch), version(release)
        self.interfaces: dict[str, int] = golden["interface_versions"][release]
        structs = _of_release(golden["structs"], wanted)
        self._structs = {tag: (kept["size"], kept["fields"]) for tag, kept in structs.items()}
        self._readers: dict[tuple[str, tuple[str, ...]], Reader] = {}
        self._writers: dict[tuple[str, str], tuple[Writer, int]] = {}
        self._arrays: dict[tuple[str, tuple[str, ...]], Struct] = {}
        self._constants = {name: kept["value"] for name, kept in _of_release(golden["constants"], wanted).items()}
        records = _of_release(golden["hvm_save_records"], wanted)
        self._records = {name: (kept["code"], kept["length"]) for name, kept in records.items()}

    def constant(self, name: str) -> int:
        """The value of a constant; KeyError where this release has none of that name."""
        value: int = self._constants[name]
        return value

    def constants(self, *names: str) -> tuple[int, ...]:
        """Several constants at once."""
        return tuple(self.constant(name) for name in names)

    def defines(self, name: str) -> bool:
        """Whether this release has that constant."""
        return name in self._constants

    def record(self, name: str) -> tuple[int, int]:
        """Type and length of a record in the saved state of an HVM domain."""
        return self._records[name]

    def size(self, struct: str) -> int:
        """Bytes in a struct, trailing padding included."""
        size: int = self._structs[struct][0]
        return size

    def field(self, struct: str, member: str) -> tuple[int, int]:
        """Offset and size of a member."""
        found = self._structs[struct][1][member]
        return found[0], found[1]

    def has(self, struct: str, member: str) -> bool:
        """Whether this release's struct has that member."""
        return struct in self._structs and member in self._structs[struct][1]

    def offset(self, struct: str, member: str) -> int:
        """Where a member begins, in bytes from the start of the struct."""
        return self.field(struct, member)[0]

    def format(self, struct: str, *members: str, whole: bool = False) -> tuple[Struct, int]:
        """A packer for these members, which must be in order of offset, and the offset of the first.

        Gaps are padding, written as zeros. With `whole` it covers the struct from its first byte to its last.
        """
        start = at = 0 if whole else self.offset(struct, members[0])
        text = "<"
        for member in members:
            offset, size = self.field(struct, member)
            if offset < at:
                raise ValueError(f"{member} of {struct} does not lie after the one named before it")
            text += "x" * (offset - at) + _INTEGERS.get(size, f"{size}s")
            at = offset + size
        return Struct(text + "x" * (self.size(struct) - at if whole else 0)), start

    def get(self, memory: memoryview, struct: str, *members: str) -> tuple[Any, ...]:
        """The values of these members, in order of offset, of the struct at the start of the memory."""
        reader = self._readers.get((struct, members))
        if reader is None:
            packer, start = self.format(struct, *members)
            reader = self._readers[struct, members] = partial(packer.unpack_from, offset=start)
        return reader(memory)

    def put(self, memory: memoryview, struct: str, **values: Any) -> None:
        """Write these members of the struct at the start of the memory, and nothing else of it."""
        for member, value in values.items():
            writer = self._writers.get((struct, member))
            if writer is None:
                packer, start = self.format(struct, member)
                writer = self._writers[struct, member] = packer.pack_into, start
            writer[0](memory, writer[1], value)

    def array(self, struct: str, *members: str) -> Struct:
        """A packer of whole structs, for filling arrays: what is not among the members is zero."""
        packer = self._arrays.get((struct, members))
        if packer is None:
            packer = self._arrays[struct, members] = self.format(struct, *members, whole=True)[0]
        return packer


@cache
def layouts_of(release: str, arch: str) -> Layouts:
    """The layouts of a release, made once: they never change."""
    made = Layouts(release, arch)
    measurements.cache_clear()  # what is of other releases, and how it was written: 0.8 MB
    return made


def _of_release(ranges: dict[str, list[dict[str, Any]]], wanted: tuple[int, int]) -> dict[str, dict[str, Any]]:
    found = {}
    for name, versions in ranges.items():
        for candidate in versions:
            if version(candidate["since"]) <= wanted <= version(candidate["until"]):
                found[name] = candidate
    return found
