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

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, IntFlag
from typing import Any, NamedTuple, TypeAlias, TypedDict, Unpack

from xenfs.abi.numbers import Hypercall
from xenfs.abi.select import Target, holds

X86 = "arch == x86_64"
ARM = "arch == arm64"
NONE = "-"  # as `inner`: a part that uses no arm of the union that the others use


Number: TypeAlias = IntEnum | IntFlag
"""An enum's member: what an operation goes by."""


class Does(IntEnum):
    """What becomes of the host and its domains. `ENDS`: a domain is gone afterwards."""

    LOOKS = 0
    CHANGES = 1
    ENDS = 2


class Way(Enum):
    """Which way a member or the memory behind a handle goes: to Xen, from Xen, or both."""

    IN = "in"
    OUT = "out"
    BOTH = "inout"


class Switch(IntEnum):
    """The value of a member that parts an operation in two: without and with."""

    off = 0
    on = 1


class Argument(NamedTuple):
    """One of a hypercall's arguments, as in the registers.

    `kind` is "cmd" (the operation's number), "struct" (the address of its struct, 0 where it has none), "plain" (a
    number, of type `ctype`), "fixed" (always `value`), "memory" (the address of `ctype`, such as "char[count]" with the
    other arguments as its count), or "buffers" (the address of an array of struct xen_dm_op_buf: the struct is the
    first, the operation's `further` ones follow) with "nr_buffers", how many they are.
    """

    kind: str
    name: str = ""
    ctype: str = "uint64_t"
    way: Way = Way.IN
    value: int = 0


CMD = Argument("cmd")
STRUCT = Argument("struct")


def plain(name: str, ctype: str = "uint64_t") -> Argument:
    """A number that travels in a register."""
    return Argument("plain", name, ctype)


def fixed(value: int) -> Argument:
    """A register that always holds the same."""
    return Argument("fixed", value=value)


def memory(name: str, ctype: str, way: Way) -> Argument:
    """The address of memory that is not a struct: memory("buffer", "char[count]", Way.OUT)."""
    return Argument("memory", name, ctype, way)


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


@dataclass(slots=True, eq=False, repr=False)
class Operation:
    """One thing that can be asked of Xen: what is passed, how it behaves, and where it exists.

    `word` is its name within the hypercall, "pm_op get_max_cstate" for a part of pm_op; `name` has the hypercall before
    it. `struct` is what is passed, "" for nothing; `arm` the union member within that is this operation's, with dots
    ("u.pm_op"), "" where it has none. `scalar` names the value where a bare number is passed and not a struct.
    `inner` is the arm of a further union inside that this part uses ("u.get_para"), NONE where it uses none; the others
    are meaningless, and "" leaves it open.
    `takes`, `gives` and `both` name members by the way they go, "*" meaning all that are not named elsewhere.
    `domain` is the member or argument that names the domain, "" where there is none; with `returns_domain` Xen writes
    it as well. `fixed` members always hold the same. `speaks` is the interface number where it is not the family's.

    `repeatable`: may be made again after a fault. EFAULT does not tell whether Xen did its work before, so it does no
    harm when made twice. `slow`: can take seconds. `wide`: the result may need more than 31 bits, which only a
    multicall gives. `again`: the errno values after which a toolstack makes the same call once more. `dangerous`: can
    end the host. `dom0`: the type of control domain that it needs, such as "PV". `guest`: the type of domain that it is
    for. `bare`: why it can be reached through raw/hypercall alone. `why`: a remark for whoever reads its form.

    A part has a `whole`, and `given`: the members that choose it, with their values. A whole has `parts`, and `by`.
    """

    family: Family
    hypercall: Hypercall
    number: Number
    cmd: int
    word: str
    name: str
    does: Does
    struct: str
    arm: str
    inner: str = ""
    scalar: str = ""
    takes: str = ""
    gives: str = ""
    both: str = ""
    domain: str = ""
    returns_domain: bool = False
    fixed: dict[str, int] | None = None
    speaks: int | None = None
    arguments: tuple[Argument, ...] = ()
    further: tuple[Argument, ...] = ()
    when: str = ""
    repeatable: bool = False
    slow: bool = False
    wide: bool = False
    again: str = ""
    dangerous: bool = False
    dom0: str = ""
    guest: str = ""
    bare: str = ""
    why: str = ""
    whole: Operation | None = None
    by: str = ""
    given: dict[str, int] | None = None
    parts: tuple[Operation, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def exists(self, target: Target) -> bool:
        """Whether a release, with its interface numbers, has the operation on an architecture (see `Abi.target`)."""
        return not self.when or holds(self.when, target)

    def way(self, member: str) -> Way:
        """Which way a member of the arm goes, by its dotted path from the arm on."""
        ways = ((self.takes, Way.IN), (self.gives, Way.OUT), (self.both, Way.BOTH))
        best, found = -1, Way.IN
        for names, way in ways:
            for name in names.split():
                length = 0 if name == "*" else len(name)
                if length > best and (name == "*" or member == name or member.startswith(f"{name}.")):
                    best, found = length, way
        return found

    def as_whole(self) -> Operation:
        """This part under the name of its whole, which is the one that records know it by."""
        assert self.whole is not None, self
        return replace(self, name=self.whole.name)

    def leaves(self) -> Iterator[Operation]:
        """The operation itself, or all its parts that have none themselves."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()

    def part(self, word: str) -> Operation:
        """The part of this name: operation(Sysctl.pm_op).part("get_max_cstate"); KeyError where there is none."""
        for each in self.parts:
            if each.word == f"{self.word} {word}".strip():
                return each
        raise KeyError(f"{self.name} {word}")

    def chosen(self, values: dict[str, int]) -> Operation:
        """The part that these members of the arm choose, by their dotted paths; itself where they choose none."""
        for each in self.parts:
            if all(values.get(member) == value for member, value in (each.given or {}).items()):
                return each.chosen(values)
        return self


@dataclass(frozen=True)
class Family:
    """What the operations of one hypercall have in common.

    `struct` is the one that all pass, if they do, and `union` the member of it that holds the arms: an operation's arm
    is named after it unless it says otherwise. `cmd` and `version` name the members for the operation's number and the
    interface's, which is the one of `speaks`: "domctl" or "sysctl", or a number that never moved. `domain` is the
    member or argument that names the domain.
    """

    hypercall: Hypercall
    struct: str = ""
    union: str = ""
    cmd: str = ""
    version: str = ""
    speaks: str | int = ""
    arguments: tuple[Argument, ...] = (STRUCT,)
    domain: str = ""
    when: str = ""
    dom0: str = ""

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
        if made.parts:
            _as_the_worst(made)
        elif "repeatable" not in facts:
            made.repeatable = made.does is Does.LOOKS
        return made


def unlisted(hypercall: Hypercall, cmd: int, name: str) -> Operation:
    """An operation that stands in no table, such as one that Xen does not have: it may do anything."""
    return Operation(
        Family(hypercall), hypercall, hypercall, cmd, name, f"{hypercall.name} {name}", Does.CHANGES, "", ""
    )


def _as_the_worst(whole: Operation) -> None:
    parts = whole.parts
    whole.does = max(each.does for each in parts)
    whole.dangerous = any(each.dangerous for each in parts)
    whole.slow = any(each.slow for each in parts)
    whole.repeatable = all(each.repeatable for each in parts)
