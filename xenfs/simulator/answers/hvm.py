"""hvm_op: the host's time, and the parameters of HVM and PVH domains."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENODEV, EPERM, ESRCH

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.guests import WITHOUT_DRIVERS
from xenfs.simulator.world.refused import Refused

STRUCT = "xen_hvm_param"
NR_PARAMS = 39

GONE = (
    "PAE_ENABLED", "DM_DOMAIN", "MEMORY_EVENT_CR0", "MEMORY_EVENT_CR3", "MEMORY_EVENT_CR4", "MEMORY_EVENT_INT3",
    "NESTEDHVM", "MEMORY_EVENT_SINGLE_STEP", "BUFIOREQ_EVTCHN", "MEMORY_EVENT_MSR",
)  # fmt: skip
OF_ARM = (
    "CALLBACK_IRQ", "STORE_PFN", "STORE_EVTCHN", "CONSOLE_PFN", "CONSOLE_EVTCHN", "MONITOR_RING_PFN",
)  # fmt: skip
FOR_ITSELF = (
    "CALLBACK_IRQ", "VM86_TSS", "VM86_TSS_SIZED", "ACPI_IOPORTS_LOCATION", "VM_GENERATION_ID_ADDR", "STORE_PFN",
    "STORE_EVTCHN", "CONSOLE_PFN", "CONSOLE_EVTCHN", "ALTP2M", "X87_FIP_WIDTH",
)  # fmt: skip
ONCE = ("VIRIDIAN", "IOREQ_PFN", "BUFIOREQ_PFN", "IOREQ_SERVER_PFN", "NR_IOREQ_SERVER_PAGES", "MCA_CAP")
PARAMS = "hvm_params"


def get_time(xen: Machine, address: int) -> int:
    """Nanoseconds since Xen booted."""
    xen.put(xen.struct(address, "xen_hvm_get_time"), "xen_hvm_get_time", now=xen.world.clock.now())
    return 0


def get_param(xen: Machine, address: int) -> int:
    """A parameter; the caller's own domain may ask for few of them."""
    op, domain, name = _asked(xen, address)
    if domain.domid == 0 and name not in FOR_ITSELF:
        return -EPERM
    xen.put(op, STRUCT, value=_values(xen, domain).get(name, 0))
    return 0


def set_param(xen: Machine, address: int) -> int:
    """Set one; some only once, some never."""
    op, domain, name = _asked(xen, address)
    (value,) = xen.get(op, STRUCT, "value")
    if name == "ALTP2M" and xen.release >= (4, 19):
        return -EEXIST
    if domain.domid == 0 and name not in FOR_ITSELF:
        return -EPERM
    before = _values(xen, domain).get(name, 0)
    if name in ONCE and before and value != before:
        return -EEXIST
    _require_allowed(domain, name, value)
    _values(xen, domain)[name] = value
    return 0


def _require_allowed(domain: Domain, name: str, value: int) -> None:
    """What Xen looks at before it keeps a value."""
    allowed = {
        "TIMER_MODE": value <= 3,
        "VIRIDIAN": bool(value & 1) and value < 1 << 13,
        "ACPI_S_STATE": value in (0, 3),
        "TRIPLE_FAULT_REASON": value <= 5,
        "NR_IOREQ_SERVER_PAGES": 0 < value <= 64,
        "X87_FIP_WIDTH": value in (0, 4, 8),
        "VM86_TSS": value < 1 << 32,
        "VM86_TSS_SIZED": value >> 32 >= 104,
        "ALTP2M": value <= 3,
        "MCA_CAP": value < 2,
    }
    if name == "ACPI_IOPORTS_LOCATION" and domain.kind != "hvm":
        raise Refused(ENODEV)
    if not allowed.get(name, True):
        raise Refused(EINVAL)


def _asked(xen: Machine, address: int) -> tuple[memoryview, Domain, str]:
    op = xen.struct(address, STRUCT)
    domid, index = xen.get(op, STRUCT, "domid", "index")
    if index >= NR_PARAMS:
        raise Refused(EINVAL)
    domain = xen.world.any_domain(domid)
    if domain is None:
        raise Refused(ESRCH)
    name = _names(xen).get(index, "unused")
    gone = name in GONE and not (name == "NESTEDHVM" and xen.release < (4, 15))
    if not domain.hvm or gone or (not xen.x86 and name not in OF_ARM):
        raise Refused(EINVAL)
    return op, domain, name


def _names(xen: Machine) -> dict[int, str]:
    named = (*FOR_ITSELF, *ONCE, *GONE, *OF_ARM, "TIMER_MODE", "HPET_ENABLED", "IDENT_PT", "ACPI_S_STATE")
    more = ("VPT_ALIGN", "PAGING_RING_PFN", "SHARING_RING_PFN", "TRIPLE_FAULT_REASON")
    constants = {name: f"HVM_PARAM_{name}" for name in (*named, *more)}
    return {xen.constant(full): name for name, full in constants.items() if xen.layouts.defines(full)}


def _values(xen: Machine, domain: Domain) -> dict[str, int]:
    """What a toolstack sets when it builds a domain, or what Xen begins with where none has been at it."""
    if domain.bare:
        domain.kept.setdefault(PARAMS, {"TRIPLE_FAULT_REASON": 1})
    if PARAMS not in domain.kept:
        top = 0xFEFFF
        interrupted = 0 if domain.domid in WITHOUT_DRIVERS else 2 << 56 | 0xF3
        domain.kept[PARAMS] = {
            "CALLBACK_IRQ": interrupted, "STORE_PFN": top - 1, "STORE_EVTCHN": 1, "CONSOLE_PFN": top,
            "CONSOLE_EVTCHN": 2, "TIMER_MODE": 1, "TRIPLE_FAULT_REASON": 1, "IDENT_PT": 0xFC000000,
            "HPET_ENABLED": int(domain.kind == "hvm"), "MCA_CAP": 0, "X87_FIP_WIDTH": 0,
            "ALTP2M": int(domain.kind == "pvh" and xen.settings.processor == "intel"),
        }  # fmt: skip
        if domain.kind == "hvm":
            domain.kept[PARAMS] |= {
                "IOREQ_PFN": top - 4, "BUFIOREQ_PFN": top - 3, "IOREQ_SERVER_PFN": top - 15,
                "NR_IOREQ_SERVER_PAGES": 8, "VM_GENERATION_ID_ADDR": 0xFC00A000, "ACPI_IOPORTS_LOCATION": 1,
            }  # fmt: skip
    values: dict[str, int] = domain.kept[PARAMS]
    return values


def parameter(xen: Machine, domain: Domain, name: str) -> int:
    """One of them, for other operations that go by it."""
    return _values(xen, domain).get(name, 0)


OPERATIONS: Answers = {"HVMOP_get_param": get_param, "HVMOP_set_param": set_param}
OPERATIONS_X86: Answers = {"HVMOP_get_time": get_time}
