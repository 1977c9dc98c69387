"""Xen's own symbols, as a debugger wants them; platform_op get_symbol, one by one. x86."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from xenfs.abi.numbers import Platform
from xenfs.abi.operations import operation
from xenfs.calls.multicall import multicall
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import PLATFORM_VERSION, refusal
from xenfs.pool import Buffer

GET_SYMBOL = operation(Platform.get_symbol)

_NAME_BYTES = 128  # KSYM_NAME_LEN and a NUL
_BATCH = 64  # symbols a multicall: there are ten thousand and more
_MOST = 1 << 20  # more than any Xen has


class Symbol(NamedTuple):
    """A symbol: its address, its type letter as in nm, its name."""

    address: int
    type: str
    name: str


def first(xen: Hypervisor) -> Symbol:
    """The first of them; ENODATA where there is none."""
    with ExitStack() as loans:
        for _, symbol in _asked(xen, _slots(xen, loans, 1), 0):
            return symbol
    raise HypercallError(GET_SYMBOL.name, errno.ENODATA)


def symbols(xen: Hypervisor) -> Iterator[Symbol]:
    """All of them, in the order of addresses; platform_op get_symbol, batched by multicall.

    From 4.21 on, marks of where a function ends have numbers too. Xen answers for such a number with the next symbol,
    which then comes twice: by the number that is to be asked for next they are known to be the same.
    """
    with ExitStack() as loans:
        slots = _slots(xen, loans, _BATCH)
        seen = 0
        for number in range(0, _MOST, _BATCH):
            batch = list(_asked(xen, slots, number))
            for following, symbol in batch:
                if following > seen:
                    seen = following
                    yield symbol
            if len(batch) < _BATCH:
                return


def _slots(xen: Hypervisor, loans: ExitStack, count: int) -> list[tuple[Buffer, Any, Buffer]]:
    made = []
    for _ in range(count):
        op = loans.enter_context(xen.pool.take(xen.abi.sizeof("struct xen_platform_op")))
        name = loans.enter_context(xen.pool.take(_NAME_BYTES))
        view = xen.abi.view("struct xen_platform_op", op)
        view.cmd, view.interface_version = GET_SYMBOL.cmd, PLATFORM_VERSION
        op.attach(view.u.symdata, "name", name, _NAME_BYTES)
        made.append((op, view.u.symdata, name))
    return made


def _asked(xen: Hypervisor, slots: Sequence[tuple[Buffer, Any, Buffer]], number: int) -> Iterator[tuple[int, Symbol]]:
    """(number to ask for next, symbol) from this number on, up to the last one that there is."""
    for index, (_, view, _) in enumerate(slots):
        view.symnum, view.namelen = number + index, _NAME_BYTES
    results = multicall(xen, [(GET_SYMBOL, (op,)) for op, _, _ in slots])
    for result, (_, view, name) in zip(results, slots, strict=True):
        if result == -errno.ERANGE or (not result and view.namelen <= 1):
            return
        if result < 0:
            raise refusal(GET_SYMBOL, result, xen.abi)
        text = bytes(name.memory[: min(view.namelen, _NAME_BYTES)]).split(b"\0", 1)[0]
        yield view.symnum, Symbol(view.address, view.type.decode("ascii", "replace"), text.decode("ascii", "replace"))
