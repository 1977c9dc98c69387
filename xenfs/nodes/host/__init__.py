"""host/: the machine and the hypervisor as a whole.

This file has the table of host/; each file beside it has the part of it with the same name. hazards.py has what Xen
does not survive and is therefore refused. Open this file first.
"""

from __future__ import annotations

from typing import Any

from xenfs.abi.numbers import PhysCap, SchedId
from xenfs.calls import sysctl, tty
from xenfs.calls.sysctl import physinfo
from xenfs.connect.watcher import CONSOLE as CONSOLE_TOPIC
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.host.boot import EFI, FIRMWARE, KEXEC, MTRR
from xenfs.nodes.host.counters import COVERAGE, LOCKPROF, PERFC
from xenfs.nodes.host.cpuid import CPUID
from xenfs.nodes.host.cpus import CPUS
from xenfs.nodes.host.device_tree import DT_OVERLAY
from xenfs.nodes.host.instruments import PMU, TIME, VM_EVENT_VERSION, XENSYMS
from xenfs.nodes.host.ioapic import IOAPIC
from xenfs.nodes.host.livepatch import LIVEPATCH
from xenfs.nodes.host.mce import MCE
from xenfs.nodes.host.memory import MEMORY
from xenfs.nodes.host.microcode import MICROCODE
from xenfs.nodes.host.pci import PCI
from xenfs.nodes.host.power import POWER, SMT
from xenfs.nodes.host.psr import PSR
from xenfs.nodes.host.sockets import SOCKETS
from xenfs.nodes.host.trace import TRACE
from xenfs.nodes.hypfs import PARAMS
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, File, Stream, field
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed
from xenfs.nodes.tables.members import members

_KEYS = "the ASCII keys of Xen's console, such as q or r"


def scheduler_name(number: int) -> str:
    """A scheduler's name as the command line has it, such as credit2."""
    return SchedId(number).name.lower() if number in list(SchedId) else str(number)


def _info(xen: Hypervisor) -> str:
    return show.flat(members(xen.abi, physinfo(xen)))


def hw_caps(info: Any) -> str:
    """The eight words of CPU features that physinfo has, as xl shows them."""
    return ":".join(f"{word:08x}" for word in info.hw_cap)


def _virt_caps(xen: Hypervisor) -> str:
    have = physinfo(xen).capabilities
    return show.words(str(cap.name).replace("gnttab_", "gnttab-") for cap in PhysCap if have & cap)


def _cpu_stat(xen: Hypervisor) -> str:
    return show.lines(f"cpu{cpu} {ns}" for cpu, ns in sysctl.idle_times(xen).items())


def _nodes(xen: Hypervisor) -> list[tuple[str, int]]:
    return [(str(node), node) for node in sysctl.numa(xen)]


def _node(xen: Hypervisor, name: str) -> int | None:
    return dict(_nodes(xen)).get(name)


def _meminfo(xen: Hypervisor, node: int) -> str:
    found = sysctl.numa(xen)[node]
    return show.flat({"MemTotal": f"{found.span >> 10} kB", "MemFree": f"{found.free >> 10} kB"})


def _far(distances: tuple[int, ...]) -> str:
    return show.words("-" if distance == sysctl.NOWHERE else distance for distance in distances)


def _node_cpus(xen: Hypervisor, node: int) -> str:
    return show.ranges(cpu for cpu, place in sysctl.cpu_topology(xen).items() if place.node == node)


@formed("keys, without blanks")
def _debug_keys(text: str) -> bytes:
    given = parse.text(text)
    for at, key in enumerate(given):
        if not "!" <= key <= "~":
            raise BadInput(f"not one of {_KEYS}", at=at)
    return given.encode()


def _line(text: str) -> bytes:
    """Text, tabs and newlines; no other control characters: some make a terminal do things."""
    for at, character in enumerate(parse.text(text)):
        if not (character.isprintable() or character in "\t\n"):
            raise BadInput("only text, tabs and newlines", at=at)
    return text.encode() + b"\n"


