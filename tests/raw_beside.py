"""Operations that only look, beside the nodes that show the same: for real Xens and for pretended ones.

`BESIDE` has what is asked of raw/ and how the node would say it; `APART` why an operation that has a node is not there.
"""

from __future__ import annotations

from beside import (
    Beside,
    Tree,
    agrees,
    as_many,
    begins,
    features,
    has,
    hexa,
    leaf,
    listed,
    members,
    named,
    same,
    text,
    unlimited,
    uuid,
    where,
    words,
)

from xenfs.abi.numbers import HvmMemType, PfnType, SchedId

_SCHEDULERS = {int(each): each.name.lower() for each in SchedId}
_POOL = "cpupool_id=0 cpumap.nr_bits=64 cpumap.bitmap=out:8"
_POLICY = "nr_leaves=600 nr_msrs=64 leaves.0.leaf=0 msrs=out:1024"
_PORTS = {1: "unbound", 2: "interdomain", 3: "pirq", 4: "virq", 5: "ipi"}
_CREDIT2, _CREDIT = ("cpupools/0/scheduler", "credit2"), ("cpupools/0/scheduler", "credit")
_RTDS = ("cpupools/0/scheduler", "rtds")
_LONG = "len=4000"
_NEVER_SERVED = 1 << 8  # the monitor event of interrupts, which no file takes

