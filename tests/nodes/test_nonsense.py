"""What may not be written: refused with a defined errno, before anything that changes the host is asked of Xen."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nonsense import REFUSED, refuse
from worlds import COMBINATIONS, Host, Place

from xenfs.errors import BadInput, XenfsError
from xenfs.nodes.tables import parse
from xenfs.nodes.tables.base import Exchange, File
from xenfs.nodes.tables.forms import form
from xenfs.nodes.tree import reference

POWERS = [str(2**power).encode() for power in (31, 32, 63, 64)]
DOM0 = b"system_u:system_r:dom0_t"
# Wrong for everything that is not free text.
NONSENSE = [
    b"",
    b"\n",
    b" ",
    b"\n\n",
    b"x" * 4097,
    b"1" * 5000,
    b"\xff\xfe",
    b"\x80",
    b"\0",
    b"\x001",
    b"1\n1",
    b"1\n\n",
    b"banana",
    b"0x",
    b"0x1g",
    b"1e3",
    b"1.5",
    b"--1",
    b"-",
    b"+",
    b"5-2",
    b",",
    b"0,,1",
    b"-1",
    b"Max",
    b"ALL",
    b"on",
    b"true",
    b"9" * 30,
    "\u0661".encode(),
    b"1 1",
    b"0b1",
    b"1_0",
    b"- 1",
    POWERS[3],
]

# Path, and what else is wrong there. Every writable path is in exactly one line.
SLOT = b"01234567-89ab-cdef-0123-456789abcdef 0 501"
TABLE: list[tuple[str, list[bytes]]] = [
    (r"host/cpus/\d+/online|domains/\d+/freeze", [b"2", b"01", b"off", *POWERS]),
    (r"host/cpus/\d+/cpufreq/turbo", [b"2", b"01", b"off", *POWERS]),
    (r"host/cpus/\d+/cpufreq/scaling_governor", [b"Ondemand", b"conservative", b"ondemand ondemand", b"0", *POWERS]),
    (
        r"host/cpus/\d+/cpufreq/scaling_(max_freq|min_freq|setspeed)",
        [b"0", b"1000", b"5000000", b"3000000 kHz", b"max", b"3000000\n3000000", *POWERS],
    ),
    (
        r"host/cpus/\d+/cpufreq/ondemand/(sampling_rate|up_threshold)",
        [b"0", b"10", b"10000001", b"max", b"20000 us", *POWERS],
    ),
    (
        r"host/console/log_clear|host/cpus/\d+/[pc]states/reset|domains/\d+/(kill|resume)",
        [b"0", b"2", b"no", b"yes", b"-1", b"1x", *POWERS],
    ),
    (r"host/cpus/\d+/cpufreq/avg_freq", [b"0", b"2", b"01", b"yes", *POWERS]),
    (r"host/cpus/\d+/cpufreq/policy", [b"Performance", b"userspace", b"schedutil", *POWERS]),
    (r"host/cpus/\d+/cpufreq/cppc/(minimum|maximum|desired|energy_perf)", [b"256", b"max", b"0.5", *POWERS]),
    (r"host/cpus/\d+/cpufreq/cppc/activity_window", [b"128", b"1001", b"1280000000", b"1ms", *POWERS]),
    (r"host/cpus/\d+/cpufreq/cppc/preset", [b"balance", b"Ondemand", b"0", *POWERS]),
    (r"host/power/max_c(sub)?state", [b"4294967295", b"max", b"C1", b"Unlimited", *POWERS[1:]]),
    (r"host/power/sched_smt", [b"2", b"01", b"off", *POWERS]),
    (r"host/power/parked_cpus", [b"8", b"4096", b"max", *POWERS]),
    (
        r"host/livepatch/[^/]+/(enabled|replace)",
        [b"2", b"01", b"off", b"1 timeout_ms=0", b"1 timeout_ms", b"1 30", *POWERS],
    ),
    (r"host/livepatch/[^/]+/payload", [b"\x7fELE", b"ELF" * 100]),
    (r"flask/load", [b"policy", b"\x7fELF" * 8, b"\x8c\xff\x7c\xf9\x08\0\0\0", bytes(2048)]),
    (r"host/microcode/payload", [b"\x01\0\0\0", b"DMA\0", bytes(2048)]),
    (
        r"cpupools/\d+/sched/arinc653_schedule",
        [b"1000", b"0\n" + SLOT, b"1000\n" + SLOT + b"\n" + SLOT, b"1001\n" + SLOT + b" 1", b"-1\n" + SLOT, *POWERS],
    ),
    (r"host/dt_overlay/(add|remove)|domains/\d+/dt_overlay", [b"\xd0\r\xfe\xed", b"\xd0\r\xfe\xed" * 20, bytes(2048)]),
    (r"host/kexec/(crash_)?load", [b"\x7fELF\x02\x01\x01", b"\x7fELF" * 100]),
    (r"host/kexec/(crash_)?loaded", [b"2", b"no", *POWERS]),
    (r"host/kexec/exec", [b"Default", b"1", b"crash default", *POWERS]),
    (
        r"host/mce/inject",
        [b"mce", b"mce 4096", b"mce 0,1", b"cmci", b"cmci 0-8", b"cmci +1", b"9 0x401 1", b"0 0x401", *POWERS],
    ),
    (r"host/mce/log", [b"0", b"2", b"01", b"yes", *POWERS]),
    (r"domains/\d+/watchdog", [b"0 0", b"3 1", b"1 2 3", b"0 60s", b"0 4294967295", *POWERS]),
    (r"host/trace/records", [b"0", b"2", b"01", *POWERS]),
    (r"host/microcode/force", [b"2", b"01", b"off", *POWERS]),
    (r"host/smt", [b"1", b"0", b"On", b"forceoff", *POWERS]),
    (r"domains/\d+/memory/max", [b"MAX", b"max max", b"1 kB", b"4GB", POWERS[2], b"17592186044417", b"5"]),
    (r"domains/\d+/sched/weight", [b"0", b"65536", b"max", *POWERS]),
    (r"domains/\d+/sched/cap", [b"65536", b"max", *POWERS]),
    (
        r"domains/\d+/(vcpus/\d+/)?affinity_(hard|soft)",
        [
            b"8",
            b"0-8",
            b"8-9",
            b"0,64",
            b"+8",
            b"-8",
            b"3-1",
            b"0-7,5-2",
            b"+",
            b"All",
            b"-0-7",
            b"0-",
            b"-all",
            b"^0",
            b"node:9",
            b"all,^all",
            b"nodes:all",
            b"0x1",
            b"65535",
            b"65536",
            b"0-4000000000",
            *POWERS,
        ],
    ),
    (
        r"domains/\d+/memory/node_affinity",
        [b"2", b"0-2", b"+64", b"-2", b"1-0", b"0,5-2", b"+", b"All", b"-0-1", b"-all", b"65536", *POWERS],
    ),
    (
        r"domains/\d+/uuid",
        [b"0" * 32, b"00000000-0000-0000-0000-00000000000g", b"{00000000-0000-0000-0000-000000000000}"],
    ),
    (r"domains/\d+/cpupool", [b"2", b"99", b"Pool-0", *POWERS]),
    (r"domains/\d+/hvm/params/\w+", [b"max", b"0x10000000000000000", b"1 kB"]),
    (r"domains/\d+/shutdown", [b"Poweroff", b"poweroff reboot", b"halt", b"0", *POWERS]),
    (r"domains/\d+/request", [b"Poweroff", b"poweroff asked", b"halt", b"crash", b"0", *POWERS]),
    (r"domains/\d+/vcpus/\d+/availability", [b"Online", b"on", b"0", b"1", b"online online", *POWERS]),
    (r"domains/\d+/nr_vcpus_target", [b"0", b"9", b"8193", b"-1", b"all", b"1 2", *POWERS]),
    (r"domains/\d+/memory/target_kb", [b"0", b"1", b"4097", b"4096", b"max", b"4 kB", b"100G", *POWERS[2:]]),
    (r"domains/\d+/memory/(claim|pod/target)", [b"1", b"4097", b"max", b"4 kB", b"17592186044420", *POWERS[2:]]),
    (r"domains/\d+/memory/paging_pool_bytes", [b"1", b"4097", b"max", b"4MB", b"17592186044416", *POWERS[2:]]),
    (
        r"cpupools/\d+/cpus",
        [
            b"8",
            b"0-8",
            b"+8",
            b"-8",
            b"3-1",
            b"+",
            b"All",
            b"0-",
            b"^0",
            b"all,^all",
            b"65536",
            b"0-4000000000",
            *POWERS,
        ],
    ),
    (r"cpupools/\d+/scheduler", [b"6", b"Credit", b"credit3", b"credit credit2", *POWERS]),
    (r"cpupools/\d+/sched_gran", [b"CPU", b"thread", b"cpu core", b"0", *POWERS]),
    (r"cpupools/\d+/sched/\w+_[mu]s", [b"-1", b"500001", b"max", b"1ms", *POWERS]),
    (
        r"domains/\d+/trigger",
        [
            b"Power",
            b"power 0",
            b"power ",
            b" power",
            b"reset",
            b"init",
            b"nmi 99",
            b"nmi -1",
            b"nmi 0 0",
            b"nmi  0",
            b"nmi x",
            b"sleep 1",
            b"nmi 8192",
            *(b"nmi " + power for power in POWERS),
        ],
    ),
    (
        r"host/memory/availheap",
        [
            b"0 0",
            b"0 0 0 0",
            b"0 65 0",
            b"-2 0 0",
            b"4096 0 0",
            b"0 0 max",
            b"0,0,0",
            b"0\n0\n0",
            b"0 0 0\n\n",
            b"0\v0\v0",
            *POWERS,
        ],
    ),
    (
        r"host/memory/(page_status|soft_offline_page|online_page)",
        [b"9-8", b"0-1024", b"0x10-0xf", b"4294967295", b"1-", b"1-2-3", b"1,2", *POWERS[1:]],
    ),
    (
        r"host/(perfc|lockprof|coverage)/reset",
        [b"0", b"2", b"no", b"yes", b"-1", b"1x", *POWERS],
    ),
    (
        r"domains/\d+/access/(pirq|gsi)",
        [b"5", b"+5-6", b"++5", b"+-5", b"+65536", b"+ 5", b"*5", b"+5,6", *(b"+" + power for power in POWERS)],
    ),
    (
        r"domains/\d+/access/(iomem|ioport)",
        [
            b"5",
            b"+6-5",
            b"+5-",
            b"+0x10-0xf",
            b"+1099511627776",
            b"+5-6-7",
            b"-",
            *(b"-" + power for power in POWERS[2:]),
        ],
    ),
    (r"domains/\d+/target", [b"32752", b"32751", b"self", b"DOMID_SELF", *POWERS]),
    (
        r"domains/\d+/passthrough/pci",
        [b"0000:00:1f.2", b"+", b"-00:1f.2 rdm_relaxed", b"+00:1f.2 relaxed", b"+ff:1f.7", b"+00:20.0", *POWERS],
    ),
    (
        r"domains/\d+/vcpus/\d+/regs",
        [b"rip", b"rip 1 2", b"rip=1", b"eax 1", b"RIP 1", b"rip 0x1\nrip 0x2", b"rip -1", b"rip 18446744073709551616"],
    ),
    (r"domains/\d+/vcpus/\d+/context", [b"1" * 5167, b"1" * 5169]),
    (r"domains/\d+/passthrough/dt", [b"/soc/mmc@2", b"+ /soc", b"+soc", b"+/a b", b"+/a\tb", *POWERS]),
    (r"domains/\d+/hvm/context", [b"1" * 8, bytes(8), b"\1\0\0\0\0\0\0\0", b"\1\0\0\0\1\0\0\0\0\0\0\0\0"]),
    (
        r"domains/\d+/vcpus/\d+/msrs",
        [b"0x48", b"0x48 1 2", b"0x48=1", b"4294967296 1", b"0x48 1\n0x48 2", b"tsc_aux 1", *POWERS],
    ),
    (
        r"domains/\d+/vcpus/\d+/inject_event",
        [
            b"14",
            b"14 hw_exc 0 - 0",
            b"6 hw_exc 0 0 0",
            b"2 hw_exc 0 - 0",
            b"32 hw_exc 0 - 0",
            b"3 nmi 0 - 0",
            b"15 ext_int 0 - 0",
            b"3 sw_exc 0 - 0",
            b"14 hw_exc 2 0 0",
            b"256 ext_int 0 - 0",
            b"14 HW_EXC 0 0 0",
            b"128 sw_int 16 - 0",
            b"14 hw_exc 0 4294967295 0",
            *POWERS,
        ],
    ),
    (r"domains/\d+/dm/inject_msi", [b"1", b"1 2 3", b"0xfee00000 4294967296", b"1,1", b"addr data", *POWERS]),
    (r"domains/\d+/vcpus/\d+/vmtrace/enabled", [b"2", b"on", b"Reset", b"1 1", *POWERS]),
    (r"domains/\d+/vcpus/\d+/vmtrace/position", [b"0", b"2", b"01", b"yes", *POWERS]),
    (r"domains/\d+/vcpus/\d+/vmtrace/options", [b"0x570 1 2", b"ctl", b"0x570=1", b"4294967296 1", *POWERS[1:]]),
    (r"domains/\d+/logdirty/mode", [b"1", b"0", b"on", b"Off", b"off logdirty", *POWERS]),
    (r"domains/\d+/logdirty/clean", [b"0", b"2", b"01", b"yes", *POWERS]),
    (r"domains/\d+/memory/shadow_mb", [b"max", b"4M", b"1048577", *POWERS]),
    (
        r"domains/\d+/memory/(pfn_types|type)",
        [b"0-1024", b"1099511627776", b"1099511627775-1099511627776", b"1,2", b"all", b"1-", b"-1-2", *POWERS[2:]],
    ),
    (
        r"domains/\d+/memory/access",
        [b"1", b"1 0", b"1 2 3", b"1 1 wr", b"1 1 RW", b"0 1025", b"0 1\n1 1 r", b"0 1024\n0 1", b"-1 1 r", *POWERS],
    ),
    (r"domains/\d+/hvm/altp2m/enabled", [b"2", b"01", b"off", *POWERS]),
    (r"domains/\d+/hvm/altp2m/active", [b"512", b"max", b"1 1", *POWERS]),
    (r"domains/\d+/hvm/altp2m/views/\d+/visible", [b"2", b"01", b"off", *POWERS]),
    (r"domains/\d+/hvm/altp2m/views/\d+/access", [b"1", b"1 0", b"1 1 wr", b"0 1025", b"0 1025 r", b"0 1\n1 1 r"]),
    (r"domains/\d+/memory/access_default", [b"default", b"RWX", b"rwx rwx", b"wr", b"0", b"7", *POWERS]),
    (r"domains/\d+/memory/sharing_enabled", [b"2", b"01", b"off", *POWERS]),
    (r"domains/\d+/fork_from", [b"iommu", b"32752", b"1 iommu iommu", b"1 2", b"1 IOMMU", b"self", *POWERS]),
    (r"domains/\d+/fork_reset", [b"1", b"all", b"state state", b"state,memory", b"State", *POWERS]),
    (r"domains/\d+/(evtchn/reset|soft_reset)", [b"0", b"2", b"1", b"no", *POWERS]),
    (r"domains/\d+/evtchn/suspend_port", [b"131072", b"any", *POWERS]),
    (r"domains/\d+/evtchn/virq_handler", [b"dom_exc", b"timer", b"CONSOLE", b"console con_ring", b"3", *POWERS]),
    (r"domains/\d+/time/offset_s", [b"1h", b"max", b"+-1", *POWERS]),
    (
        r"domains/\d+/tsc/set",
        [b"default 0 0", b"native_paravirt 0 0 0", b"0 0 0 0", b"native 999 0 0", b"native 0 4294967295 0", *POWERS],
    ),
    (r"domains/\d+/debug/attached|domains/\d+/vcpus/\d+/debug/single_step", [b"2", b"01", b"off", *POWERS]),
    (r"domains/\d+/vcpus/\d+/debug/paused", [b"2", b"01", b"off", *POWERS]),
    (r"domains/\d+/debug/status", [b"0", b"2", b"01", b"yes", *POWERS]),
    (r"domains/\d+/monitor/(access_required|emulate_each_rep)", [b"2", b"01", b"off", *POWERS]),
    (r"domains/\d+/monitor/control_registers", [b"0", b"2", b"yes", *POWERS]),
    (
        r"domains/\d+/monitor/write_ctrlreg",
        [b"cr2", b"CR3", b"cr3 1 2", b"cr3 async", b"off", b"off cr3 sync", b"sync cr3", b"0", *POWERS],
    ),
    (r"domains/\d+/monitor/mov_to_msr", [b"off", b"0x176 sync", b"off 0x176 onchange", b"tsc", *POWERS[1:]]),
    (r"domains/\d+/monitor/(guest_request|debug_exception|vmexit)", [b"1", b"0", b"On", b"off sync", b"on sync"]),
    (
        r"domains/\d+/monitor/(singlestep|software_breakpoint|cpuid|privileged_call|desc_access|emul_unimplemented"
        r"|inguest_pagefault|io)",
        [b"2", b"01", b"off", *POWERS],
    ),
    (r"flask/(enforce|booleans/\w+)", [b"2", b"01", b"off", b"2 1", *POWERS]),
    (r"flask/commit_pending_bools", [b"0", b"2", b"no", b"yes", *POWERS]),
    (r"flask/avc/cache_threshold", [b"2147483648", b"max", b"0x80000000", *POWERS]),
    (r"flask/(context|sid|peersid)|domains/\d+/context", [b"a b", "\u00e4".encode(), b"\x7f", b"1\t1", *POWERS[1:]]),
    (
        r"flask/(access|create|relabel|member)",
        [
            b"dom0_t domU_t domain",
            DOM0 + b" domain",
            DOM0 + b" " + DOM0,
            DOM0 + b" " + DOM0 + b" Domain",
            DOM0 + b" " + DOM0 + b" 0",
            DOM0 + b" " + DOM0 + b" 65536",
            DOM0 + b" " + DOM0 + b" domain -1",
            DOM0 + b" " + DOM0 + b" domain 4294967296",
            DOM0 + b"  " + DOM0 + b" domain",
            DOM0 + b"\t" + DOM0 + b" domain",
            DOM0 + b" " + DOM0 + b" domain 1 1",
            *POWERS,
        ],
    ),
    (
        r"flask/ocontexts",
        [
            b"+pirq 17",
            b"-pirq 17 " + DOM0,
            b"pirq 17 " + DOM0,
            b"+irq 17 " + DOM0,
            b"+pirq 65536 " + DOM0,
            b"-pirq 1-2",
            b"-ioport 0x10000",
            b"-ioport 9-8",
            b"-iomem 1099511627776",
            b"-iomem 1-2-3",
            b"-pci 00:1f.2",
            b"-pci 0000:00:20.0",
            b"-dt chosen",
            b"-dt ",
            b"+pirq 17 dom0 t",
            b"+ pirq 17 " + DOM0,
            *POWERS,
        ],
    ),
    (r"host/trace/event_mask", [b"max", b"0x1_", b"all", *POWERS[1:]]),
    (r"host/trace/cpu_mask", [b"8", b"0-8", b"+1", b"-1", b"all,^all", b"65536", b"All", *POWERS]),
    (r"host/trace/size_pages", [b"0", b"65536", b"max", b"4K", *POWERS]),
    (r"host/trace/enabled", [b"2", b"01", b"off", b"1", *POWERS]),
    (
        r"host/trace/marker",
        [b"0x1000", b"1 4294967296", b"1 2 3 4 5 6 7 8 9", b"1,2", b"event", b"1 -1", b"1 1.5", *POWERS],
    ),
    (
        r"domains/\d+/hvm/start/(entry|start_info)",
        [b"0x100000000", b"pvh", b"4G", b"0x", *POWERS[1:]],
    ),
    (r"domains/\d+/hvm/start/mode", [b"PVH", b"other", b"hvm", b"1", *POWERS]),
    (
        r"domains/\d+/memory/(un)?populate",
        [b"0", b"1 0", b"1 1 1", b"0 1 19", b"1 1 1 1", b"0x10000000000 1", b"all", b"0-5", *POWERS],
    ),
    (r"host/pmu/mode", [b"OFF", b"self hv", b"0", b"1", *POWERS]),
    (r"host/pmu/features", [b"8", b"0xff", b"max", *POWERS]),
    (
        r"domains/\d+/passthrough/test",
        [
            b"0000:00:1f",
            b"00:1f.8",
            b"00:20.0",
            b"0000:00:1F.0",
            b"10000:e1:00.0",
            b"0000:00:00.0 1",
            b"ff:1f.7",
            *POWERS,
        ],
    ),
    (r"(host|hypfs)/params/(pretended-u?int|global-pages)", POWERS[1:]),
    (r"domains/\d+/psr/cmt_enabled", [b"2", b"01", b"off", *POWERS]),
    (
        r"domains/\d+/psr/schemata",
        [
            b"L3",
            b"L3:",
            b"L3:0",
            b"L3:0=",
            b"L3:0=0",
            b"L3:0=5",
            b"L3:0=ff;",
            b"L3:0=ff;0=f",
            b"L3:0=xyz",
            b"L3:0=-1",
            b"L3:0=ff 1=ff",
            b"L3:9=ff",
            b"L3:-1=ff",
            b"L3:0=fffff",
            b"L3:0=1ffffffff",
            b"L3:4294967296=ff",
            b"L3CODE:0=ff",
            b"L4:0=ff",
            b"l3:0=ff",
            b"L3=ff",
            b"L2:0=1fffe",
            b"MB:0=91",
            b"MB:0=ff",
            b"MB:0=-1",
            b"MB:0=",
            b"MB:9=10",
            b"MB:0=0x1ffffffff",
            b"L3:0=ff\nMB:0=91",
            *(b"MB:0=" + power for power in POWERS),
        ],
    ),
    (
        r"domains/\d+/cpuid/policy",
        [
            b"1",
            b"1 -> 0 0 0 0",
            b"00000001:ffffffff -> 0 0 0 0",
            b"00000001:ffffffff -> 00000000 00000000 00000000",
            b"00000001:ffffffff -> 00000000 00000000 00000000 00000000 00000000",
            b"00000001:ffffffff > 00000000 00000000 00000000 00000000",
            b"0000000g:ffffffff -> 00000000 00000000 00000000 00000000",
            b"00000001:ffffffff -> 00000000 00000000 00000000 00000000\nmore",
            b"000000ce -> ",
            b"000000ce -> 00000000000000000",
            b"ce -> 0",
            b"aesni",
            b"+AESNI",
            b"+ aesni",
            b"++aesni",
            b"+aesni -avx",
            b"+aesni,-avx",
            b"-avx22",
            b"+aes\n-aesni",
            b"-sse4_1\n-sse4.1",
            b"000000ce -> 0\n000000ce -> 0",
            b"00000002:ffffffff -> 00000000 00000000 00000000 00000000\n" * 2,
            b"x" * 65537,
            *POWERS,
        ],
    ),
]
FREE_TEXT = re.compile(r"host/debug_keys|host/console/tty|(host|hypfs)/params/.*|hypfs/cpupool/\d+/sched-gran")
# As tracefs has it; what does something takes a 1.
ANYTHING = re.compile(r"xenfs/error_log|domains/\d+/memory/(physical|machine)")
# test_rtds_parameters has the scheduler's; test_nonsense_for_a_template what no host has before somebody makes one.
ELSEWHERE = re.compile(r"hypfs/\w+|domains/\d+/(vcpus/\d+/)?sched/(period_us|budget_us|extratime)|templates/.*")


def writable(host: Host) -> Iterator[Place]:
    for place in host.files():
        assert isinstance(place.node, File)
        if place.node.write is not None and not place.path.startswith("raw/"):  # see tests/nodes/raw
            yield place


@pytest.fixture(scope="module", params=[*COMBINATIONS, ("4.17", "x86_64,processor=intel,psr=on")], ids="-".join)
def each(request: pytest.FixtureRequest) -> Iterator[Host]:
    """The default host of each release and architecture in turn, with every option."""
    release, arch = request.param
    with Host(f"xen={release},arch={arch}") as host:
        yield host


def table_row(path: str) -> list[bytes] | None:
    rows = [extra for pattern, extra in TABLE if re.fullmatch(pattern, path)]
    assert len(rows) <= 1, path
    # "-1" takes CPU 1 out of a set, nothing empties a pool, and smt is on or off.
    signed = re.search("pretended-int|affinity_|node_affinity|cpupools/\\d+/cpus", path)
    signed = signed or re.search("time/offset_s|access/", path)
    fine = (b"-1", b"- 1") if signed else (b"on",) if path == "host/smt" else ()
    fine = (*fine, b"on") if re.search("monitor/(guest_request|debug_exception|vmexit)", path) else fine
    fine = (*fine, b"1 1") if re.search("trace/marker|memory/(un)?populate", path) else fine
    fine = (*fine, b"1 1") if path == "flask/booleans/guest_writeconsole" else fine
    fine = (
        (*fine, b"1 1") if path.endswith(("/access", "/msrs", "/inject_msi", "vmtrace/options", "/watchdog")) else fine
    )
    if re.fullmatch(r"cpupools/\d+/cpus", path):
        fine = (*fine, *(data for data in NONSENSE if not data.split(b"\0")[0].strip(b" \t\n")))
    return [data for data in NONSENSE if data not in fine] + rows[0] if rows else None


def test_what_can_be_written_is_in_a_table() -> None:
    """Of all that there can be, on whatever host: one row that is missing is one failure."""
    files = (row.path for row in reference() if isinstance(row.node, File) and row.node.write is not None)
    paths = [re.sub(r"<\w+>", "0", path) for path in files if not path.startswith("raw/")]
    others = (FREE_TEXT, ANYTHING, ELSEWHERE)
    assert not [path for path in paths if not table_row(path) and not any(each.fullmatch(path) for each in others)]


def test_nonsense_is_refused_before_any_hypercall(each: Host) -> None:
    tried = set()
    for place in writable(each):
        # One domain, vCPU and CPU of a kind stand for all.
        kind = re.sub(r"(domains|vcpus|cpus)/\d+", r"\1/N", place.path)
        rows = table_row(place.path)
        if rows is not None and kind not in tried:
            for data in rows:
                refuse(each, place, data)
            tried.add(kind)
    assert len(tried) >= 11


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        ("xen=4.18,cpufreq=hwp", ["cppc/minimum", "cppc/energy_perf", "cppc/activity_window", "cppc/preset"]),
        ("xen=4.22,profile=full", ["cppc/maximum", "cppc/desired", "cppc/activity_window", "cppc/preset", "turbo"]),
        ("xen=4.22,cpufreq=amd-cppc-epp", ["policy", "avg_freq"]),
        ("xen=4.17,processor=intel", ["scaling_governor", "scaling_setspeed", "avg_freq"]),
    ],
)
def test_nonsense_for_every_driver(settings: str, paths: list[str]) -> None:
    with Host(settings) as host:
        if "scaling_setspeed" in paths:
            host.write("host/cpus/3/cpufreq/scaling_governor", "userspace")
        for name in paths:
            place = host.at(f"host/cpus/3/cpufreq/{name}")
            for data in table_row(place.path) or pytest.fail(f"{name} is in no table"):
                refuse(host, place, data)


def test_nonsense_for_devices_of_a_device_tree() -> None:
    with Host("arch=arm64,smmu=on") as host:
        for name in ("dt", "test"):
            place = host.at(f"domains/7/passthrough/{name}")
            for data in table_row(place.path) or pytest.fail(f"{name} is in no table"):
                refuse(host, place, data)


@pytest.mark.parametrize("settings", ["xen=4.22", "xen=4.20,arch=arm64"])
def test_nonsense_for_a_template(settings: str) -> None:
    """But a list may be empty, and a minus takes a colour out; test_templates.py has what a name may not be."""
    may_be_empty = {"flags", "e820", "arch/emulation"}
    fine = {"iommu": (b"on",), "llc_colors": (b"-1", b"- 1"), "name": NONSENSE}
    with Host(settings) as host:
        host.mkdir("templates/t")
        places = [place for place in writable(host) if place.path.startswith("templates/t/")]
        for place in places:
            name = place.path.removeprefix("templates/t/")
            for data in NONSENSE:
                empty = name in may_be_empty and not data.partition(b"\0")[0].strip()
                if not empty and data not in fine.get(name, ()):
                    refuse(host, place, data)
        assert len(places) > 16


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_nonsense_for_a_security_module(arch: str) -> None:
    with Host(f"arch={arch},flask=on,domains=2,cpus=1") as host:
        tried = 0
        for place in writable(host):
            if re.match(r"flask/|domains/1/context", place.path):
                for data in table_row(place.path) or pytest.fail(f"{place.path} is in no table"):
                    refuse(host, place, data)
                tried += 1
        assert tried > 12


def test_refusals_are_explained(each: Host) -> None:
    for path in ("domains/1/sched/weight", "domains/1/vcpus/0/affinity_hard", "host/memory/availheap"):
        each.refusals.clear()
        problem = refuse(each, each.at(path), b"banana")
        assert isinstance(problem, BadInput)
        first, given_text, caret = each.value("xenfs/error_log").splitlines()
        assert f"{path}: EINVAL: " in first
        assert (given_text, caret) == ("  banana", "  ^")


def test_text_that_xen_judges(each: Host) -> None:
    """Free text goes to Xen, which refuses without a change; only what cannot be text at all is refused before."""
    for place in writable(each):
        if not re.fullmatch(r"(host|hypfs)/params/.*", place.path) or table_row(place.path):
            continue
        assert isinstance(place.node, File)
        before = place.node.produce(each.xen, place.ids)
        for data in (b"\xff", b"x" * 4097):
            refuse(each, place, data)
        with pytest.raises(XenfsError) as caught:
            each.put(place, b"x" * 2000)
        assert caught.value.errno in {errno.EINVAL, errno.ENOSPC, errno.E2BIG, errno.ERANGE}, place.path
        assert place.node.produce(each.xen, place.ids) == before


def test_debug_keys(host: Host) -> None:
    place = host.at("host/debug_keys")
    for data in (b"", b"\n", b" ", b"q r", b"q\n\n", b"\x1b", b"\x7f", "ä".encode(), b"\0q", b"q" * 65, b"\xff"):
        refuse(host, place, data)
    before = host.counts.copy()
    host.put(place, b"q\n")
    assert host.asked(before) == {"sysctl debug_keys": 1}
    assert "dumping domain info" in host.read("host/console/log")


def test_what_takes_anything_takes_text_only(host: Host) -> None:
    for data in (b"\xff", b"x" * 4097):
        refuse(host, host.at("xenfs/error_log"), data)
    for data in (b"", b"\n"):
        host.write("xenfs/error_log", data)


def test_a_trigger_takes_1_and_nothing_else(each: Host) -> None:
    """As cgroup.kill: another number is ERANGE, other text EINVAL, and neither does anything."""
    tried = set()
    for place in writable(each):
        assert isinstance(place.node, File)
        if place.node.parse is parse.one and not isinstance(place.node, Exchange):
            tried.add(re.sub(r"\d+", "N", place.path))
            for data, code in (
                (b"0", errno.ERANGE),
                (b"2", errno.ERANGE),
                (b"-1", errno.ERANGE),
                (b"9" * 30, errno.ERANGE),
                (b"", errno.EINVAL),
                (b"\n", errno.EINVAL),
                (b"no", errno.EINVAL),
                (b"1 1", errno.EINVAL),
            ):
                assert refuse(each, place, data).errno == code, (place.path, data)
    assert tried >= {"domains/N/kill", "domains/N/resume", "host/console/log_clear"}


def test_nothing_but_the_error_log_takes_whatever_is_written() -> None:
    assert [row.path for row in reference() if form(getattr(row.node, "parse", None)).anything] == ["xenfs/error_log"]


def test_unknown_cpus_are_named(host: Host) -> None:
    place = host.at("domains/1/vcpus/0/affinity_soft")
    for data, code, caret in (
        (b"0-3,9", errno.ERANGE, 4),
        (b"0-3,5-12", errno.ERANGE, 4),
        (b"+17", errno.ERANGE, 1),
        (b"1,3-2", errno.EINVAL, 2),
        (b"0-3,x", errno.EINVAL, 4),
        (b"-0-7", errno.EINVAL, 0),
    ):
        host.refusals.clear()
        problem = refuse(host, place, data)
        assert problem.errno == code, data
        assert host.value("xenfs/error_log").splitlines()[-1] == " " * (2 + caret) + "^", data


def test_offline_vcpu_and_foreign_pool(host: Host) -> None:
    """A set that leaves no CPU of the pool is Xen's to refuse: nothing changes."""
    before = host.value("domains/6/vcpus/0/affinity_hard")
    with pytest.raises(XenfsError) as caught:
        host.write("domains/6/vcpus/0/affinity_hard", "0-1")
    assert caught.value.errno == errno.EINVAL
    assert host.value("domains/6/vcpus/0/affinity_hard") == before


