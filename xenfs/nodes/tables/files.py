"""What is read and written: a `File` has a value, an `Exchange` answers a question, a `Stream` grows.

Mode, size, and what a read and a write come to, follow from the functions that the table line names.
"""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as member
from typing import Any

from xenfs.errors import BadInput, HypercallError, Stale, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import source
from xenfs.nodes.tables import parse as parsers
from xenfs.nodes.tables import show as shows
from xenfs.nodes.tables.cost import NOTHING, Cost, WriteCost
from xenfs.nodes.tables.forms import form, may_be_long
from xenfs.nodes.tables.node import Ids, Node, Reader, Writer
from xenfs.nodes.tables.pieces import Content

PAGE = 4096
LONGEST_COMMAND = PAGE  # far below what the kernel would cut in pieces


@dataclass(frozen=True, eq=False, kw_only=True, repr=False, slots=True)
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
    show: Callable[[Any], str | Content] = shows.text
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
    _size: int = member(init=False)

    def __post_init__(self) -> None:
        Node.__post_init__(self)  # until Python 3.14 super() knows no class with slots
        if self.read is None and self.write is None:
            raise ValueError(f"{self.name}: an entry must read or write")
        if self.wakes and self.grows is not NOTHING:  # it is read again and again
            raise ValueError(f"{self.name}: what wakes must cost nothing much")
        if self.stays and (self.wakes or self.write or self.guards or self.private or self.fresh):
            raise ValueError(f"{self.name}: what stays is the same for everybody, and for as long as Xen runs")
        known = source(self.read)
        object.__setattr__(self, "call", self.call or known.call)
        object.__setattr__(self, "checked", self.checked or known.checked)
        long = may_be_long(self.format or form(self.show).words) if self.long is None else self.long
        object.__setattr__(self, "_size", 0 if long else PAGE)

    @property
    def mode(self) -> int:
        """The permission bits: a reader gives 0444 (0400 where private), a writer 0200."""
        readable = 0 if self.read is None else 0o400 if self.private else 0o444
        return stat.S_IFREG | readable | (0 if self.write is None else 0o200)

    @property
    def size(self) -> int:
        """What stat(2) says: a page, as sysfs has it, of what fits into one, and 0 of what may be longer.

        sendfile(2) and splice(2) copy what there is, and no more than that.
        """
        return self._size

    def write_cost(self, data: bytes) -> Cost:
        """What carrying out this write grows with; asked in the event loop, before the data are looked at."""
        return self.write_grows if isinstance(self.write_grows, Cost) else self.write_grows(data)

    def produce(self, xen: Hypervisor, ids: Ids) -> bytes:
        """The whole content as it is now, in one piece."""
        return bytes(self.content(xen, ids))

    def content(self, xen: Hypervisor, ids: Ids) -> Content:
        """The same, for a read at offset 0.

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


@dataclass(frozen=True, eq=False, kw_only=True, repr=False, slots=True)
class Exchange(File):
    """Write the question, read the answer on the same open file; `write` returns what `show` will show.

    `form(xen, *ids)` is the text that a read finds before any question was asked: how to ask. Where it is `exact`, no
    question goes on behind a NUL. What is `restricted` is
    0600 though what is written is no secret: a policy opens it in so many words (private = true). None opens what is
    `sealed`.
    """

    form: Callable[..., str] | None = None
    exact: bool = False
    restricted: bool = False
    sealed: bool = False

    @property
    def mode(self) -> int:
        """0644, or 0600 where private or restricted: the answer is only for the open file that asked."""
        return stat.S_IFREG | (0o600 if self.private or self.restricted else 0o644)

    @property
    def size(self) -> int:
        """0: without a question there is nothing to read."""
        return 0

    def decoded(self, data: bytes) -> str:
        """The question; what would be lost of it is refused."""
        text, nul, behind = data.partition(b"\0")
        if self.exact and nul and behind.strip(b"\0\n"):
            raise BadInput("the question goes on behind a NUL", at=len(text.decode("utf-8", "replace")))
        return File.decoded(self, data)

    def content(self, xen: Hypervisor, ids: Ids) -> bytes:
        """The form, nothing where there is none: nobody is asked anything."""
        return b"" if self.form is None else bytes(as_line(self.form(xen, *ids)))

    def ask(self, xen: Hypervisor, ids: Ids, data: bytes) -> bytes:
        """The answer to one question."""
        assert self.write is not None
        question = data if self.binary else self.parse(self.decoded(data))
        self.require_alive(xen, ids)
        answer = self.guarded(self.write, xen, (*ids, question))
        self.require_alive(xen, ids)
        return bytes(as_line(self.show(answer)))


@dataclass(frozen=True, eq=False, kw_only=True, repr=False, slots=True)
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

    @property
    def size(self) -> int:
        """0: it may be of any length."""
        return 0

    def content(self, xen: Hypervisor, ids: Ids) -> bytes:
        """What an open finds there now."""
        return self.go_on(xen, ids, self.start(xen, *ids))[0]

    def go_on(self, xen: Hypervisor, ids: Ids, position: Any, *, taking: bool = False) -> tuple[bytes, Any]:
        """What `follow` finds, or `take`, of what is there still."""
        found: tuple[bytes, Any] = self.guarded((taking and self.take) or self.follow, xen, (*ids, position))
        self.require_alive(xen, ids)
        return found


def as_line(content: str | Content) -> Content:
    """Text as a file's content: one newline at the end, none where there is no text; bytes as they are."""
    if not isinstance(content, str):
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
