"""Taking out of a recording what identifies the machine that it was made on: it will be published."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable

from xenfs.recording.recorder import Answer, Memory, Question, Recorded, Recording, Section

_BY_UUID = "domains/by-uuid/"
_SECRET = re.compile(r"(^|/)(ppin|serial)$")
_MAC = re.compile(rb"(?<![0-9a-fA-F:])([0-9a-f]{2}:){5}[0-9a-f]{2}(?![0-9a-fA-F:])", re.IGNORECASE)
_NO_MAC = b"00:16:3e:00:00:00"

Change = Callable[[bytes], bytes]


def scrub(recording: Recording) -> Recording:
    """The same without serial numbers and network addresses, and with made-up UUIDs; lengths and places stay."""
    change = _changer(_uuids(recording))
    sections = {
        _text(change, name): Section(
            [_exchange(change, each) for each in section.exchanges],
            None if section.text is None else _text(change, section.text),
            section.error,
        )
        for name, section in recording.sections.items()
        if not _SECRET.search(name)
    }
    store = recording.store and {
        _text(change, path): None if value is None else change(value.encode("latin-1")).decode("latin-1")
        for path, value in recording.store.items()
    }
    return Recording(recording.arch, recording.backend, sections, store, recording.pci)


def _uuids(recording: Recording) -> list[uuid.UUID]:
    names = [name.removeprefix(_BY_UUID) for name in recording.sections if name.startswith(_BY_UUID)]
    return [found for found in (uuid.UUID(name) for name in names if len(name) == 36) if found.int]


def _changer(found: list[uuid.UUID]) -> Change:
    pairs: list[tuple[bytes, bytes]] = []
    for number, real in enumerate(found, 1):
        other = uuid.UUID(int=number, version=4)
        pairs += zip(_forms(real), _forms(other), strict=True)

    def change(data: bytes) -> bytes:
        for real, other in pairs:
            data = data.replace(real, other)
        return _MAC.sub(_NO_MAC, data)

    return change


def _forms(found: uuid.UUID) -> tuple[bytes, bytes, bytes]:
    """As it lies in memory, as people write it, and as the file with all of getdomaininfo shows it."""
    return found.bytes, str(found).encode(), found.bytes.hex(":").encode()


def _text(change: Change, text: str) -> str:
    return change(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")


def _exchange(change: Change, exchange: Recorded) -> Recorded:
    asked, answer = exchange
    return (
        Question(asked.number, asked.args, tuple(Memory(change(data), handles) for data, handles in asked.memory)),
        Answer(answer.result, tuple(None if data is None else change(data) for data in answer.memory)),
    )
