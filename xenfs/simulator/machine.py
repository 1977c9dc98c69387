"""What a simulated operation works with: the world, the layouts of its release, and the memory of the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from xenfs.errors import BadAddress
from xenfs.simulator.layouts import layouts_of, version
from xenfs.simulator.settings import Settings
from xenfs.simulator.world.world import World

_NOTHING = memoryview(bytearray())


class Memory(Protocol):
    """Where addresses lead: the pool, or anything else that can tell live bytes from others."""

    def locate(self, address: int, nbytes: int) -> memoryview:
        """The bytes of one live buffer at that address; BadAddress when they are not."""


class Machine:
    """A pretended Xen's inside. Each `Answer` is a function that takes it first."""

    def __init__(self, settings: Settings, world: World) -> None:
        self.settings, self.world = settings, world
        self.layouts = layouts_of(settings.series, settings.arch)
        self.release = version(settings.series)
        self.x86 = settings.arch == "x86_64"
        self.domctl = settings.domctl or self.layouts.interfaces["domctl"]
        self.sysctl = settings.sysctl or self.layouts.interfaces["sysctl"]
        self.platform = self.layouts.interfaces["platform"]
        self.get, self.put, self.constant = self.layouts.get, self.layouts.put, self.layouts.constant
        self._locate: Callable[[int, int], memoryview] = _no_memory
        self._around: Callable[[int], tuple[int, memoryview]] = _no_buffer
        self._near = 0, _NOTHING  # in one piece, as several batches may be under way
        self.hypfs: Any = None
        self.capabilities: int | None = None
        self.domaininfo_rows: Any = None  # these are made when they are first needed
        self.physinfo_packer: Any = None
        self.domctl_body = self.layouts.offset("xen_domctl", "u")
        self.policies: Any = None  # made when they are first asked for
        self.dispatch: Callable[[int, tuple[int, ...]], int] = _no_dispatch

    @property
    def iommu(self) -> bool:
        """Whether devices can be given to domains at all."""
        return self.settings.iommu if self.x86 else self.settings.smmu

    def attach(self, memory: Memory) -> None:
        """From now on addresses lead there."""
        self._locate, self._around = memory.locate, getattr(memory, "around", _no_buffer)

    @contextmanager
    def staying(self, *addresses: int) -> Iterator[None]:
        """While this lasts, the buffer around the first address that is one stays where it is: most members of a batch
        find their structs there, without a search."""
        for address in addresses:
            with suppress(BadAddress):
                self._near = self._around(address)
                break
        try:
            yield
        finally:
            self._near = 0, _NOTHING

    def at(self, address: int, nbytes: int) -> memoryview:
        """The caller's bytes at an address. None are asked for: none are looked at, wherever that is."""
        start, memory = self._near
        near = address - start
        if 0 <= near <= len(memory) - nbytes and nbytes > 0:
            return memory[near : near + nbytes]
        return self._locate(address, nbytes) if nbytes > 0 else _NOTHING

    def struct(self, address: int, name: str) -> memoryview:
        """The caller's struct at an address, all of it."""
        return self.at(address, self.layouts.size(name))

    def copy_out(self, address: int, data: bytes) -> None:
        """Write bytes to the caller's memory."""
        if data:
            self._locate(address, len(data))[:] = data

    def read_bitmap(self, holder: memoryview, struct: str, member: str, nbits: int) -> int:
        """A struct xenctl_bitmap's bits as an integer: no more than nr_bits of them, and no more than Xen has."""
        address, given = self._bitmap(holder, struct, member)
        nbytes = min(-(-given // 8), -(-nbits // 8))
        bits = int.from_bytes(self.at(address, nbytes), "little")
        return bits & ((1 << min(given, nbits)) - 1)

    def write_bitmap(self, holder: memoryview, struct: str, member: str, bits: int, nbits: int) -> None:
        """Fill the caller's bitmap: what Xen has, cut where nr_bits (in whole bytes) ends, and zeros beyond."""
        address, given = self._bitmap(holder, struct, member)
        nbytes = -(-given // 8)
        memory = self.at(address, nbytes)  # first: nr_bits may be anything
        kept = bits & ((1 << min(nbits, nbytes * 8)) - 1)
        memory[:] = kept.to_bytes(nbytes, "little")

    def bitmap_is_null(self, holder: memoryview, struct: str, member: str) -> bool:
        """Whether the bitmap's handle is a null pointer."""
        return self._bitmap(holder, struct, member)[0] == 0

    def _bitmap(self, holder: memoryview, struct: str, member: str) -> tuple[int, int]:
        start = self.layouts.offset(struct, member)
        address, nr_bits = self.get(holder[start:], "xenctl_bitmap", "bitmap", "nr_bits")
        return address, nr_bits


Answer = Callable[..., int]
Answers = dict[str, Answer]
"""From the name of an operation's constant in Xen's headers to the function that is it."""


class Table:
    """The operations of one hypercall that this release and architecture have, by number."""

    def __init__(self, machine: Machine, prefix: str, *operations: Answers) -> None:
        self.by_number: dict[int, tuple[str, Answer]] = {}
        for group in operations:
            for name, operation in group.items():
                if machine.layouts.defines(name):
                    self.by_number[machine.constant(name)] = name.removeprefix(prefix), operation


def _no_buffer(address: int) -> tuple[int, memoryview]:
    raise BadAddress(address, 1)


def _no_memory(address: int, nbytes: int) -> memoryview:
    raise BadAddress(address, nbytes)


def _no_dispatch(number: int, args: tuple[int, ...]) -> Any:
    raise NotImplementedError
