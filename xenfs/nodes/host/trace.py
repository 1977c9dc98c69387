"""host/trace/: Xen's trace buffers, and what Xen notes in them."""

from __future__ import annotations

import errno
import re

from xenfs.calls import sysctl, trace, trace_records
from xenfs.connect.watcher import TRACE as TRACE_TOPIC
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import PAGE
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File, Stream
from xenfs.nodes.tables.conditions import answers, x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed

_MOST_PAGES = 0xFFFF  # of one buffer: Xen counts them in 16 bits
_MOST_WORDS = 7  # of 32 bits, beside the event

_event = parse.integer(0, 0xFFF, "event")
_word = parse.integer(0, 2**32 - 1, "word")


def _trace(xen: Hypervisor) -> str:
    found = trace.buffers(xen)
    size, mask = found.size // PAGE, f"{found.evt_mask:#x}"
    return show.flat({"size_pages": size, "buffer_mfn": found.buffer_mfn, "evt_mask": mask})


def _mask(xen: Hypervisor) -> int:
    return int(trace.buffers(xen).evt_mask)


def _set_mask(xen: Hypervisor, mask: int) -> None:
    if mask != _mask(xen):
        trace.set_event_mask(xen, mask)


def _set_cpus(xen: Hypervisor, wanted: parse.Numbers) -> None:
    """Which are chosen now Xen does not tell: a list can be set, and not be changed."""
    if wanted.change:
        raise BadInput("Xen does not tell which CPUs are chosen now: write the whole list", at=0)
    topology = sysctl.cpu_topology(xen)
    chosen = wanted.applied((), topology.keys(), "CPU", lambda: sysctl.cpus_of_nodes(topology))
    if not chosen:
        raise BadInput("no CPU would be left", at=0)
    trace.set_cpu_mask(xen, chosen, sysctl.nr_cpu_ids(xen))


def _set_size(xen: Hypervisor, pages: int) -> None:
    if trace.buffers(xen).buffer_mfn:
        raise BadInput("the buffers are made already, and stay as they are until Xen boots anew", errno.EBUSY, at=0)
    trace.set_size(xen, pages)


def _require_buffers(xen: Hypervisor, _: int) -> None:
    if not trace.buffers(xen).buffer_mfn:
        raise BadInput("there are no buffers yet: write their size to size_pages first", at=0)


def _switch(xen: Hypervisor, wanted: bool) -> None:
    if not wanted:
        trace.disable(xen)
    elif not trace.buffers(xen).buffer_mfn:
        raise BadInput("there are no buffers yet: write their size to size_pages first", at=0)
    else:
        trace.enable(xen)


@formed(f"event, 0 to 0xfff, and at most {_MOST_WORDS} words of 32 bits", ranged=True)
def marker(text: str) -> tuple[int, list[int]]:
    """An event of the guests' own and its words, decimal or hexadecimal."""
    words = re.findall(r"[^ \t]+", text)
    if not 1 <= len(words) <= 1 + _MOST_WORDS:
        raise BadInput(f"not an event and at most {_MOST_WORDS} words", at=0)
    return _event(words[0]), [_word(word) for word in words[1:]]


TRACE = Dir(
    "trace",
    "Xen's trace buffers, which xentrace reads",
    (
        File(
            "info", "Where the buffers are described, both 0 without any, and which events Xen would note", tier="C",
            read=_trace, format='"key value" lines', call=trace.GET_INFO.name,
        ),
        File(
            "event_mask", "Classes and subclasses of events that are noted, as xentrace -e has them", tier="C",
            option="debug", read=_mask, write=_set_mask, show=show.hexa,
            parse=parse.integer(0, 2**32 - 1, "mask of events"),
            call=f"{trace.GET_INFO.name}, {trace.SET_EVT_MASK.name}",
        ),
        File(
            "cpu_mask", "Write which CPUs' events are noted; Xen does not tell", tier="C", option="debug",
            write=_set_cpus, parse=parse.number_list(), write_grows=Cost.CPUS,
            call=f"{trace.SET_CPU_MASK.name}, {sysctl.CPUTOPOINFO.name}",
        ),
        File(
            "size_pages", "Write how many pages each CPU's buffer has, once until the next boot: noting begins",
            tier="C", option="debug", write=_set_size, parse=parse.integer(1, _MOST_PAGES, "number of pages"),
            write_grows=Cost.WAITS, errnos="EBUSY", call=trace.SET_SIZE.name,
        ),
        File(
            "enabled", "Write 1 to note events from now on, 0 to stop; Xen does not tell", tier="C", option="debug",
            write=_switch, parse=parse.switch, call=f"{trace.ENABLE.name}, {trace.DISABLE.name}",
        ),
        Stream(
            "records", "What was noted, as xentrace writes it; write 1 to the open file, and what it reads is taken",
            follow=trace_records.read, read=trace_records.read, take=trace_records.take, ahead=trace_records.ahead,
            write=_require_buffers, parse=parse.one, topic=TRACE_TOPIC, binary=False, private=True, tier="C",
            option="debug", grows=Cost.CPUS, format="binary: records of trace.h, of each CPU behind one that names it",
            call=f"{trace.GET_INFO.name}, (sysctl physinfo)",
        ),
        File(
            "marker", 'Write "event word ...": it is noted as a guest\'s own', tier="C", option="debug",
            write=lambda xen, given: trace.mark(xen, *given), parse=marker, call=trace.XENTRACE.name, when=x86,
        ),
    ),
    when=answers(trace.buffers),
)  # fmt: skip
