"""HVM and PVH domains: their parameters (hvm_op) and the records of their saved state (domctl)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from struct import Struct
from typing import NamedTuple

from xenfs.abi.numbers import Domctl, HvmOp, HvmParam, HvmRecord
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import domctl, fill, numbered
from xenfs.calls.many import asked_about
from xenfs.calls.multicall import multicall
from xenfs.hypervisor.base import Hypervisor

GET_PARAM = operation(HvmOp.get_param)
SET_PARAM = operation(HvmOp.set_param)
GETHVMCONTEXT = operation(Domctl.gethvmcontext)
SETHVMCONTEXT = operation(Domctl.sethvmcontext)
GETHVMCONTEXT_PARTIAL = operation(Domctl.gethvmcontext_partial)

_DESCRIPTOR = Struct("<HHI")  # struct hvm_save_descriptor: typecode, instance, length
_MOST_AT_ONCE = 2**20  # bytes of saved states in one batch
_UNASKED = frozenset({HvmRecord.END, HvmRecord.HEADER})  # Xen does not give these one by one


class Record(NamedTuple):
    """Which record of a saved state: its type code, and the vCPU or the number of the device."""

    type: int
    instance: int


def param(xen: Hypervisor, domid: int, index: HvmParam) -> int:
    """A parameter; EINVAL for a PV domain or one that this Xen has not, EPERM for most of one's own. get_param."""
    return _param(xen, GET_PARAM, domid, index, 0)


def set_param(xen: Hypervisor, domid: int, index: HvmParam, value: int) -> None:
    """Set it; EINVAL for what it cannot be, EEXIST where it can be set only once. hvm_op set_param."""
    _param(xen, SET_PARAM, domid, index, value)


def _param(xen: Hypervisor, op: Operation, domid: int, index: HvmParam, value: int) -> int:
    return int(numbered(xen, op, domid, domid=domid, index=index, value=value).value)


def context(xen: Hypervisor, domid: int) -> bytes:
    """The saved state of a domain, which Xen pauses meanwhile; EINVAL for one's own, PV or dying. gethvmcontext."""
    size = domctl(xen, GETHVMCONTEXT, domid, "hvmcontext").size
    with xen.pool.take(size) as buf:
        filled = domctl(xen, GETHVMCONTEXT, domid, "hvmcontext", size=size, buffer=buf).size
        return bytes(buf.memory[:filled])


def set_context(xen: Hypervisor, domid: int, state: bytes) -> None:
    """Load a saved state. vCPUs without a record go down; other records that are not in it stay. sethvmcontext.

    EINVAL for one's own, PV or dying, and for a state that is not this domain's; ENODATA, ENOENT for what is missing.
    """
    with xen.pool.take(len(state)) as buf:
        buf.fill(state)
        domctl(xen, SETHVMCONTEXT, domid, "hvmcontext", size=len(state), buffer=buf)


def records(xen: Hypervisor, domids: Sequence[int]) -> list[list[Record]]:
    """Which records the saved state of each domain has that can be asked for one by one; gethvmcontext.

    Each is paused for the moment. None of a domain that cannot be saved any more.
    """
    states: Iterable[bytes] = [context(xen, domids[0])] if len(domids) == 1 else _contexts(xen, domids)
    return [[record for record in parts(state) if record.type not in _UNASKED] for state in states]


def _contexts(xen: Hypervisor, domids: Sequence[int]) -> Iterator[bytes]:
    """The saved states of many, by multicalls; empty where there is none."""
    asked = asked_about(xen, GETHVMCONTEXT, domids, "hvmcontext", "u.hvmcontext.size")
    sizes = [size if result >= 0 else 0 for result, (size,) in asked]
    at_once = max(1, _MOST_AT_ONCE // (max(sizes, default=0) or 1))
    for first in range(0, len(domids), at_once):
        part = slice(first, first + at_once)
        yield from _contexts_at_once(xen, domids[part], sizes[part])


def _contexts_at_once(xen: Hypervisor, domids: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
    with ExitStack() as loans:
        views, calls = [], []
        for domid, size in zip(domids, sizes, strict=True):
            state = loans.enter_context(xen.pool.take(max(1, size)))
            buf = loans.enter_context(xen.pool.take(xen.abi.sizeof("struct xen_domctl")))
            view = xen.abi.view("struct xen_domctl", buf)
            view.cmd, view.interface_version, view.domain = GETHVMCONTEXT.cmd, xen.abi.domctl, domid
            fill(xen.abi, buf, view.u.hvmcontext, {"size": size, "buffer": state})
            views.append((view, state))
            calls.append((GETHVMCONTEXT, (buf,)))
        results = multicall(xen, calls)
        return [
            bytes(state.memory[: view.u.hvmcontext.size]) if size and result >= 0 else b""
            for size, result, (view, state) in zip(sizes, results, views, strict=True)
        ]


def parts(stream: bytes) -> dict[Record, bytes]:
    """The records of a saved state, in its order, by the lengths in the descriptors: they grow in point releases."""
    found: dict[Record, bytes] = {}
    at = 0
    while at + _DESCRIPTOR.size <= len(stream):
        kind, instance, length = _DESCRIPTOR.unpack_from(stream, at)
        at += _DESCRIPTOR.size
        found[Record(kind, instance)] = stream[at : at + length]
        at += length
    return found


def load(xen: Hypervisor, domid: int, known: Mapping[Record, bytes], wanted: Mapping[Record, bytes]) -> None:
    """Load records into a domain, behind the header that its saved state `known` has. vCPUs without a CPU record among
    them go down. EINVAL for what Xen cannot make sense of; domctl sethvmcontext.
    """
    header, end = Record(HvmRecord.HEADER, 0), Record(HvmRecord.END, 0)
    every = [(header, known[header]), *sorted(wanted.items()), (end, b"")]
    stream = b"".join(_DESCRIPTOR.pack(*which, len(data)) + data for which, data in every)
    set_context(xen, domid, stream)


def record(xen: Hypervisor, domid: int, which: Record) -> bytes:
    """One record without its descriptor; ENOENT or ENODATA where there is none. gethvmcontext_partial."""
    wanted = {"type": which.type, "instance": which.instance}
    size = domctl(xen, GETHVMCONTEXT_PARTIAL, domid, "hvmcontext_partial", **wanted).bufsz
    with xen.pool.take(max(1, size)) as buf:
        filled = domctl(
            xen, GETHVMCONTEXT_PARTIAL, domid, "hvmcontext_partial", **wanted, bufsz=size, buffer=buf
        ).bufsz  # fmt: skip
        return bytes(buf.memory[:filled])
