"""What a tree of files is made of: tables of `File`, `Exchange`, `Stream`, `Link`, `Dir` and `Each`.

An entry names the functions that do its work; mode, listing, attributes and documentation follow from it.
Readers are plain functions `(xen, *ids)`, writers `(xen, *ids, value)`. The ids are those of the `Each`
entries on the way down: a domain, a vCPU, a CPU. Nothing on this floor awaits.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from dataclasses import field as member
from functools import cached_property
from typing import Any

from xenfs.errors import BadInput, HypercallError, Stale, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import source
from xenfs.nodes.tables import parse as parsers
from xenfs.nodes.tables import show as shows
from xenfs.nodes.tables.cost import NOTHING, Cost, WriteCost
from xenfs.nodes.tables.forms import form, may_be_long
from xenfs.nodes.tables.guard import Guard

Ids = tuple[Any, ...]
Reader = Callable[..., Any]
Writer = Callable[..., Any]
Condition = Callable[[Hypervisor], bool]

PAGE = 4096
LONGEST_COMMAND = PAGE  # far below what the kernel would cut in pieces


@dataclass(frozen=True, eq=False, repr=False)
class Node:
    """What files and directories have in common. `help` is one line for a person.

    `when` hides an entry that this Xen lacks, `only` one that this domain, CPU or pool lacks; `option` names
    the mount option without which the entry is not there, `write_option` the one without which it is read-only.
    What `looks` changes nothing of Xen's whatever is written to it, made in it or removed: `-o ro` leaves it.
    What is `unlisted` is found by its name and in no listing: whoever goes through a whole tree must not read it.
    """

    name: str
    help: str
    _: KW_ONLY
    tier: str = "A"
    when: Condition | None = None
    only: Callable[..., bool] | None = None
    option: str = ""
    looks: bool = False
    unlisted: bool = False
    guards: tuple[Guard, ...] = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"  # a table knows all that is below it: nobody wants to read that

    @property
    def mode(self) -> int:
        """File type and permission bits."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        if not self.help:
            raise ValueError(f"{self.name}: an entry needs its help line")
        if self.tier not in ("A", "B", "C", "D"):
            raise ValueError(f"{self.name}: no such tier: {self.tier}")

    def require_alive(self, xen: Hypervisor, ids: Ids) -> Any:
        """Raise Stale when what this entry belongs to is gone; what the innermost guard has learned of it."""
        known = None
        for guard in self.guards:
            known = guard.now(xen, *ids)
        return known

    def exists(self, xen: Hypervisor, ids: Ids) -> bool:
        """Whether this domain, CPU or pool has the entry; the answer may be a moment old."""
        only = self.only
        return only is None or xen.recent.answer((only, ids), lambda: only(xen, *ids))

    def require_recent(self, xen: Hypervisor, ids: Ids) -> None:
        """The same for a question about a name, where what was seen a moment ago will do."""
        for guard in self.guards:
            guard.recent(xen, *ids)

    def owner(self, ids: Ids) -> int | None:
        """The uid of the user whose it is, None where it is the mount's."""
        for guard in self.guards:
            if guard.owner is not None:
                return guard.owner(*ids)
        return None

    def require_same(self, xen: Hypervisor, ids: Ids) -> None:
        """After something was done: raise Stale where it may have been done to another, which came in between."""
        for guard in self.guards:
            if guard.after is not None:
                guard.after(xen, *ids)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class File(Node):
    """A value. With a reader it can be read, with a writer written.

    `call` names the operations behind it; without it they are those that `read` was said to ask (`asks`).
    `parse` turns written text into the writer's value, `show` turns the reader's value into text. `format` says in
    words what it looks like where these functions do not, `errnos` what a write may say beside what `parse` and the
    operations say of themselves. `grows` says what a read's work grows with, `write_grows` a write's, as a function of
    the written bytes where these choose the operation: that is the one way to choose where the work is done.
    A `knowing` writer is given what the guard has learned, as `(xen, *ids, value, known)`, so that it need not
    ask again. One that `settles` looks afterwards itself, and only where something is left to be seen. `private` is for
    what shows a guest's inside. `checked` says that the reader itself proves that it saw the right life. `fresh` makes
    its time of modification the present, for programs that take an old file for one that nobody writes. `long` says
    whether the content may be more than a page, where the words of its format do not: what has lines may, but for those
    of a struct. Where it `wakes`, poll(2) says POLLPRI as soon as it is not what the open file has read last. What
    `stays` is the same as long as Xen runs, unless xenfs itself has something done: the kernel may keep it.
    """

    read: Reader | None = None
    write: Writer | None = None
    show: Callable[[Any], str | bytes] = shows.text
    parse: Callable[[str], Any] = parsers.text
    call: str = ""
    since: str = ""
    format: str = ""
    errnos: str = ""
    grows: Cost = NOTHING
    write_grows: WriteCost = NOTHING
    knowing: bool = False
    settles: bool = False
    private: bool = False
    checked: bool = False
    binary: bool = False
    write_option: str = ""
    longest: int = LONGEST_COMMAND
    fresh: bool = False
    long: bool | None = None
    wakes: bool = False
    stays: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.read is None and self.write is None:
            raise ValueError(f"{self.name}: an entry must read or write")
        if self.wakes and self.grows is not NOTHING:  # it is read again and again
            raise ValueError(f"{self.name}: what wakes must cost nothing much")
        if self.stays and (self.wakes or self.write or self.guards or self.private or self.fresh):
            raise ValueError(f"{self.name}: what stays is the same for everybody, and for as long as Xen runs")
        known = source(self.read)
        object.__setattr__(self, "call", self.call or known.call)
        object.__setattr__(self, "checked", self.checked or known.checked)

    @property
    def mode(self) -> int:
        """The permission bits: a reader gives 0444 (0400 where private), a writer 0200."""
        readable = 0 if self.read is None else 0o400 if self.private else 0o444
        return stat.S_IFREG | readable | (0 if self.write is None else 0o200)

    @cached_property
    def size(self) -> int:
        """What stat(2) says: a page, as sysfs has it, of what fits into one, and 0 of what may be longer.

        sendfile(2) and splice(2) copy what there is, and no more than that.
        """
        long = may_be_long(self.format or form(self.show).words) if self.long is None else self.long
        return 0 if long else PAGE

    def write_cost(self, data: bytes) -> Cost:
        """What carrying out this write grows with; asked in the event loop, before the data are looked at."""
        return self.write_grows if isinstance(self.write_grows, Cost) else self.write_grows(data)

    def produce(self, xen: Hypervisor, ids: Ids) -> bytes:
        """The whole content, for a read at offset 0.

        What can only be written reads as empty: root is asked for no permission, and `grep -r` must not fail.
        """
        if self.read is None:
            return b""
        value = self.guarded(self.read, xen, ids)
        if self.guards and not self.checked:
            self.require_alive(xen, ids)  # after the call: the life that is still there is the one that answered
        return as_line(self.show(value))

    def apply(self, xen: Hypervisor, ids: Ids, data: bytes) -> None:
        """Carry out one write: parse first, then see that the target still lives, act, and see whether it was that."""
        if self.write is None:
            raise XenfsError(f"{self.name} cannot be written", errno.EBADF)
        value = data if self.binary else self.parse(self.decoded(data))
        known = self.require_alive(xen, ids)
        self.guarded(self.write, xen, (*ids, value, known) if self.knowing else (*ids, value))
        if not self.settles:
            self.require_same(xen, ids)

    def guarded(self, work: Callable[..., Any], xen: Hypervisor, args: Ids) -> Any:
        """Call, and say ESTALE rather than ESRCH where the file's domain is what is missing."""
        try:
            return work(xen, *args)
        except HypercallError as problem:
            if problem.errno == errno.ESRCH and self.guards:
                raise Stale(str(args[0])) from problem
            raise

    def decoded(self, data: bytes) -> str:
        """Written bytes as text, without one trailing newline. It ends at the first NUL: C programs write one."""
        if len(data) > self.longest:
            raise BadInput(f"more than {self.longest} bytes in one write", errno.E2BIG)
        try:
            return data.partition(b"\0")[0].decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as problem:
            raise BadInput("not UTF-8 text", at=problem.start) from None


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Exchange(File):
    """Write the question, read the answer on the same open file; `write` returns what `show` will show.

    `form(xen, *ids)` is the text that a read finds before any question was asked: how to ask. What is `restricted` is
    0600 though what is written is no secret: a policy opens it in so many words (private = true). None opens what is
    `sealed`.
    """

    form: Callable[..., str] | None = None
    restricted: bool = False
    sealed: bool = False

    @property
    def mode(self) -> int:
        """0644, or 0600 where private or restricted: the answer is only for the open file that asked."""
        return stat.S_IFREG | (0o600 if self.private or self.restricted else 0o644)

    @cached_property
    def size(self) -> int:
        """0: without a question there is nothing to read."""
        return 0

    def produce(self, xen: Hypervisor, ids: Ids) -> bytes:
        """The form, nothing where there is none: nobody is asked anything."""
        return b"" if self.form is None else as_line(self.form(xen, *ids))

    def ask(self, xen: Hypervisor, ids: Ids, data: bytes) -> bytes:
        """The answer to one question."""
        assert self.write is not None
        question = data if self.binary else self.parse(self.decoded(data))
        self.require_alive(xen, ids)
        answer = self.guarded(self.write, xen, (*ids, question))
        self.require_alive(xen, ids)
        return as_line(self.show(answer))


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Stream(File):
    """A growing file: each open has a position of its own, and `read` says at once what is new since then.

    `follow(xen, *ids, position)` returns (new bytes, new position); a position of None is the beginning.
    `start(xen, *ids)` is the position of a new open, the beginning without it. `ahead(xen, *ids, position)` says in no
    time if there is more, and `topic` what who polls waits for. After a write `take` follows, which takes away.
    """

    follow: Callable[..., tuple[bytes, Any]]
    start: Callable[..., Any] = lambda xen, *ids: None
    ahead: Callable[..., bool] = lambda xen, *where: True
    take: Callable[..., tuple[bytes, Any]] | None = None
    topic: str = ""

    @cached_property
    def size(self) -> int:
        """0: it may be of any length."""
        return 0

    def produce(self, xen: Hypervisor, ids: Ids) -> bytes:
        """What an open finds there now."""
        return self.go_on(xen, ids, self.start(xen, *ids))[0]

    def go_on(self, xen: Hypervisor, ids: Ids, position: Any, *, taking: bool = False) -> tuple[bytes, Any]:
        """What `follow` finds, or `take`, of what is there still."""
        found: tuple[bytes, Any] = self.guarded((taking and self.take) or self.follow, xen, (*ids, position))
        self.require_alive(xen, ids)
        return found


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Link(Node):
    """A symbolic link; `target(xen, *ids)` is relative to the link's directory, `to` the pattern of the target."""

    target: Callable[..., str]
    to: str
    grows: Cost = NOTHING

    @property
    def mode(self) -> int:
        """A link's, which never matters."""
        return stat.S_IFLNK | 0o777


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Each:
    """A place in a directory for any number of entries, one for each thing that `list` finds.

    `list(xen, *ids)` gives (name, id) pairs, the same list again where nothing has changed;
    `find(xen, *ids, name)` gives the id or None. Below, the id is appended to the ids. `node` is the entry's
    shape, or a function from the id to it. `guard` sees that the thing is still there.
    """

    label: str
    list: Callable[..., Sequence[tuple[str, Any]]]
    find: Callable[..., Any]
    node: Node | Callable[[Any], Node]
    shapes: tuple[Node, ...] = ()  # every node that a function in `node` can give, for the reference
    guard: Guard | None = None

    def __repr__(self) -> str:
        return f"<Each {self.label}>"

    def shape(self, ident: Any) -> Node:
        """The node that stands for this id."""
        return self.node if isinstance(self.node, Node) else self.node(ident)


