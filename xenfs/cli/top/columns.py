"""The columns of the list of domains, and which of them fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xenfs.cli.top.cells import Glyphs, clean, human, percent
from xenfs.cli.top.model import Row, View

Cell = tuple[str, str]
"""A text and its style."""

_NARROW, _LONGEST_NAME = 10, 40
_SHORT_HISTORY, _LONG_HISTORY = 8, 60
_BUSY = 80.0


@dataclass(frozen=True)
class Column:
    """A column: `rank` says which is given room first, `sort` which order it stands for."""

    title: str
    cells: int
    rank: int
    show: Callable[[Row, View, Glyphs, int], Cell]
    sort: str = ""
    right: bool = True


def _plain(text: Callable[[Row, View], str]) -> Callable[[Row, View, Glyphs, int], Cell]:
    return lambda row, view, glyphs, cells: (text(row, view), "")


def _name(row: Row, view: View, glyphs: Glyphs, cells: int) -> Cell:
    name = row.domain.name
    return (clean(name), "name") if name else ("(no name)", "dim")


def _state(row: Row, view: View, glyphs: Glyphs, cells: int) -> Cell:
    return row.domain.state, row.domain.state


def _cpu(row: Row, view: View, glyphs: Glyphs, cells: int) -> Cell:
    busy = row.percent is not None and row.percent >= _BUSY * max(1, row.domain.vcpus_online)
    return percent(row.percent), "warn" if busy else ""


def _history(row: Row, view: View, glyphs: Glyphs, cells: int) -> Cell:
    return glyphs.history(list(row.history)[-cells:], cells), "history"


def _limit(row: Row, view: View) -> str:
    kb = row.domain.memory_max_kb
    return "none" if kb is None else human(kb)


def vcpus(row: Row) -> str:
    """How many vCPUs: of how many the guest has brought up, where that is not all."""
    domain = row.domain
    return str(domain.vcpus) if domain.vcpus_online == domain.vcpus else f"{domain.vcpus_online}/{domain.vcpus}"


def _flow(counter: str) -> Callable[[Row, View], str]:
    """Bytes in a second; nothing of who has no such device, or none that dom0 itself serves."""
    device = "networks" if counter in ("rx_bytes", "tx_bytes") else "disks"

    def text(row: Row, view: View) -> str:
        if row.per_s is None or not row.traffic or not getattr(row.traffic, device):
            return "-"
        return human(int(row.per_s[counter] / 1024))

    return text


COLUMNS = (
    Column("ID", 3, 4, _plain(lambda r, v: str(r.domain.domid)), "domid"),
    Column("NAME", _NARROW, 0, _name, "name", right=False),
    Column("TYPE", 5, 12, _plain(lambda r, v: r.domain.kind), "type", right=False),
    Column("STATE", 8, 2, _state, "state", right=False),
    Column("CPU%", 6, 1, _cpu, "cpu"),
    Column("HISTORY", _SHORT_HISTORY, 11, _history, right=False),
    Column("CPU s", 8, 6, _plain(lambda r, v: f"{r.domain.cpu_time_ns / 1e9:.0f}"), "time"),
    Column("MEM", 5, 3, _plain(lambda r, v: human(r.domain.memory_kb)), "memory"),
    Column("MEM%", 5, 7, _plain(lambda r, v: percent(v.memory_percent(r.domain.memory_kb)))),
    Column("MAX", 5, 8, _plain(_limit), "max"),
    Column("MAX%", 5, 9, _plain(lambda r, v: percent(v.memory_percent(r.domain.memory_max_kb)))),
    Column("VCPUS", 6, 5, _plain(lambda r, v: vcpus(r)), "vcpus"),
    Column("POOL", 5, 13, _plain(lambda r, v: str(r.domain.cpupool)), "cpupool"),
    Column("RX/s", 5, 14, _plain(_flow("rx_bytes")), "network"),
    Column("TX/s", 5, 15, _plain(_flow("tx_bytes"))),
    Column("READ/s", 6, 16, _plain(_flow("read_bytes")), "disk"),
    Column("WRITE/s", 7, 17, _plain(_flow("written_bytes"))),
    Column("UUID", 36, 18, _plain(lambda r, v: r.domain.uuid), right=False),
)
_ID, _NAME, _HISTORY = (next(c for c in COLUMNS if c.title == title) for title in ("ID", "NAME", "HISTORY"))


def gap(cells: int) -> int:
    """The blanks between two columns."""
    return 2 if cells >= 110 else 1


def chosen(cells: int, rows: Sequence[Row], longest_name: int) -> list[tuple[Column, int]]:
    """The columns that fit into a line, in their order, with their widths.

    Names get room before histories do, as far as there are long ones; what is left over makes histories longer.
    """
    name = min(max(longest_name, _NARROW), _LONGEST_NAME)
    taken, left = {_NAME: min(_NARROW, cells)}, cells - min(_NARROW, cells)
    longest_id = max((len(str(row.domain.domid)) for row in rows), default=0)
    for column in sorted(COLUMNS, key=lambda column: column.rank):
        if column.rank > _HISTORY.rank - 1 and taken[_NAME] < name:
            more = min(left, name - taken[_NAME])
            taken[_NAME] += more
            left -= more
        needs = max(column.cells, longest_id) if column is _ID else column.cells
        if column is not _NAME and needs + gap(cells) <= left:
            taken[column] = needs
            left -= needs + gap(cells)
    for column, most in ((_HISTORY, _LONG_HISTORY), (_NAME, cells if _HISTORY not in taken else _LONGEST_NAME)):
        if column in taken:
            more = max(0, min(left, most - taken[column]))
            taken[column] += more
            left -= more
    return [(column, taken[column]) for column in COLUMNS if column in taken]
