"""Who has a buffer: somebody in this process, or a hypercall that is under way.

A buffer on loan is in one of two sets. To take it out of `_live` is one atomic operation, and whoever managed to
do so may go on: of two threads that release or pass on the same buffer at the same moment, one is refused.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NoReturn

from xenfs.errors import PoolError
from xenfs.pool.buffer import Buffer
from xenfs.pool.handles import address_in
from xenfs.pool.pages import is_mapped
from xenfs.pool.stock import Stock

_PLAIN = 1 << 32  # an integer argument beyond this might be an address, and is looked at


class Custody:
    """The part of a pool that knows where each buffer is, and lets only safe ones go to the hypervisor."""

    def __init__(self, stock: Stock, check: bool) -> None:
        self._stock, self._check = stock, check
        self._live: set[Buffer] = set()
        self._flying: set[Buffer] = set()
        self._dead = ""  # why the pool cannot be used any more

    def admit(self, args: tuple[int | Buffer, ...], operation: str = "") -> tuple[int, ...]:
        """The integers that a backend needs; the buffers, and all attached to them, are in flight from now on.

        PoolError, and nothing in flight, when anything but plain integers and live buffers of this pool is among
        them or attached to them. Likewise when an attached buffer is shorter than its struct says.
        """
        live, flying = self._live, self._flying
        numbers: list[int] = []
        try:
            for arg in args:
                if isinstance(arg, int):
                    if arg > _PLAIN:
                        self._refuse_address(arg)
                    numbers.append(arg)
                else:
                    live.remove(arg)
                    flying.add(arg)
                    numbers.append(arg._start)
                    arg.operation = operation
                    if arg._attached:
                        self._board(arg, operation)
        except Exception as problem:  # KeyError, or whatever else comes of looking for a strange object in a set
            self._turn_back(args, len(numbers), problem)
        return tuple(numbers)

    def retire_flight(self, args: tuple[int | Buffer, ...]) -> None:
        """The hypercall has returned: its buffers, and all attached to them, may be released again."""
        live, flying = self._live, self._flying
        for arg in args:
            if not isinstance(arg, int):
                if arg not in flying:
                    raise self._refusal(arg, "landed")
                if arg._aboard:
                    self._land(arg)
                flying.remove(arg)
                live.add(arg)

    def admitted(self, args: tuple[int | Buffer, ...], operation: str = "") -> Flight:
        """The same as a context manager, which gives the integers and retires the flight at its end."""
        return Flight(self, args, operation)

    def in_flight(self, address: int, *, inside: bool = False) -> Buffer | None:
        """The buffer that begins at this address (or has it anywhere inside), where a hypercall is using it."""
        block = self._stock.block_at(address)
        buf: Buffer | None = None if block is None else block.lent
        return buf if buf is not None and buf in self._flying and (inside or buf._start == address) else None

    def _board(self, buf: Buffer, operation: str) -> None:
        """Put everything in flight that Xen can reach from a buffer."""
        aboard = buf._aboard = []
        for holder, place, other, needs in _reachable(buf):
            if other.nbytes < needs:
                raise PoolError(f"{other.name} is attached to {holder.name}, which needs {needs} bytes", errno.EINVAL)
            if self._check and address_in(holder._start + place) != other._start:
                raise PoolError(f"the handle to {other.name} in {holder.name} was overwritten", errno.EFAULT)
            if other is buf or other in aboard:
                continue
            try:
                self._live.remove(other)
            except KeyError:
                raise self._refusal(other, f"passed to Xen inside {holder.name}") from None
            self._flying.add(other)
            aboard.append(other)
            other.operation = operation

    def _land(self, buf: Buffer) -> None:
        for other in buf._aboard or ():
            self._flying.remove(other)
            self._live.add(other)
        buf._aboard = None

    def _turn_back(self, args: tuple[Any, ...], admitted: int, problem: Exception) -> NoReturn:
        """Take the buffers among the first `admitted` arguments out of flight again, and say what was wrong."""
        if not isinstance(problem, PoolError):
            problem = self._refusal(args[admitted], "passed to Xen")
        self.retire_flight(args[:admitted])
        raise problem from None

    def _refuse_address(self, number: int) -> None:
        if self._stock.block_at(number) is not None:
            raise PoolError(f"{number:#x} lies in the pool: pass the buffer, not its address", errno.EINVAL)
        if is_mapped(number):
            raise PoolError(f"{number:#x} is an address in this process, not of a buffer: take one", errno.EINVAL)

    def _refusal(self, thing: object, doing: str) -> PoolError:
        """Why that cannot be done with a buffer that is not in `_live`."""
        if not isinstance(thing, Buffer):
            return PoolError(f"{thing!r} cannot be {doing}: only integers and live buffers can", errno.EINVAL)
        cannot = f"{thing.name} cannot be {doing}"
        owner: object = thing._pool
        if owner is not self:
            return PoolError(f"{cannot}: it belongs to another pool", errno.EINVAL)
        if self._dead:
            return PoolError(f"{cannot}: {self._dead}", errno.EPERM)
        if thing in self._live:
            return PoolError(f"{cannot}: no hypercall is using it", errno.EINVAL)
        if thing._live:
            return PoolError(f"{cannot}: a hypercall is using it", errno.EBUSY)
        return PoolError(f"{cannot}: it was released before", errno.ESTALE)


class Flight:
    """The time from just before a hypercall to just after it."""

    __slots__ = ("_args", "_custody", "_operation")

    def __init__(self, custody: Custody, args: tuple[int | Buffer, ...], operation: str) -> None:
        self._custody, self._args, self._operation = custody, args, operation

    def __enter__(self) -> tuple[int, ...]:
        return self._custody.admit(self._args, self._operation)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._custody.retire_flight(self._args)


def _reachable(buf: Buffer) -> Iterator[tuple[Buffer, int, Buffer, int]]:
    """(holder, place of the handle in it, buffer behind the handle, bytes needed there), all the way down."""
    holders = [buf]
    for holder in holders:
        for place, (other, needs) in (holder._attached or {}).items():
            yield holder, place, other, needs
            if other not in holders:
                holders.append(other)