@dataclass(frozen=True, eq=False, repr=False)
class Dir(Node):
    """A directory: fixed entries by name, and any number of `Each`.

    `make(xen, *ids, name)` and `remove(xen, *ids)` are mkdir in it and rmdir of it, for mounts that have the option
    `make_option`; `call` names what they are to Xen. What takes long `remove` returns as a function: the caller has his
    answer once that has begun, and every refusal before. `fill(xen, *ids)` hears that its maker copies into it.

    `volatile` says that names come and go, so that the kernel must not remember them for long. `grows` says what the
    work of listing it grows with, `find_grows` that of finding one name.
    """

    entries: Sequence[Node | Each] = ()
    _: KW_ONLY
    make: Writer | None = None
    remove: Writer | None = None
    fill: Writer | None = None
    call: str = ""
    make_option: str = "lifecycle"
    volatile: bool = False
    grows: Cost = NOTHING
    find_grows: Cost = NOTHING
    _named: dict[str, Node] = member(init=False, repr=False)
    _each: tuple[Each, ...] = member(init=False, repr=False)
    _fixed: tuple[Node, ...] = member(init=False, repr=False)
    _choosy: bool = member(init=False, repr=False)
    _private: bool = member(init=False, repr=False)

    @property
    def choosy(self) -> bool:
        """Whether an entry is there or not as this pool, CPU or domain has it."""
        return self._choosy

    @property
    def mode(self) -> int:
        """0755 where entries can be made or removed, else 0555; for the owner alone where all in it is private."""
        removable = any(isinstance(e.node, Dir) and e.node.remove for e in self._each)
        mode = 0o755 if self.make or removable else 0o555
        return stat.S_IFDIR | (mode & 0o700 if self.private else mode)

    @property
    def private(self) -> bool:
        """Whether all that can be in it shows a guest's inside: so do its names, and to look may pause the guest."""
        return self._private

    def __post_init__(self) -> None:
        super().__post_init__()
        named: dict[str, Node] = {}
        for entry in self.entries:
            if isinstance(entry, Node):
                if entry.name in named:
                    raise ValueError(f"{self.name}/{entry.name} is in the table twice")
                named[entry.name] = entry
        object.__setattr__(self, "_named", named)
        object.__setattr__(self, "_fixed", tuple(node for node in named.values() if not node.unlisted))
        object.__setattr__(self, "_choosy", any(node.only for node in named.values()))
        object.__setattr__(self, "_each", tuple(e for e in self.entries if isinstance(e, Each)))
        shapes = [node for entry in self.entries for node in _shapes(entry)]
        object.__setattr__(self, "_private", bool(shapes) and all(getattr(node, "private", False) for node in shapes))

    def found(self, xen: Hypervisor, ids: Ids) -> list[Sequence[Any]]:
        """What there is in this directory now: the fixed entries, then what each `Each` lists.

        A part that is the very same object as the last time has not changed since.
        """
        fixed = self._fixed
        if self._choosy:
            fixed = tuple(node for node in fixed if node.exists(xen, ids))
        return [fixed, *(each.list(xen, *ids) for each in self._each)]

    def children(self, xen: Hypervisor, ids: Ids) -> Iterator[tuple[str, Node, Ids]]:
        """(name, node, ids) of everything in this directory now."""
        return self.bound(self.found(xen, ids), ids)

    def bound(self, found: Sequence[Sequence[Any]], ids: Ids) -> Iterator[tuple[str, Node, Ids]]:
        """The same of what was found before."""
        for node in found[0]:
            yield node.name, node, ids
        for each, listed in zip(self._each, found[1:], strict=True):
            only = each.node if isinstance(each.node, Node) else None
            for name, ident in listed:
                yield name, only or each.shape(ident), (*ids, ident)

    def child(self, xen: Hypervisor, ids: Ids, name: str) -> tuple[Node, Ids] | None:
        """The (node, ids) behind a name, None where there is none."""
        node = self._named.get(name)
        if node is not None:
            return (node, ids) if node.exists(xen, ids) else None
        for each in self._each:
            ident = each.find(xen, *ids, name)
            if ident is not None:
                return each.shape(ident), (*ids, ident)
        return None


