"""Hypercalls that every domain makes, as a control domain meets them: events, grants, scheduling, vCPUs, versions."""

from __future__ import annotations

from xenfs.abi.numbers import EventOp, GrantOp, Hypercall, SchedOp, VcpuOp, Virq, Xenver
from xenfs.abi.operations.grammar import OWN_VCPU, XENSTOREDS, Declared, Family, changes, ends, looks
from xenfs.abi.operations.model import ARM, CMD, STRUCT, X86, Argument, Way, fixed, memory, plain

_KERNELS = "belongs to the kernel that makes the call: it would no longer get its events or its time"

_VERSION = Family(Hypercall.xen_version, arguments=(CMD, STRUCT), simulated="*")
_EVENTS = Family(Hypercall.event_channel_op, arguments=(CMD, STRUCT), simulated="status reset alloc_unbound")
_GRANTS = Family(Hypercall.grant_table_op, arguments=(CMD, STRUCT, fixed(1)), simulated="query_size get_version")
_SCHED = Family(Hypercall.sched_op, arguments=(CMD, STRUCT), simulated="remote_shutdown watchdog")
_VCPU = Family(Hypercall.vcpu_op, arguments=(CMD, plain("vcpu", "uint32_t"), STRUCT), simulated="get_runstate_info")


def _text(ctype: str) -> tuple[Argument, ...]:
    return (CMD, memory("text", ctype, Way.OUT))


def _long(number: Xenver) -> Declared:
    return looks(
        number, struct="struct xen_varbuf", gives="buf", when="xen >= 4.20",
        why="without room the result is the length",
    )  # fmt: skip


VERSION = _VERSION.operations(
    looks(Xenver.version, why="the result is the release: major in the upper, minor in the lower 16 bits"),
    looks(Xenver.extraversion, arguments=_text("char[16]")),
    looks(Xenver.compile_info, struct="struct xen_compile_info", gives="*"),
    looks(Xenver.capabilities, arguments=_text("char[1024]")),
    looks(Xenver.changeset, arguments=_text("char[64]")),
    looks(Xenver.platform_parameters, struct="struct xen_platform_parameters", gives="*"),
    looks(Xenver.get_features, struct="struct xen_feature_info", gives="submap"),
    looks(Xenver.pagesize, why="the result is the size of a page"),
    looks(Xenver.guest_handle, arguments=(CMD, memory("handle", "uint8_t[16]", Way.OUT))),
    looks(Xenver.commandline, arguments=_text("char[1024]")),
    looks(Xenver.build_id, struct="struct xen_build_id", gives="buf", why="without room the result is the length"),
    _long(Xenver.extraversion2),
    _long(Xenver.capabilities2),
    _long(Xenver.changeset2),
    _long(Xenver.commandline2),
)  # fmt: skip

EVENTS = _EVENTS.operations(
    changes(
        EventOp.bind_interdomain, struct="struct evtchn_bind_interdomain", gives="local_port", domain="remote_dom"
    ),
    changes(
        EventOp.bind_virq, struct="struct evtchn_bind_virq", gives="port",
        never=XENSTOREDS,
        never_if={"virq": Virq.DOM_EXC},
    ),
    changes(EventOp.bind_pirq, struct="struct evtchn_bind_pirq", gives="port"),
    changes(EventOp.close, struct="struct evtchn_close", dangerous=True, why="ports are those of the control domain"),
    changes(EventOp.send, struct="struct evtchn_send", repeatable=True),
    looks(
        EventOp.status, struct="struct evtchn_status", takes="dom port", gives="*", domain="dom",
        why="port by port, up to EINVAL",
    ),
    changes(
        EventOp.alloc_unbound, struct="struct evtchn_alloc_unbound", gives="port", domain="dom",
    ),
    changes(EventOp.bind_ipi, struct="struct evtchn_bind_ipi", gives="port"),
    changes(EventOp.bind_vcpu, struct="struct evtchn_bind_vcpu", repeatable=True),
    changes(EventOp.unmask, struct="struct evtchn_unmask", repeatable=True),
    changes(
        EventOp.reset, struct="struct evtchn_reset", domain="dom", dangerous=True, slow=True, repeatable=True,
        why="closes every port of a domain",
    ),
    changes(EventOp.init_control, struct="struct evtchn_init_control", gives="link_bits", bare=_KERNELS),
    changes(EventOp.expand_array, struct="struct evtchn_expand_array", bare=_KERNELS),
    changes(EventOp.set_priority, struct="struct evtchn_set_priority", repeatable=True),
)  # fmt: skip

