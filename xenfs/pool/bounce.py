"""Bouncing: memory that is not the pool's goes to Xen, and comes back, by way of a buffer."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from enum import Enum
from errno import EINVAL
from types import TracebackType
from typing import Any, Protocol

from xenfs.errors import PoolError
from xenfs.pool.blocks import BYTES
from xenfs.pool.buffer import Buffer
from xenfs.pool.libc import ffi

_pin: Any = ffi.from_buffer


class Way(Enum):
    """Which copies a bounce makes: in, before the hypercall; out, after it."""

    NONE = "none"
    IN = "in"
    OUT = "out"
    BOTH = "both"


_IN, _OUT, _BOTH = Way.IN, Way.OUT, Way.BOTH  # to look a member up takes longer than to zero a page


class Lender(Protocol):
    """What a bounce needs of a pool."""

    def take(self, nbytes: int) -> Buffer:
        """A zeroed buffer on loan."""


class Bounce:
    """A context manager: a buffer as long as a part of `data`, copied from it and back to it as `way` says.

    Nothing is copied back when the block ends in an exception, unless `even_failed`.
    """

    __slots__ = ("_buffer", "_even_failed", "_in", "_lent", "_nbytes", "_out", "_pin", "_pool", "_user")

    def __init__(
        self, pool: Lender, data: Any, way: Way, at: int = 0, nbytes: int | None = None, even_failed: bool = False
    ) -> None:
        self._pool, self._even_failed = pool, even_failed
        self._in = way is _IN or way is _BOTH
        self._out = way is _OUT or way is _BOTH
        try:  # it cannot be resized as long as this is held
            user = _pin(data, require_writable=self._out)
        except (BufferError, ValueError) as problem:
            raise PoolError(f"cannot bounce a {type(data).__name__}: {problem}", EINVAL) from None
        self._nbytes = len(user) - at if nbytes is None else nbytes
        if at < 0 or self._nbytes < 0 or at + self._nbytes > len(user):
            what = f"{type(data).__name__} of {len(user)} bytes"
            raise PoolError(f"bytes {at} to {at + self._nbytes} are not in a {what}", EINVAL)
        self._user, self._pin = user + at if at else user, user

    def __enter__(self) -> Buffer:
        self._buffer = buf = self._pool.take(self._nbytes)
        self._lent = ffi.cast(BYTES, buf._start)
        if self._in:
            ffi.memmove(self._lent, self._user, self._nbytes)
            buf._block.bytes_in += self._nbytes
        return buf

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        buf = self._buffer
        if self._out and buf._live and (exc is None or self._even_failed):
            ffi.memmove(self._user, self._lent, self._nbytes)
            buf._block.bytes_out += self._nbytes
        self._user = self._pin = None  # the user may resize it again
        if exc is None:
            buf.release()
        else:
            buf.__exit__(kind, exc, trace)


class Bounces:
    """Several at once: all are copied back, or none; a context manager that gives a tuple of buffers."""

    def __init__(self, bounces: Iterable[Bounce]) -> None:
        self._bounces = tuple(bounces)
        self._stack = ExitStack()

    def __enter__(self) -> tuple[Buffer, ...]:
        with ExitStack() as stack:
            buffers = tuple(stack.enter_context(bounce) for bounce in self._bounces)
            self._stack = stack.pop_all()
        return buffers

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, exc, trace)
