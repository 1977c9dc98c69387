"""The sysctl that makes, fills, empties and describes cpupools."""

from __future__ import annotations

from errno import ENOSYS

from xenfs.simulator.machine import Answers, Machine

STRUCT = "xen_sysctl_cpupool_op"
ANY = 0xFFFFFFFF


def cpupool_op(xen: Machine, op: memoryview) -> int:
    """Whichever of the seven is asked for."""
    (wanted,) = xen.get(op, STRUCT, "op")
    for name, function in _ACTIONS.items():
        if wanted == xen.constant(f"XEN_SYSCTL_CPUPOOL_OP_{name}"):
            function(xen, op)
            return 0
    return -ENOSYS


def _create(xen: Machine, op: memoryview) -> None:
    number, scheduler = xen.get(op, STRUCT, "cpupool_id", "sched_id")
    pool = xen.world.pools.create(scheduler, None if number == ANY else number)
    xen.put(op, STRUCT, cpupool_id=pool.id)


def _destroy(xen: Machine, op: memoryview) -> None:
    xen.world.pools.destroy(*xen.get(op, STRUCT, "cpupool_id"))


def _info(xen: Machine, op: memoryview) -> None:
    """The pool with that id or the next higher one."""
    pool = xen.world.pools.at_least(*xen.get(op, STRUCT, "cpupool_id"))
    xen.write_bitmap(op, STRUCT, "cpumap", pool.cpus, xen.world.host.nr_cpus)
    xen.put(op, STRUCT, cpupool_id=pool.id, sched_id=pool.scheduler, n_dom=len(pool.domains))


def _addcpu(xen: Machine, op: memoryview) -> None:
    number, cpu = xen.get(op, STRUCT, "cpupool_id", "cpu")
    xen.world.pools.add_cpu(number, None if cpu == ANY else cpu)


def _rmcpu(xen: Machine, op: memoryview) -> None:
    number, cpu = xen.get(op, STRUCT, "cpupool_id", "cpu")
    xen.world.pools.remove_cpu(number, None if cpu == ANY else cpu)


def _movedomain(xen: Machine, op: memoryview) -> None:
    number, domid = xen.get(op, STRUCT, "cpupool_id", "domid")
    xen.world.pools.move_domain(xen.world.remote(domid & 0xFFFF), number)


def _freeinfo(xen: Machine, op: memoryview) -> None:
    xen.write_bitmap(op, STRUCT, "cpumap", xen.world.pools.free, xen.world.host.nr_cpus)


_ACTIONS = {
    "CREATE": _create,
    "DESTROY": _destroy,
    "INFO": _info,
    "ADDCPU": _addcpu,
    "RMCPU": _rmcpu,
    "MOVEDOMAIN": _movedomain,
    "FREEINFO": _freeinfo,
}
OPERATIONS: Answers = {"XEN_SYSCTL_cpupool_op": cpupool_op}