NODE = Dir(
    "<n>",
    "A NUMA node",
    (
        File(
            "meminfo", "Memory of the node; MemTotal is what it spans, holes included", read=_meminfo,
            format='"key value kB" lines',
            call="sysctl numainfo",
        ),
        File(
            "distance", "Distance to every node", read=lambda xen, n: sysctl.numa(xen)[n].distances,
            show=_far, format="words with a blank between, - for a node that cannot be reached", call="sysctl numainfo",
        ),
        File("cpulist", "CPUs of the node", read=_node_cpus, format="list such as 0-3,8", call="sysctl cputopoinfo",
             grows=Cost.CPUS),
        File(
            "heap_free_bytes", "Free bytes of Xen's heap on the node", read=lambda xen,
            n: sysctl.free_heap(xen, n), show=show.dec, call="sysctl availheap", tier="B",
        ),
    ),
)  # fmt: skip

CONSOLE = Dir(
    "console",
    "Xen's console",
    (
        Stream(
            "log", "The console ring; a file that is kept open follows it",
            read=sysctl.console, follow=sysctl.console, ahead=sysctl.console_goes_on, topic=CONSOLE_TOPIC,
            grows=Cost.LENGTH, call="sysctl readconsole",
        ),
        File(
            "log_clear", "Write 1: the console ring is emptied", write=lambda xen, _: sysctl.console_clear(xen),
            parse=parse.one, call="sysctl readconsole", tier="B",
        ),
        File(
            "tty", "Write a line for Xen's console: what is connected to it shows it", write=tty.write, parse=_line,
            write_grows=Cost.WAITS, call=tty.WRITE.name, tier="B",
        ),
    ),
)  # fmt: skip

HOST = Dir(
    "host",
    "The machine, and the hypervisor as a whole",
    (
        File("info", "Everything that physinfo says", read=_info, format='"key value" lines', call="sysctl physinfo"),
        File("scheduler", "The default scheduler", read=sysctl.sched_id, show=scheduler_name, call="sysctl sched_id",
             format="credit, credit2, rtds, arinc653 or null"),
        field(physinfo, "cpu_khz", show.dec, "Frequency of the CPUs, kHz"),
        File("hw_caps", "CPU features, eight words", read=physinfo, show=hw_caps, call="sysctl physinfo", tier="B",
             format="eight hexadecimal words, colons between"),
        File(
            "virt_caps", "What the machine can do for guests", read=_virt_caps,
            format="words with a blank between", call="sysctl physinfo",
        ),
        File(
            "cpu_stat", "Idle time of each CPU, ns; 0 while it is offline", read=_cpu_stat, grows=Cost.CPUS,
            format='"cpu<c> ns" lines', call="sysctl getcpuinfo, cputopoinfo",
        ),
        SMT,
        File(
            "debug_keys", f"Debug keys: {_KEYS}; output in host/console/log", write=lambda xen,
            keys: sysctl.debug_keys(xen, keys), parse=_debug_keys, call="sysctl debug_keys", tier="C",
            option="debug", longest=64,
        ),
        XENSYMS,
        VM_EVENT_VERSION,
        PARAMS,
        TIME,
        MEMORY,
        CPUS,
        POWER,
        Dir("nodes", "NUMA nodes", (Each(label="<n>", list=_nodes, find=_node, node=NODE),)),
        CONSOLE,
        LIVEPATCH,
        MICROCODE,
        PCI,
        FIRMWARE,
        EFI,
        MTRR,
        KEXEC,
        DT_OVERLAY,
        MCE,
        IOAPIC,
        TRACE,
        PERFC,
        LOCKPROF,
        COVERAGE,
        PMU,
        SOCKETS,
        CPUID,
        PSR,
    ),
    when=answers(physinfo),
)  # fmt: skip
