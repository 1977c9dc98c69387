"""host/perfc/, host/lockprof/, host/coverage/: what a Xen that was built for it counts of itself."""

from __future__ import annotations

from collections.abc import Callable

from xenfs.abi.numbers import LockprofType
from xenfs.abi.operations import Operation
from xenfs.calls import counters
from xenfs.calls.counters import Counter, Lock
from xenfs.calls.rows import freed
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed
from xenfs.nodes.tables.harmless import harmless
from xenfs.nodes.tables.pieces import Pieces


def _reset(begin_anew: Callable[[Hypervisor], None], operation: Operation, grows: Cost) -> File:
    return File(
        "reset", "Write 1: counting begins anew", tier="C", option="debug", write=lambda xen, _: begin_anew(xen),
        parse=parse.one, write_grows=grows, call=operation.name,
    )  # fmt: skip


@formed('"name value ..." lines')
def counter_lines(found: list[Counter]) -> str:
    """A line for each counter; a blank in a name would look like a value."""
    return show.lines(" ".join((harmless(each.name).replace(" ", "_"), *map(str, each.values))) for each in found)


def _owner(lock: Lock) -> str:
    if lock.type == LockprofType.GLOBAL:
        return "xen"
    return f"d{lock.idx}" if lock.type == LockprofType.PERDOM else f"{lock.type}:{lock.idx}"


@formed('"name key=value ..." lines')
def lock_lines(found: list[Lock]) -> Pieces:
    """A line for each lock, of a domain with its number; the list is empty then."""
    return show.many_nested(
        (
            harmless(lock.name).replace(" ", "_"),
            {
                "of": _owner(lock), "taken": lock.taken, "waited_for": lock.waited_for,
                "held_ns": lock.held_ns, "waited_ns": lock.waited_ns,
            },
        )
        for lock in freed(found)
    )  # fmt: skip


PERFC = Dir(
    "perfc",
    "Performance counters, of a Xen that was built with them",
    (
        File(
            "counters", "Each counter: a value for each CPU, or for each of what it counts", tier="C", option="debug",
            read=counters.counters, show=counter_lines, grows=Cost.CPUS,
        ),
        _reset(counters.reset_counters, counters.PERFC_RESET, Cost.CPUS),
    ),
    when=answers(counters.counts),
)  # fmt: skip

LOCKPROF = Dir(
    "lockprof",
    "How Xen's locks are used, of a Xen that was built to watch them",
    (
        File(
            "stat", "Each lock: whose, how often taken and waited for, ns of both", tier="C", option="debug",
            read=counters.locks, show=lock_lines, grows=Cost.LENGTH,
        ),
        File(
            "time_ns", "How long they have been watched, ns", tier="C", option="debug", read=counters.locks_time,
            show=show.dec, grows=Cost.LENGTH, call=counters.LOCKPROF_QUERY.name,
        ),
        _reset(counters.reset_locks, counters.LOCKPROF_RESET, Cost.LENGTH),
    ),
    when=answers(counters.locks_time),
)  # fmt: skip

COVERAGE = Dir(
    "coverage",
    "Which of Xen's code was run, of a Xen that was built to note it",
    (
        File(
            "data", "What was run, as xencov has it", tier="C", option="debug", read=counters.coverage, show=bytes,
            binary=True, grows=Cost.WAITS, call=f"{counters.COVERAGE_GET_SIZE.name}, {counters.COVERAGE_READ.name}",
        ),
        _reset(counters.reset_coverage, counters.COVERAGE_RESET, Cost.WAITS),
    ),
    when=answers(counters.coverage_size),
)  # fmt: skip
