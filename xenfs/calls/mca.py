"""mca: what the machine check code knows of CPUs. x86, and a PV control domain's only; ENOSYS elsewhere."""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import Interface, McaOp
from xenfs.abi.operations import operation
from xenfs.calls.control import fill
from xenfs.calls.sysctl import nr_cpu_ids
from xenfs.hypervisor.base import Hypervisor

PHYSCPUINFO = operation(McaOp.physcpuinfo)
_CPU = "struct mcinfo_logical_cpu"


def nr_online(xen: Hypervisor) -> int:
    """How many CPUs are online, asked without a buffer; mca physcpuinfo."""
    with xen.pool.take(xen.abi.sizeof("struct xen_mc")) as buf:
        view = xen.abi.view("struct xen_mc", buf)
        view.cmd, view.interface_version = McaOp.physcpuinfo, Interface.XEN_MCA_INTERFACE_VERSION
        xen.hypercall(PHYSCPUINFO, buf)
        return int(view.u.mc_physcpuinfo.ncpus)


def logical_cpus(xen: Hypervisor) -> dict[int, Any]:
    """struct mcinfo_logical_cpu of every online CPU by its number; mca physcpuinfo.

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
        return {int(cpu.mc_cpunr): xen.abi.copy(cpu) for cpu in found}
