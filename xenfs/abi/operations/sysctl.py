"""sysctl: the host as a whole. Every call takes Xen's one sysctl lock for its time."""

from __future__ import annotations

from xenfs.abi.numbers import (
    CoverageOp,
    CpuHotplug,
    CpupoolOp,
    DtOverlay,
    FreqPara,
    GetCpufreq,
    Hypercall,
    LivepatchAction,
    LivepatchOp,
    LockprofOp,
    PageOffline,
    PerfcOp,
    PmSetting,
    PmStat,
    PsrAlloc,
    PsrCmt,
    SchedId,
    SetCpufreq,
    Sysctl,
    SysctlSched,
    TbufOp,
)
from xenfs.abi.operations.grammar import Family, Switch, changes, looks, one_of
from xenfs.abi.operations.model import ARM, NONE, X86

_TABLE = Family(
    Hypercall.sysctl, struct="struct xen_sysctl", union="u", cmd="cmd", version="interface_version", speaks="sysctl",
    simulated="readconsole tbuf_op perfc_op lockprof_op coverage_op get_cpu_levelling_caps physinfo"
    " sched_id getdomaininfolist debug_keys getcpuinfo availheap"
    " get_pmstat cpu_hotplug pm_op page_offline_op cputopoinfo numainfo cpupool_op scheduler_op psr_cmt_op pcitopoinfo"
    " psr_alloc get_cpu_featureset livepatch_op get_cpu_policy",
)  # fmt: skip
_POOL_SCHEDULERS = (
    (SchedId.CREDIT, "u.sched_credit"),
    (SchedId.CREDIT2, "u.sched_credit2"),
    (SchedId.ARINC653, "u.sched_arinc653"),
)

