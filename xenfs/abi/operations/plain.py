"""Hypercalls that pass numbers, memory or arrays instead of one struct: console, hypfs, argo, page tables, own."""

from __future__ import annotations

from xenfs.abi.numbers import (
    ArgoOp,
    CallbackOp,
    ConsoleOp,
    Hypercall,
    HypfsOp,
    MmuextOp,
    MmuUpdate,
    NmiOp,
    VmAssist,
    XenoprofOp,
)
from xenfs.abi.operations.grammar import OWN_VCPU, Declared, Family, changes, looks, one_of
from xenfs.abi.operations.model import CMD, NONE, STRUCT, X86, Way, fixed, memory, plain

_SETUP = "tells Xen where the calling kernel's own code or tables are: another address ends the control domain"
_OLD = "the older form of another hypercall"

_CONSOLE = Family(Hypercall.console_io, simulated="write")
_HYPFS = Family(Hypercall.hypfs_op, simulated="*")
_ARGO = Family(Hypercall.argo_op)
_PATH = (CMD, memory("path", "char[path_len]", Way.IN), plain("path_len"))
_MMU = (
    plain("count", "uint32_t"),
    memory("done", "uint32_t[1] or null", Way.OUT),
    plain("foreigndom", "uint32_t"),
)

CONSOLE = _CONSOLE.operations(
    changes(
        ConsoleOp.write, slow=True,
        arguments=(CMD, plain("count", "uint32_t"), memory("buffer", "char[count]", Way.IN)),
    ),
    looks(
        ConsoleOp.read, repeatable=False, why="takes what was typed: dom0's own console does not see it any more",
        arguments=(CMD, plain("count", "uint32_t"), memory("buffer", "char[count]", Way.OUT)),
    ),
)  # fmt: skip

HYPFS = _HYPFS.operations(
    looks(HypfsOp.get_version, arguments=(CMD, *4 * (fixed(0),)), why="the result is the version"),
    looks(
        HypfsOp.read, arguments=(*_PATH, memory("buffer", "uint8_t[buffer_len]", Way.OUT), plain("buffer_len")),
        why="path ends in a NUL; ENOBUFS, with the head of the answer, says how much more room it needs",
    ),
    changes(
        HypfsOp.write_contents, dangerous=True,
        arguments=(*_PATH, memory("buffer", "uint8_t[buffer_len]", Way.IN), plain("buffer_len")),
        why="some parameters can end the host",
    ),
)  # fmt: skip

ARGO = _ARGO.operations(
    changes(
        ArgoOp.register_ring, struct="struct xen_argo_register_ring",
        arguments=(CMD, STRUCT, memory("frames", "uint64_t[nr_frames]", Way.IN), plain("nr_frames"), plain("flags")),
        why="the frames are the caller's kernel's: Xen writes messages to them",
        dangerous=True,
    ),
    changes(
        ArgoOp.unregister_ring, struct="struct xen_argo_unregister_ring",
        arguments=(CMD, STRUCT, fixed(0), fixed(0), fixed(0)),
    ),
    changes(
        ArgoOp.sendv, struct="struct xen_argo_send_addr", domain="dst.domain_id", again="EAGAIN",
        arguments=(
            CMD, STRUCT, memory("iovs", "struct xen_argo_iov[niov]", Way.IN), plain("niov"), plain("message_type"),
        ),
    ),
    changes(
        ArgoOp.notify, struct="struct xen_argo_ring_data", both="data", repeatable=True,
        arguments=(CMD, STRUCT, fixed(0), fixed(0), fixed(0)),
    ),
)  # fmt: skip


_ARG1 = {
    "arg1.mfn": "PIN_L1_TABLE PIN_L2_TABLE PIN_L3_TABLE PIN_L4_TABLE UNPIN_TABLE NEW_BASEPTR NEW_USER_BASEPTR"
    " CLEAR_PAGE COPY_PAGE MARK_SUPER UNMARK_SUPER",
    "arg1.linear_addr": "INVLPG_LOCAL INVLPG_MULTI INVLPG_ALL SET_LDT",
}
_ARG2 = {"arg2.vcpumask": "TLB_FLUSH_MULTI INVLPG_MULTI", "arg2.nr_ents": "SET_LDT", "arg2.src_mfn": "COPY_PAGE"}


def _arms(part: MmuextOp) -> str:
    """What of a request's unions it uses."""
    found = [arm for arms in (_ARG1, _ARG2) for arm, names in arms.items() if part.name in names.split()]
    return " ".join(found) or NONE


def _mmu(number: Hypercall, element: str, which: str, *parts: Declared) -> Declared:
    arguments = (memory("requests", f"{element}[count]", Way.BOTH), *_MMU)
    return one_of(
        number, "", *parts, word="", arguments=arguments, domain="foreigndom", when=X86, dom0="PV",
        each=f"requests.{which}", why="those before the first that fails are done",
    )  # fmt: skip


_TABLES = Family(Hypercall.mmu_update).operations(
    _mmu(
        Hypercall.mmu_update, "struct mmu_update", "ptr&3",
        *(changes(each, dangerous=True) for each in MmuUpdate),
    )
) + Family(Hypercall.mmuext_op).operations(
    _mmu(
        Hypercall.mmuext_op, "struct mmuext_op", "cmd",
        *(changes(each, dangerous=True, arms=_arms(each)) for each in MmuextOp),
    )
)  # fmt: skip

