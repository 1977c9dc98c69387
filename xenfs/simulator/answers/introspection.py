"""Domctls of those who look into guests, debug them, and say what of the machine they may use."""

from __future__ import annotations

from errno import EACCES, EBUSY, EEXIST, EINVAL, ENODEV, ENXIO, EOPNOTSUPP, EPERM, ESRCH

from xenfs.simulator.answers.pci_op import has_iommu
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import ALIVE, NOT_SHUT_DOWN, Domain
from xenfs.simulator.world.pci_bus import FREE

MONITOR, RIGHTS, TOLD = "xen_domctl_monitor_op", "rights", "monitored"
OF_HVM = (
    "GUEST_REQUEST", "SOFTWARE_BREAKPOINT", "MOV_TO_MSR", "INTERRUPT", "CPUID", "DEBUG_EXCEPTION", "WRITE_CTRLREG",
    "EMUL_UNIMPLEMENTED", "INGUEST_PAGEFAULT", "VMEXIT", "IO", "DESC_ACCESS",
)  # fmt: skip
OF_ARM = ("GUEST_REQUEST", "PRIVILEGED_CALL")
NR_PIRQS, NR_GSIS, MAX_PORTS = 512, 24, 0x10000
NR_VIRQS, OF_EACH_VCPU = 24, ("TIMER", "DEBUG", "XENPMU")
WITHOUT_RIGHT = range(0xFEE00, 0xFEE01)  # the local APICs', which no control domain may have


class Assertion(Exception):
    """The pretended Xen came where it must not: a debug build stops there."""


def capabilities(xen: Machine, domain: Domain) -> int:
    """A bit for each event: of HVM and PVH on x86, where single-stepping is Intel's; all domains on Arm."""
    names = OF_ARM if not xen.x86 else OF_HVM if domain.hvm else ()
    if xen.x86 and domain.hvm and xen.settings.processor == "intel":
        names = (*names, "SINGLESTEP")
    known = [f"XEN_DOMCTL_MONITOR_EVENT_{name}" for name in names]
    return sum(1 << xen.constant(name) for name in known if xen.layouts.defines(name))


