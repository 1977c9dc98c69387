"""Pages of other domains, mapped for a moment: what they are to their reader, and how many have been.

Some are the domain's memory, by their frames. Others Xen keeps for it, and gives as a resource of a kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import Lock
from typing import NamedTuple

from xenfs.abi.numbers import Resource

PAGE = 4096
MOST_AT_ONCE = 257  # pages of one mapping: 1 MiB that need not begin at a page
MOST_OF_RESOURCE = 32  # frames of one mapping of a resource: Xen 4.14 takes no more


class Foreign(ABC):
    """Some pages of another domain, for as long as a `with` lasts; nothing of them may outlive it.

    `pages` has for each frame that was asked for its bytes, or None where there is nothing to be mapped.
    """

    pages: list[memoryview | None]

    @abstractmethod
    def close(self) -> None:
        """Let go of them."""

    def __enter__(self) -> Foreign:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Wanted(NamedTuple):
    """Frames of a resource: its kind, which of that kind (a vCPU's), and which of its frames."""

    kind: Resource
    number: int
    frames: range


class Mappings:
    """How many mappings there have been, of how many pages, and how many of these were not there."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counted = {"mappings": 0, "pages": 0, "gone": 0}

    def count(self, found: Foreign) -> None:
        """One more."""
        with self._lock:
            self._counted["mappings"] += 1
            self._counted["pages"] += len(found.pages)
            self._counted["gone"] += found.pages.count(None)

    def stat(self) -> dict[str, int]:
        """The counters by name."""
        with self._lock:
            return dict(self._counted)
