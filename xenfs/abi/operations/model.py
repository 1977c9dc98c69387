"""One operation of Xen, and what those of one hypercall have in common: what is passed, how it behaves, where it is.

Made by the tables (see grammar.py), and asked by everybody else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, IntFlag
from typing import NamedTuple, TypeAlias

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


class Argument(NamedTuple):
    """One of a hypercall's arguments, as in the registers.

    `kind` is one of these:

    - "cmd": the operation's number
    - "struct": the address of its struct, 0 where it has none
    - "plain": a number, of type `ctype`
    - "fixed": always `value`
    - "memory": the address of `ctype`, such as "char[count]" with the other arguments as its count
    - "buffers": the address of an array of struct xen_dm_op_buf, the struct first, then the operation's `further` ones
    - "nr_buffers": how many these are
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


@dataclass(frozen=True)
class Common:
    """What the operations of one hypercall have in common.

    `struct` is the one that all pass, if they do, and `union` the member of it that holds the arms: an operation's arm
    is named after it unless it says otherwise. `cmd` and `version` name the members for the operation's number and the
    interface's, which is the one of `speaks`: "domctl" or "sysctl", or a number that never moved. `domain` is the
    member or argument that names the domain. `simulated` names those that the simulator answers, by their files in
    raw/; a whole stands for its parts, "*" for all.
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
    simulated: str = ""


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
    for. `needs`: handles that may not be null here, whatever the header says. `room`: members that Xen does not
    go by when it fills a buffer, but by its own values of them, which the part
    `room_by` tells ("" is the operation itself, without buffers): whoever gives less room has to be refused. So it is
    where `room_when` holds; elsewhere Xen goes by what it is told. `most`: members whose sum may not be more
    than what is told in the same way of the last of them: what came meanwhile would be filled in too. `cpus`: of `room`
    the member that is more with each CPU that comes online, by one, or by "/" another: there has to be room for all
    CPUs that there can be. `stays`: a member that tells afterwards whether what was told still held. `reaches`: what
    Xen reaches for without looking whether it is there, and ends where it is not, "domain" or "vcpu", the domain's
    first; so it is where `reaches_when` holds. `built`: an operation of the same part of Xen, which a build may lack:
    where Xen does not know that one, it ends at this one. `renames`: the member that is the domain's UUID
    afterwards. `never`: why xenfs never asks it, in no file; where `never_if` names members, why not with these values.
    `at_most`: counts of what the struct itself has room for, which Xen does not look at: it would go on behind it.
    `each`: the member of an array's elements that says which part each is, "requests.cmd", with "&" before the bits of
    it that do so; `arms` are then those members of their unions that this part uses. `bare`: why it can be reached
    through raw/hypercall alone.
    `why`: a remark for whoever reads its form. `simulated`: whether the simulator answers it.

    A part has a `whole`, and `given`: the members that choose it, with their values. A whole has `parts`, and `by`.
    """

    family: Common
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
    needs: str = ""
    room: str = ""
    room_by: str = ""
    room_when: str = ""
    most: str = ""
    cpus: str = ""
    stays: str = ""
    reaches: str = ""
    reaches_when: str = ""
    built: IntEnum | None = None
    renames: str = ""
    never: str = ""
    never_if: dict[str, int] | None = None
    at_most: dict[str, int] | None = None
    each: str = ""
    arms: str = ""
    bare: str = ""
    why: str = ""
    simulated: bool = False
    whole: Operation | None = None
    by: str = ""
    given: dict[str, int] | None = None
    parts: tuple[Operation, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def only_looks(self) -> bool:
        """Whether asking leaves everything as it was: what cannot be asked twice takes something away, such as news."""
        return self.does is Does.LOOKS and self.repeatable

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


def unlisted(hypercall: Hypercall, cmd: int, name: str) -> Operation:
    """An operation that stands in no table, such as one that Xen does not have: it may do anything."""
    return Operation(
        Common(hypercall), hypercall, hypercall, cmd, name, f"{hypercall.name} {name}", Does.CHANGES, "", ""
    )
