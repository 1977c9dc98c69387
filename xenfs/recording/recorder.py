"""Recordings of a real Xen: what was asked of it, byte by byte, what it answered, and what xenfs showed of it.

`Recorder` is a backend in front of another one. What it gathers is cut into sections, one for each file that is read
and each directory that is listed. Addresses are not kept. A buffer is a number, in the order in which the hypercall
reaches it. A guest handle inside a buffer is the number of the buffer that it points to.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Backend
from xenfs.pool import Buffer, Pool
from xenfs.xenstore import Xenstore

FORMAT = 1
_HANDLE_BYTES = 8

Arg = int | str
"""A plain argument, or "b" and the number of a buffer."""


class Memory(NamedTuple):
    """A buffer before a hypercall: its bytes, with zeros for handles, and for each handle's place a buffer's number."""

    data: bytes
    handles: tuple[tuple[int, int], ...] = ()


class Question(NamedTuple):
    """A hypercall as Xen hears it. Equal questions are the same question, wherever the buffers lie."""

    number: int
    args: tuple[Arg, ...]
    memory: tuple[Memory, ...] = ()


class Answer(NamedTuple):
    """Xen's result and the bytes of each buffer after the call; None for a buffer that is as it was."""

    result: int
    memory: tuple[bytes | None, ...] = ()


Recorded = tuple[Question, Answer]


@dataclass
class Section:
    """The hypercalls behind one file or listing, and what was shown: its text, or the name of an errno."""

    exchanges: list[Recorded] = field(default_factory=list)
    text: str | None = None
    error: str | None = None


@dataclass
class Recording:
    """Everything from one machine: sections by path ("" is finding the hypervisor), what xenstore said, PCI's names."""

    arch: str
    backend: str
    sections: dict[str, Section] = field(default_factory=dict)
    store: dict[str, str | None] | None = None
    pci: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it as compressed JSON. Equal recordings make equal files."""
        text = json.dumps(_packed(self), separators=(",", ":"), sort_keys=True)
        path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Read what `save` wrote; XenfsError where that is something else."""
        try:
            packed = json.loads(gzip.decompress(path.read_bytes()))
            if packed["format"] != FORMAT:
                raise XenfsError(f"{path} is a recording of format {packed['format']}, not {FORMAT}")
            return _unpacked(packed)
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise XenfsError(f"{path} is not a recording: {problem}") from problem


class Recorder(Backend):
    """Passes every hypercall on to another backend and keeps both sides of it. It maps no pages: a replay has none."""

    def __init__(self, inner: Backend) -> None:
        self.inner, self.name, self.arch, self.pages = inner, inner.name, inner.arch, inner.pages
        self.recording = Recording(inner.arch, inner.name)
        self._pool: Pool | None = None
        self._here = self.section("")

    def section(self, name: str) -> Section:
        """What follows belongs to this file or listing."""
        self._here = self.recording.sections.setdefault(name, Section())
        return self._here

    def attach(self, pool: Pool) -> None:
        """Told which pool the arguments lie in."""
        self._pool = pool
        self.inner.attach(pool)

    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        """The other backend's result."""
        assert self._pool is not None
        buffers = reached(self._pool, args)
        asked = question(number, args, buffers)
        result = self.inner.hypercall(number, args)
        after = (without_handles(buf, memory.handles) for buf, memory in zip(buffers, asked.memory, strict=True))
        changed = tuple(None if now == was.data else now for now, was in zip(after, asked.memory, strict=True))
        self._here.exchanges.append((asked, Answer(result, changed)))
        return result

    def pci_devices(self) -> Sequence[str]:
        """The other backend's."""
        self.recording.pci = list(self.inner.pci_devices())
        return self.recording.pci

    def xenstore(self) -> Xenstore | None:
        """The other backend's, with every answer kept."""
        found = self.inner.xenstore()
        if found is None:
            return None
        self.recording.store = {}
        return _RecordedStore(found, self.recording.store)

    def close(self) -> None:
        """Close the other backend."""
        self.inner.close()


