"""domains/<d>/hvm/: parameters and saved state of HVM and PVH domains."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence

from xenfs.abi.numbers import HvmParam, HvmRecord
from xenfs.calls import domains, hvm
from xenfs.calls.domains import DomainInfo
from xenfs.calls.hvm import Record
from xenfs.calls.neighbours import together
from xenfs.errors import BadInput, NotThere, meaning
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.altp2m import ALTP2M
from xenfs.nodes.domains.own import can_be_saved, has_state, is_hvm, is_other_hvm, require_paused
from xenfs.nodes.domains.start import START
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.conditions import x86

# The parameters that Xen still tells; other numbers are gone, or were never used. Arm has few.
_PARAMS = {
    HvmParam.CALLBACK_IRQ: "How it is interrupted for events: type in the top byte, number below",
    HvmParam.STORE_PFN: "Guest frame of its xenstore ring",
    HvmParam.STORE_EVTCHN: "Event channel of its xenstore ring",
    HvmParam.IOREQ_PFN: "Guest frame of the default device model's requests",
    HvmParam.BUFIOREQ_PFN: "Guest frame of the default device model's buffered requests",
    HvmParam.VIRIDIAN: "Enlightenments for Windows, HVMPV_* bits",
    HvmParam.TIMER_MODE: "What becomes of missed timer ticks, 0 to 3",
    HvmParam.HPET_ENABLED: "Whether it has an HPET",
    HvmParam.IDENT_PT: "Guest address of the identity page table",
    HvmParam.ACPI_S_STATE: "ACPI sleep state: 3 asleep, 0 awake",
    HvmParam.VM86_TSS: "Guest address of the task state for real mode",
    HvmParam.VPT_ALIGN: "Whether its timers tick together",
    HvmParam.CONSOLE_PFN: "Guest frame of its console ring",
    HvmParam.CONSOLE_EVTCHN: "Event channel of its console ring",
    HvmParam.ACPI_IOPORTS_LOCATION: "Where its ACPI ports are: 0 or 1",
    HvmParam.PAGING_RING_PFN: "Guest frame of the ring for paging events",
    HvmParam.MONITOR_RING_PFN: "Guest frame of the ring for monitor events",
    HvmParam.SHARING_RING_PFN: "Guest frame of the ring for sharing events",
    HvmParam.TRIPLE_FAULT_REASON: "What a triple fault counts as, a SHUTDOWN_* number",
    HvmParam.IOREQ_SERVER_PFN: "First guest frame for more device models' requests",
    HvmParam.NR_IOREQ_SERVER_PAGES: "How many guest frames there are for them",
    HvmParam.VM_GENERATION_ID_ADDR: "Guest address of the generation id",
    HvmParam.ALTP2M: "Mode of alternate views of memory",
    HvmParam.X87_FIP_WIDTH: "Width of the x87 instruction pointer: 0, 4 or 8 bytes",
    HvmParam.VM86_TSS_SIZED: "Guest address of the task state for real mode, its size in the top half",
    HvmParam.MCA_CAP: "Machine check capabilities, XEN_HVM_MCA_CAP_* bits",
}
_HEX = {
    HvmParam.CALLBACK_IRQ, HvmParam.VIRIDIAN, HvmParam.IDENT_PT, HvmParam.VM86_TSS, HvmParam.VM86_TSS_SIZED,
    HvmParam.VM_GENERATION_ID_ADDR, HvmParam.MCA_CAP,
}  # fmt: skip
_ARM = {
    HvmParam.CALLBACK_IRQ, HvmParam.STORE_PFN, HvmParam.STORE_EVTCHN, HvmParam.CONSOLE_PFN, HvmParam.CONSOLE_EVTCHN,
    HvmParam.MONITOR_RING_PFN,
}  # fmt: skip
# What Xen tells a domain, and so xenfs, of itself.
_OWN = {
    HvmParam.CALLBACK_IRQ, HvmParam.STORE_PFN, HvmParam.STORE_EVTCHN, HvmParam.CONSOLE_PFN, HvmParam.CONSOLE_EVTCHN,
    HvmParam.VM86_TSS, HvmParam.VM86_TSS_SIZED, HvmParam.ACPI_IOPORTS_LOCATION, HvmParam.VM_GENERATION_ID_ADDR,
    HvmParam.ALTP2M, HvmParam.X87_FIP_WIDTH,
}  # fmt: skip
_FIXED = {HvmParam.ALTP2M}  # from Xen 4.19 on it is said at creation and never again


def _writer(index: HvmParam) -> Callable[[Hypervisor, Domain, int], None]:
    def write(xen: Hypervisor, domain: Domain, value: int) -> None:
        """Nothing for the value that it has: setting some of them twice has effects of its own."""
        if value != hvm.param(xen, domain.domid, index):
            hvm.set_param(xen, domain.domid, index, value)

    return write


def _param(index: HvmParam, help: str) -> File:
    return File(
        index.name.lower(), help, read=lambda xen, domain: hvm.param(xen, domain.domid, index),
        write=None if index in _FIXED else _writer(index), show=show.hexa if index in _HEX else show.dec,
        parse=parse.integer(), when=None if index in _ARM else x86, only=None if index in _OWN else is_other_hvm,
        call="hvm_op get_param" if index in _FIXED else "hvm_op get_param, set_param", tier="B",
    )  # fmt: skip


def _name(record: Record) -> str:
    known = record.type in list(HvmRecord)
    return f"{HvmRecord(record.type).name.lower() if known else record.type}.{record.instance}"


def _stated(xen: Hypervisor, domain: Domain) -> int:
    """The domain's id. Xen reaches for vCPU 0 without looking, so an old descriptor must not ask of a new domain."""
    if not can_be_saved(xen, domains.info(xen, domain)):
        raise NotThere(f"saved state: of domain {domain.domid}")
    return domain.domid