def _shapes(entry: Node | Each) -> Sequence[Node]:
    """Every node that an entry of a directory can be."""
    if isinstance(entry, Node):
        return (entry,)
    return (entry.node,) if isinstance(entry.node, Node) else entry.shapes


def as_line(content: str | bytes) -> bytes:
    """Text as a file's content: one newline at the end, none where there is no text; bytes as they are."""
    if isinstance(content, bytes):
        return content
    return content.encode("utf-8", "surrogateescape") + (b"" if content.endswith("\n") or not content else b"\n")


def consuming(name: str, help: str, *, read: Reader, **more: Any) -> Exchange:
    """A file whose read changes what the next one will find, so that nobody may read it without meaning to.

    It is private, and answers only after a 1 was written on the same open file: `grep -r` finds nothing in it.
    """

    def answer(xen: Hypervisor, *ids_and_one: Any) -> Any:
        return read(xen, *ids_and_one[:-1])

    return Exchange(name, help, write=answer, parse=parsers.one, private=True, **more)


def field(
    asked: Reader, name: str, show: Callable[[Any], str | bytes], help: str, *, of: str = "", **more: Any
) -> File:
    """A read-only file that shows one member of what `asked(xen, *ids)` returns."""
    wanted = of or name

    def read(xen: Hypervisor, *ids: Any) -> Any:
        return getattr(asked(xen, *ids), wanted)

    return File(name, help, read=read, show=show, **(source(asked)._asdict() | more))
