"""The schedule of a cpupool under arinc653; sysctl scheduler_op. Few Xens are built with that scheduler."""

from __future__ import annotations

from typing import Any, NamedTuple

from xenfs.abi.numbers import Sysctl
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import sysctl
from xenfs.hypervisor.base import Hypervisor

GET_SCHEDULE = operation(Sysctl.scheduler_op, "getinfo").part("arinc653")
SET_SCHEDULE = operation(Sysctl.scheduler_op, "putinfo").part("arinc653")
_STRUCT = "struct xen_sysctl_arinc653_schedule"


class Slot(NamedTuple):
    """A vCPU, by its domain's UUID, and for how many ns it runs in each frame."""

    handle: bytes
    vcpu: int
    runtime_ns: int


class Schedule(NamedTuple):
    """How long a major frame is, in ns, and who runs in it one after the other."""

    major_frame_ns: int
    slots: tuple[Slot, ...]


def schedule(xen: Hypervisor, pool: int) -> Schedule:
    """The one in force; ESRCH without the pool, EINVAL where it has another scheduler. scheduler_op getinfo."""
    with xen.pool.take(xen.abi.sizeof(_STRUCT)) as buf:
        _ask(xen, GET_SCHEDULE, pool, buf)
        found = xen.abi.view(_STRUCT, buf)
        slots = (found.sched_entries[index] for index in range(found.num_sched_entries))
        read = tuple(Slot(bytes(each.dom_handle), int(each.vcpu_id), int(each.runtime)) for each in slots)
        return Schedule(int(found.major_frame), read)


def set_schedule(xen: Hypervisor, pool: int, wanted: Schedule) -> None:
    """Another one, at once; EINVAL for one without slots, or with more than fits its frame. scheduler_op putinfo."""
    with xen.pool.take(xen.abi.sizeof(_STRUCT)) as buf:
        given = xen.abi.view(_STRUCT, buf)
        given.major_frame, given.num_sched_entries = wanted.major_frame_ns, len(wanted.slots)
        for place, slot in zip(given.sched_entries, wanted.slots, strict=False):
            place.vcpu_id, place.runtime = slot.vcpu, slot.runtime_ns
            xen.abi.ffi.memmove(place.dom_handle, slot.handle, len(slot.handle))
        _ask(xen, SET_SCHEDULE, pool, buf)


def _ask(xen: Hypervisor, op: Operation, pool: int, buf: Any) -> None:
    sysctl(xen, op, "scheduler_op", cpupool_id=pool, u={"sched_arinc653": {"schedule": buf}})
