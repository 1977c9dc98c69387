"""raw/multicall: several questions in one hypercall, made in their order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from xenfs.abi.operations import Does, Operation
from xenfs.calls.multicall import MULTICALL, multicall
from xenfs.errors import BadInput, errno_name
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.raw.checked import Checked
from xenfs.nodes.raw.form import form
from xenfs.nodes.raw.question import Question
from xenfs.nodes.tables.base import Exchange
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed

_MOST = 512
_WORD = re.compile(r"\S+")
_FORM = """\
# several questions at once, a line for each, made in this order: the same words as in the file of the operation
HYPERCALL/OPERATION member=value ...  in
N result R                            out: for each line, from 0 on; negative for an errno, which no members follow
N member value                        out"""


@formed("a line for each: HYPERCALL/OPERATION member=value ...")
def _lines(text: str) -> list[tuple[int, str, str]]:
    found, at = [], 0
    for line in text.split("\n"):
        if word := _WORD.search(line):
            found.append((at + word.start(), word[0], line[word.end() :]))
        at += len(line) + 1
    if not 1 <= len(found) <= _MOST:
        raise BadInput(f"wants 1 to {_MOST} lines", at=0)
    return found


def batch(known: Callable[[], Mapping[str, Operation]], debug: bool) -> Exchange:
    """The file. `known` are the operations by their path below raw/; those that can end the host need `debug`."""

    def posed(xen: Hypervisor, loans: ExitStack, at: int, name: str, rest: str) -> Checked:
        op = known().get(name)
        if op is None or not op.exists(xen.abi.target) or (op.dangerous and not debug):
            raise BadInput(f"there is no raw/{name}", at=at)
        try:
            call = Checked(xen, Question(form(xen.abi, op), rest), loans)
            call.require()
            return call
        except BadInput as problem:
            raise BadInput(problem.why, problem.errno, at=at + len(name) + (problem.at or 0)) from None

    def make(xen: Hypervisor, lines: list[tuple[int, str, str]]) -> str:
        with ExitStack() as loans:
            calls = [posed(xen, loans, *line) for line in lines]
            _require_order(calls, lines)
            results = multicall(xen, [(call.form.op, call.args) for call in calls])
            for call in calls:
                call.require_same()
            return "\n".join(_answers(calls, results))

    return Exchange(
        "multicall", "Several questions in one hypercall", write=make, parse=_lines, form=lambda xen: _FORM,
        format='"N result R" and "N member value" lines', errnos="ENOENT ESTALE ENOMEM EBUSY", call=MULTICALL.name,
        exact=True, restricted=True, sealed=True, write_grows=Cost.WAITS, longest=64 << 10, tier="D",
    )  # fmt: skip


def _require_order(calls: list[Checked], lines: list[tuple[int, str, str]]) -> None:
    """EINVAL for a line that an earlier one could make dangerous, or about another life: all were looked at before the
    first was made, and Xen makes them without a look in between."""
    changed = remade = False
    for call, (at, name, _) in zip(calls, lines, strict=True):
        if changed and call.guarded:
            raise BadInput(f"{name} depends on what the lines before it change: ask it alone, or before them", at=at)
        if remade and call.question.life is not None:
            raise BadInput("a line before it may make its domain another: ask it alone, or before that", at=at)
        op = call.form.op
        changed = changed or op.does is not Does.LOOKS
        remade = remade or op.does is Does.ENDS or (op.returns_domain and op.does is not Does.LOOKS)


def _answers(calls: list[Checked], results: list[int]) -> Iterator[str]:
    for number, (call, result) in enumerate(zip(calls, results, strict=True)):
        yield f"{number} result {result}" + (f" {errno_name(-result)}" if -4096 < result < 0 else "")
        if result >= 0:
            yield from (f"{number} {line}" for line in call.answer())
