"""multicall: several hypercalls in one. Also the only way to a result that is wider than 31 bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from errno import EFAULT
from functools import cache
from typing import TypeAlias

from xenfs.abi import Abi
from xenfs.abi.numbers import Hypercall
from xenfs.abi.operations import Does, Operation, operation
from xenfs.calls.lists import packed
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import FAULT_RETRIES, Hypervisor
from xenfs.hypervisor.operation import refusal
from xenfs.pool import Buffer

Call: TypeAlias = tuple[Operation, Sequence[int | Buffer]]

MULTICALL = operation(Hypercall.multicall)
_OF_REPEATABLE = replace(MULTICALL, repeatable=True)
_OF_LOOKING = replace(_OF_REPEATABLE, does=Does.LOOKS)


def multicall(xen: Hypervisor, calls: Sequence[Call], domid: int | None = None) -> list[int]:
    """The 64-bit result of each call, negative for an errno; the calls are made in order. multicall.

    Members that faulted are made again, as each would be on its own.
    """
    results = _batch(xen, calls, domid)
    for _ in range(FAULT_RETRIES if xen.backend.pages.faults else 0):
        again = [at for at, (op, _) in enumerate(calls) if results[at] == -EFAULT and op.repeatable]
        if not again:
            break
        for at in again:
            xen.pool.count_retry(calls[at][1])
        for at, result in zip(again, _batch(xen, [calls[at] for at in again], domid), strict=True):
            results[at] = result
    return results


def _batch(xen: Hypervisor, calls: Sequence[Call], domid: int | None) -> list[int]:
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
        xen.hypercall(_batch_of([op for op, _ in calls]), buf, len(calls), domid=domid)
        return [_signed(entry.result) for entry in entries]


def in_a_row(
    xen: Hypervisor, op: Operation, structs: Buffer, stride: int, count: int, *before: int, after: tuple[int, ...] = ()
) -> list[int]:
    """The result of one operation on each of `count` structs that lie in one buffer, `stride` bytes apart. multicall.

    `before` and `after` are the arguments around the struct. Where one faulted, and the operation may be made again,
    all are. One struct alone takes no multicall.
    """
    results = _row(xen, op, structs, stride, count, before, after)
    for _ in range(FAULT_RETRIES if xen.backend.pages.faults and op.repeatable else 0):
        if -EFAULT not in results:
            break
        xen.pool.count_retry((structs,))
        results = _row(xen, op, structs, stride, count, before, after)
    return results


def in_a_row_each(
    xen: Hypervisor, op: Operation, structs: Buffer, stride: int, before: Sequence[tuple[int, ...]]
) -> list[int]:
    """As `in_a_row`, but with other arguments before each struct, and made once, whatever faults. multicall."""
    count = len(before)
    step, first = xen.abi.sizeof("struct multicall_entry"), xen.abi.offsetof("struct multicall_entry", "args")
    head = int(op.hypercall).to_bytes(first, "little")
    with xen.pool.take(step * count) as buf:
        buf.fill(b"".join((head + packed(each)).ljust(step, b"\0") for each in before))
        buf.attach_each(first + 8 * len(before[0]), step, structs, stride, count)
        xen.hypercall(_batch_of([op]), buf, count)
        return _results(xen.abi, count)(bytes(buf))


def _row(
    xen: Hypervisor, op: Operation, structs: Buffer, stride: int, count: int, before: tuple[int, ...],
    after: tuple[int, ...],
) -> list[int]:  # fmt: skip
    if count == 1:
        return [_alone(xen, op, *before, structs, *after)]
    step, first = xen.abi.sizeof("struct multicall_entry"), xen.abi.offsetof("struct multicall_entry", "args")
    entry = int(op.hypercall).to_bytes(first, "little") + packed(before)
    with xen.pool.take(step * count) as buf:
        buf.fill((entry + packed((0, *after))).ljust(step, b"\0") * count)
        buf.attach_each(len(entry), step, structs, stride, count)
        xen.hypercall(_batch_of([op]), buf, count)
        return _results(xen.abi, count)(bytes(buf))


def _batch_of(ops: Sequence[Operation]) -> Operation:
    if all(op.does is Does.LOOKS and op.repeatable for op in ops):
        return _OF_LOOKING
    return _OF_REPEATABLE if all(op.repeatable for op in ops) else MULTICALL


def _alone(xen: Hypervisor, op: Operation, *args: int | Buffer) -> int:
    try:
        return xen.hypercall(op, *args)
    except HypercallError as problem:
        return -problem.errno


@cache
def _results(abi: Abi, count: int) -> Callable[[bytes], list[int]]:
    """What takes the results of so many entries out of them: signed words, of which every few is one."""
    stride = abi.sizeof("struct multicall_entry") // 8
    first = abi.offsetof("struct multicall_entry", "result") // 8
    return lambda entries: memoryview(entries).cast("q")[first : stride * count : stride].tolist()


def wide(xen: Hypervisor, op: Operation, *args: int | Buffer) -> int:
    """The result of one hypercall in full width; HypercallError when it is an errno."""
    (result,) = multicall(xen, [(op, args)])
    if -4096 < result < 0:
        raise refusal(op, result, xen.abi)
    return result


def _signed(word: int) -> int:
    return word - 2**64 if word >> 63 else word
