"""multicall: several hypercalls in one. Also the only way to a result that is wider than 31 bits."""

from __future__ import annotations

from collections.abc import Sequence

from xenfs.abi.numbers import Hypercall
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import Operation
from xenfs.pool import Buffer

MULTICALL = Operation(Hypercall.multicall, 0, "batch")


def multicall(
    xen: Hypervisor, calls: Sequence[tuple[Operation, Sequence[int | Buffer]]], domid: int | None = None
) -> list[int]:
    """The 64-bit result of each call, negative for an errno; the calls are made in order. multicall."""
    stride = xen.abi.sizeof("struct multicall_entry")
    with xen.pool.take(stride * len(calls)) as buf:
        entries = xen.abi.array("struct multicall_entry", len(calls), buf)
        for entry, (op, args) in zip(entries, calls, strict=True):
            entry.op = op.hypercall
            for index, arg in enumerate(args):
                if isinstance(arg, Buffer):
                    buf.attach(entry, ("args", index), arg)
                else:
                    entry.args[index] = arg
        xen.hypercall(MULTICALL, buf, len(calls), domid=domid)
        return [_signed(entry.result) for entry in entries]


def wide(xen: Hypervisor, op: Operation, *args: int | Buffer) -> int:
    """The result of one hypercall in full width; HypercallError when it is an errno."""
    (result,) = multicall(xen, [(op, args)])
    if -4096 < result < 0:
        raise HypercallError(op.name, -result, op.hint(-result, xen.abi))
    return result


def _signed(word: int) -> int:
    return word - 2**64 if word >> 63 else word
