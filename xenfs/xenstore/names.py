"""Domains' names as xenstore has them, read once and then again only when a watch has said that one changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import count
from typing import Any, NamedTuple, TypeVar

from xenfs.errors import XenfsError
from xenfs.politely import politely
from xenfs.xenstore import Xenstore
from xenfs.xenstore.wire import ErrorReply

log = logging.getLogger(__name__)

Found = TypeVar("Found")


def name_path(domid: int) -> str:
    """Where xenstore has a domain's name."""
    return f"/local/domain/{domid}/name"


class Index(NamedTuple):
    """What a whole listing found, by name; good for as long as nothing has changed."""

    changes: int
    by_name: dict[str, Any]


class StoreNames:
    """Reads names. Without watches, each time; with them, a name that did not change is not asked for again.

    A value is kept only when its watch is known to be set and has not fired since before the value was asked for.
    Whoever sets the watches tells of it by `armed`, `changed`, `domains_changed` and `lost`; it is told by `want` and
    `unwant` of whom. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[int, bytes | None] = {}
        self._last: dict[int, bytes] = {}  # as they were when they were last read, by whoever it was
        self._moments = count()
        self._asked_at: dict[int, int] = {}  # by domid: when that was asked for
        self._fired: dict[int, int] = {}  # by domid, for every watch that is set: when it told of a change last
        self._ended: dict[int, set[int]] = {}  # for each question that is under way: who has ended since
        self._asked_for: set[int] = set()
        self._indexes: dict[str, Index] = {}
        self.want: Callable[[int], object] | None = None  # set a watch; None where nobody would
        self.unwant: Callable[[int], object] = lambda domid: None
        self.waiting: Callable[[], AbstractContextManager[object]] = nullcontext  # around what may not be answered
        self.domains_watched = False
        self.changes = 0  # how often anything was heard to change
        self.silent = False  # whether the last question of a listing had no answer

    def read(self, store: Xenstore, domids: Sequence[int]) -> list[bytes | None]:
        """The name of each domain, None where xenstore has none."""
        values: dict[int, bytes | None] = {}
        missing = []
        for domid in politely(domids):
            try:
                values[domid] = self._kept[domid]
            except KeyError:
                missing.append(domid)
        if missing:
            fired = {domid: self._fired.get(domid) for domid in politely(missing)}
            self._want(missing)
            with self._asking() as asked_at:
                with self.waiting():
                    read = store.read_many([name_path(domid) for domid in politely(missing)])
                for domid, value in politely(zip(missing, read, strict=True)):
                    values[domid] = value
                    self._keep(domid, value, fired[domid], asked_at)
        return [values[domid] for domid in politely(domids)]

    @contextmanager
    def _asking(self) -> Iterator[int]:
        """While a question is under way: when it was asked."""
        with self._lock:
            asked_at = next(self._moments)
            self._ended[asked_at] = set()
        try:
            yield asked_at
        finally:
            with self._lock:
                del self._ended[asked_at]

    def _want(self, domids: Iterable[int]) -> None:
        """Have their names watched from now on, where somebody would."""
        want = self.want
        if want is None:
            return
        for domid in politely(domids):
            with self._lock:
                if domid in self._asked_for:
                    continue
                self._asked_for.add(domid)
            want(domid)

    def listed(self, ask: Callable[[], Sequence[Found]], nothing: Sequence[Found]) -> Sequence[Found]:
        """What `ask` finds for a directory; `nothing` where xenstore is dead, or alive but deaf.

        Such a directory is empty then, rather than one that cannot be read. The log says it once each time. Whoever
        refuses is not silent: it may answer others.
        """
        try:
            found = ask()
        except ErrorReply as problem:
            log.debug("xenstore refuses: %s", problem)
            found = nothing
        except (XenfsError, OSError) as problem:
            if not self.silent:
                log.warning("xenstore does not answer: by-name/ and devices/ are empty until it does (%s)", problem)
            self.silent = True
            return nothing
        if self.silent:
            log.info("xenstore answers again")
        self.silent = False
        return found

    def known(self, domids: Iterable[int]) -> dict[int, bytes]:
        """The names as they were last read, empty where there was none; nothing of those that never were. Asks nobody.

        Those that are not watched yet are from now on, where somebody would: then they are read again as they change.
        """
        found, listed = dict[int, bytes](), list[int]()
        for domid in politely(domids):
            listed.append(domid)
            if (name := self._last.get(domid)) is not None:
                found[domid] = name
        self._want(listed)
        return found

    def heard(self, domid: int, value: bytes | None) -> bool:
        """Whoever watches has read the name after its watch fired; whether it is another than was known."""
        with self._lock:
            fired = self._fired.get(domid)
            if fired is None or fired < self._asked_at.get(domid, -1):  # of who was there before, or an older one
                return False
            before = self._last.get(domid)
            self._kept[domid], self._last[domid], self._asked_at[domid] = value, value or b"", fired
            return before != self._last[domid]

    def _keep(self, domid: int, value: bytes | None, fired: int | None, asked_at: int) -> None:
        with self._lock:
            if domid in self._ended[asked_at] or asked_at < self._asked_at.get(domid, -1):
                return
            if self._fired.get(domid) != fired:  # whoever watches has read it since, or will
                self._last.setdefault(domid, value or b"")
                return
            self._last[domid], self._asked_at[domid] = value or b"", asked_at
            if fired is not None:
                self._kept[domid] = value

    def only(self, domids: Sequence[int]) -> None:
        """These are all domains that there are: nobody else's name needs to be watched."""
        named = asked_for = 0  # no copy, and no set, of all names: to make one would let no other thread in
        for domid in politely(domids):
            named += domid in self._last
            asked_for += domid in self._asked_for
        if named == len(self._last) and asked_for == len(self._asked_for):
            return
        here = set(domids)
        with self._lock:
            known = {*self._asked_for, *self._last}
        for domid in politely(known - here):
            self.gone(domid)

    def gone(self, domid: int) -> None:
        """That domain is over: xenstore's watch for its name would stay there for good."""
        with self._lock:
            self._forget(domid)
            if domid not in self._asked_for:
                return
            self._asked_for.remove(domid)
        self.unwant(domid)
        want = self.want
        if want is not None and domid in self._asked_for:  # again, since then: it may be watched no longer
            want(domid)

    def _forget(self, domid: int) -> None:
        for kept in (self._kept, self._last, self._fired, self._asked_at):
            kept.pop(domid, None)
        for ended in self._ended.values():
            ended.add(domid)

    # What watches tell

    def changed(self, domid: int) -> bool:
        """The watch on this domain's name has fired, as it does once when it is set; whether anybody wants to know."""
        with self._lock:
            self.changes += 1
            if domid not in self._asked_for:
                return False
            self._fired[domid] = next(self._moments)  # no two watches of a name ever have the same
            self._kept.pop(domid, None)
            return True

    def domains_changed(self) -> None:
        """A domain has come or gone."""
        with self._lock:
            self.domains_watched = True
            self.changes += 1

    def lost(self) -> None:
        """There are no watches any more."""
        with self._lock:
            self.domains_watched = False
            self.changes += 1
            self._asked_for.clear()
            self._kept.clear()
            self._fired.clear()

    # What a listing found

    def keeps_all(self, domids: Iterable[int]) -> bool:
        """Whether a change of any of these domains' names would be heard."""
        return all(domid in self._kept for domid in politely(domids))

    def keep_index(self, what: str, changes: int, by_name: dict[str, Any]) -> None:
        """Remember what a listing found that was begun when there had been so many `changes`."""
        self._indexes[what] = Index(changes, by_name)

    def indexed(self, what: str, name: str) -> Any:
        """What the last listing found by this name; None where it did not, or something has changed since."""
        index = self._indexes.get(what)
        if index is None or not self.domains_watched or index.changes != self.changes:
            return None
        return index.by_name.get(name)
