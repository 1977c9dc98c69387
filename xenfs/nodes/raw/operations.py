"""raw/<hypercall>/<operation>: a file for each operation of the tables in xenfs/abi/operations."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import groupby

from xenfs.abi.numbers import Hypercall
from xenfs.abi.operations import Does, Operation, operations
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.raw.checked import ask
from xenfs.nodes.raw.form import form
from xenfs.nodes.tables.base import Dir, Exchange
from xenfs.nodes.tables.cost import NOTHING, Cost
from xenfs.nodes.tables.forms import formed

LONGEST = 64 << 10
_SHORT = 4 << 10
_SUMMARY = {Does.LOOKS: "Look", Does.CHANGES: "Change", Does.ENDS: "End a domain"}


@formed('"member=value" words; a buffer is %NAME, in:HEX, out:BYTES, inout:HEX, text:WORDS or null')
def as_written(text: str) -> str:
    """The question as it is: what its members are, this Xen's layout says."""
    return text


def name_of(op: Operation) -> str:
    """The file's name: "getvcpuinfo", or "pm_op:get_max_cstate" for a part."""
    return op.word.replace(" ", ":")


def reachable() -> Iterator[Operation]:
    """All operations that have a file: the parts of what has parts. A multicall is raw/multicall."""
    for whole in operations():
        if whole.hypercall is not Hypercall.multicall:
            yield from (op for op in whole.leaves() if not op.bare)


def _file(op: Operation) -> Exchange:
    name = name_of(op)
    said = f"{_SUMMARY[op.does]}: {op.name}" + (f"; {op.why}" if op.why else "")

    def question(xen: Hypervisor, text: str) -> str:
        return ask(xen, form(xen.abi, op), text)

    return Exchange(
        name, said, write=question, parse=as_written, form=lambda xen: form(xen.abi, op).text(),
        call=_call(op), format='result, then "member value" lines', errnos="EINVAL ENOENT ESTALE ENOMEM EBUSY",
        when=lambda xen: op.exists(xen.abi.target), option="debug" if op.dangerous else "",
        write_grows=Cost.WAITS if op.slow or op.each else _by_length,
        exact=True, restricted=True, looks=op.only_looks, longest=LONGEST, tier="D",
    )  # fmt: skip


def _by_length(data: bytes) -> Cost:
    """A long question takes milliseconds to be understood."""
    return Cost.LENGTH if len(data) > _SHORT else NOTHING


def _call(op: Operation) -> str:
    whole = op
    while whole.whole is not None:
        whole = whole.whole
    return whole.name if whole.word else op.name  # some hypercalls are one operation, and only its parts have names


@cache
def by_path() -> dict[str, Operation]:
    """The operations by the paths of their files below raw/."""
    return {f"{op.hypercall.name}/{name_of(op)}": op for op in reachable()}


@cache
def directories() -> tuple[Dir, ...]:
    """A directory for each hypercall."""
    ordered = sorted(by_path().values(), key=lambda op: op.hypercall.name)
    return tuple(
        Dir(name, f"Operations of {name}", tuple(_file(op) for op in found), tier="D")
        for name, found in groupby(ordered, key=lambda op: op.hypercall.name)
    )