def test_own_domain_is_not_paused_or_killed(host: Host) -> None:
    for path in ("domains/0/freeze", "domains/0/kill"):
        assert "itself" in str(refuse(host, host.at(path), b"1"))


def test_rtds_parameters() -> None:
    with Host() as host:
        host.world.pools.create(8, 5)
        host.world.pools.by_id[5].cpus = 1 << 7
        host.world.pools.free &= ~(1 << 7)
        host.world.pools.move(host.world.domains[4], host.world.pools.by_id[5])
        assert host.names("domains/4/sched") == ["period_us", "budget_us"]
        place = host.at("domains/4/sched/period_us")
        for data in [*NONSENSE, b"9", b"0", *POWERS[1:]]:
            refuse(host, place, data)
        host.write("domains/4/sched/period_us", "20000")
        host.write("domains/4/sched/budget_us", "15000")
        assert [host.value(f"domains/4/sched/{name}") for name in ("period_us", "budget_us")] == ["20000", "15000"]
        assert all(vcpu and (vcpu.period_us, vcpu.budget_us) == (20000, 15000) for vcpu in host.world.domains[4].vcpus)
        for path, text in (("domains/4/sched/period_us", "14999"), ("domains/4/vcpus/0/sched/budget_us", "20001")):
            with pytest.raises(XenfsError, match="the budget must not be more than the period"):
                host.write(path, text)
        assert host.value("domains/4/vcpus/0/sched/budget_us") == "15000"


