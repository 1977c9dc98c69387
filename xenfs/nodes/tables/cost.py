"""What the work behind an entry grows with: by this it is decided where the work is done."""

from __future__ import annotations

from collections.abc import Callable
from enum import Flag, auto


class Cost(Flag):
    """NOTHING: a few microseconds whatever the host is like, done in the event loop.

    CPUS, VCPUS (of one domain), DOMAINS, LENGTH (of a list that others make long: live patches, PCI devices, event
    channels): work of xenfs's own for each of them, done in the few threads for bulk.
    MEMORY (of a guest), WAITS (for xenstore, for the firmware, for CPUs to stop, for another domain): it may take
    seconds in which xenfs itself does nothing; done in the threads for that.
    tests/filesystem/test_costs.py measures whether an entry says too little.
    """

    NOTHING = 0
    CPUS = auto()
    VCPUS = auto()
    DOMAINS = auto()
    LENGTH = auto()
    MEMORY = auto()
    WAITS = auto()

    @property
    def words(self) -> str:
        """For a person; empty for NOTHING."""
        grown = [words for cost, words in _WORDS.items() if cost in self]
        said = [f"grows with {' and '.join(grown)}"] if grown else []
        return ", ".join(said + (["may wait for seconds; other files do not"] if Cost.WAITS in self else []))


_WORDS = {
    Cost.CPUS: "the number of CPUs",
    Cost.VCPUS: "the domain's number of vCPUs",
    Cost.DOMAINS: "the number of domains",
    Cost.LENGTH: "the length of the list",
    Cost.MEMORY: "the guest's memory",
}

NOTHING = Cost.NOTHING

WriteCost = Cost | Callable[[bytes], Cost]
"""The same of a write; a function of the bytes that are written, where these choose the operation."""
