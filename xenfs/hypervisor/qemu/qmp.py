"""What QEMU's monitor (QMP) is told, and what its answer is taken for: numbers, whatever it says. No socket here.

A guest may have taken its QEMU over. So an answer has a length that it may have, and what is not as it should be is an
error: a QEMU that lies can do no more than to give wrong numbers.
"""

from __future__ import annotations

import errno
import json
import os
import re
from operator import add
from typing import NamedTuple

QUESTION = b'{"execute": "qmp_capabilities"}\n{"execute": "query-blockstats", "id": "xenfs"}\n'
"""All that is ever said. QEMU greets, and answers one after the other."""
LONGEST = 1 << 18  # bytes of all that one QEMU says: those of a hundred disks, of which each has 2 KB
_ID = "xenfs"
_MOST_DISKS = 256  # more than so many bytes have of real ones: each costs a daemon 350 bytes and 15 us
_SECTOR = 512
_LARGEST = 1 << 63  # QEMU counts in 64 bits

_VDEV = re.compile(r"(xvd|hd|sd)([a-z]{1,4})([0-9]{0,3})-[a-z0-9_-]+")
# What libxl and QEMU call disks that are emulated: by their place, and a tray by the number of its device.
_EMULATED = re.compile(r"ide([01])-hd([01])|(?:ahcidisk-|scsi0-hd)([0-9]{1,2})|ide-([0-9]{1,6})")
_PARTED = re.compile(r"d([0-9]{1,7})p([0-9]{1,3})-[a-z0-9_-]+")


class Disk(NamedTuple):
    """What the guest has asked for: reads, writes, and sectors of 512 bytes of both. Of an HVM guest that is what it
    asked its emulated disk for, too, as long as it has that.

    Flushes and discards are not here: QEMU's back end counts those of no guest that sends them by themselves.
    """

    rd_req: int
    wr_req: int
    rd_sect: int
    wr_sect: int


Disks = dict[int, Disk]
"""By the device's number."""


def wrong(code: int = errno.EPROTO) -> OSError:
    """What is said of a QEMU that does not answer as one."""
    return OSError(code, os.strerror(code))


class Answer:
    """What one QEMU says, in whatever pieces it comes."""

    def __init__(self) -> None:
        self.greeted = False
        self._length, self._rest = 0, bytearray()

    @property
    def held(self) -> int:
        """How many bytes wait for the end of their line."""
        return len(self._rest)

    def hear(self, data: bytes) -> Disks | None:
        """The disks as soon as it has told of them. OSError: it never will."""
        self._length += len(data)
        if self._length > LONGEST:
            raise wrong(errno.EMSGSIZE)
        self._rest += data
        if b"\n" not in data:
            return None
        *lines, self._rest = self._rest.split(b"\n")
        for line in filter(None, map(bytes.strip, map(bytes, lines))):
            said = _parsed(line)
            self.greeted = self.greeted or "QMP" in said
            if said.get("id") == _ID:
                return disks(said.get("return"))
        return None


def _parsed(line: bytes) -> dict[str, object]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise wrong() from None
    if not isinstance(said, dict):
        raise wrong()
    return said


def disks(rows: object) -> Disks:
    """Those of an answer to query-blockstats that serve a guest's front end, by their numbers there."""
    if not isinstance(rows, list):
        raise wrong()  # an error: this QEMU has no such question
    found, emulated = Disks(), list[tuple[tuple[str, int], Disk]]()
    for row in rows:
        if not isinstance(row, dict):
            raise wrong()
        name = row.get("device")
        number = None if name else device_number(row.get("node-name"))
        if number is not None:
            found[number] = _disk(row.get("stats"))
        elif isinstance(name, str) and (match := _EMULATED.fullmatch(name)):
            emulated.append((_emulates(match), _disk(row.get("stats"))))
    if len(found) > _MOST_DISKS:
        raise wrong()
    by_place = {_place(number): number for number in found}
    for place, disk in emulated:
        if (number := by_place.get(place)) is not None:
            found[number] = Disk(*map(add, found[number], disk))
    return found


def _place(number: int) -> tuple[str, int]:
    """Which of the disks of an emulated controller is the same as a guest's; by its number where none is."""
    major, minor = number >> 8, number & 0xFF
    if major in (202, 8) and not minor & 15:
        return "disk", minor >> 4
    return ("disk", minor >> 6 | (major == 22) << 1) if major in (3, 22) and not minor & 63 else ("other", number)


def _emulates(match: re.Match[str]) -> tuple[str, int]:
    """The same of what QEMU emulates."""
    bus, unit, disk, number = match.groups()
    if number:
        return _place(int(number))
    return "disk", int(disk) if disk else 2 * int(bus) + int(unit)


def _disk(stats: object) -> Disk:
    if not isinstance(stats, dict):
        raise wrong()
    reads, writes, read, written = (
        _count(stats.get(name)) for name in ("rd_operations", "wr_operations", "rd_bytes", "wr_bytes")
    )
    return Disk(reads, writes, read // _SECTOR, written // _SECTOR)


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < _LARGEST:  # True is an int as well
        raise wrong()
    return value


def device_number(node: object) -> int | None:
    """The number of a guest's disk, of the name that QEMU's back end gives to what it opens for it: xvda-qcow2.

    None for what is called otherwise, such as a disk that is emulated. The numbers are those of xen-vbd-interface(7).
    """
    if not isinstance(node, str):
        return None
    parted, named = _PARTED.fullmatch(node), _VDEV.fullmatch(node)
    if parted:
        return _virtual(int(parted[1]), int(parted[2]))
    if not named:
        return None
    disk, partition = _letters(named[2]), int(named[3] or 0)
    if named[1] == "xvd":
        return _virtual(disk, partition)
    if named[1] == "sd":
        return 8 << 8 | disk << 4 | partition if disk < 16 and partition < 16 else None
    major = (3, 22)[disk // 2] if disk < 4 else 0
    return major << 8 | (disk % 2) << 6 | partition if major and partition < 64 else None


def _virtual(disk: int, partition: int) -> int | None:
    if disk < 16 and partition < 16:
        return 202 << 8 | disk << 4 | partition
    return 1 << 28 | disk << 8 | partition if disk < 1 << 20 and partition < 256 else None


def _letters(name: str) -> int:
    """a is 0, z 25, aa 26."""
    number = 0
    for letter in name:
        number = number * 26 + ord(letter) - ord("a") + 1
    return number - 1
