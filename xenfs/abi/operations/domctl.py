"""domctl: one domain, which most operations name in the struct's own header."""

from __future__ import annotations

from xenfs.abi.numbers import (
    Affinity,
    DebugOp,
    DeviceKind,
    Domctl,
    DomctlSched,
    Domid,
    Hypercall,
    MemSharing,
    MonitorEvent,
    MonitorOp,
    PsrCmtOp,
    PsrDomainOp,
    SchedId,
    ShadowOp,
    Trigger,
    Virq,
    VmEventOp,
    VmEventRing,
    VmtraceOp,
    VuartOp,
)
from xenfs.abi.operations.grammar import XENSTOREDS, Declared, Facts, Family, Switch, changes, ends, looks, one_of
from xenfs.abi.operations.model import ARM, NONE, X86

_TABLE = Family(
    Hypercall.domctl, struct="struct xen_domctl", union="u", cmd="cmd", version="interface_version", speaks="domctl",
    domain="domain",
    simulated="createdomain destroydomain pausedomain unpausedomain getdomaininfo setvcpuaffinity shadow_op:OFF"
    " shadow_op:GET_ALLOCATION shadow_op:SET_ALLOCATION max_mem getvcpucontext getvcpuinfo max_vcpus scheduler_op"
    " setdomainhandle getvcpuaffinity resumedomain sendtrigger gethvmcontext get_address_size test_assign_device"
    " get_device_group gethvmcontext_partial vm_event_op:GET_VERSION gettscinfo setnodeaffinity getnodeaffinity"
    " psr_cmt_op psr_alloc get_cpu_policy set_cpu_policy get_paging_mempool_size set_paging_mempool_size"
    " get_domain_state monitor_op set_access_required setdebugging gdbsx_domstatus gdbsx_pausevcpu gdbsx_unpausevcpu"
    " debug_op irq_permission gsi_permission iomem_permission ioport_permission set_target subscribe set_virq_handler"
    " assign_device deassign_device settimeoffset settscinfo soft_reset"
    " setvcpucontext"
    " gdbsx_guestmemio:read gdbsx_guestmemio:write sethvmcontext set_address_size cacheflush"
    " shadow_op:ENABLE_LOGDIRTY shadow_op:CLEAN shadow_op:PEEK getpageframeinfo3 audit_p2m mem_sharing_op:CONTROL"
    " getvcpuextstate get_vcpu_msrs set_vcpu_msrs get_ext_vcpucontext vmtrace_op setvnumainfo set_llc_colors",
)  # fmt: skip

_SCHEDULERS = (SchedId.CREDIT, SchedId.CREDIT2, SchedId.RTDS)
_RINGS = {VmEventRing.PAGING: X86, VmEventRing.MONITOR: "", VmEventRing.SHARING: X86}
_EVENT_ARMS = {
    MonitorEvent.WRITE_CTRLREG: "u.mov_to_cr",
    MonitorEvent.MOV_TO_MSR: "u.mov_to_msr",
    MonitorEvent.GUEST_REQUEST: "u.guest_request",
    MonitorEvent.DEBUG_EXCEPTION: "u.debug_exception",
}
_EVENT_WHEN = {
    MonitorEvent.GUEST_REQUEST: "",
    MonitorEvent.PRIVILEGED_CALL: ARM,
    MonitorEvent.VMEXIT: f"{X86} and domctl >= 0x15",
    MonitorEvent.IO: f"{X86} and xen >= 4.18",
}
_LOG: Facts = {"slow": True, "gives": "dirty_bitmap stats", "both": "pages"}


def _scheduler(number: DomctlSched, *, gives: bool) -> Declared:
    """The parameters of a whole domain, or of its vCPUs one by one, under each scheduler."""
    parts = []
    for which in _SCHEDULERS:
        word = which.name.lower()
        if number in (DomctlSched.putinfo, DomctlSched.getinfo):
            verb, way = (looks, f"u.{word}") if gives else (changes, "")
            parts.append(verb(which, word=word, inner=f"u.{word}", gives=way, repeatable=True))
    return one_of(number, "sched_id", *parts)