MULTICALL = Family(Hypercall.multicall, simulated="*").operations(
    changes(
        Hypercall.multicall, word="batch",
        arguments=(memory("calls", "struct multicall_entry[nr_calls]", Way.BOTH), plain("nr_calls", "uint32_t")),
        why="as dangerous as its calls",
    )
)  # fmt: skip

ASSIST = Family(
    Hypercall.vm_assist, arguments=(CMD, plain("type", "uint32_t"))
).operations(
    changes(VmAssist.enable, dangerous=True, bare="changes how Xen treats the control domain's kernel"),
    changes(VmAssist.disable, dangerous=True, bare="changes how Xen treats the control domain's kernel"),
)  # fmt: skip

CALLBACKS = Family(Hypercall.callback_op, arguments=(CMD, STRUCT), when=X86, dom0="PV").operations(
    changes(CallbackOp.register, struct="struct callback_register", dangerous=True, bare=_SETUP),
    changes(CallbackOp.unregister, struct="struct callback_unregister", dangerous=True, bare=_SETUP),
) + Family(Hypercall.nmi_op, arguments=(CMD, STRUCT), when=X86, dom0="PV").operations(
    changes(NmiOp.register_callback, struct="struct xennmi_callback", dangerous=True, bare=_SETUP),
    changes(NmiOp.unregister_callback, dangerous=True, bare=_SETUP),
)  # fmt: skip

_PROFILE = Family(Hypercall.xenoprof_op, arguments=(CMD, STRUCT), when=f"{X86} and xen < 4.22")

PROFILE = _PROFILE.operations(
    changes(XenoprofOp.init, struct="struct xenoprof_init", gives="*"),
    changes(XenoprofOp.reset_active_list),
    changes(XenoprofOp.reset_passive_list),
    changes(XenoprofOp.set_active, struct="domid_t", scalar="domid", domain="domid"),
    changes(XenoprofOp.set_passive, struct="struct xenoprof_passive", both="*", domain="domain_id"),
    changes(XenoprofOp.reserve_counters),
    changes(XenoprofOp.counter, struct="struct xenoprof_counter"),
    changes(XenoprofOp.setup_events),
    changes(XenoprofOp.enable_virq),
    changes(XenoprofOp.start),
    changes(XenoprofOp.stop),
    changes(XenoprofOp.disable_virq),
    changes(XenoprofOp.release_counters),
    changes(XenoprofOp.shutdown),
    changes(XenoprofOp.get_buffer, struct="struct xenoprof_get_buffer", takes="max_samples", gives="*"),
    changes(XenoprofOp.set_backtrace, struct="uint64_t", scalar="depth"),
    looks(XenoprofOp.get_ibs_caps, struct="uint32_t", scalar="caps", gives="caps"),
    changes(XenoprofOp.ibs_counter, struct="struct xenoprof_ibs_counter"),
)  # fmt: skip


def _of_itself(
    number: Hypercall, why: str, *arguments: str, looking: bool = False, when: str = X86, dom0: str = "PV"
) -> Declared:
    verb = looks if looking else changes
    return verb(
        number, word="", bare=why, when=when, dom0=dom0, dangerous=not looking,
        arguments=tuple(plain(each) for each in arguments),
    )  # fmt: skip


OWN = tuple(
    made
    for declared in (
        _of_itself(Hypercall.set_trap_table, _SETUP, "traps"),
        _of_itself(Hypercall.set_gdt, _SETUP, "frame_list", "entries"),
        _of_itself(Hypercall.stack_switch, _SETUP, "ss", "esp"),
        _of_itself(Hypercall.set_callbacks, _SETUP, "event", "failsafe", "syscall"),
        _of_itself(Hypercall.fpu_taskswitch, OWN_VCPU, "set"),
        _of_itself(Hypercall.sched_op_compat, _OLD, "cmd", "arg", when="", dom0=""),
        _of_itself(Hypercall.set_debugreg, OWN_VCPU, "reg", "value"),
        _of_itself(Hypercall.get_debugreg, OWN_VCPU, "reg", looking=True),
        _of_itself(Hypercall.update_descriptor, _SETUP, "ma", "desc"),
        _of_itself(Hypercall.update_va_mapping, _SETUP, "va", "val", "flags"),
        _of_itself(Hypercall.update_va_mapping_otherdomain, _SETUP, "va", "val", "flags", "domid"),
        _of_itself(Hypercall.set_timer_op, OWN_VCPU, "timeout", dom0=""),
        _of_itself(Hypercall.event_channel_op_compat, _OLD, "op", when="", dom0=""),
        _of_itself(Hypercall.physdev_op_compat, _OLD, "op", when="", dom0=""),
        _of_itself(Hypercall.iret, OWN_VCPU),
        _of_itself(Hypercall.set_segment_base, OWN_VCPU, "reg", "value"),
    )
    for made in Family(Hypercall(int(declared.number))).operations(declared)
)

OPERATIONS = CONSOLE + HYPFS + ARGO + _TABLES + MULTICALL + ASSIST + CALLBACKS + PROFILE + OWN
