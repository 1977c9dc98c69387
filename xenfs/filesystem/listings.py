"""What a directory had when it was listed; and entries that the kernel is told of together, listing after listing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xenfs.filesystem.shares import Weight

Entry = tuple[bytes, Any]
"""A name, and its Inode: inodes.py stands on this file."""

_OF_A_NAME = 64  # bytes that a listing takes, beside what it has in common with others
FEWEST = 16  # of fewer each may as well be counted by itself


class Bundle:
    """Some entries in a row, all known to the kernel, as long as it is `whole`.

    An inode's look-ups are its own and its bundle's: to count each of ten thousand at each listing takes as long as to
    tell of them.
    """

    __slots__ = ("inodes", "lookups", "names", "numbers", "round", "whole")

    def __init__(self, entries: Sequence[Entry], round: int) -> None:
        self.names = [name for name, _ in entries]
        self.inodes = [inode for _, inode in entries]
        self.numbers = [inode.number for inode in self.inodes]
        self.lookups, self.round, self.whole = 0, round, True
        for inode in self.inodes:
            inode.join(self)

    def __len__(self) -> int:
        return len(self.names)

    def end(self) -> None:
        """Nobody is told of them together any more; what was counted stays."""
        self.whole = False
        self.names, self.inodes, self.numbers = [], [], []


class Listing:
    """What a directory had when it was opened: the parts that were found, and an inode for each name.

    `holds` of another finding whose parts are the same objects: where nothing changed, ten thousand domains are listed
    without a look at each.
    """

    __slots__ = ("__weakref__", "_bundles", "parts")

    def __init__(self, found: list[Sequence[Any]], entries: list[Entry]) -> None:
        self.parts: list[Any] = [*found, entries]  # all that takes long to free
        self._bundles: dict[int, Bundle] = {}  # by the place of the first entry

    @property
    def weight(self) -> Weight:
        """What it counts against the share of who has it open: once, however often he has."""
        return Weight(self, _OF_A_NAME * len(self.entries))

    @property
    def entries(self) -> list[Entry]:
        """A name and an inode each."""
        return self.parts[-1]  # type: ignore[no-any-return]

    def holds(self, found: list[Sequence[Any]]) -> bool:
        """Whether the same was found."""
        return all(ours is theirs for ours, theirs in zip(self.parts, found, strict=False))

    def bundle(self, start: int, round: int) -> Bundle | None:
        """What begins there and the kernel has been told of together, in this round of Keeping."""
        found = self._bundles.get(start)
        return found if found is not None and found.whole and found.round == round else None

    def bind(self, start: int, end: int, round: int) -> None:
        """The kernel has been told of these together; it is so again, unless somebody else lists in other parts."""
        entries = self.entries[start:end]
        if len(entries) >= FEWEST and not entries[0][1].bundled(round):
            self._bundles[start] = Bundle(entries, round)

    def end(self) -> None:
        """It is not remembered any more."""
        while self._bundles:
            self._bundles.popitem()[1].end()
