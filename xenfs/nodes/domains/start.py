"""domains/<d>/hvm/start/: where vCPU 0 of an HVM or PVH domain begins, as the PVH boot ABI wants it.

The state is Xen's own, read, changed and loaded again: flat 32-bit segments, no paging, EBX at the start info.
"""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import HvmRecord
from xenfs.calls import domains, hvm
from xenfs.calls.domains import DomainInfo
from xenfs.calls.hvm import Record
from xenfs.errors import NotThere
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import can_be_saved, has_state, is_other_hvm, require_paused
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import x86
from xenfs.nodes.tables.forms import formed

_CPU, _MTRR = HvmRecord.CPU, HvmRecord.MTRR
_PE_AND_ET = 0x11  # CR0: protected mode, and what is always set
_LIMIT = 0xFFFFFFFF
_CODE, _DATA, _TASK = 0xC9B, 0xC93, 0x8B
_FLAT: dict[str, int] = {
    "cr0": _PE_AND_ET, "cr3": 0, "cr4": 0, "msr_efer": 0, "rflags": 2, "dr6": 0xFFFF0FF0, "dr7": 0x400,
    **{f"{segment}_{part}": value for segment, kind in
       (("cs", _CODE), ("ds", _DATA), ("es", _DATA), ("ss", _DATA)) for part, value in
       (("base", 0), ("limit", _LIMIT), ("arbytes", kind))},
    "tr_base": 0, "tr_limit": 0x67, "tr_arbytes": _TASK,
}  # fmt: skip
_WRITE_BACK = 0x806  # MTRR_DEF_TYPE: enabled, all memory written back

_address = parse.integer(0, 2**32 - 1, "guest physical address")


def _cpu(xen: Hypervisor, records: dict[Record, bytes]) -> Any:
    """The state of vCPU 0 as a struct, all zeros where it has none yet."""
    return _struct(xen, "struct hvm_hw_cpu", records.get(Record(_CPU, 0), b""))


def _struct(xen: Hypervisor, name: str, data: bytes) -> Any:
    """A struct of one's own with these bytes, zeros behind them."""
    nbytes = xen.abi.sizeof(name)
    struct = xen.abi.ffi.new(f"{name} *")
    xen.abi.ffi.buffer(struct)[: min(nbytes, len(data))] = data[:nbytes]
    return struct


def _records(xen: Hypervisor, domain: Domain) -> dict[Record, bytes]:
    """Its saved state. Xen reaches for vCPU 0 without looking, so what `only` saw a moment ago will not do."""
    if not can_be_saved(xen, domains.info(xen, domain)):
        raise NotThere(f"saved state: of domain {domain.domid}")
    return hvm.parts(hvm.context(xen, domain.domid))


def _is_flat(cpu: Any) -> bool:
    return all(getattr(cpu, name) == value for name, value in _FLAT.items() if name != "rflags")


def _read(xen: Hypervisor, domain: Domain, register: str) -> int | None:
    """A register of vCPU 0; nothing while it has none."""
    records = _records(xen, domain)
    return int(getattr(_cpu(xen, records), register)) if Record(_CPU, 0) in records else None


def _change(xen: Hypervisor, domain: Domain, known: DomainInfo, flat: bool, **registers: int) -> None:
    """Read, change, load. Loading takes down every vCPU whose registers are not among what is loaded: all are."""
    require_paused(known)
    records = _records(xen, domain)
    cpu = _cpu(xen, records)
    values = (_FLAT if flat or Record(_CPU, 0) not in records else {}) | registers
    for name, value in values.items():
        setattr(cpu, name, value)
    records[Record(_CPU, 0)] = bytes(xen.abi.ffi.buffer(cpu))
    wanted = {which: _cached(xen, which, data) for which, data in records.items() if which.type in (_CPU, _MTRR)}
    hvm.load(xen, domain.domid, records, wanted)


def _cached(xen: Hypervisor, which: Record, data: bytes) -> bytes:
    """Memory of a guest without firmware, which nobody else would declare as memory to be cached."""
    if which.type != _MTRR:
        return data
    struct = _struct(xen, "struct hvm_hw_mtrr", data)
    struct.msr_mtrr_def_type = struct.msr_mtrr_def_type or _WRITE_BACK
    return bytes(xen.abi.ffi.buffer(struct))[: len(data)]


@formed("hexadecimal number with 0x, empty while vCPU 0 has no state")
def _hexa(value: int | None) -> str:
    return "" if value is None else show.hexa(value)


def _register(name: str, register: str, help: str) -> File:
    def write(xen: Hypervisor, domain: Domain, value: int, known: DomainInfo) -> None:
        _change(xen, domain, known, flat=False, **{register: value})

    return File(
        name, help, read=lambda xen, domain: _read(xen, domain, register), write=write, knowing=True, parse=_address,
        show=_hexa, errnos="EBUSY", call=f"{hvm.GETHVMCONTEXT.name}, {hvm.SETHVMCONTEXT.name}", private=True,
        tier="C", option="debug",
    )  # fmt: skip


def _mode(xen: Hypervisor, domain: Domain) -> str:
    records = _records(xen, domain)
    if Record(_CPU, 0) not in records:
        return ""
    return "pvh" if _is_flat(_cpu(xen, records)) else "other"


def _set_mode(xen: Hypervisor, domain: Domain, word: str, known: DomainInfo) -> None:
    _change(xen, domain, known, flat=True)


START = Dir(
    "start",
    "Where vCPU 0 begins; it comes up with the first of these that is written",
    (
        _register("entry", "rip", "Guest address of its first instruction"),
        _register("start_info", "rbx", "Guest address of struct hvm_start_info, which EBX has"),
        File(
            "mode", "pvh: flat 32-bit segments, no paging; other: whatever else; write pvh to have it so", read=_mode,
            write=_set_mode, knowing=True, parse=parse.one_of(("pvh",)), errnos="EBUSY", private=True, tier="C",
            format="pvh, other, or empty while vCPU 0 has no state", option="debug",
            call=f"{hvm.GETHVMCONTEXT.name}, {hvm.SETHVMCONTEXT.name}",
        ),
    ),
    option="debug",
    when=x86,
    only=lambda xen, domain: is_other_hvm(xen, domain) and has_state(xen, domain),
)  # fmt: skip