def _event(event: MonitorEvent) -> Declared:
    inner = _EVENT_ARMS.get(event, NONE)
    when = _EVENT_WHEN.get(event, X86)
    if event is MonitorEvent.VMEXIT:
        inner = "u.vmexit"
    never = "Xen announces this event and has nothing behind it: a debug build ends, others refuse" * (
        event is MonitorEvent.INTERRUPT
    )
    return changes(event, inner=inner, when=when, never=never)


OPERATIONS = _TABLE.operations(
    changes(Domctl.createdomain, returns_domain=True, slow=True),
    ends(Domctl.destroydomain, arm="", slow=True),
    changes(Domctl.pausedomain, arm="", why="counts: each pause needs an unpause of its own"),
    changes(Domctl.unpausedomain, arm=""),
    looks(Domctl.getdomaininfo, gives="*", returns_domain=True),
    one_of(
        Domctl.setvcpuaffinity, "flags",
        changes(Affinity.HARD, word="hard"),
        changes(Affinity.SOFT, word="soft"),
        arm="vcpuaffinity", both="cpumap_hard.bitmap cpumap_soft.bitmap", repeatable=True,
        why="the masks come back as what takes effect",
    ),
    one_of(
        Domctl.shadow_op, "op",
        changes(ShadowOp.OFF, slow=True, repeatable=True),
        changes(ShadowOp.ENABLE_TEST),
        changes(ShadowOp.ENABLE_LOGDIRTY),
        changes(ShadowOp.CLEAN, **_LOG),
        looks(ShadowOp.PEEK, **_LOG),
        looks(ShadowOp.GET_ALLOCATION, gives="mb"),
        changes(ShadowOp.SET_ALLOCATION, both="mb", slow=True, repeatable=True),
        changes(ShadowOp.ENABLE),
        when=X86,
    ),
    changes(Domctl.max_mem, repeatable=True),
    changes(Domctl.setvcpucontext, arm="vcpucontext", why="a null context takes the vCPU down and resets it"),
    looks(Domctl.getvcpucontext, arm="vcpucontext", gives="ctxt", needs="ctxt"),
    looks(Domctl.getvcpuinfo, takes="vcpu", gives="*"),
    changes(Domctl.max_vcpus, repeatable=True, why="once, and what createdomain was told"),
    one_of(
        Domctl.scheduler_op, "cmd",
        _scheduler(DomctlSched.putinfo, gives=False),
        _scheduler(DomctlSched.getinfo, gives=True),
        changes(DomctlSched.putvcpuinfo, inner="u.v", both="u.v.nr_vcpus", repeatable=True),
        looks(DomctlSched.getvcpuinfo, inner="u.v", both="u.v.vcpus u.v.nr_vcpus"),
    ),
    changes(Domctl.setdomainhandle, repeatable=True, renames="handle"),
    changes(Domctl.setdebugging, repeatable=True),
    changes(Domctl.irq_permission, when=X86, repeatable=True),
    changes(Domctl.iomem_permission, dangerous=True, repeatable=True),
    changes(Domctl.ioport_permission, when=X86, dangerous=True, repeatable=True),
    changes(Domctl.hypercall_init, when=X86),
    changes(Domctl.settimeoffset, repeatable=True),
    one_of(
        Domctl.getvcpuaffinity, "flags",
        looks(Affinity.HARD, word="hard"),
        looks(Affinity.SOFT, word="soft"),
        arm="vcpuaffinity", gives="cpumap_hard.bitmap cpumap_soft.bitmap",
    ),
    changes(Domctl.resumedomain, arm="", why="the half of a resume that is Xen's: the guest has to be told as well"),
    one_of(
        Domctl.sendtrigger, "trigger",
        changes(Trigger.NMI),
        changes(Trigger.POWER, guest="HVM"),
        changes(Trigger.SLEEP, guest="HVM"),
        when=X86,
    ),
    changes(Domctl.subscribe, repeatable=True),
    looks(
        Domctl.gethvmcontext, arm="hvmcontext", gives="buffer", both="size", when=X86, guest="HVM", reaches="vcpu"
    ),
    changes(Domctl.sethvmcontext, arm="hvmcontext", when=X86, guest="HVM", needs="buffer", reaches="vcpu"),
    changes(Domctl.set_address_size, arm="address_size"),
    looks(Domctl.get_address_size, arm="address_size", gives="*", when=X86),
    one_of(
        Domctl.assign_device, "dev",
        changes(DeviceKind.PCI, inner="u.pci", when=X86),
        changes(DeviceKind.DT, inner="u.dt", when=ARM),
        dangerous=True, slow=True,
    ),
    changes(Domctl.bind_pt_irq, reaches="vcpu"),
    one_of(
        Domctl.memory_mapping, "add_mapping",
        changes(Switch.on, word="add", dangerous=True),
        changes(Switch.off, word="remove"),
        again="E2BIG", why="a positive result says how many are done: ask again for the rest",
    ),
    one_of(
        Domctl.ioport_mapping, "add_mapping",
        changes(Switch.on, word="add"),
        changes(Switch.off, word="remove"),
        when=X86,
    ),
    changes(Domctl.set_ext_vcpucontext, arm="ext_vcpucontext", when=X86),
    looks(Domctl.get_ext_vcpucontext, arm="ext_vcpucontext", takes="vcpu", gives="*", when=X86),
    one_of(
        Domctl.test_assign_device, "dev",
        looks(DeviceKind.PCI, inner="u.pci", when=X86),
        looks(DeviceKind.DT, inner="u.dt", when=ARM),
        arm="assign_device", reaches="domain", reaches_when="xen < 4.17",
    ),
    changes(Domctl.set_target, guest="HVM"),
    one_of(
        Domctl.deassign_device, "dev",
        changes(DeviceKind.PCI, inner="u.pci", when=X86),
        changes(DeviceKind.DT, inner="u.dt", when=ARM),
        arm="assign_device", dangerous=True, slow=True,
    ),
    changes(Domctl.unbind_pt_irq, arm="bind_pt_irq"),
    looks(Domctl.get_device_group, gives="num_sdevs sdev_array", when=X86),
    one_of(
        Domctl.debug_op, "op",
        *(changes(each, repeatable=True) for each in DebugOp),
        when=X86, guest="HVM",
    ),
    looks(
        Domctl.gethvmcontext_partial, arm="hvmcontext_partial", gives="buffer", both="bufsz", when=X86, guest="HVM",
        reaches="vcpu",
    ),
    one_of(
        Domctl.vm_event_op, "op",
        *(
            one_of(
                op, "mode",
                *(
                    changes(ring, inner="u.enable" if op is VmEventOp.ENABLE else NONE, when=when)
                    for ring, when in _RINGS.items()
                ),
                gives="u.enable.port" if op is VmEventOp.ENABLE else "",
                reaches="domain", reaches_when="xen < 4.18",
            )
            for op in VmEventOp if op is not VmEventOp.GET_VERSION
        ),
        looks(VmEventOp.GET_VERSION, inner="u.version", gives="u.version"),
    ),
    one_of(Domctl.mem_sharing_op, "op", changes(MemSharing.CONTROL), when=X86, guest="HVM"),
    changes(Domctl.disable_migrate, repeatable=True, when="domctl < 0x13"),
    looks(Domctl.gettscinfo, arm="tsc_info", gives="*", when=X86),
    changes(Domctl.settscinfo, arm="tsc_info", when=X86, repeatable=True),
    looks(Domctl.getpageframeinfo3, both="array", when=X86),
    changes(Domctl.setvcpuextstate, arm="vcpuextstate", when=X86, needs="buffer"),
    looks(Domctl.getvcpuextstate, arm="vcpuextstate", gives="buffer", both="xfeature_mask size", when=X86),
    changes(Domctl.set_access_required, arm="access_required", repeatable=True),
    looks(Domctl.audit_p2m, gives="*", slow=True, when=X86),
    changes(
        Domctl.set_virq_handler, dangerous=True, why="takes an interrupt of the whole host away from who had it before",
        never=XENSTOREDS, never_if={"virq": Virq.DOM_EXC},
    ),
    changes(Domctl.set_broken_page_p2m, when=X86, guest="HVM"),
    changes(Domctl.setnodeaffinity, arm="nodeaffinity", repeatable=True),
    looks(Domctl.getnodeaffinity, arm="nodeaffinity", gives="nodemap.bitmap"),
    changes(Domctl.cacheflush, when=ARM, slow=True, repeatable=True),
    looks(Domctl.get_vcpu_msrs, arm="vcpu_msrs", gives="msrs", both="msr_count", when=X86),
    changes(Domctl.set_vcpu_msrs, arm="vcpu_msrs", both="msr_count", when=X86, needs="msrs"),
    changes(Domctl.setvnumainfo, arm="vnuma"),
    one_of(
        Domctl.psr_cmt_op, "cmd",
        changes(PsrCmtOp.DETACH),
        changes(PsrCmtOp.ATTACH),
        looks(PsrCmtOp.QUERY_RMID, gives="data"),
        when=X86,
    ),
    one_of(
        Domctl.monitor_op, "op",
        *(
            one_of(op, "event", *(_event(event) for event in MonitorEvent))
            for op in (MonitorOp.ENABLE, MonitorOp.DISABLE)
        ),
        looks(MonitorOp.GET_CAPABILITIES, gives="event", inner=NONE),
        changes(MonitorOp.EMULATE_EACH_REP, when=X86, repeatable=True, inner=NONE),
        changes(MonitorOp.CONTROL_REGISTERS, when=X86, inner=NONE, why="may crash the guest"),
    ),
    one_of(
        Domctl.psr_alloc, "cmd",
        *(
            looks(each, gives="data") if each.name.startswith("GET_") else changes(each, repeatable=True)
            for each in PsrDomainOp
        ),
        when=X86,
    ),
    changes(Domctl.soft_reset, arm="", slow=True),
    one_of(Domctl.vuart_op, "cmd", changes(VuartOp.INIT), when=ARM, gives="evtchn"),
    looks(Domctl.get_cpu_policy, arm="cpu_policy", gives="leaves msrs", both="nr_leaves nr_msrs", when=X86),
    changes(
        Domctl.set_cpu_policy, arm="cpu_policy", gives="err_leaf err_subleaf err_msr", when=X86, needs="leaves msrs"
    ),
    one_of(
        Domctl.vmtrace_op, "cmd",
        changes(VmtraceOp.enable),
        changes(VmtraceOp.disable),
        changes(VmtraceOp.reset_and_enable),
        looks(VmtraceOp.output_position, gives="value"),
        looks(VmtraceOp.get_option, gives="value"),
        changes(VmtraceOp.set_option, repeatable=True),
        when=f"{X86} and domctl >= 0x13",
    ),
    looks(Domctl.get_paging_mempool_size, arm="paging_mempool", gives="*", when="domctl >= 0x15"),
    changes(
        Domctl.set_paging_mempool_size, arm="paging_mempool", slow=True, repeatable=True, when="domctl >= 0x15",
        why="may stop half way: look again",
    ),
    changes(Domctl.dt_overlay, slow=True, dangerous=True, when=f"{ARM} and domctl >= 0x17"),
    changes(Domctl.gsi_permission, repeatable=True, when=f"{X86} and xen >= 4.20"),
    changes(Domctl.set_llc_colors, when="xen >= 4.20"),
    looks(
        Domctl.get_domain_state, gives="state caps unique_id", speaks=0, returns_domain=True, when="xen >= 4.21",
        never="asks for the next domain that changed, and takes this news from xenstored",
        never_if={"domain": Domid.INVALID},
    ),
    one_of(
        Domctl.gdbsx_guestmemio, "gwr",
        looks(Switch.off, word="read"),
        changes(Switch.on, word="write", repeatable=True),
        arm="gdbsx_guest_memio", both="uva", gives="remain", when=X86, dangerous=True, reaches="vcpu",
        built=Domctl.gdbsx_domstatus,  # Xen up to 4.16 built without gdbsx follows a null pointer
        why="Xen walks page tables that it does not check: of a PV domain whose vCPU was never set up, and at pgd3val",
    ),
    changes(Domctl.gdbsx_pausevcpu, arm="gdbsx_pauseunp_vcpu", when=X86),
    changes(Domctl.gdbsx_unpausevcpu, arm="gdbsx_pauseunp_vcpu", when=X86),
    looks(
        Domctl.gdbsx_domstatus, gives="*", when=X86, repeatable=False,
        why="of a domain that is paused: Xen forgets the event that it tells",
    ),
)  # fmt: skip
