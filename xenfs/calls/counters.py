"""What a Xen that was built for it counts of itself: perfc_op, lockprof_op, coverage_op (sysctl). Else ENOSYS."""

from __future__ import annotations

from itertools import accumulate
from typing import Any, NamedTuple

from xenfs.abi.numbers import Sysctl
from xenfs.abi.operations import operation
from xenfs.calls.control import sysctl
from xenfs.calls.sysctl import nr_cpu_ids
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks

PERFC_RESET = operation(Sysctl.perfc_op, "reset")
PERFC_QUERY = operation(Sysctl.perfc_op, "query")
LOCKPROF_RESET = operation(Sysctl.lockprof_op, "reset")
LOCKPROF_QUERY = operation(Sysctl.lockprof_op, "query")
COVERAGE_GET_SIZE = operation(Sysctl.coverage_op, "get_size")
COVERAGE_READ = operation(Sysctl.coverage_op, "read")
COVERAGE_RESET = operation(Sysctl.coverage_op, "reset")

_MORE_LOCKS = 64  # that domains may bring between two calls


class Counter(NamedTuple):
    """A counter: one value for each CPU, or for each place of an array."""

    name: str
    values: list[int]


def counts(xen: Hypervisor) -> tuple[int, int]:
    """How many counters there are, and how many values they have in all; perfc_op query without buffers."""
    found = sysctl(xen, PERFC_QUERY)
    return int(found.nr_counters), int(found.nr_vals)


@asks(PERFC_QUERY)
def counters(xen: Hypervisor) -> list[Counter]:
    """Every counter; perfc_op query.

    Xen does not look at how much room there is, and a CPU that comes online gives many counters a value more. So there
    is room for all CPUs that there can be.
    """
    number, known = counts(xen)
    room = known + number * nr_cpu_ids(xen)
    size = xen.abi.sizeof("struct xen_sysctl_perfc_desc")
    with xen.pool.take(max(1, size * number)) as names, xen.pool.take(max(1, 4 * room)) as values:
        sysctl(
            xen, PERFC_QUERY, nr_counters=number, nr_vals=room,
            desc=names, val=values,
        )  # fmt: skip
        words = values.memory[: 4 * room].cast("I").tolist()
        described = [
            (_text(xen, each.name), int(each.nr_vals))
            for each in xen.abi.array("struct xen_sysctl_perfc_desc", number, names)
        ]
    ends = list(accumulate(length for _, length in described))
    return [Counter(name, words[end - length : end]) for (name, length), end in zip(described, ends, strict=True)]


def _text(xen: Hypervisor, name: Any) -> str:
    """The text in an array of characters, up to its NUL."""
    return bytes(xen.abi.ffi.buffer(name)).split(b"\0", 1)[0].decode("ascii", "replace")


def reset_counters(xen: Hypervisor) -> None:
    """Set all counters to zero; perfc_op reset."""
    sysctl(xen, PERFC_RESET)


class Lock(NamedTuple):
    """A lock: of what (LockprofType, and which domain), how often it was taken and waited for, ns of both."""

    name: str
    type: int
    idx: int
    taken: int
    waited_for: int
    held_ns: int
    waited_ns: int


def locks_time(xen: Hypervisor) -> int:
    """How long locks have been watched, ns; lockprof_op query."""
    return int(_locks(xen, 0).time)


def _locks(xen: Hypervisor, room: int, **more: Any) -> Any:
    return sysctl(xen, LOCKPROF_QUERY, max_elem=room, **more)


@asks(LOCKPROF_QUERY)
def locks(xen: Hypervisor) -> list[Lock]:
    """Every lock that is watched; lockprof_op query, with room for some that come in between."""
    room = int(_locks(xen, 0).nr_elem) + _MORE_LOCKS
    with xen.pool.take(room * xen.abi.sizeof("struct xen_sysctl_lockprof_data")) as data:
        filled = min(room, int(_locks(xen, room, data=data).nr_elem))
        return [
            Lock(
                _text(xen, each.name), each.type, each.idx,
                each.lock_cnt, each.block_cnt, each.lock_time, each.block_time,
            )
            for each in xen.abi.array("struct xen_sysctl_lockprof_data", filled, data)
        ]  # fmt: skip


def reset_locks(xen: Hypervisor) -> None:
    """Begin anew; lockprof_op reset."""
    sysctl(xen, LOCKPROF_RESET)


def coverage_size(xen: Hypervisor) -> int:
    """Bytes that coverage takes; coverage_op get_size. EOPNOTSUPP where Xen was built without."""
    return int(sysctl(xen, COVERAGE_GET_SIZE).size)


@asks(COVERAGE_READ)
def coverage(xen: Hypervisor) -> bytes:
    """What was run of Xen, as xencov(1) writes it; coverage_op read."""
    size = coverage_size(xen)
    with xen.pool.take(max(1, size)) as data:
        filled = sysctl(xen, COVERAGE_READ, size=size, buffer=data).size
        return bytes(data.memory[: min(size, filled)])


def reset_coverage(xen: Hypervisor) -> None:
    """Begin anew; coverage_op reset."""
    sysctl(xen, COVERAGE_RESET)