def monitor_op(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Turn the telling of an event on or off; twice the same is EEXIST."""
    if domain.domid == 0:
        return -EPERM
    cmd, event = xen.get(op, MONITOR, "op", "event")
    enable, disable, ask, each_rep, registers = (
        xen.constant(f"XEN_DOMCTL_MONITOR_OP_{name}")
        for name in ("ENABLE", "DISABLE", "GET_CAPABILITIES", "EMULATE_EACH_REP", "CONTROL_REGISTERS")
    )
    if cmd == ask:
        xen.put(op, MONITOR, event=capabilities(xen, domain))
        return 0
    if cmd == registers and xen.x86:
        domain.kept["control_registers"] = True
        return 0
    if cmd == each_rep and xen.x86:
        return -EINVAL  # nobody listens here
    if cmd not in (enable, disable):
        return -EOPNOTSUPP
    if event > 31:
        return -EINVAL
    if not capabilities(xen, domain) >> event & 1:
        return -EOPNOTSUPP
    if event == xen.constant("XEN_DOMCTL_MONITOR_EVENT_INTERRUPT"):
        raise Assertion
    return _tell(xen, domain, op, event, cmd == enable)


def _tell(xen: Machine, domain: Domain, op: memoryview, event: int, on: bool) -> int:
    """What is told of: an event, of registers each by itself, with what was said of it."""
    which = 0
    if event == xen.constant("XEN_DOMCTL_MONITOR_EVENT_MOV_TO_MSR") and on:
        return -ENXIO  # the table of MSRs comes with a listener, and nobody listens here
    elif event == xen.constant("XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG"):
        which, odd, more = xen.get(op, MONITOR, "u.mov_to_cr.index", "u.mov_to_cr.pad1", "u.mov_to_cr.pad2")
        if which > 3 or odd or more:
            return -EINVAL
    told = domain.kept.setdefault(TOLD, {})
    if ((event, which) in told) == on:
        return -EEXIST
    if on:
        start, size = xen.layouts.field(MONITOR, "u")
        told[event, which] = bytes(op[start : start + size])
    else:
        del told[event, which]
    return 0


def set_access_required(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Kept, and not told."""
    if domain.domid == 0:
        return -EPERM
    (domain.kept["access_required"],) = xen.get(op, "xen_domctl_set_access_required", "access_required")
    return 0


def setdebugging(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Kept, and not told."""
    if domain.domid == 0:
        return -EINVAL
    (domain.kept["debugged"],) = xen.get(op, "xen_domctl_setdebugging", "enable")
    return 0


def gdbsx_domstatus(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Whether it is paused, and the event of a vCPU, which is forgotten then."""
    struct = "xen_domctl_gdbsx_domstatus"
    vcpu, event = 0xFFFFFFFF, None
    if domain.pause_count:
        vcpu, event = domain.kept.pop("debug_event", (vcpu, event))
    xen.put(op, struct, paused=int(domain.pause_count > 0), vcpu_id=vcpu)
    if event is not None:
        xen.put(op, struct, vcpu_ev=event)
    return 0


def _stop(xen: Machine, domain: Domain, op: memoryview, more: int) -> int:
    (number,) = xen.get(op, "xen_domctl_gdbsx_pauseunp_vcpu", "vcpu")
    if not domain.pause_count:
        return -EBUSY
    stops = domain.kept.setdefault("stopped_vcpus", {})
    if domain.vcpu(number) is None or stops.get(number, 0) + more < 0:
        return -EINVAL
    stops[number] = stops.get(number, 0) + more
    return 0


def gdbsx_pausevcpu(xen: Machine, domain: Domain, op: memoryview) -> int:
    """One stop more."""
    return _stop(xen, domain, op, 1)


def gdbsx_unpausevcpu(xen: Machine, domain: Domain, op: memoryview) -> int:
    """One stop less."""
    return _stop(xen, domain, op, -1)


def debug_op(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Single steps, of Intel's CPUs."""
    what, number = xen.get(op, "xen_domctl_debug_op", "op", "vcpu")
    if domain.vcpu(number) is None or not domain.hvm:
        return -EINVAL
    if xen.settings.processor != "intel":
        return -EOPNOTSUPP
    stepped = domain.kept.setdefault("stepped", {})
    stepped[number] = what == xen.constant("XEN_DOMCTL_DEBUG_OP_SINGLE_STEP_ON")
    return 0


def _rights(domain: Domain, kind: str) -> set[int]:
    kept: dict[str, set[int]] = domain.kept.setdefault(RIGHTS, {})
    return kept.setdefault(kind, set())


def _permit(domain: Domain, kind: str, numbers: range, allow: int) -> int:
    rights = _rights(domain, kind)
    (rights.update if allow else rights.difference_update)(numbers)
    return 0


def irq_permission(xen: Machine, domain: Domain, op: memoryview) -> int:
    """An interrupt that the control domain has: a number below all that there are, and not one of a vCPU's own."""
    pirq, allow = xen.get(op, "xen_domctl_irq_permission", "pirq", "allow_access")
    if pirq >= NR_PIRQS:
        return -EINVAL
    return _permit(domain, "pirq", range(pirq, pirq + 1), allow) if 0 < pirq < NR_GSIS else -EPERM


def gsi_permission(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The same by the number of the I/O APICs."""
    gsi, flags = xen.get(op, "xen_domctl_gsi_permission", "gsi", "flags")
    if flags & ~1 or gsi >= NR_GSIS:
        return -EINVAL
    return _permit(domain, "gsi", range(gsi, gsi + 1), flags) if gsi else -EACCES


def iomem_permission(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Frames; kept as their first and last, for there may be any number."""
    first, count, allow = xen.get(op, "xen_domctl_iomem_permission", "first_mfn", "nr_mfns", "allow_access")
    last = first + count - 1
    if last >= 2**64 or last < first:
        return -EINVAL
    if first < WITHOUT_RIGHT.stop and last >= WITHOUT_RIGHT.start:
        return -EPERM
    kept: list[tuple[int, int]] = domain.kept.setdefault("iomem", [])
    if allow:
        kept.append((first, last))
    elif (first, last) in kept:
        kept.remove((first, last))
    return 0


def ioport_permission(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Ports; those of the interrupt controllers no control domain has."""
    first, count, allow = xen.get(op, "xen_domctl_ioport_permission", "first_port", "nr_ports", "allow_access")
    if not count or first + count > MAX_PORTS:
        return -EINVAL
    if first <= 0x21 and first + count > 0x20:
        return -EPERM
    return _permit(domain, "ioport", range(first, first + count), allow)


def set_target(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Once, and another one that is HVM."""
    other = xen.world.domain(*xen.get(op, "xen_domctl_set_target", "target"))
    if other is None:
        return -ESRCH
    if other is domain or domain.kept.get("target") is not None:
        return -EINVAL
    if not other.hvm:
        return -EOPNOTSUPP
    domain.kept["target"] = other.domid
    return 0


def _device_of(xen: Machine, domain: Domain, op: memoryview, allowed: int) -> int | None:
    """An errno, or None where the question makes sense."""
    dev, flags = xen.get(op, "xen_domctl_assign_device", "dev", "flags")
    if not has_iommu(xen, domain):
        return -EOPNOTSUPP
    if domain.domid == 0:
        return -EINVAL
    if dev != xen.constant("XEN_DOMCTL_DEV_PCI"):
        return -ENODEV
    return -EINVAL if flags & ~allowed else None


def assign_device(xen: Machine, domain: Domain, op: memoryview) -> int:
    """A device that is nobody's, or dom0's, becomes the domain's."""
    problem = _device_of(xen, domain, op, xen.constant("XEN_DOMCTL_DEV_RDM_RELAXED"))
    (sbdf,) = xen.get(op, "xen_domctl_assign_device", "u.pci.machine_sbdf")
    device = xen.world.bus.devices.get(sbdf)
    if problem is not None or domain.dying != ALIVE:
        return problem or -EINVAL
    if device is None:
        return -ENODEV
    if device.owner not in (0, FREE):
        return -EBUSY
    device.owner = domain.domid
    return 0


def deassign_device(xen: Machine, domain: Domain, op: memoryview) -> int:
    """One that it has is nobody's from then on."""
    problem = _device_of(xen, domain, op, 0)
    (sbdf,) = xen.get(op, "xen_domctl_assign_device", "u.pci.machine_sbdf")
    device = xen.world.bus.devices.get(sbdf)
    if problem is not None:
        return problem
    if device is None or device.owner != domain.domid:
        return -ENODEV
    device.owner = FREE
    return 0


def subscribe(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Kept, and not told."""
    (domain.kept["suspend_port"],) = xen.get(op, "xen_domctl_subscribe", "port")
    return 0


def set_virq_handler(xen: Machine, domain: Domain, op: memoryview) -> int:
    """An interrupt of the whole host's goes to this domain."""
    (virq,) = xen.get(op, "xen_domctl_set_virq_handler", "virq")
    if virq >= NR_VIRQS or virq in (xen.constant(f"VIRQ_{name}") for name in OF_EACH_VCPU) or domain.dying != ALIVE:
        return -EINVAL
    xen.world.domains[0].kept.setdefault("virq_handlers", {})[virq] = domain.domid
    return 0


def settimeoffset(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Kept, and not told."""
    (seconds,) = xen.get(op, "xen_domctl_settimeoffset", "time_offset_seconds")
    domain.kept["time_offset"] = seconds - (1 << 64) if seconds >> 63 else seconds
    return 0


def soft_reset(xen: Machine, domain: Domain, op: memoryview) -> int:
    """What has shut down and is paused goes on anew, and has not shut down any more."""
    if domain.domid == 0 or domain.shutdown_code == NOT_SHUT_DOWN or not domain.pause_count:
        return -EINVAL
    xen.world.resume(domain.domid)
    return 0


OPERATIONS: Answers = {
    "XEN_DOMCTL_monitor_op": monitor_op,
    "XEN_DOMCTL_set_access_required": set_access_required,
    "XEN_DOMCTL_setdebugging": setdebugging,
    "XEN_DOMCTL_iomem_permission": iomem_permission,
    "XEN_DOMCTL_set_target": set_target,
    "XEN_DOMCTL_subscribe": subscribe,
    "XEN_DOMCTL_set_virq_handler": set_virq_handler,
    "XEN_DOMCTL_settimeoffset": settimeoffset,
}
OPERATIONS_X86: Answers = {
    "XEN_DOMCTL_gdbsx_domstatus": gdbsx_domstatus,
    "XEN_DOMCTL_gdbsx_pausevcpu": gdbsx_pausevcpu,
    "XEN_DOMCTL_gdbsx_unpausevcpu": gdbsx_unpausevcpu,
    "XEN_DOMCTL_debug_op": debug_op,
    "XEN_DOMCTL_irq_permission": irq_permission,
    "XEN_DOMCTL_gsi_permission": gsi_permission,
    "XEN_DOMCTL_ioport_permission": ioport_permission,
    "XEN_DOMCTL_assign_device": assign_device,
    "XEN_DOMCTL_deassign_device": deassign_device,
    "XEN_DOMCTL_soft_reset": soft_reset,
}
