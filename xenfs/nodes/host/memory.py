"""host/memory/: the machine's memory, as Xen counts and maps it."""

from __future__ import annotations

from xenfs.abi.numbers import PageOffline, PageQuery, PageStatus
from xenfs.calls import memory, sysctl
from xenfs.calls.sysctl import physinfo
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.host import e820
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Exchange, File, Writer, field
from xenfs.nodes.tables.conditions import answers, every, x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed

_MOST_PAGES = 1024  # in one question: Xen keeps a word for each, and its sysctl lock, meanwhile
_STATES = '"mfn state" lines'
_OWNER_SHIFT = 16  # PG_OFFLINE_OWNER_SHIFT

_bits = parse.integer(0, 64, "number of address bits")
_availheap = parse.fields(
    ("node", parse.integer(-1, 4095, "node, or -1 for all")), ("minbits", _bits), ("maxbits", _bits)
)


def _free(xen: Hypervisor, question: tuple[int, int, int]) -> int:
    node, low, high = question
    return sysctl.free_heap(xen, node, low, high)


def _rmrr(xen: Hypervisor) -> str:
    return show.lines(f"{start:#x} {count}" for start, count in memory.reserved_device_memory(xen))


@formed("machine frame number, or first-last", ranged=True)
def page_range(text: str) -> tuple[int, int]:
    """One machine frame number, or first-last, decimal or hexadecimal, as (first, last)."""
    first, last = parse.span(text.strip(" \t"), parse.integer(0, 2**32 - 2, "machine frame number"))
    if last - first >= _MOST_PAGES:
        raise BadInput(f"more than {_MOST_PAGES} pages in one question", at=0)
    return first, last


def _names(flags: type[PageQuery] | type[PageStatus], word: int, without: str) -> str:
    return ",".join(str(flag.name).lower() for flag in flags if word & flag) or without


def _outcome(what: PageOffline, word: int) -> str:
    """Done is the same bit, whichever way the page goes."""
    said = _names(PageStatus, word, "invalid")
    return said.replace("offlined", "onlined") if what == PageOffline.page_online else said


def _asked(what: PageOffline) -> Writer:
    def ask(xen: Hypervisor, pages: tuple[int, int]) -> str:
        words = sysctl.page_offline(xen, what, *pages)
        if what == PageOffline.query_page_offline:
            rows = [_names(PageQuery, word, "online") for word in words]  # Xen itself says nothing of those
        else:
            rows = [
                _outcome(what, word) + (f" owner={word >> _OWNER_SHIFT}" if word & PageStatus.OWNED else "")
                for word in words
            ]
        return show.lines(f"{page:#x} {row}" for page, row in enumerate(rows, pages[0]))

    return ask


MEMORY = Dir(
    "memory",
    "The machine's memory",
    (
        field(physinfo, "total_kb", show.kib_of_pages, "Memory of the machine, kB", of="total_pages"),
        field(physinfo, "free_kb", show.kib_of_pages, "Memory that no domain has, kB", of="free_pages"),
        field(
            physinfo, "claimed_kb", show.kib_of_pages,
            "Memory that is claimed for domains but not theirs yet, kB", of="outstanding_pages",
        ),
        File(
            "available_kb", "Memory that a new domain can have, kB: what is free less what is claimed",
            read=lambda xen: sysctl.available_pages(physinfo(xen)), show=show.kib_of_pages, call="sysctl physinfo",
        ),
        File(
            "max_mfn", "Highest machine frame number of RAM", read=memory.maximum_ram_page, show=show.dec,
            call="memory_op maximum_ram_page", tier="B",
        ),
        Exchange(
            "availheap", 'Write "node minbits maxbits" (-1: all nodes; 0: no bound), read the free bytes',
            write=_free, parse=_availheap, show=show.dec, call="sysctl availheap", tier="B",
        ),
        File(
            "e820", "The firmware's memory map; ends are exclusive", read=memory.machine_memory_map, show=e820.shown,
            call="memory_op machine_memory_map", tier="B", when=every(x86, answers(memory.machine_memory_map)),
        ),
        File(
            "rmrr", "Ranges that devices claim: first frame, number of frames", read=_rmrr,
            format='"start_pfn nr" lines',
            call="memory_op reserved_device_memory_map", tier="B",
            when=every(x86, answers(memory.reserved_device_memory)),
        ),
        Exchange(
            "page_status", "Write a page or first-last, read the state of each",
            write=_asked(PageOffline.query_page_offline), parse=page_range, format=_STATES,
            call="sysctl page_offline_op",
            tier="C", option="debug",
        ),
        Exchange(
            "soft_offline_page", "Write pages to take offline, read what became of each",
            write=_asked(PageOffline.page_offline), parse=page_range, format=_STATES,
            call="sysctl page_offline_op", tier="C",
            option="debug",
        ),
        Exchange(
            "online_page", "Write pages to bring back, read what became of each",
            write=_asked(PageOffline.page_online), parse=page_range, format=_STATES, call="sysctl page_offline_op",
            tier="C",
            option="debug",
        ),
        Dir(
            "sharing",
            "Sharing of pages between domains",
            (
                File(
                    "freed_kb", "Memory that sharing has freed, kB", read=memory.sharing_freed_pages,
                    show=show.kib_of_pages, call="memory_op get_sharing_freed_pages", tier="B",
                ),
                File(
                    "used_kb", "Memory that is shared, kB", read=memory.sharing_shared_pages,
                    show=show.kib_of_pages, call="memory_op get_sharing_shared_pages", tier="B",
                ),
                File(
                    "audit", "Errors that an audit of sharing finds", read=memory.sharing_audit, show=show.dec,
                    call="memory_op sharing_op audit", tier="C", option="debug", grows=Cost.MEMORY,
                    when=answers(memory.sharing_audit),
                ),
            ),
            find_grows=Cost.MEMORY,
            when=every(x86, answers(memory.sharing_freed_pages)),
        ),
    ),
)  # fmt: skip