BESIDE: tuple[Beside, ...] = (
    Beside("xen_version/version", "", "version/major", lambda a, _: str(a.number() >> 16)),
    Beside("xen_version/version", "", "version/minor", lambda a, _: str(a.number() & 0xFFFF)),
    Beside("xen_version/extraversion", "text=out:16", "version/extra", text("text", 16)),
    *(
        Beside("xen_version/compile_info", "", f"version/compile_info#{name}", text(name))
        for name in ("compiler", "compile_by", "compile_domain", "compile_date")
    ),
    Beside("xen_version/capabilities", "text=out:1024", "version/capabilities", text("text", 1024)),
    Beside("xen_version/changeset", "text=out:64", "version/changeset", text("text", 64)),
    Beside("xen_version/get_features", "", "version/features", as_many(lambda a: a.number("submap").bit_count())),
    Beside("xen_version/pagesize", "", "version/pagesize", same()),
    Beside("xen_version/guest_handle", "handle=out:16", "domains/0/uuid", uuid("handle")),
    Beside("xen_version/commandline", "text=out:1024", "version/commandline", text("text", 1024)),
    Beside("xen_version/platform_parameters", "", "version/virt_start", hexa("virt_start")),
    Beside("xen_version/build_id", "len=64", "version/build_id", lambda a, _: a["buf"][: 2 * a.number()]),
    Beside("xen_version/extraversion2", _LONG, "version/extra", text("buf")),
    Beside("xen_version/capabilities2", _LONG, "version/capabilities", text("buf")),
    Beside("xen_version/changeset2", _LONG, "version/changeset", text("buf")),
    Beside("xen_version/commandline2", _LONG, "version/commandline", text("buf")),
    *members(
        "sysctl/physinfo", "", "host/info",
        "nr_cpus max_cpu_id nr_nodes max_node_id threads_per_core cores_per_socket total_pages max_mfn cpu_khz",
    ),
    Beside("sysctl/physinfo", "", "host/memory/total_kb", same("total_pages", 4)),
    Beside("sysctl/physinfo", "", "host/memory/claimed_kb", same("outstanding_pages", 4)),
    Beside("sysctl/physinfo", "", "host/cpu_khz", same("cpu_khz")),
    Beside("sysctl/physinfo", "", "host/hw_caps", lambda a, _: ":".join(f"{each:08x}" for each in a.numbers("hw_cap"))),
    Beside("sysctl/perfc_op:query", "", "host/perfc/counters", as_many(lambda a: a.number("nr_counters"))),
    Beside("sysctl/lockprof_op:query", "", "host/lockprof/stat", as_many(lambda a: a.number("nr_elem"))),
    Beside("sysctl/sched_id", "", "host/scheduler", named("sched_id", _SCHEDULERS)),
    *members("domctl/audit_p2m", "domain={d}", "domains/{d}/memory/p2m_audit", "orphans m2p_bad p2m_bad"),
    Beside("domctl/shadow_op:GET_ALLOCATION", "domain={d}", "domains/{d}/memory/shadow_mb", same("mb")),
    Beside(
        "domctl/get_ext_vcpucontext", "domain={d} vcpu=0", "domains/{d}/vcpus/0/ext_context#vmce.caps",
        hexa("vmce.caps"),
    ),
    Beside("sysctl/tbuf_op:get_info", "", "host/trace/info#size_pages", lambda a, _: str(a.number("size") // 4096)),
    Beside("sysctl/tbuf_op:get_info", "", "host/trace/info#evt_mask", hexa("evt_mask")),
    Beside(
        "sysctl/getdomaininfolist", "first_domain={d} max_domains=1 buffer.0.domain=0", "domains/{d}/uuid",
        uuid("buffer.0.handle"),
    ),
    Beside(
        "sysctl/getdomaininfolist", "first_domain={d} max_domains=1 buffer.0.domain=0", "domains/{d}/memory/current_kb",
        same("buffer.0.tot_pages", 4),
    ),
    Beside("sysctl/getcpuinfo", "max_cpus=1 info.0.idletime=0", "host/cpus/0/idle_ns", same("info.0.idletime")),
    Beside("sysctl/availheap", "node=0", "host/nodes/0/heap_free_bytes", same("avail_bytes")),
    Beside("sysctl/get_pmstat:get_max_px", "cpuid=0", "host/cpus/0/pstates/count", same("u.getpx.total")),
    Beside("sysctl/get_pmstat:get_max_cx", "cpuid=0", "host/cpus/0/cstates/count", same("u.getcx.nr")),
    *(
        Beside(
            "sysctl/pm_op:GET_CPUFREQ_CPPC", "cpuid=0", f"host/cpus/0/cpufreq/cppc/{name}", same(f"u.get_cppc.{name}")
        )
        for name in ("lowest", "nominal", "highest", "minimum", "maximum", "desired")
    ),
    Beside("sysctl/pm_op:get_max_cstate", "", "host/power/max_cstate", unlimited("u.get_max_cstate")),
    Beside("sysctl/pm_op:get_max_cstate", "cpuid=1", "host/power/max_csubstate", unlimited("u.get_max_cstate")),
    *(
        Beside(
            "sysctl/cputopoinfo", "num_cpus=256 cputopo.0.core=0", f"host/cpus/0/topology/{node}",
            same(f"cputopo.0.{name}"),
        )
        for name, node in (("core", "core_id"), ("socket", "physical_package_id"), ("node", "node"))
    ),
    Beside(
        "sysctl/numainfo", "num_nodes=64 meminfo.0.memsize=0", "host/nodes/0/meminfo",
        begins(lambda a: f"MemTotal {a.number('meminfo.0.memsize') // 1024} kB"),
    ),
    Beside("sysctl/cpupool_op:INFO", _POOL, "cpupools/0/nr_domains", same("n_dom")),
    Beside("sysctl/cpupool_op:INFO", _POOL, "cpupools/0/cpus", listed("cpumap.bitmap")),
    Beside("sysctl/cpupool_op:INFO", _POOL, "cpupools/0/scheduler", named("sched_id", _SCHEDULERS)),
    Beside(
        "sysctl/cpupool_op:FREEINFO", "cpumap.nr_bits=64 cpumap.bitmap=out:8", "cpupools/free_cpus",
        listed("cpumap.bitmap"),
    ),
    Beside(
        "sysctl/scheduler_op:getinfo:credit", "", "cpupools/0/sched/tslice_ms", same("u.sched_credit.tslice_ms"),
        _CREDIT,
    ),
    Beside(
        "sysctl/scheduler_op:getinfo:credit2", "", "cpupools/0/sched/ratelimit_us",
        same("u.sched_credit2.ratelimit_us"), _CREDIT2,
    ),
    Beside("sysctl/psr_cmt_op:get_total_rmid", "", "host/psr/cmt/num_rmids", same("u.data")),
    Beside("sysctl/psr_cmt_op:get_l3_upscaling_factor", "", "host/psr/cmt/l3_upscaling_factor", same("u.data")),
    Beside(
        "sysctl/psr_cmt_op:get_l3_cache_size", "", "host/psr/cmt/l3_cache_size_kb", begins(lambda a: f"0 {a['u.data']}")
    ),
    Beside("sysctl/psr_cmt_op:enabled", "", "host/psr/cmt/enabled", same("u.data")),
    Beside(
        "sysctl/psr_cmt_op:get_l3_event_mask", "", "host/psr/cmt/mon_features",
        as_many(lambda a: a.number("u.data").bit_count()),
    ),
    Beside(
        "sysctl/pcitopoinfo", "num_devs=1 {pci_at} nodes=out:4", "host/pci/{pci}/numa_node",
        lambda a, shown: shown if a.word("nodes", 0) >= 2**32 - 2 else str(a.word("nodes", 0)),
    ),
    Beside(
        "sysctl/psr_alloc:get_l3_info", "", "host/psr/sockets/0/L3/cbm_mask",
        lambda a, _: f"{(1 << a.number('u.cat_info.cbm_len')) - 1:x}",
    ),
    Beside(
        "sysctl/psr_alloc:get_l2_info", "", "host/psr/sockets/0/L2/cbm_mask",
        lambda a, _: f"{(1 << a.number('u.cat_info.cbm_len')) - 1:x}",
    ),
    Beside("sysctl/psr_alloc:get_mba_info", "", "host/psr/sockets/0/MB/thrtl_max", same("u.mba_info.thrtl_max")),
    Beside(
        "sysctl/get_cpu_levelling_caps", "", "host/cpuid/levelling_caps", words(lambda a: a.number("caps").bit_count())
    ),
    *(
        Beside(
            "sysctl/get_cpu_featureset", f"index={index} nr_features=64 features=out:256",
            f"host/cpuid/featuresets/{name}", features("features"),
        )
        for index, name in enumerate(("raw", "host", "pv", "hvm"))
    ),
    Beside(
        "sysctl/livepatch_op:GET", 'u.get.name.size={patch_size} u.get.name.name=text:"{patch}\\0"',
        "host/livepatch/{patch}/rc", same("u.get.status.rc"),
    ),
    Beside("sysctl/livepatch_op:LIST", "", "host/livepatch/", as_many(lambda a: a.number("u.list.nr"))),
    *(
        Beside("sysctl/get_cpu_policy", f"index={index} {_POLICY}", f"host/cpuid/policies/{name}", begins(leaf))
        for index, name in enumerate(("raw", "host"))
    ),
    *members(
        "domctl/getdomaininfo", "domain={d}", "domains/{d}/info",
        "domain flags tot_pages max_pages outstanding_pages shr_pages paged_pages max_vcpu_id nr_online_vcpus ssidref"
        " cpupool cpu_time",
    ),
    Beside("domctl/getdomaininfo", "domain={d}", "domains/{d}/uuid", uuid("handle")),
    Beside("domctl/getdomaininfo", "domain={d}", "domains/{d}/cpu_time_ns", same("cpu_time")),
    Beside(
        "domctl/getvcpucontext", "domain={d} vcpu=0 ctxt.0.flags=0", "domains/{d}/vcpus/0/regs#cs",
        hexa("ctxt.0.user_regs.cs"),
    ),
    Beside(
        "domctl/getvcpucontext", "domain={d} vcpu=0 ctxt.0.flags=0", "domains/{d}/vcpus/0/regs#rip",
        hexa("ctxt.0.user_regs.rip"),
    ),
    *members("domctl/getvcpuinfo", "domain={d} vcpu=0", "domains/{d}/vcpus/0/info", "online blocked running cpu_time"),
    *(
        Beside(
            f"domctl/scheduler_op:getinfo:{only[1]}", "domain={d}", f"domains/{{d}}/sched/{name}",
            same(f"u.{only[1]}.{name}"), only,
        )
        for only in (_CREDIT, _CREDIT2) for name in ("weight", "cap")
    ),
    Beside(
        "domctl/scheduler_op:getinfo:rtds", "domain={d}", "domains/{d}/sched/period_us", same("u.rtds.period"), _RTDS
    ),
    Beside(
        "domctl/scheduler_op:getvcpuinfo", "domain={d} sched_id=8 u.v.nr_vcpus=1 u.v.vcpus.0.vcpuid=0",
        "domains/{d}/vcpus/0/sched/period_us", same("u.v.vcpus.0.u.rtds.period"), _RTDS,
    ),
    *(
        Beside(
            f"domctl/getvcpuaffinity:{kind}",
            f"domain={{d}} vcpu=0 cpumap_{kind}.nr_bits=64 cpumap_{kind}.bitmap=out:8",
            f"domains/{{d}}/vcpus/0/affinity_{kind}", listed(f"cpumap_{kind}.bitmap"),
        )
        for kind in ("hard", "soft")
    ),
    Beside("domctl/get_address_size", "domain={d}", "domains/{d}/address_size", same("size")),
    Beside(
        "domctl/gethvmcontext", "domain={d} size=30000 buffer=out:30000", "domains/{d}/hvm/context",
        begins(lambda a: a.octets("buffer")[:24].decode("utf-8", "surrogateescape")),
    ),
    Beside(
        "domctl/gettscinfo", "domain={d}", "domains/{d}/tsc/mode",
        named("tsc_mode", {0: "default", 1: "always_emulate", 2: "never_emulate"}),
    ),
    Beside("domctl/gettscinfo", "domain={d}", "domains/{d}/tsc/khz", same("gtsc_khz")),
    Beside("domctl/gettscinfo", "domain={d}", "domains/{d}/tsc/incarnation", same("incarnation")),
    Beside(
        "domctl/getnodeaffinity", "domain={d} nodemap.nr_bits=64 nodemap.bitmap=out:8",
        "domains/{d}/memory/node_affinity", listed("nodemap.bitmap"),
    ),
    Beside("domctl/vm_event_op:GET_VERSION", "", "host/vm_event_version", same("u.version")),
    Beside(
        "domctl/monitor_op:GET_CAPABILITIES", "domain={d}", "domains/{d}/monitor/capabilities",
        words(lambda a: (a.number("event") & ~_NEVER_SERVED).bit_count()),
    ),
    Beside("domctl/psr_cmt_op:QUERY_RMID", "domain={d}", "domains/{d}/psr/rmid", same("data")),
    *(
        Beside(f"domctl/psr_alloc:{part}", "domain={d}", "domains/{d}/psr/schemata", says)
        for part, says in (
            ("GET_L3_CBM", has(lambda a: f"L3:0={a.number('data'):x}")),
            ("GET_L2_CBM", has(lambda a: f"L2:0={a.number('data'):x}")),
            ("GET_MBA_THRTL", has(lambda a: f"MB:0={a['data']}")),
        )
    ),
    Beside("domctl/get_cpu_policy", f"domain={{d}} {_POLICY}", "domains/{d}/cpuid/policy", begins(leaf)),
    Beside("domctl/get_paging_mempool_size", "domain={d}", "domains/{d}/memory/paging_pool_bytes", same("size")),
    Beside("domctl/get_domain_state", "domain={d}", "domains/{d}/unique_id", same("unique_id")),
    Beside("platform_op/get_cpuinfo", "", "host/cpus/0/apic_id", same("apic_id")),
    Beside("platform_op/get_cpuinfo", "", "host/cpus/0/acpi_id", same("acpi_id")),
    Beside("platform_op/get_cpuinfo", "", "host/cpus/0/online", lambda a, _: str(a.number("flags") & 1)),
    Beside("platform_op/get_cpu_version", "", "host/cpus/0/version#vendor_id", text("vendor_id")),
    *members("platform_op/get_cpu_version", "", "host/cpus/0/version", "family model stepping"),
    *(
        Beside(
            f"platform_op/firmware_info:EFI_INFO:{kind}", "", f"host/firmware/efi/{kind.lower()}",
            hexa("u.efi_info.version"),
        )
        for kind in ("VERSION", "RT_VERSION")
    ),
    Beside(
        "platform_op/firmware_info:EFI_INFO:CONFIG_TABLE", "", "host/firmware/efi/config_table#nent",
        same("u.efi_info.cfg.nent"),
    ),
    *members(
        "platform_op/efi_runtime_call:query_variable_info", "", "host/efi/variable_info",
        "max_store_size remain_store_size max_size", "u.query_variable_info.",
    ),
    Beside(
        "platform_op/read_memtype", "reg=0", "host/mtrr/ranges",
        begins(lambda a: f"reg00: base=0x{a.number('mfn') << 12:09x} ({a.number('mfn') >> 8:5}MB)"),
    ),
    Beside(
        "platform_op/firmware_info:KBD_SHIFT_FLAGS", "", "host/firmware/kbd_shift_flags", hexa("u.kbd_shift_flags")
    ),
    Beside(
        "physdev_op/apic_read", "apic_physbase=0xfec00000 reg=1", "host/ioapic/0xfec00000/0x01", hexa("value")
    ),
    Beside(
        "sysctl/page_offline_op:query_page_offline", "start={mfn} end={mfn} status=out:4",
        "host/memory/page_status?{mfn}",
        lambda a, shown: shown if shown.endswith(" online") == (a.word("status", 0) == 0) else "another state",
        ("host/memory/e820", ""),  # on Arm the last of the frames may be none, and Xen says EINVAL
    ),
    *(
        Beside(
            "domctl/getpageframeinfo3", "domain={d} num=1 array=inout:0001000000000000",
            "domains/{d}/memory/pfn_types?0x100",
            lambda a, _: f"0x100 {PfnType(a.word('array', 0) & 0xF0000000).name.lower()}", ("domains/{d}/type", kind),
        )
        for kind in ("pvh", "hvm")
    ),
    Beside(
        "hvm_op/get_mem_type", "domid={d} pfn=0x100", "domains/{d}/memory/type?0x100",
        lambda a, _: f"0x100 {HvmMemType(a.number('mem_type')).name.lower()}",
    ),
    Beside(
        "xsm_op/ACCESS", "ssid={ssidref} tsid={ssidref} tclass=3 req=0xffffffff",
        "flask/access?{context} {context} domain#allowed", hexa("allowed"), ("domains/{d}/context", ""),
    ),
    Beside("platform_op/core_parking:GET", "", "host/power/parked_cpus", same("idle_nums")),
    Beside(
        "platform_op/get_symbol", "symnum=0 namelen=128 name=out:128", "host/xensyms",
        begins(lambda a: f"{a.number('address'):x} {chr(a.number('type'))} {a.text('name')}"),
    ),
    Beside("platform_op/get_ucode_revision", "", "host/cpus/0/microcode/version", hexa("revision")),
    Beside("platform_op/get_ucode_revision", "", "host/cpus/0/microcode/signature", hexa("signature")),
    Beside("memory_op/maximum_ram_page", "", "host/memory/max_mfn", lambda a, _: str(a.number() - 1)),
    Beside("memory_op/current_reservation", "domid={d}", "domains/{d}/memory/current_kb", same(times=4)),
    Beside(
        "memory_op/maximum_reservation", "domid={d}", "domains/{d}/memory/max",
        lambda a, shown: shown if shown == "max" else str(a.number() * 4),
    ),
    Beside("memory_op/maximum_gpfn", "domid={d}", "domains/{d}/memory/max_gpfn", same()),
    Beside(
        "memory_op/machine_memory_map", "nr_entries=256 buffer=out:5120", "host/memory/e820",
        begins(lambda a: f"{a.word('buffer', 0, 8):#x}-{a.word('buffer', 0, 8) + a.word('buffer', 8, 8):#x} "),
    ),
    Beside("memory_op/get_pod_target", "domid={d}", "domains/{d}/memory/pod/entries", same("pod_entries")),
    Beside("memory_op/sharing_op:audit", "", "host/memory/sharing/audit", same()),
    Beside("memory_op/get_sharing_freed_pages", "", "host/memory/sharing/freed_kb", same(times=4)),
    Beside("memory_op/get_sharing_shared_pages", "", "host/memory/sharing/used_kb", same(times=4)),
    Beside(
        "memory_op/reserved_device_memory_map", "flags=1 nr_entries=64 buffer.0.nr_pages=0", "host/memory/rmrr",
        begins(
            lambda a: f"{a.number('buffer.0.start_pfn'):#x} {a['buffer.0.nr_pages']}" if a.number("nr_entries") else ""
        ),
    ),
    Beside(
        "event_channel_op/status", "dom={d} port=1", "domains/{d}/evtchn/ports",
        begins(lambda a: f"1 {_PORTS[a.number('status')]} {a['vcpu']} " if a.number("status") in _PORTS else ""),
    ),
    Beside("grant_table_op/query_size", "dom={d}", "domains/{d}/grants/frames", same("nr_frames")),
    Beside("grant_table_op/query_size", "dom={d}", "domains/{d}/grants/max_frames", same("max_nr_frames")),
    Beside("grant_table_op/get_version", "dom={d}", "domains/{d}/grants/version", same("version")),
    Beside("hvm_op/get_param", "domid={d} index=1", "domains/{d}/hvm/params/store_pfn", same("value")),
    Beside("hvm_op/get_param", "domid={d} index=2", "domains/{d}/hvm/params/store_evtchn", same("value")),
    Beside("dm_op/nr_vcpus", "domid={d}", "domains/{d}/nr_vcpus", same("vcpus")),
    Beside("hypfs_op/get_version", "", "xenfs/interface#hypfs", same()),
    Beside(
        "hypfs_op/read", 'path=text:"/buildinfo/version/extra\\0" path_len=25 buffer_len=256 buffer=out:256',
        "hypfs/buildinfo/version/extra",
        lambda a, shown: shown if a.octets("buffer").rstrip(b"\0").endswith(shown.encode()) else "?",
    ),
    Beside("xsm_op/MLS", "", "flask/mls", same()),
    Beside("xsm_op/GETENFORCE", "", "flask/enforce", same()),
    Beside("xsm_op/POLICYVERS", "", "flask/policyvers", same()),
    Beside("xsm_op/GETAVC_THRESHOLD", "", "flask/avc/cache_threshold", same()),
    Beside("xsm_op/AVC_HASHSTATS", "", "flask/avc/hash_stats", has(lambda a: f"/{a['buckets_total']}\n")),
    Beside("xsm_op/AVC_CACHESTATS", "cpu=0", "flask/avc/cache_stats", has(lambda a: f" reclaims={a['reclaims']} ")),
    Beside(
        "xsm_op/CONTEXT_TO_SID", 'size={context_size} context=text:"{context}"', "domains/{d}/info#ssidref",
        same("sid"), ("domains/{d}/context", ""),
    ),
    Beside(
        "xsm_op/SID_TO_CONTEXT", "sid={ssidref} size=256 context=out:256", "domains/{d}/context",
        lambda a, _: a.octets("context")[: a.number("size")].rstrip(b"\0").decode(),
    ),
    Beside(
        "xsm_op/GETBOOL", 'bool_id=0xffffffff size={boolean_size} name=text:"{boolean}"', "flask/booleans/{boolean}",
        begins(lambda a: a["enforcing"]),
    ),
    Beside(
        "kexec_op/kexec_get_range", "", "host/kexec/ranges",
        begins(lambda a: f"crash start={a.number('start'):#x} size={a['size']}" if a.number("size") else ""),
    ),
    Beside("kexec_op/kexec_status", "type=0", "host/kexec/loaded", same()),
    Beside("kexec_op/kexec_status", "type=1", "host/kexec/crash_loaded", same()),
    *(
        Beside("mca/physcpuinfo", "ncpus=16 info.0.mc_cpunr=0", f"host/cpus/0/mca#{name}", same(f"info.0.mc_{name}"))
        for name in ("cpunr", "apicid", "family", "model", "step")
    ),
    Beside("xenpmu_op/feature_get", "", "host/pmu/features", hexa("val")),
    Beside("xenpmu_op/mode_get", "", "host/pmu/mode", named("val", {0: "off", 1: "self", 2: "hv", 4: "all"})),
    Beside(
        "vcpu_op/get_runstate_info", "vcpu=0", "domains/0/vcpus/0/runstate#offline_ns",
        lambda a, _: str(a.numbers("time")[3]),
    ),
)  # fmt: skip

_LABELLED = "the node makes a context of the SID, which is compared for itself"

APART = {
    "xsm_op/CREATE": _LABELLED,
    "xsm_op/RELABEL": _LABELLED,
    "xsm_op/MEMBER": _LABELLED,
    "xsm_op/GET_PEER_SID": "it takes an event channel of the control domain's to another one",
    "domctl/gdbsx_domstatus": "Xen forgets the event that it tells",
    "domctl/gdbsx_guestmemio:read": "the node is binary; tests/xen/rare_files.py reads a guest's code with it",
    "domctl/test_assign_device:DT": "its answer is whether it fails",
    "domctl/vmtrace_op:get_option": "only while a vCPU is traced, which takes Intel's Processor Trace",
    "domctl/vmtrace_op:output_position": "only while a vCPU is traced, which takes Intel's Processor Trace",
    "hvm_op/altp2m:get_mem_access": "only of a domain with alternate views, which takes CPUs of Intel's",
    "mca/fetch": "it takes away what it tells",
    "memory_op/access_op:get_access": "only of a domain to whose events somebody listens: tests/xen/rare_files.py",
    "sysctl/readconsole": "the node joins what was read before to what is new",
    "sysctl/get_pmstat:get_pxstat": "test_xen_goes_by_counts_of_its_own; no emulated machine has P-states",
    "sysctl/get_pmstat:get_cxstat": "all of it counts up, and Xen makes states up where dom0 has told it none",
    "sysctl/pm_op:GET_CPUFREQ_PARA": "how much room it needs comes back with an errno, and so not through raw/",
    "sysctl/pm_op:GET_CPUFREQ_AVGFREQ": "the average begins anew with every question",
    "sysctl/coverage_op:get_size": "the node asks it for how much there is to read",
    "sysctl/coverage_op:read": "it counts on while it is read",
    "domctl/get_device_group": "the nodes name devices, and the answer has numbers of which this domain has some",
    "platform_op/firmware_info:EFI_INFO:VENDOR": "its buffer is within a member of a union, of two bytes a character",
    "domctl/test_assign_device:PCI": "its answer is whether it fails",
    "domctl/gethvmcontext_partial": "the nodes come out of the whole context, which is compared",
    "domctl/psr_alloc:GET_L3_CODE": "only with code and data apart, which the simulated host has not",
    "domctl/psr_alloc:GET_L3_DATA": "only with code and data apart, which the simulated host has not",
    "platform_op/resource_op:MSR_READ": "the nodes are worked out of several registers",
    "memory_op/get_vnumainfo": "no guest of these tests has virtual NUMA",
    "hvm_op/get_time": "it goes on between two questions by more than the nodes show",
    "dm_op/get_ioreq_server_info:no_gfns": "only of what a device model has made, and no guest of these tests has one",
    "domctl/get_vcpu_msrs": "how many there are is asked for first, and the node does both",
    "domctl/getvcpuextstate": "its size is asked for first, and the node does both",
    "domctl/shadow_op:PEEK": "only while somebody has a domain's dirty pages tracked, which these tests do not",
    "hvm_op/altp2m:get_domain_state": "only of a domain with alternate views, which takes CPUs of Intel's",
    "hvm_op/altp2m:get_p2m_idx": "only of a domain with alternate views, which takes CPUs of Intel's",
    "memory_op/memory_map": "the node is about a PVH control domain itself",
    "sysctl/scheduler_op:getinfo:arinc653": "no Xen of these tests has that scheduler",
}  # fmt: skip


def compare(tree: Tree, domain: int, *, alone: bool = False) -> list[str]:
    """The paths below raw/ whose answers were found beside a node; AssertionError where one differs. `alone`: only of
    what is about the domain."""
    about = where(tree, domain)._asdict()
    ssidref = f"domains/{domain}/info"
    about["ssidref"] = dict(line.split(" ", 1) for line in tree.value(ssidref).splitlines())["ssidref"]
    about |= {f"{name}_size": str(len(about[name])) for name in ("context", "boolean")}
    about["patch_size"] = str(len(about["patch"]) + 1)
    found, wrong = [], []
    for line in (each for each in BESIDE if not alone or "{d}" in each.node):
        try:
            if agrees(tree, line, about):
                found.append(line.path)
        except (AssertionError, KeyError, OSError) as problem:
            wrong.append(f"{line.path} {line.question} beside {line.node}: {problem!r}"[:400])
    assert not wrong, "\n".join(wrong)
    return found