@given(st.binary(max_size=64))
def test_bytes_at_random_never_break_a_writer(shared: Host, data: bytes) -> None:
    """Accepted or refused with a defined errno: nothing else, whatever is written."""
    for path in (
        "domains/1/freeze",
        "domains/1/memory/max",
        "domains/1/sched/weight",
        "domains/1/sched/cap",
        "domains/1/vcpus/0/affinity_hard",
        "domains/1/vcpus/0/affinity_soft",
        "host/memory/availheap",
        "host/memory/page_status",
        "host/params/pretended-int",
        "host/params/pretended-uint",
        "host/params/loglvl",
        "host/debug_keys",
        "xenfs/error_log",
        "host/params/console_timestamps",
    ):
        try:
            shared.put(shared.at(path), data)
        except XenfsError as problem:
            assert problem.errno in REFUSED | {errno.EDOM, errno.ENOSPC}, (path, data)  # noqa: PT017


@given(st.from_regex(r"[+-]?[0-9]{1,3}([-,][0-9]{1,3}){0,4}", fullmatch=True))
def test_lists_at_random_set_what_they_say(shared: Host, text: str) -> None:
    """An affinity that is accepted reads back as the set that the text names."""
    path = "domains/7/vcpus/0/affinity_soft"
    shared.write(path, "all")
    try:
        shared.write(path, text)
    except XenfsError as problem:
        assert problem.errno in REFUSED  # noqa: PT017
        assert shared.value(path) == "0-7"
        return
    named = set()
    for part in text.lstrip("+-").split(","):
        low, _, high = part.partition("-")
        named |= set(range(int(low), int(high or low) + 1))
    wanted = set(range(8)) - named if text[0] == "-" else set(range(8)) if text[0] == "+" else named
    vcpu = shared.world.domains[7].vcpus[0]
    assert vcpu is not None
    assert {cpu for cpu in range(8) if vcpu.soft >> cpu & 1} == wanted


@pytest.fixture(scope="module")
def shared() -> Iterator[Host]:
    with Host() as host:
        yield host


def test_exchanges_have_no_reader(host: Host) -> None:
    for place in host.files():
        if isinstance(place.node, Exchange):
            assert place.node.form or place.node.produce(host.xen, place.ids) == b""