_MOST_STATE = 1 << 20
_HEADER = 8  # of a record: its type, its instance, the length of what follows
_ODD_STATE = dict.fromkeys(
    (errno.EINVAL, errno.ENODATA, errno.ENOENT),
    "Xen takes no such state for this domain: a record that it does not know, or that says what cannot be",
)


def _require_whole(state: bytes) -> None:
    """A stream of records from HEADER to END, all of which are as long as they say."""
    at, kinds = 0, list[int]()
    while at + _HEADER <= len(state) <= _MOST_STATE:
        kinds.append(int.from_bytes(state[at : at + 2], "little"))
        at += _HEADER + int.from_bytes(state[at + 4 : at + 8], "little")
    if at != len(state) or kinds[:1] != [HvmRecord.HEADER] or kinds[-1:] != [HvmRecord.END]:
        raise BadInput("not a saved state: records from a header to an end, as context reads, in one write")


def _set_context(xen: Hypervisor, domain: Domain, state: bytes, known: DomainInfo) -> None:
    _require_whole(state)
    require_paused(known)
    with meaning(_ODD_STATE):
        hvm.set_context(xen, _stated(xen, domain), state)


@together
def _records_of(xen: Hypervisor, infos: Sequence[DomainInfo]) -> list[list[tuple[str, Record]]]:
    """Looked at once more right before, like `_stated`; nothing of what cannot be saved, or is another by now."""
    now = {info.domain: info for info in domains.infos_from(xen, infos[0].domain, len(infos))}
    asked = [
        info.domain
        for info in infos
        if info.domain in now and can_be_saved(xen, now[info.domain]) and now[info.domain].handle == info.handle
    ]
    found = dict(zip(asked, hvm.records(xen, asked), strict=True))
    return [[(_name(record), record) for record in found.get(info.domain, ())] for info in infos]


def _records(xen: Hypervisor, domain: Domain) -> list[tuple[str, Record]]:
    return _records_of(xen, domain)


def _find(xen: Hypervisor, domain: Domain, name: str) -> Record | None:
    return dict(_records(xen, domain)).get(name)


_RECORD = File(
    "<type>.<i>", "A record of its saved state, binary", private=True, binary=True, show=bytes, tier="B",
    read=lambda xen, domain, record: hvm.record(xen, _stated(xen, domain), record), call=hvm.GETHVMCONTEXT_PARTIAL.name,
)  # fmt: skip

HVM = Dir(
    "hvm",
    "What only HVM and PVH domains have",
    (
        Dir("params", "Parameters, a file each", tuple(_param(index, help) for index, help in _PARAMS.items())),
        File(
            "context", "Its saved state, binary; it is paused for the moment. To be written in one piece, while it is "
            "paused: the guest may crash", private=True, binary=True, show=bytes, tier="B",
            read=lambda xen, domain: hvm.context(xen, _stated(xen, domain)), when=x86, only=has_state,
            write=_set_context, knowing=True, write_option="debug", errnos="EBUSY EINVAL ENODATA ENOENT",
            call=f"domctl getdomaininfo, {hvm.GETHVMCONTEXT.name}, {hvm.SETHVMCONTEXT.name}",
        ),
        Dir(
            "context.d",
            "The records of its saved state: vCPUs and devices",
            (Each(label="<type>.<i>", list=_records, find=_find, node=_RECORD),),
            when=x86,
            only=has_state,
            volatile=True,
        ),
        START,
        ALTP2M,
    ),
    only=is_hvm,
)  # fmt: skip