OPERATIONS = _TABLE.operations(
    one_of(
        Sysctl.readconsole, "clear",
        looks(Switch.off, word=""),
        changes(Switch.on, word="clear"),
        takes="incremental", gives="buffer", both="index count",
    ),
    one_of(
        Sysctl.tbuf_op, "cmd",
        looks(TbufOp.get_info, gives="evt_mask buffer_mfn size"),
        changes(TbufOp.set_cpu_mask, repeatable=True),
        changes(TbufOp.set_evt_mask, repeatable=True),
        changes(TbufOp.set_size, why="once: the buffers keep the size they were made with"),
        changes(TbufOp.enable, repeatable=True),
        changes(TbufOp.disable, repeatable=True),
    ),
    looks(Sysctl.physinfo, gives="*"),
    looks(Sysctl.sched_id, gives="*"),
    one_of(
        Sysctl.perfc_op, "cmd",
        changes(PerfcOp.reset, repeatable=True),
        looks(PerfcOp.query),
        gives="desc val", both="nr_counters nr_vals", room="nr_counters nr_vals", room_by="query",
        cpus="nr_vals/nr_counters",
        why="with buffers Xen fills in all counters, before it resets them too",
    ),
    looks(Sysctl.getdomaininfolist, gives="buffer num_domains"),
    changes(
        Sysctl.debug_keys, dangerous=True, slow=True,
        why="some keys crash or reboot the host, others print for seconds with interrupts off",
    ),
    looks(Sysctl.getcpuinfo, gives="info nr_cpus"),
    looks(Sysctl.availheap, gives="avail_bytes"),
    one_of(
        Sysctl.get_pmstat, "type",
        looks(PmStat.get_max_px, inner="u.getpx", gives="u.getpx.total"),
        looks(
            PmStat.get_pxstat, inner="u.getpx",
            gives="u.getpx.usable u.getpx.last u.getpx.cur u.getpx.trans_pt u.getpx.pt", both="u.getpx.total",
            needs="u.getpx.trans_pt u.getpx.pt", room="u.getpx.total", room_by="get_max_px",
        ),
        changes(PmStat.reset_pxstat, inner=NONE),
        looks(PmStat.get_max_cx, inner="u.getcx", gives="u.getcx.nr"),
        looks(
            PmStat.get_cxstat, inner="u.getcx",
            gives="u.getcx", both="u.getcx.nr u.getcx.nr_pc u.getcx.nr_cc u.getcx.pc u.getcx.cc",
        ),
        changes(PmStat.reset_cxstat, inner=NONE),
        when=X86,
    ),
    one_of(
        Sysctl.cpu_hotplug, "op",
        changes(CpuHotplug.ONLINE, again="EBUSY"),
        changes(CpuHotplug.OFFLINE, again="EBUSY"),
        changes(CpuHotplug.SMT_ENABLE),
        changes(CpuHotplug.SMT_DISABLE),
        when=X86, slow=True, dangerous=True,
        why="Xen does not survive some of it: of a CPU that keeps the timer of rtds, or that is leaving a cpupool",
    ),
    one_of(
        Sysctl.pm_op, "cmd",
        looks(
            GetCpufreq.PARA, word="GET_CPUFREQ_PARA", inner="u.get_para", gives="u.get_para",
            both="u.get_para.cpu_num u.get_para.freq_num u.get_para.gov_num", again="EAGAIN",
            why="with all three counts 0 they come back as the room that the lists need, with EAGAIN or 0",
        ),
        changes(SetCpufreq.GOV, word="SET_CPUFREQ_GOV", inner="u.set_gov", repeatable=True),
        one_of(
            SetCpufreq.PARA, "u.set_para.ctrl_type",
            *(changes(kind, repeatable=True) for kind in FreqPara),
            word="SET_CPUFREQ_PARA", inner="u.set_para",
        ),
        looks(
            GetCpufreq.AVGFREQ, word="GET_CPUFREQ_AVGFREQ", inner="u.get_avgfreq", gives="u.get_avgfreq",
            repeatable=False, why="the average since anybody asked last",
        ),
        changes(
            SetCpufreq.CPPC, word="SET_CPUFREQ_CPPC", inner="u.set_cppc", both="u.set_cppc", repeatable=True,
            when="xen >= 4.18",
        ),
        looks(
            GetCpufreq.CPPC, word="GET_CPUFREQ_CPPC", inner="u.get_cppc", gives="u.get_cppc", when="sysctl >= 0x16"
        ),
        changes(
            PmSetting.set_sched_opt_smt, inner="u.set_sched_opt_smt", both="u.set_sched_opt_smt",
            why="what it was before comes back",
        ),
        looks(PmSetting.get_max_cstate, inner="u.get_max_cstate", gives="u.get_max_cstate"),
        changes(PmSetting.set_max_cstate, inner="u.set_max_cstate", repeatable=True),
        changes(PmSetting.enable_turbo, inner=NONE, repeatable=True),
        changes(PmSetting.disable_turbo, inner=NONE, repeatable=True),
        when=X86,
    ),
    one_of(
        Sysctl.page_offline_op, "cmd",
        changes(PageOffline.page_offline, repeatable=True, slow=True),
        changes(PageOffline.page_online, repeatable=True, slow=True),
        looks(PageOffline.query_page_offline, slow=True),
        arm="page_offline", gives="status",
    ),
    one_of(
        Sysctl.lockprof_op, "cmd",
        changes(LockprofOp.reset),
        looks(LockprofOp.query, gives="nr_elem time data"),
    ),
    looks(Sysctl.cputopoinfo, gives="cputopo", both="num_cpus"),
    looks(Sysctl.numainfo, gives="meminfo distance", both="num_nodes"),
    one_of(
        Sysctl.cpupool_op, "op",
        changes(CpupoolOp.CREATE, both="cpupool_id"),
        changes(CpupoolOp.DESTROY),
        looks(CpupoolOp.INFO, gives="sched_id n_dom cpumap.bitmap", both="cpupool_id cpumap.nr_bits", again=""),
        changes(
            CpupoolOp.ADDCPU, dangerous=True,
            why="some Xens do not survive a CPU that is offline, or that is still leaving another cpupool",
        ),
        changes(
            CpupoolOp.RMCPU, again="EAGAIN EADDRINUSE", slow=True, dangerous=True,
            why="Xen may not survive it under rtds; after EAGAIN it has to be asked until it is done",
        ),
        changes(CpupoolOp.MOVEDOMAIN, domain="domid", slow=True),
        looks(CpupoolOp.FREEINFO, gives="cpumap.bitmap", both="cpumap.nr_bits", again=""),
        again="EAGAIN",
    ),
    one_of(
        Sysctl.scheduler_op, "cmd",
        one_of(
            SysctlSched.putinfo, "sched_id",
            *(changes(which, word=which.name.lower(), inner=arm, repeatable=True) for which, arm in _POOL_SCHEDULERS),
        ),
        one_of(
            SysctlSched.getinfo, "sched_id",
            *(looks(which, word=which.name.lower(), inner=arm, gives=arm) for which, arm in _POOL_SCHEDULERS),
        ),
    ),
    one_of(
        Sysctl.coverage_op, "cmd",
        looks(CoverageOp.get_size, gives="size"),
        looks(CoverageOp.read, gives="buffer", both="size", slow=True),
        changes(CoverageOp.reset),
    ),
    one_of(
        Sysctl.psr_cmt_op, "cmd",
        *(looks(each, inner="u.data", gives="u.data") for each in PsrCmt if each is not PsrCmt.get_l3_cache_size),
        looks(PsrCmt.get_l3_cache_size, takes="u.l3_cache", gives="u.data"),
        when=X86,
    ),
    looks(
        Sysctl.pcitopoinfo, gives="nodes", both="num_devs",
        why="stops early at times: ask again for the rest, from the first one that has no answer",
    ),
    one_of(
        Sysctl.psr_alloc, "cmd",
        looks(PsrAlloc.get_l3_info, inner="u.cat_info", gives="u.cat_info"),
        looks(PsrAlloc.get_l2_info, inner="u.cat_info", gives="u.cat_info"),
        looks(PsrAlloc.get_mba_info, inner="u.mba_info", gives="u.mba_info"),
        when=X86,
    ),
    looks(Sysctl.get_cpu_levelling_caps, arm="cpu_levelling_caps", gives="*", when=f"{X86} and xen < 4.22"),
    looks(Sysctl.get_cpu_featureset, arm="cpu_featureset", gives="features", both="nr_features", when=X86),
    one_of(
        Sysctl.livepatch_op, "cmd",
        changes(LivepatchOp.UPLOAD, inner="u.upload", slow=True),
        looks(LivepatchOp.GET, inner="u.get", gives="u.get.status"),
        looks(
            LivepatchOp.LIST, inner="u.list",
            gives="u.list.version u.list.status u.list.name u.list.len u.list.metadata u.list.metadata_len",
            both="u.list.nr u.list.name_total_size u.list.metadata_total_size",
            room="u.list.name_total_size u.list.metadata_total_size", room_when="xen < 4.21",
            most="u.list.idx u.list.nr", stays="u.list.version",
            why="begin anew when version has changed between two calls",
        ),
        one_of(
            LivepatchOp.ACTION, "u.action.cmd",
            changes(LivepatchAction.UNLOAD),
            *(changes(each, dangerous=True) for each in LivepatchAction if each is not LivepatchAction.UNLOAD),
            inner="u.action", again="EBUSY",
        ),
        arm="livepatch",
    ),
    looks(Sysctl.get_cpu_policy, arm="cpu_policy", gives="leaves msrs", both="nr_leaves nr_msrs", when=X86),
    one_of(
        Sysctl.dt_overlay, "overlay_op",
        *(changes(each, dangerous=True) for each in DtOverlay),
        when=f"{ARM} and xen >= 4.18", slow=True,
    ),
)  # fmt: skip
