"""domains/<d>/vcpus/<v>/: xsave, msrs, ext_context, inject_event, vmtrace: a vCPU's inside for who debugs a guest."""

from __future__ import annotations

import errno
import re
from typing import Any

from xenfs.abi.numbers import DmEvent, PhysCap, Resource, VmtraceOp
from xenfs.calls import dm, vcpu_state, vmtrace
from xenfs.calls.resources import OPERATIONS
from xenfs.calls.sysctl import capabilities
from xenfs.calls.vcpu_state import Msr, MsrRefused
from xenfs.errors import BadInput, answered_by, meaning
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import has_paging, is_other_hvm, is_pv
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Exchange, File, consuming
from xenfs.nodes.tables.conditions import every, since, x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed
from xenfs.nodes.tables.region import Region

_C: dict[str, Any] = {"tier": "C", "option": "debug"}


def _other_pv(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    return is_pv(xen, domain) and has_paging(xen, domain)


def _other_hvm(xen: Hypervisor, domain: Domain, *_: object) -> bool:
    return is_other_hvm(xen, domain) and has_paging(xen, domain)


def _msrs(xen: Hypervisor, domain: Domain, vcpu: int) -> str:
    return show.lines(f"{msr.number:#x} {msr.value:#x}" for msr in vcpu_state.msrs(xen, domain.domid, vcpu))


_MOST_MSRS = 64


@formed('"msr value" lines', ranged=True)
def msr_lines(text: str) -> list[Msr]:
    """MSRs and their values, as a read shows them."""
    found: list[Msr] = []
    for line in filter(None, (each.strip(" \t") for each in text.split("\n"))):
        words = re.findall(r"[^ \t]+", line)
        if len(words) != 2:
            raise BadInput('must be "msr value" on each line', word=line)
        index = parse.integer(0, 2**32 - 1, "MSR")(words[0])
        found.append(Msr(index, parse.integer(0, 2**64 - 1, "value")(words[1])))
    if not found or len({msr.number for msr in found}) != len(found):
        raise BadInput("an MSR is there twice" if found else "no MSR was written", at=0)
    if len(found) > _MOST_MSRS:
        raise BadInput(f"more than {_MOST_MSRS} MSRs", at=0)
    return found


def _set_msrs(xen: Hypervisor, domain: Domain, vcpu: int, wanted: list[Msr]) -> None:
    try:
        vcpu_state.set_msrs(xen, domain.domid, vcpu, wanted)
    except MsrRefused as problem:
        raise BadInput(
            f"a PV vCPU has no MSR {problem.msr.number:#x} of its own, or it cannot be that. What is before it was set",
            problem.errno,
        ) from problem


def _ext_context(xen: Hypervisor, domain: Domain, vcpu: int) -> str:
    found = vcpu_state.ext_context(xen, domain.domid, vcpu)
    names = (
        "syscall32_callback_eip", "sysenter_callback_eip", "syscall32_callback_cs", "sysenter_callback_cs",
        "syscall32_disables_events", "sysenter_disables_events",
    )  # fmt: skip
    rows = [(name, int(getattr(found, name))) for name in names]
    rows += [(f"vmce.{name}", int(getattr(found.vmce, name))) for name in xen.abi.members("struct hvm_vmce_vcpu")]
    return show.flat((name, value if name.endswith("events") else show.hexa(value)) for name, value in rows)


_WITH_CODE = (8, 10, 11, 12, 13, 14, 17, 21, 29, 30)  # exceptions that push an error code
_NO_CODE = 2**32 - 1  # X86_EVENT_NO_EC
_VECTORS = {
    DmEvent.ext_int: range(16, 256),
    DmEvent.nmi: range(2, 3),
    DmEvent.hw_exc: range(32),
    DmEvent.sw_int: range(256),
    DmEvent.pri_sw_exc: range(1, 2),
    DmEvent.sw_exc: range(3, 5),
}
_BY_INSTRUCTION = (DmEvent.sw_int, DmEvent.pri_sw_exc, DmEvent.sw_exc)
_code = parse.or_word(parse.integer(0, 2**32 - 2, "error code"), "-", _NO_CODE)
_fields = parse.fields(
    ("vector", parse.integer(0, 255, "vector")), ("type", parse.one_of([each.name for each in DmEvent])),
    ("length", parse.integer(0, 15, "length of the instruction")), ("code", _code),
    ("cr2", parse.integer(0, 2**64 - 1, "cr2")),
)  # fmt: skip


@formed('"vector type length code cr2": ext_int, nmi, hw_exc, sw_int, pri_sw_exc, sw_exc; "-" for no code', ranged=True)
def event(text: str) -> dict[str, Any]:
    """An event that a processor could have; another would end the guest at once."""
    vector, word, length, code, cr2 = _fields(text)
    kind = DmEvent[str(word)]
    if vector not in _VECTORS[kind] or (kind is DmEvent.hw_exc and vector == DmEvent.nmi):
        raise BadInput(f"{word} has no such vector", errno.ERANGE, at=0)
    if (code != _NO_CODE) != (kind is DmEvent.hw_exc and vector in _WITH_CODE):
        raise BadInput('an error code belongs to exceptions that have one, "-" to all else', word=str(text).split()[3])
    if (kind in _BY_INSTRUCTION) != bool(length):
        raise BadInput("what an instruction raises has its length, all else 0", word=str(text).split()[2])
    return {"kind": kind, "vector": vector, "insn_len": length, "error_code": code, "cr2": cr2}


def _inject(xen: Hypervisor, domain: Domain, vcpu: int, wanted: dict[str, Any]) -> None:
    with answered_by(errno.EBUSY):
        dm.inject_event(xen, domain.domid, vcpu, **wanted)
        return
    raise BadInput("the vCPU has not taken the last one yet", errno.EBUSY, at=0)


VCPU_STATE = (
    File(
        "xsave", "XCR0, all that was ever in it, and its xsave area, binary; it is paused for the moment",
        read=lambda xen, domain, vcpu: vcpu_state.xsave(xen, domain.domid, vcpu), private=True, binary=True, show=bytes,
        when=x86, only=has_paging, call=vcpu_state.GETVCPUEXTSTATE.name, **_C,
    ),
    File(
        "msrs", "MSRs that are its own and not 0, of a PV domain; lines that are written set them", read=_msrs,
        write=_set_msrs, parse=msr_lines, private=True, format='"msr value" lines', when=x86, only=_other_pv,
        errnos="ENXIO", call=f"{vcpu_state.GET_VCPU_MSRS.name}, {vcpu_state.SET_VCPU_MSRS.name}", **_C,
    ),
    File(
        "ext_context", "Where its system calls go, of a PV domain, and what it knows of machine checks", private=True,
        read=_ext_context, format='"key value" lines', when=x86, only=has_paging,
        call=vcpu_state.GET_EXT_VCPUCONTEXT.name, **_C,
    ),
    File(
        "inject_event", "Write an interrupt or exception for it. The guest may crash", write=_inject, parse=event,
        errnos="EBUSY", when=x86, only=_other_hvm, call=dm.INJECT_EVENT.name, **_C,
    ),
)  # fmt: skip

_ACTS = {"0": VmtraceOp.disable, "1": VmtraceOp.enable, "reset": VmtraceOp.reset_and_enable}


_NO_TRACE = dict.fromkeys(
    (errno.EINVAL, errno.EOPNOTSUPP),
    "the domain was made without room for traces (vmtrace_buf_kb), or the host's CPUs cannot trace",
)


def _trace(xen: Hypervisor, domain: Domain, vcpu: int, wanted: str) -> None:
    with meaning(_NO_TRACE, at=0):
        vmtrace.control(xen, domain.domid, vcpu, _ACTS[wanted])


def _position(xen: Hypervisor, domain: Domain, vcpu: int) -> int:
    with meaning(_NO_TRACE, at=0):
        return vmtrace.position(xen, domain.domid, vcpu)


@formed('"key", or "key value", numbers of MSRs and what they hold', ranged=True)
def trace_option(text: str) -> tuple[int, int | None]:
    """An MSR to be asked, or set."""
    words = re.findall(r"[^ \t]+", text)
    if not 1 <= len(words) <= 2:
        raise BadInput('must be "key" or "key value"', at=0)
    key = parse.integer(0, 2**32 - 1, "MSR")(words[0])
    return key, parse.integer(0, 2**64 - 1, "value")(words[1]) if len(words) == 2 else None


def _option(xen: Hypervisor, domain: Domain, vcpu: int, asked: tuple[int, int | None]) -> int:
    key, value = asked
    with meaning(_NO_TRACE, at=0):
        if value is not None:
            vmtrace.set_option(xen, domain.domid, vcpu, key, value)
        return vmtrace.option(xen, domain.domid, vcpu, key)


def _traces(xen: Hypervisor) -> bool:
    return bool(capabilities(xen) & PhysCap.vmtrace)


def _buffer_length(xen: Hypervisor, domain: Domain, vcpu: int) -> int:
    with answered_by(errno.EINVAL):  # made without room for traces
        return vmtrace.nbytes(xen, domain.domid, vcpu)
    return 0


def _buffer(xen: Hypervisor, domain: Domain, vcpu: int, offset: int, size: int) -> bytes:
    with meaning(_NO_TRACE, at=0):
        size = min(size, vmtrace.nbytes(xen, domain.domid, vcpu) - offset)
        return vmtrace.part(xen, domain.domid, vcpu, offset, size) if size > 0 else b""


_OPS = vmtrace.OPERATIONS
VMTRACE = Dir(
    "vmtrace",
    "What its processor notes of where it went (Intel Processor Trace)",
    (
        File(
            "enabled", "Write 1 to begin or go on, 0 to stop, reset to begin anew. Xen does not tell", write=_trace,
            parse=parse.one_of(_ACTS), errnos="EINVAL EOPNOTSUPP",
            call=", ".join(_OPS[act].name for act in _ACTS.values()), **_C,
        ),
        consuming(
            "position", "Write 1, then read: how many bytes of its buffer are written", read=_position, show=show.dec,
            errnos="EINVAL EOPNOTSUPP", when=_traces, call=_OPS[VmtraceOp.output_position].name, **_C,
        ),
        Exchange(
            "options", "Write an MSR of it (0x570 RTIT_CTL, 0x571 RTIT_STATUS) to read it, with a value to set it",
            write=_option, parse=trace_option, show=show.hexa, restricted=True, when=_traces,
            errnos="EINVAL EOPNOTSUPP", **_C,
            call=f"{_OPS[VmtraceOp.get_option].name}, {_OPS[VmtraceOp.set_option].name}",
        ),
        Region(
            "buffer", "What its processor has written, up to the position and around again. No listing has it",
            read=_buffer, length=_buffer_length, private=True, unlisted=True, grows=Cost.MEMORY, when=_traces,
            errnos="EINVAL EOPNOTSUPP", call=OPERATIONS[Resource.vmtrace_buf].name, **_C,
        ),
    ),
    option="debug",
    when=every(x86, since(4, 15)),
    only=_other_hvm,
)  # fmt: skip
