"""The pool: it lends zeroed buffers that a hypercall may use, and takes them back."""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from sys import getrefcount
from types import TracebackType
from typing import Any

from xenfs.errors import BadAddress, PoolError
from xenfs.pool import zones
from xenfs.pool.blocks import Block
from xenfs.pool.bounce import Bounce, Bounces, Way
from xenfs.pool.buffer import ALONE, Buffer
from xenfs.pool.custody import Custody
from xenfs.pool.pages import PAGE, Pages, plug
from xenfs.pool.stock import Stock


class Pool(Custody):
    """Hypercall-safe memory from one source of pages, shared by all threads of the process that made it.

    At most `max_bytes` are ever mapped: beyond that, ENOMEM after `wait_s` seconds. With `check`, guard bytes lie
    around every buffer, and `on_violation` is told when somebody wrote there; the memory is not lent again.
    """

    def __init__(
        self,
        pages: Pages,
        *,
        max_bytes: int = 64 << 20,
        check: bool = False,
        wait_s: float = 0.0,
        on_violation: Callable[[zones.Violation], object] | None = None,
    ) -> None:
        super().__init__(Stock(pages, max_bytes, wait_s, plain=not check), check)
        self.pages, self.max_bytes, self.check, self.on_violation = pages, max_bytes, check, on_violation
        self._quick = {} if check else self._stock.quick()
        self._lingering: list[Buffer] = []  # released, but views of their memory are still about
        self._lock = threading.Lock()
        self._peak = self._retries = self._red_zone_hits = 0
        _pools.add(self)

    def take(self, nbytes: int, *, align: int = 8) -> Buffer:
        """Borrow nbytes, zeroed. No lock is taken where a buffer of that size is free: a list's pop is atomic."""
        try:  # in steps of 64 bytes
            block = self._quick[nbytes + 63 >> 6].pop() if align == 8 else self._fetched(nbytes, align)
        except LookupError:
            block = self._fetched(nbytes, align)
        buf: Buffer | None = block.buffer
        if buf is None or getrefcount(buf) != ALONE:
            buf = self._fresh(block)
        block.uses += 1
        buf.nbytes = nbytes
        buf._live = True
        live = self._live
        live.add(buf)
        lent = len(live) + len(self._flying)
        if lent > self._peak:
            self._peak = lent
        return buf

    def launch(self, data: bytes, operation: str) -> Buffer:
        """Take a buffer, fill it and admit it, in one step: nobody but `land` may do anything with it."""
        buf = self.take(len(data))
        self._live.remove(buf)
        self._flying.add(buf)
        buf.operation = operation
        block = buf._block
        begin = buf._start - block.base
        block.raw[begin : begin + buf.nbytes] = data
        block.bytes_in += buf.nbytes
        return buf

    def land(self, buf: Buffer) -> bytes:
        """What has been launched has returned: its bytes. It is zeroed, and lent to somebody else from now on."""
        try:
            self._flying.remove(buf)
        except KeyError:
            raise self._refusal(buf, "landed") from None
        block = buf._block
        begin = buf._start - block.base
        data: bytes = block.raw[begin : begin + buf.nbytes]
        block.bytes_out += buf.nbytes
        buf._retire()
        return data

    def bounce(
        self, data: Any, way: Way = Way.BOTH, *, at: int = 0, nbytes: int | None = None, even_failed: bool = False
    ) -> Bounce:
        """A context manager: a buffer that carries `nbytes` of `data`, from byte `at` on, to Xen and back."""
        return Bounce(self, data, way, at, nbytes, even_failed)

    def bounce_all(self, parts: Iterable[tuple[Any, Way]], *, even_failed: bool = False) -> Bounces:
        """The same for several pieces of memory, each with its own way: a tuple of buffers."""
        return Bounces(Bounce(self, data, way, even_failed=even_failed) for data, way in parts)

    def around(self, address: int) -> tuple[int, memoryview]:
        """(start, bytes) of the buffer on loan that holds the byte at an address; else BadAddress."""
        block = self._stock.block_at(address)
        buf: Buffer | None = None if block is None else block.lent
        if buf is None:
            raise BadAddress(address, 1)
        return buf._start, self.locate(buf._start, buf.nbytes)

    def locate(self, address: int, nbytes: int) -> memoryview:
        """The bytes at an address, all in one buffer on loan; else BadAddress. How a simulated Xen gets at them."""
        block = self._stock.block_at(address)
        buf: Buffer | None = None if block is None else block.lent
        if buf is None or nbytes < 0 or not buf._start <= address <= buf._start + buf.nbytes - nbytes:
            raise BadAddress(address, nbytes)
        assert block is not None
        if block.window is None:
            block.window = memoryview(block.raw)
        at = address - block.base
        return block.window[at : at + nbytes]

    def count_retry(self, args: Iterable[int | Buffer] = ()) -> None:
        """Note that a hypercall is made again because of a page that Xen could not use, and touch all that it uses.

        A page that the kernel has just moved may well be there and yet not have been written to: see pages.py.
        """
        with self._lock:
            self._retries += 1
        for arg in args:
            if not isinstance(arg, int):
                for buf in (arg, *(arg._aboard or arg.attached)):
                    buf.touch()

    def stat(self) -> dict[str, int]:
        """All counters. The busy ones are kept per block by its borrower and added up here: they cost no lock."""
        stock, blocks = self._stock, list(self._stock.blocks())
        takes = stock.gone_uses + sum(block.uses for block in blocks)
        in_use = len(self._live) + len(self._flying)
        return {
            "takes": takes,
            "releases": takes - in_use,
            "in_use": in_use,
            "peak": self._peak,
            "hits": takes - stock.misses,
            "misses": stock.misses,
            "too_big": stock.too_big,
            "bytes_mapped": stock.bytes_mapped,
            "bytes_in": stock.gone_in + sum(block.bytes_in for block in blocks),
            "bytes_out": stock.gone_out + sum(block.bytes_out for block in blocks),
            "efault_retries": self._retries,
            "red_zone_hits": self._red_zone_hits,
        }

    def size_classes(self) -> list[tuple[int, int, int]]:
        """(bytes, buffers of that size there are, of these on loan), for each size in use."""
        counts: dict[int, list[int]] = {}
        for block in self._stock.blocks():
            count = counts.setdefault(block.size, [0, 0])
            count[0] += 1
            count[1] += block.lent is not None
        return [(size, total, lent) for size, (total, lent) in sorted(counts.items())]

    def trim(self) -> None:
        """Give mappings back that served one large buffer and are idle; a few of them are kept otherwise."""
        if not self._dead:
            self._sweep()
            self._stock.trim()

    def close(self) -> None:
        """Give all memory back. EBUSY, and nothing happens, as long as any buffer or view is about."""
        if self._dead:
            return
        self._sweep()
        about = [*self._flying, *self._live, *self._lingering]
        if about:
            raise PoolError(f"the pool cannot be closed: {len(about)} buffers are in use, as {about[0]!r}", errno.EBUSY)
        self._die("the pool is closed")
        self._stock.close()
        self.pages.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The slower ways

    def _fresh(self, block: Block) -> Buffer:
        """A new object for a block: somebody still holds the one of its last use, which is to stay released."""
        last: Buffer | None = block.buffer
        if last is not None:
            last._use = block.uses
        buf = block.buffer = Buffer(self, block)
        return buf

    def _fetched(self, nbytes: int, align: int) -> Block:
        if self._dead:
            raise PoolError(f"no buffer of {nbytes} bytes: {self._dead}", errno.EPERM)
        if nbytes <= 0:
            raise PoolError(f"a buffer of {nbytes} bytes makes no sense", errno.EINVAL)
        if not 0 < align <= PAGE or align & align - 1:
            raise PoolError(
                f"a buffer cannot lie at a multiple of {align}: powers of two up to {PAGE} can", errno.EINVAL
            )
        self._sweep()
        return self._guarded(nbytes, align) if self.check else self._stock.fetch(nbytes, align)

    def _guarded(self, nbytes: int, align: int) -> Block:
        front, back = zones.widths(nbytes, align)
        while True:
            block = self._stock.fetch(front + nbytes + back, align)
            violation = zones.inspect_free(block)
            if violation is None:
                block.start = block.base + front
                self._fresh(block)
                block.clear(front, nbytes)
                return block
            self._report(violation)  # and never lend this block again

    def _give_back(self, buf: Buffer) -> None:
        """The end of a release that takes more than zeroing: views, guard bytes, mappings of their own."""
        if buf._views_outlive():
            self._lingering.append(buf)
            raise PoolError(f"views of {buf.name} outlive it: its memory is set aside until they are gone", errno.EBUSY)
        block = buf._block
        if self.check:
            violation = zones.inspect(block, buf.name, buf.nbytes, buf.operation)
            zones.paint(block, 0, block.size)
            block.last, block.operation = buf.name, buf.operation
            if violation is not None:
                self._report(violation)
                return
        else:
            block.clear()
            buf._renew()
        self._stock.put_away(block)

    def _sweep(self) -> None:
        """Take memory back whose views are gone by now."""
        for _ in range(len(self._lingering)):
            try:
                self._give_back(self._lingering.pop(0))
            except (IndexError, PoolError):  # another thread was quicker; or it lingers on
                continue

    def _report(self, violation: zones.Violation) -> None:
        with self._lock:
            self._red_zone_hits += 1
        zones.log.error("%s", violation)
        if self.on_violation is not None:
            self.on_violation(violation)

    def _die(self, why: str) -> None:
        """Refuse everything from now on. This costs the hot path nothing: what it looks at is empty."""
        self._dead, self._quick = why, {}
        for buf in (*self._live, *self._flying):
            buf._live = False
            buf._views_outlive()
        self._live, self._flying, self._lock = set(), set(), threading.Lock()


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _orphan_all() -> None:
    for pool in _pools:
        pool._die(f"this is a forked child, the pool belongs to process {os.getppid()}")
        for mapping in pool._stock.mappings:
            plug(mapping.start, mapping.nbytes)


os.register_at_fork(after_in_child=_orphan_all)
