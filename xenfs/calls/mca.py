"""mca: what the machine check code knows of CPUs, notes, and can be made to feign. x86, of a PV control domain only."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from xenfs.abi.numbers import Interface, McaFetch, McaInject, McaInjectFlag, McaOp, McaOutcome, McaRecord
from xenfs.abi.operations import operation
from xenfs.calls.bitmaps import bitmap, nbytes
from xenfs.calls.control import fill
from xenfs.calls.sysctl import nr_cpu_ids
from xenfs.hypervisor.base import Hypervisor
from xenfs.pool import Buffer

PHYSCPUINFO = operation(McaOp.physcpuinfo)
FETCH, INJECT_V2 = operation(McaOp.fetch), operation(McaOp.inject_v2)
MSRINJECT, MCEINJECT = operation(McaOp.msrinject), operation(McaOp.mceinject)
_CPU, _INFO = "struct mcinfo_logical_cpu", "struct mc_info"
_STRUCTS = {
    McaRecord.GLOBAL: "struct mcinfo_global",
    McaRecord.BANK: "struct mcinfo_bank",
    McaRecord.EXTENDED: "struct mcinfo_extended",
    McaRecord.RECOVERY: "struct mcinfo_recovery",
}


def nr_online(xen: Hypervisor) -> int:
    """How many CPUs are online, asked without a buffer; mca physcpuinfo."""
    with xen.pool.take(xen.abi.sizeof("struct xen_mc")) as buf:
        view = xen.abi.view("struct xen_mc", buf)
        view.cmd, view.interface_version = McaOp.physcpuinfo, Interface.XEN_MCA_INTERFACE_VERSION
        xen.hypercall(PHYSCPUINFO, buf)
        return int(view.u.mc_physcpuinfo.ncpus)


def logical_cpu(xen: Hypervisor, wanted: int) -> Any:
    """struct mcinfo_logical_cpu of a CPU, None of one that is not online; mca physcpuinfo.

    Every online CPU fills in its place in an array that Xen makes as long as is asked for. Were fewer asked for than
    are online, as one came up a moment ago, Xen would write past the end. So there is room for all there can be.
    """
    most = nr_cpu_ids(xen)
    with xen.pool.take(xen.abi.sizeof("struct xen_mc")) as buf, xen.pool.take(xen.abi.sizeof(_CPU) * most) as cpus:
        view = xen.abi.view("struct xen_mc", buf)
        view.cmd, view.interface_version = McaOp.physcpuinfo, Interface.XEN_MCA_INTERFACE_VERSION
        body = view.u.mc_physcpuinfo
        fill(xen.abi, buf, body, {"ncpus": most, "info": cpus})
        xen.hypercall(PHYSCPUINFO, buf)
        found = xen.abi.array(_CPU, int(body.ncpus), cpus)
        return next((xen.abi.copy(cpu) for cpu in found if cpu.mc_cpunr == wanted), None)


class Telemetry(NamedTuple):
    """What Xen noted of one machine check: records of four kinds, each as its struct."""

    records: tuple[tuple[McaRecord, Any], ...]


def take(xen: Hypervisor, urgency: McaFetch) -> Telemetry | None:
    """The oldest that is urgent, or that is not, and no more in Xen then; None where there is none. mca fetch."""
    with xen.pool.take(xen.abi.sizeof(_INFO)) as info:
        number = _fetch(xen, {"flags": urgency, "data": info})
        if number is None:
            return None
        found = Telemetry(tuple(_records(xen, bytes(info.memory))))
    _fetch(xen, {"flags": urgency | McaFetch.ACK, "fetch_id": number})
    return found


def _fetch(xen: Hypervisor, given: dict[str, Any]) -> int | None:
    """The number that it is acknowledged by."""
    with _asked(xen, McaOp.fetch) as (buf, body):
        fill(xen.abi, buf, body.mc_fetch, given)
        xen.hypercall(FETCH, buf)
        return None if body.mc_fetch.flags & McaOutcome.NODATA else int(body.mc_fetch.fetch_id)


def _records(xen: Hypervisor, info: bytes) -> Iterator[tuple[McaRecord, Any]]:
    ffi, at = xen.abi.ffi, xen.abi.offsetof(_INFO, "mi_data")
    count = int.from_bytes(info[:4], "little")
    for _ in range(count):
        kind, size = struct.unpack_from("<HH", info, at)
        name = _STRUCTS.get(kind)
        if name is None or not size or at + size > len(info):
            return
        held = ffi.new(f"{name} *")
        ffi.memmove(held, info[at : at + size], min(size, xen.abi.sizeof(name)))
        yield McaRecord(kind), held
        at += size


def inject_registers(xen: Hypervisor, cpu: int, values: Sequence[tuple[int, int]]) -> None:
    """Have a CPU's machine check registers read as these (number, value), until the next check has been dealt with.

    EINVAL for another register and for a CPU that is not online, ENODEV where there are no banks. mca msrinject.
    """
    with _asked(xen, McaOp.msrinject) as (buf, body):
        given = body.mc_msrinject
        given.mcinj_cpunr, given.mcinj_flags, given.mcinj_count = cpu, McaInjectFlag.INTERPOSE, len(values)
        for place, (register, value) in zip(given.mcinj_msr, values, strict=False):
            place.reg, place.value = register, value
        xen.hypercall(MSRINJECT, buf)


def inject_check(xen: Hypervisor, cpu: int) -> None:
    """Raise a machine check on a CPU; EINVAL where it is not online, ENODEV. mca mceinject."""
    with _asked(xen, McaOp.mceinject) as (buf, body):
        body.mc_mceinject.mceinj_cpunr = cpu
        xen.hypercall(MCEINJECT, buf)


def inject_on(xen: Hypervisor, kind: McaInject, cpus: frozenset[int]) -> None:
    """Raise a corrected check, or a local one, on these CPUs; EINVAL where none is online or this machine has not that
    kind, ENODEV, EOPNOTSUPP. mca inject_v2."""
    nr_cpus = nr_cpu_ids(xen)
    with _asked(xen, McaOp.inject_v2) as (buf, body), xen.pool.take(nbytes(nr_cpus)) as bits:
        bits.fill(bitmap(cpus, nr_cpus))
        fill(xen.abi, buf, body.mc_inject_v2, {"flags": kind, "cpumap": {"bitmap": bits, "nr_bits": nr_cpus}})
        xen.hypercall(INJECT_V2, buf)


@contextmanager
def _asked(xen: Hypervisor, op: McaOp) -> Iterator[tuple[Buffer, Any]]:
    with xen.pool.take(xen.abi.sizeof("struct xen_mc")) as buf:
        view = xen.abi.view("struct xen_mc", buf)
        view.cmd, view.interface_version = op, Interface.XEN_MCA_INTERFACE_VERSION
        yield buf, view.u
