"""What a domain asks about itself or about Xen: text for the console, where a vCPU's time went, a version."""

from __future__ import annotations

from errno import EINVAL, ENOENT, ENOSYS

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Vcpu

RUNSTATE = "vcpu_runstate_info"


def vm_event_op(xen: Machine, memory: memoryview) -> int:
    """The version of the interface to look into guests; nothing that looks."""
    op = memory[xen.layouts.offset("xen_domctl", "u") :]
    if xen.get(op, "xen_domctl_vm_event_op", "op") != (xen.constant("XEN_VM_EVENT_GET_VERSION"),):
        return -ENOSYS
    xen.put(op, "xen_domctl_vm_event_op", **{"u.version": xen.constant("VM_EVENT_INTERFACE_VERSION")})
    return 0


def console_io(xen: Machine, cmd: int, count: int, address: int) -> tuple[str, int]:
    """(name, result): what the control domain writes goes out as it is, and into the ring where Xen was told so."""
    if cmd != xen.constant("CONSOLEIO_write"):
        return str(cmd), -ENOSYS
    xen.world.console.put(bytes(xen.at(address, count)))
    return "write", 0


def vcpu_op(xen: Machine, cmd: int, number: int, address: int) -> tuple[str, int]:
    """(name, result): where a vCPU's time went; Arm has other operations than that."""
    vcpu = xen.world.domains[0].vcpu(number)
    if vcpu is None:
        return str(cmd), -ENOENT
    if cmd != xen.constant("VCPUOP_get_runstate_info") or not xen.x86:
        return str(cmd), -EINVAL if not xen.x86 else -ENOSYS
    op = xen.struct(address, RUNSTATE)
    times = runstate(xen, vcpu)
    state = "offline" if not vcpu.online else "running" if vcpu.rate else "blocked"
    xen.put(op, RUNSTATE, state=xen.constant(f"RUNSTATE_{state}"), state_entry_time=xen.world.clock.now())
    xen.put(op, RUNSTATE, time=b"".join(ns.to_bytes(8, "little") for ns in times))
    return "get_runstate_info", 0


def runstate(xen: Machine, vcpu: Vcpu) -> tuple[int, int, int, int]:
    """Nanoseconds running, runnable, blocked and offline: they add up to the time since the host booted."""
    now = xen.world.clock.now()
    running = min(now, vcpu.domain.vcpu_time(vcpu, xen.world.clock.ticks()))
    left = now - running
    if not vcpu.online:
        return running, 0, 0, left
    return running, left // 16, left - left // 16, 0


WITHOUT: Answers = {"XEN_DOMCTL_vm_event_op": vm_event_op}
"""Those that take the whole struct, because the domain in it need not exist."""
