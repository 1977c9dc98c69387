"""host/cpus/<c>/pstates/ and cstates/: how long a CPU has run at each frequency and slept in each idle state."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from xenfs.calls import pmstat
from xenfs.calls.pmstat import CStates, PStates
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import answers, of_cpus

_NOTHING_TOLD = (errno.EINVAL, errno.ENODATA)  # of a CPU that is offline, or whose states Xen was told nothing of


def _p_states(xen: Hypervisor, cpu: int) -> int:
    """How many there are to count."""
    return len(pmstat.pxstat(xen, cpu).states)


def p_lines(found: PStates) -> str:
    """A line for each P-state, fastest first."""
    return show.lines(f"{state.khz} {state.residency_ns} {state.entered}" for state in found.states)


def p_table(found: PStates) -> str:
    """The form of trans_table in Linux's cpufreq/stats: from each frequency (row) to each (column)."""

    def rows() -> Iterator[str]:
        frequencies = [state.khz for state in found.states]
        yield "   From  :    To"
        yield "         : " + "".join(f"{khz:9} " for khz in frequencies)
        for khz, changes in zip(frequencies, found.changes, strict=True):
            yield f"{khz:9}: " + "".join(f"{count:9} " for count in changes)

    return show.lines(line.rstrip() for line in rows())


def c_lines(found: CStates) -> str:
    """A line for each idle state, then for each state of the package and the core that the hardware counts."""

    def rows() -> Iterator[str]:
        for number, (count, ns) in enumerate(found.states):
            yield f"C{number} {count} {ns}"
        for number, ns in found.package.items():
            yield f"PC{number} {ns}"
        for number, ns in found.core.items():
            yield f"CC{number} {ns}"

    return show.lines(rows())


PSTATES = Dir(
    "pstates",
    "What the CPU ran at",
    (
        File(
            "stat", "kHz, ns busy at it and times entered, a line for each P-state, fastest first",
            read=pmstat.pxstat, show=p_lines, format='"kHz ns count" lines',
        ),
        File(
            "trans_table", "How often each frequency was left for each", read=pmstat.pxstat, show=p_table,
            format="a table as in Linux's cpufreq/stats",
        ),
        File(
            "count", "How many P-states there are", read=pmstat.max_px, show=show.dec, tier="B",
        ),
        File(
            "reset", "Write 1: stat and trans_table start from zero", tier="C", option="debug", parse=parse.one,
            write=lambda xen, cpu, _: pmstat.reset_pxstat(xen, cpu), call="sysctl get_pmstat reset_pxstat",
        ),
    ),
    when=answers(lambda xen: pmstat.max_px(xen, 0)),
    only=of_cpus(_p_states, *_NOTHING_TOLD),
    volatile=True,
)  # fmt: skip

CSTATES = Dir(
    "cstates",
    "What the CPU slept in",
    (
        File(
            "stat", "C<k>, times entered, ns; PC<k> and CC<k> of package and core, ns, where the hardware counts them",
            read=pmstat.cxstat, show=c_lines, format='"C<k> count ns", "PC<k> ns" and "CC<k> ns" lines',
        ),
        File(
            "count", "How many idle states there are, C0 among them", read=pmstat.max_cx, show=show.dec, tier="B",
        ),
        File(
            "reset", "Takes a 1; no Xen so far sets anything to zero for it", tier="C", option="debug",
            write=lambda xen, cpu, _: pmstat.reset_cxstat(xen, cpu), parse=parse.one,
            call="sysctl get_pmstat reset_cxstat",
        ),
    ),
    when=answers(lambda xen: pmstat.max_cx(xen, 0)),
    only=of_cpus(pmstat.max_cx, *_NOTHING_TOLD),
    volatile=True,
)  # fmt: skip
