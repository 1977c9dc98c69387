"""The backend that makes faults: it stands where Xen would, and everything above it is what always runs."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Sequence
from random import Random
from struct import Struct
from typing import Any

from xenfs.abi.numbers import Hypercall
from xenfs.errors import BadAddress, PoolError, errno_name
from xenfs.faults.naming import MEMORY, asked
from xenfs.faults.rules import Plan, Rule
from xenfs.hypervisor.base import Backend
from xenfs.hypervisor.devices import Counters
from xenfs.hypervisor.foreign import Foreign, Wanted
from xenfs.hypervisor.qemu.disks import Qemus
from xenfs.pool import Buffer, Pool
from xenfs.xenstore import Xenstore

log = logging.getLogger(__name__)

_ENTRY = Struct("<Qq6Q")  # struct multicall_entry: the operation, its result, its arguments
_RESULT = Struct("<8xq")
_STRETCH = 64
_SPOILED = 1 << 16  # the seed of what is written over Xen's bytes; any other would do


class ScarcePool(Pool):
    """A pool that has no memory when the plan says so."""

    plan: Plan | None = None

    def take(self, nbytes: int, *, align: int = 8) -> Buffer:
        """Borrow nbytes, or PoolError with the errno of a rule."""
        for rule in [rule for rule in self.plan.struck(MEMORY) if rule.code] if self.plan else ():
            raise PoolError(f"no buffer of {nbytes} bytes: {errno_name(rule.code)}, as --faults says", rule.code)
        return super().take(nbytes, align=align)


class Faulty(Backend):
    """Another backend, whose calls fail as a plan says once the tree is mounted, or from the start."""

    def __init__(self, inner: Backend, plan: Plan) -> None:
        self.inner, self.plan = inner, plan
        self.name, self.arch, self.pages = inner.name, inner.arch, inner.pages
        if any(rule.code == errno.EFAULT for rule in plan.rules):
            self.pages.faults = True  # or nobody would think of a second try
        self._pool: Pool | None = None
        self._released = threading.Event()
        self._random, self._begun = Random(_SPOILED), False
        if plan.at_start:
            self._begin()

    def _begin(self) -> None:
        self._begun = True
        if isinstance(self._pool, ScarcePool):
            self._pool.plan = self.plan

    def make_pool(self, **options: Any) -> Pool:
        """A pool whose memory runs out by rule."""
        return ScarcePool(self.pages, **options)

    def attach(self, pool: Pool) -> None:
        """Told which pool the arguments lie in."""
        self._pool = pool
        self.inner.attach(pool)
        if self._begun:
            self._begin()

    def begin(self) -> None:
        """The tree is mounted: from now on calls fail."""
        self.inner.begin()
        self._begin()

    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        """The other backend's result, unless a rule has another one for it."""
        if not self._begun or self._pool is None:
            return self.inner.hypercall(number, args)
        if number == Hypercall.multicall:
            return self._multicall(number, args, self._pool)
        return self._made(number, args, self.plan.struck(asked(number, args, self._pool)), self._pool)

    def _made(self, number: int, args: tuple[int, ...], struck: list[Rule], pool: Pool) -> int:
        for rule in struck:
            if rule.kind == "errno":
                return -rule.code
            if rule.kind == "delay":
                time.sleep(rule.seconds or 0)
            if rule.kind == "hang":
                self._released.wait(rule.seconds)
        spoil = next((rule.kind for rule in struck if rule.kind in ("short", "garbled")), None)
        return self.inner.hypercall(number, args) if spoil is None else self._spoiled(spoil, number, args, pool)

    def _spoiled(self, how: str, number: int, args: tuple[int, ...], pool: Pool) -> int:
        """Make the call, then spoil what Xen wrote: the bytes that are not as they were, and no others."""
        buffers = _reached(pool, args)
        before = [bytes(buf.memory) for buf in buffers]
        result = self.inner.hypercall(number, args)
        for buf, was in zip(buffers, before, strict=True):
            memory = buf.memory
            written = _differing(was, bytes(memory))
            for at in written if how == "garbled" else written[len(written) // 2 :]:
                memory[at] = self._random.randrange(256) if how == "garbled" else was[at]
        return result // 2 if how == "short" and result > 0 else result

    def _multicall(self, number: int, args: tuple[int, ...], pool: Pool) -> int:
        """The batch as a whole may fail, and so may each call in it, as if it had been made alone."""
        whole = self.plan.struck(asked(number, args, pool))
        try:
            entries = [pool.locate(args[0] + at * _ENTRY.size, _ENTRY.size) for at in range(args[1])]
            calls = [(op, tuple(words)) for op, _, *words in map(_ENTRY.unpack, entries)]
        except (BadAddress, IndexError):
            return self.inner.hypercall(number, args)
        members = [self.plan.struck(asked(op, words, pool)) for op, words in calls]
        if not any(members):
            return self._made(number, args, whole, pool)
        for entry, (op, words), struck in zip(entries, calls, members, strict=True):
            _RESULT.pack_into(entry, 0, self._made(op, words, struck, pool))
        return 0

    def release(self) -> None:
        """Let go of all calls that hang, now and later."""
        self._released.set()

    def counters(self) -> Counters | None:
        """The other backend's."""
        return self.inner.counters()

    def qemus(self) -> Qemus | None:
        """The other backend's."""
        return self.inner.qemus()

    def booted_s(self) -> float | None:
        """The other backend's."""
        return self.inner.booted_s()

    def xenstore(self) -> Xenstore | None:
        """The other backend's: nothing here is about xenstore."""
        return self.inner.xenstore()

    def foreign(self, domid: int, frames: Sequence[int], *, write: bool) -> Foreign:
        """The other backend's."""
        return self.inner.foreign(domid, frames, write=write)

    def resource(self, domid: int, wanted: Wanted) -> Foreign:
        """The other backend's."""
        return self.inner.resource(domid, wanted)

    def pci_devices(self) -> Sequence[str]:
        """The other backend's."""
        return self.inner.pci_devices()

    def close(self) -> None:
        """The mount ends: nothing hangs any more."""
        self.release()
        log.info("faults that were made: %s", self.plan.summary())
        self.inner.close()


def _differing(was: bytes, now: bytes) -> list[int]:
    """Where bytes differ; most are alike, and are compared many at a time."""
    return [
        at
        for start in range(0, len(was), _STRETCH)
        if was[start : start + _STRETCH] != now[start : start + _STRETCH]
        for at in range(start, min(start + _STRETCH, len(was)))
        if was[at] != now[at]
    ]


def _reached(pool: Pool, args: tuple[int, ...]) -> list[Buffer]:
    """Every buffer that Xen may write to in this call, which may be one of many in a row."""
    found: list[Buffer] = []
    for arg in args:
        buf = pool.in_flight(arg, inside=True)
        if buf is not None and buf not in found:
            found.append(buf)
    for buf in found:
        found += [other for other in buf.attached if other not in found]
    return found