class _RecordedStore(Xenstore):
    def __init__(self, inner: Xenstore, kept: dict[str, str | None]) -> None:
        self._inner, self._kept = inner, kept

    def read(self, path: str | bytes) -> bytes | None:
        found = self._inner.read(path)
        self._kept[_text(path)] = None if found is None else found.decode("latin-1")
        return found

    def directory(self, path: str | bytes) -> list[bytes] | None:
        found = self._inner.directory(path)
        self._kept[_text(path) + "/"] = None if found is None else b"\0".join(found).decode("latin-1")
        return found

    def close(self) -> None:
        self._inner.close()


def _text(path: str | bytes) -> str:
    return path.decode("utf-8", "replace") if isinstance(path, bytes) else path


def reached(pool: Pool, args: Sequence[int]) -> list[Buffer]:
    """Every buffer that a hypercall in flight can reach: arguments in their order, then what handles lead to."""
    found: list[Buffer] = []
    for arg in args:
        buf = pool.in_flight(arg)
        if buf is not None and buf not in found:
            found.append(buf)
    for buf in found:
        found += [other for _, other in buf.links if other not in found]
    return found


def question(number: int, args: Sequence[int], buffers: Sequence[Buffer]) -> Question:
    """What is asked, with addresses made into numbers of buffers."""
    starts = {int(buf.address): f"b{index}" for index, buf in enumerate(buffers)}
    memory = []
    for buf in buffers:
        handles = tuple(sorted((place, buffers.index(other)) for place, other in buf.links))
        memory.append(Memory(without_handles(buf, handles), handles))
    return Question(number, tuple(starts.get(arg, arg) for arg in args), tuple(memory))


def without_handles(buf: Buffer, handles: Sequence[tuple[int, int]]) -> bytes:
    """A buffer's bytes, with zeros where its handles lie: on replay they stay what the caller made them."""
    data = bytearray(buf.memory)
    for place, _ in handles:
        data[place : place + _HANDLE_BYTES] = bytes(_HANDLE_BYTES)
    return bytes(data)


def _packed(recording: Recording) -> dict[str, Any]:
    """As JSON: every exchange once, in a table; sections list their numbers. Zeros at the end of bytes are left out."""
    numbers: dict[Recorded, int] = {}
    sections = {
        name: [section.text, section.error, [numbers.setdefault(each, len(numbers)) for each in section.exchanges]]
        for name, section in recording.sections.items()
    }
    return {
        "format": FORMAT,
        "arch": recording.arch,
        "backend": recording.backend,
        "store": recording.store,
        "pci": recording.pci,
        "order": list(sections),
        "sections": sections,
        "exchanges": [
            [
                asked.number,
                asked.args,
                [[len(m.data), m.data.rstrip(b"\0").hex(), m.handles] for m in asked.memory],
                answered.result,
                [None if data is None else data.rstrip(b"\0").hex() for data in answered.memory],
            ]
            for asked, answered in numbers
        ],
    }


def _unpacked(packed: dict[str, Any]) -> Recording:
    exchanges = [_exchange(*each) for each in packed["exchanges"]]
    found = Recording(packed["arch"], packed["backend"], store=packed["store"], pci=packed.get("pci", []))
    for name in packed["order"]:
        text, error, numbers = packed["sections"][name]
        found.sections[name] = Section([exchanges[number] for number in numbers], text, error)
    return found


def _exchange(number: int, args: list[Arg], before: list[Any], result: int, after: list[str | None]) -> Recorded:
    memory = tuple(
        Memory(bytes.fromhex(data).ljust(nbytes, b"\0"), tuple((place, to) for place, to in handles))
        for nbytes, data, handles in before
    )
    changed = tuple(
        None if data is None else bytes.fromhex(data).ljust(len(was.data), b"\0")
        for data, was in zip(after, memory, strict=True)
    )
    return (Question(number, tuple(args), memory), Answer(result, changed))
