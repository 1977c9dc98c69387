"""templates/<t>/: settings that are lists: virtual nodes, and colours of the cache; or the word none."""

from __future__ import annotations

import re
from typing import NamedTuple

from xenfs.calls.vnuma import Range, Topology
from xenfs.errors import BadInput
from xenfs.hypervisor.foreign import PAGE
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.forms import formed

NONE = "none"
_MOST_NODES, _MOST_COLORS = 64, 1024
_LINE = re.compile(r"(vnode|range)([0-9]{1,4})((?: +[a-z]+=\S*)*) *")
_KEYS = {"vnode": ({"distance", "vcpus"}, {"pnode"}), "range": ({"vnode", "start", "end"}, {"flags"})}

_step = parse.integer(1, 2**32 - 1, "distance")
_real = parse.integer(0, _MOST_NODES - 1, "node of the host")
_address = parse.integer(0, 2**52, "address")


class Nodes(NamedTuple):
    """What a domain is to believe, and the host's node for each of its own."""

    topology: Topology
    real: tuple[int, ...]


# Virtual nodes


@formed('"vnode<i> distance= vcpus= pnode=" and "range<i> vnode= start= end=" lines, or none')
def nodes(text: str) -> Nodes | None:
    """As domains/<d>/memory/vnuma shows them; without pnode it is the host's node 0."""
    if text.strip() == NONE:
        return None
    vnodes: list[dict[str, str]] = []
    ranges: list[dict[str, str]] = []
    for line in text.splitlines():
        _take(line, {"vnode": vnodes, "range": ranges})
    if not vnodes or not ranges or len(vnodes) > _MOST_NODES:
        raise BadInput(f"it takes 1 to {_MOST_NODES} vnode lines, and range lines for their memory", at=0)
    distances = [_distances(each["distance"], len(vnodes)) for each in vnodes]
    memory = [_range(each, len(vnodes)) for each in ranges]
    real = tuple(_real(each.get("pnode", "0")) for each in vnodes)
    return Nodes(Topology(distances, _vcpu_nodes([each["vcpus"] for each in vnodes]), memory), real)


def _take(line: str, rows: dict[str, list[dict[str, str]]]) -> None:
    """One line more, to those of its kind."""
    match = _LINE.fullmatch(line)
    if match is None:
        raise BadInput("not a line such as vnode0 distance=10 vcpus=0", word=line.split(" ")[0] or None, at=0)
    kind, number, rest = match.groups()
    if int(number) != len(rows[kind]):
        raise BadInput(f"the next is {kind}{len(rows[kind])}: they come in order", word=f"{kind}{number}")
    values = dict(word.split("=", 1) for word in rest.split())
    needed, more = _KEYS[kind]
    if not needed <= values.keys() <= needed | more:
        raise BadInput(f"takes {' '.join(sorted(needed))}, and may have {' '.join(more)}", word=f"{kind}{number}")
    rows[kind].append(values)


def _distances(text: str, count: int) -> list[int]:
    found = [_step(word) for word in text.split(",")]
    if len(found) != count:
        raise BadInput(f"there must be {count} distances, one to each vnode", word=text)
    return found


def _vcpu_nodes(lists: list[str]) -> list[int]:
    """The node of each vCPU: each has one, without gaps."""
    found: dict[int, int] = {}
    for node, text in enumerate(lists):
        for vcpu in parse.number_list("vCPU")(text).applied((), range(8192), "vCPU") if text else ():
            if found.setdefault(vcpu, node) != node:
                raise BadInput(f"vCPU {vcpu} is in two nodes", word=text)
    missing = next((vcpu for vcpu in range(len(found) or 1) if vcpu not in found), None)
    if missing is not None:
        raise BadInput(f"vCPU {missing} is in no node", at=0)
    return [found[vcpu] for vcpu in range(len(found))]


def _range(values: dict[str, str], count: int) -> Range:
    start, end = _address(values["start"]), _address(values["end"])
    if start >= end or start % PAGE or end % PAGE:
        raise BadInput("a range is of whole pages, and ends behind its start", word=f"start={values['start']}")
    if _address(values.get("flags", "0")):
        raise BadInput("Xen knows no flags of ranges", word=f"flags={values['flags']}")
    return Range(start, end, 0, parse.integer(0, count - 1, "vnode")(values["vnode"]))


@formed('"vnode<i> distance= vcpus= pnode=" and "range<i> vnode= start= end=" lines, or none')
def show_nodes(found: Nodes | None) -> str:
    """As they are written."""
    if found is None:
        return NONE
    topology, real = found
    rows: list[tuple[str, dict[str, object]]] = []
    for node, (distances, pnode) in enumerate(zip(topology.distances, real, strict=True)):
        vcpus = show.ranges(vcpu for vcpu, where in enumerate(topology.vcpu_nodes) if where == node).strip()
        rows.append((f"vnode{node}", {"distance": ",".join(map(str, distances)), "vcpus": vcpus, "pnode": pnode}))
    for number, each in enumerate(topology.ranges):
        rows.append((f"range{number}", {"vnode": each.node, "start": f"{each.start:#x}", "end": f"{each.end:#x}"}))
    return show.nested(rows)


# Colours of the last-level cache


@formed("list of colours such as 0-3,8, or none")
def colors(text: str) -> tuple[int, ...] | None:
    """Ascending."""
    if text.strip() == NONE:
        return None
    return tuple(sorted(parse.number_list("colour")(text).applied((), range(_MOST_COLORS), "colour")))


@formed("list of numbers, or none")
def show_colors(found: tuple[int, ...] | None) -> str:
    """As they are written."""
    return NONE if found is None else show.ranges(found)
