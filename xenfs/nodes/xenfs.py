"""xenfs/: the daemon itself: what it found, what it does, what it refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import xenfs
from xenfs.calls import hypfs, version
from xenfs.connect.watcher import CALLS
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File, Stream
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.tables.region import Clearable
from xenfs.options import Options

_PLATFORM = 0x03000001
_FLASK = 1


@dataclass(frozen=True)
class About:
    """What the files below xenfs/ show beside the hypervisor: filled in by whoever makes the tree."""

    options: Options
    refusals: Refusals
    reference: Callable[[], Iterator[str]]


def _interface(xen: Hypervisor) -> str:
    abi = xen.abi
    major, minor = version.release(xen)
    has_hypfs = answers(hypfs.version)(xen)
    return show.flat({
        "xen": f"{major}.{minor}{show.text(version.extra(xen))}",
        "domctl": f"{abi.domctl:#x}" if "domctl" not in xen.unusable else "none",
        "sysctl": f"{abi.sysctl:#x}" if "sysctl" not in xen.unusable else "none",
        "platform": f"{_PLATFORM:#x}",
        "flask": _FLASK,
        "hypfs": hypfs.version(xen) if has_hypfs else "none",
        "arch": abi.arch,
        "backend": xen.backend.name,
        "state": "verified" if xen.verified else "unverified",
        **({"doubt": xen.doubt} if xen.doubt else {}),
        **{f"no_{name}": why for name, why in xen.unusable.items()},
    })  # fmt: skip


def _calls_stat(xen: Hypervisor) -> str:
    return show.nested(
        (
            name.replace(" ", ":"),
            {"count": t.count, "errors": t.errors, "total_ns": t.total_ns, "max_ns": t.max_ns},
        )
        for name, t in xen.calls.tallies()
    )


def _in_flight(xen: Hypervisor) -> str:
    return show.lines(
        f"{number} {name.replace(' ', ':')} {'-' if domid is None else domid} {age}"
        for number, name, domid, age in xen.calls.running()
    )


def _log(xen: Hypervisor, position: int | None) -> tuple[bytes, int]:
    found = list(xen.calls.log_since(position or 0))
    return "".join(f"{line}\n" for _, line in found).encode(), found[-1][0] if found else position or 0


def about(facts: About) -> Dir:
    """The directory xenfs/ of one mount."""
    buffers = Dir(
        "buffers",
        "The hypercall-safe memory pool",
        (
            File(
                "backend",
                "Where its pages come from: hypercall (never fault), anonymous (may, is retried) or simulator",
                read=lambda xen: xen.backend.pages.name,
            ),
            File("stat", "Counters of the pool", read=lambda xen: xen.pool.stat(), show=show.flat),
            File(
                "size_classes", "Bytes of a class, how many there are, how many are in use",
                read=lambda xen: (show.words(row) for row in xen.pool.size_classes()), show=show.lines,
                tier="B",
            ),
        ),
    )  # fmt: skip
    calls = Dir(
        "calls",
        "The hypercalls that xenfs has made",
        (
            File(
                "stat", "Count, errors and times of each operation", read=_calls_stat,
                format='"operation count= errors= total_ns= max_ns=" lines',
            ),
            File(
                "in_flight", "Calls that run now: number, operation, domain, age in ns", read=_in_flight, tier="B",
                format="a line for each",
            ),
            Stream(
                "log", "The last calls; a file that is kept open follows them", read=_log, follow=_log, tier="B",
                ahead=lambda xen, position: xen.calls.last > (position or 0), topic=CALLS, grows=Cost.LENGTH,
            ),
        ),
    )  # fmt: skip
    return Dir(
        "xenfs",
        "About this daemon",
        (
            File("version", "Version of xenfs", read=lambda _: xenfs.__version__),
            File(
                "nodes", "Every path of the whole tree: path, mode, tier, hypercall, help",
                read=lambda _: facts.reference(), show=show.lines,
            ),
            Clearable(
                "error_log", "Why the last writes were refused; any write clears it, and so does truncate",
                read=lambda _: facts.refusals.text(), write=lambda _xen, _given: facts.refusals.clear(),
                parse=parse.anything, format="lines: time, path and reason; what was written; a caret",
            ),
            File("interface", "Versions of Xen and of its interfaces", read=_interface, call="xen_version version",
                format='"key value" lines'),
            File(
                "missing", "Operations that this Xen said it does not have, with the errno",
                read=lambda xen: (show.words(row) for row in xen.calls.missing()), show=show.lines,
            ),
            File(
                "options", "Mount options in force, one a line", read=lambda _: facts.options.words(),
                show=show.lines,
            ),
            File(
                "entries", "How many files and directories the kernel was told of and has not forgotten",
                read=lambda xen: xen.entries(), show=show.dec, tier="B",
            ),
            File(
                "mappings", "Pages of domains that were mapped: how often, how many, and how many were not there",
                read=lambda xen: xen.mappings.stat(), show=show.flat, tier="B",
            ),
            buffers,
            calls,
        ),
    )  # fmt: skip
