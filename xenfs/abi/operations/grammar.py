"""What a table of operations is written in: `looks`, `changes`, `ends`, `one_of`, and the `Family` of a hypercall.

    _TABLE = Family(Hypercall.sysctl, struct="struct xen_sysctl", cmd="cmd", version="interface_version")

    OPERATIONS = _TABLE.operations(
        looks(Sysctl.getcpuinfo, takes="max_cpus", gives="*"),
        changes(Sysctl.debug_keys, dangerous=True),
        one_of(
            Sysctl.coverage_op, "cmd",
            looks(CoverageOp.get_size, gives="size"),
            looks(CoverageOp.read, gives="buffer", both="size", slow=True),
            changes(CoverageOp.reset),
        ),
    )

The verb says what an operation does; `one_of` is for those that a member of their struct divides again. Members are
named from the union's arm on, with dots. A member that is not named goes in. `when=` is written as the marks in the
headers are.
How many bytes lie behind a guest handle stands beside it in the header (see promises.py), and not here.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple, TypedDict, Unpack

from xenfs.abi.operations.model import Argument, Common, Does, Number, Operation

XENSTOREDS = "the news that a domain has ended is xenstored's: where somebody else gets it, xenstored does not"
OWN_VCPU = "acts on the vCPU that makes the call, whose kernel knows nothing of it"


class Switch(IntEnum):
    """The value of a member that parts an operation in two: without and with."""

    off = 0
    on = 1


class Facts(TypedDict, total=False):
    """All that can be said of an operation. A part has what its whole has, unless it says otherwise itself."""

    word: str
    struct: str
    arm: str
    inner: str
    scalar: str
    takes: str
    gives: str
    both: str
    domain: str
    returns_domain: bool
    fixed: dict[str, int]
    speaks: int
    arguments: tuple[Argument, ...]
    further: tuple[Argument, ...]
    when: str
    repeatable: bool
    slow: bool
    wide: bool
    again: str
    dangerous: bool
    dom0: str
    guest: str
    needs: str
    room: str
    room_by: str
    room_when: str
    most: str
    cpus: str
    stays: str
    reaches: str
    reaches_when: str
    built: IntEnum
    renames: str
    never: str
    never_if: dict[str, int]
    at_most: dict[str, int]
    each: str
    arms: str
    bare: str
    why: str


class Declared(NamedTuple):
    """A line of a table, before its family has made an operation of it."""

    number: Number
    does: Does | None
    facts: Facts
    by: str = ""
    parts: tuple[Declared, ...] = ()


def looks(number: Number, **facts: Unpack[Facts]) -> Declared:
    """An operation that changes nothing, and may therefore be made twice (unless `repeatable=False`)."""
    return Declared(number, Does.LOOKS, facts)


def changes(number: Number, **facts: Unpack[Facts]) -> Declared:
    """An operation that changes something. `repeatable=True` where making it twice does no harm."""
    return Declared(number, Does.CHANGES, facts)


def ends(number: Number, **facts: Unpack[Facts]) -> Declared:
    """An operation after which a domain is gone."""
    return Declared(number, Does.ENDS, facts)


def one_of(number: Number, by: str, *parts: Declared, **facts: Unpack[Facts]) -> Declared:
    """An operation that is several: the member `by` says which. It is as much as the worst of its parts."""
    return Declared(number, None, facts, by, parts)


class Family(Common):
    """The operations of one hypercall, or of a part of them, and what they have in common."""

    def operations(self, *declared: Declared) -> tuple[Operation, ...]:
        """The operations of a table, in its order."""
        start = Facts(struct=self.struct, arguments=self.arguments, domain=self.domain, when=self.when, dom0=self.dom0)
        return tuple(self._operation(each, start, None) for each in declared)

    def _operation(self, declared: Declared, around: Facts, whole: Operation | None) -> Operation:
        own = declared.facts
        facts = Facts(**{**around, **own})
        facts["when"] = " and ".join(dict.fromkeys(each for each in (around["when"], own.get("when")) if each))
        word = own.get("word", declared.number.name or "")
        if whole is None:
            facts["arm"] = f"{self.union}.{own.get('arm', word)}".removesuffix(".") if self.union else ""
            facts["arm"] = "" if own.get("arm") == "" else facts["arm"]
        said: dict[str, Any] = {**facts, "word": f"{whole.word} {word}".strip() if whole else word}
        number = whole.number if whole else declared.number
        made = Operation(
            self, self.hypercall, number, int(number), name=f"{self.hypercall.name} {said['word']}".strip(),
            does=declared.does or Does.LOOKS, whole=whole, by=declared.by, **said,
        )  # fmt: skip
        if whole is not None:
            made.given = {**(whole.given or {}), whole.by: int(declared.number)}
        made.parts = tuple(self._operation(each, facts, made) for each in declared.parts)
        made.simulated = _simulated(made, self.simulated.split())
        if made.parts:
            _as_the_worst(made)
        elif "repeatable" not in facts:
            made.repeatable = made.does is Does.LOOKS
        return made


def _simulated(op: Operation, names: list[str]) -> bool:
    """Whether a list names it, or a whole that it is part of."""
    path = op.word.replace(" ", ":")
    return any(name in ("*", path) or path.startswith(f"{name}:") for name in names)


def _as_the_worst(whole: Operation) -> None:
    parts = whole.parts
    whole.does = max(each.does for each in parts)
    whole.dangerous = any(each.dangerous for each in parts)
    whole.slow = any(each.slow for each in parts)
    whole.repeatable = all(each.repeatable for each in parts)