GRANTS = _GRANTS.operations(
    changes(
        GrantOp.map_grant_ref, struct="struct gnttab_map_grant_ref", gives="status handle dev_bus_addr", domain="dom",
        dangerous=True, why="host_addr is an address of the kernel's, which has to be told of the mapping as well",
    ),
    changes(GrantOp.unmap_grant_ref, struct="struct gnttab_unmap_grant_ref", gives="status", dangerous=True),
    changes(
        GrantOp.setup_table, struct="struct gnttab_setup_table", gives="status frame_list", domain="dom",
        repeatable=True,
    ),
    changes(
        GrantOp.transfer, struct="struct gnttab_transfer", gives="status", domain="domid", when=X86, dom0="PV",
        dangerous=True,
    ),
    changes(GrantOp.copy, struct="struct gnttab_copy", gives="status"),
    looks(GrantOp.query_size, struct="struct gnttab_query_size", takes="dom", gives="*", domain="dom"),
    changes(
        GrantOp.unmap_and_replace, struct="struct gnttab_unmap_and_replace", gives="status", when=X86, dom0="PV",
        dangerous=True,
    ),
    changes(
        GrantOp.set_version, struct="struct gnttab_set_version", both="version", dangerous=True,
        why="the table is the control domain's own",
    ),
    looks(
        GrantOp.get_status_frames, struct="struct gnttab_get_status_frames", gives="status frame_list", domain="dom"
    ),
    looks(GrantOp.get_version, struct="struct gnttab_get_version", takes="dom", gives="*", domain="dom"),
    changes(
        GrantOp.swap_grant_ref, struct="struct gnttab_swap_grant_ref", gives="status", dangerous=True,
        why="the table is the control domain's own",
    ),
    changes(
        GrantOp.cache_flush, struct="struct gnttab_cache_flush", when=ARM, repeatable=True, dangerous=True,
        why="op 1 writes to memory what a cache has, op 2 throws it away, 3 does both; of a page of the control"
        " domain's own, or one that it has mapped",
    ),
)  # fmt: skip

SCHED = _SCHED.operations(
    changes(SchedOp.yield_, word="yield", bare=OWN_VCPU),
    changes(SchedOp.block, bare=OWN_VCPU),
    ends(SchedOp.shutdown, struct="struct sched_shutdown", dangerous=True, bare="shuts the control domain down"),
    changes(SchedOp.poll, struct="struct sched_poll", bare=OWN_VCPU),
    ends(SchedOp.remote_shutdown, struct="struct sched_remote_shutdown", domain="domain_id"),
    changes(SchedOp.shutdown_code, struct="struct sched_shutdown", bare="is a word about the control domain's own end"),
    changes(
        SchedOp.watchdog, struct="struct sched_watchdog", dangerous=True,
        why="of the control domain: the host goes down when it is not called again in time",
    ),
    changes(SchedOp.pin_override, struct="struct sched_pin_override", when=X86, bare=OWN_VCPU),
)  # fmt: skip

VCPU = _VCPU.operations(
    changes(VcpuOp.initialise, struct="struct vcpu_guest_context", dom0="PV", bare=_KERNELS),
    changes(VcpuOp.up, bare=_KERNELS),
    changes(VcpuOp.down, dangerous=True, bare=_KERNELS),
    looks(VcpuOp.is_up, why="of the control domain: the result is 1 for a vCPU that is up"),
    looks(VcpuOp.get_runstate_info, struct="struct vcpu_runstate_info", gives="*", why="of the control domain alone"),
    changes(
        VcpuOp.register_runstate_memory_area, struct="struct vcpu_register_runstate_memory_area", dangerous=True,
        bare=_KERNELS,
    ),
    changes(VcpuOp.set_periodic_timer, struct="struct vcpu_set_periodic_timer", bare=_KERNELS),
    changes(VcpuOp.stop_periodic_timer, bare=_KERNELS),
    changes(VcpuOp.set_singleshot_timer, struct="struct vcpu_set_singleshot_timer", bare=_KERNELS),
    changes(VcpuOp.stop_singleshot_timer, bare=_KERNELS),
    changes(VcpuOp.register_vcpu_info, struct="struct vcpu_register_vcpu_info", dangerous=True, bare=_KERNELS),
    changes(VcpuOp.send_nmi, when=X86, dangerous=True, why="to a vCPU of the control domain"),
    looks(
        VcpuOp.get_physid, struct="struct vcpu_get_physid", gives="*", when=X86,
        why="of a vCPU of the control domain that is pinned",
    ),
    changes(
        VcpuOp.register_vcpu_time_memory_area, struct="struct vcpu_register_time_memory_area", when=X86, bare=_KERNELS
    ),
    changes(
        VcpuOp.register_runstate_phys_area, struct="struct vcpu_register_runstate_memory_area", when="xen >= 4.18",
        bare=_KERNELS,
    ),
    changes(
        VcpuOp.register_vcpu_time_phys_area, struct="struct vcpu_register_time_memory_area",
        when=f"{X86} and xen >= 4.18", bare=_KERNELS,
    ),
)  # fmt: skip

OPERATIONS = VERSION + EVENTS + GRANTS + SCHED + VCPU
