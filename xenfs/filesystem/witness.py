"""Everything that changes something goes past here: refusals into the error log, all of it into the record."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter_ns

from xenfs.errors import XenfsError
from xenfs.filesystem.boundary import answer
from xenfs.filesystem.callers import Caller
from xenfs.filesystem.record import UNKNOWN, Act, Record
from xenfs.hypervisor.ledger import Watch, watch
from xenfs.nodes.tables.asking import asking
from xenfs.nodes.tables.base import Node
from xenfs.nodes.tables.refusals import Refusals

log = logging.getLogger(__name__)


class Witness:
    """Sees what is done, by whom, with which hypercalls, and how it ends."""

    def __init__(self, refusals: Refusals, record: Record) -> None:
        self.refusals, self.record = refusals, record
        self._running: set[Act] = set()

    @contextmanager
    def seeing(self, what: str, caller: Caller, path: str, node: Node, data: bytes = b"") -> Iterator[Act]:
        """Do the work inside; what goes wrong is noted and goes on to the caller."""
        private, binary = getattr(node, "private", False), getattr(node, "binary", False)
        calls, code, began = Watch(), 0, perf_counter_ns()
        act = Act(what, caller, path, data, binary=binary, private=private, calls=calls, code=UNKNOWN)
        self._running.add(act)
        watching, acting = watch.set(calls), asking.set(caller.uid)
        try:
            with self.refusals.noting(path, data, hidden=private or binary):
                yield act
        except BaseException as problem:
            code = answer(problem)
            raise
        finally:
            watch.reset(watching)
            asking.reset(acting)
            if act in self._running:
                self._running.remove(act)
                act.code, act.took_ns = code, perf_counter_ns() - began
                self._note(act)

    def last_words(self) -> None:
        """The daemon ends: what still runs is recorded as it stands, its outcome unknown."""
        while self._running:
            self._note(self._running.pop())
        self.record.close()

    def refused(self, what: str, caller: Caller, path: str, problem: XenfsError) -> None:
        """Note that somebody was not let in."""
        self.refusals.add(path, b"", problem)
        self._note(Act(what, caller, path, code=answer(problem)))

    def _note(self, act: Act) -> None:
        """Whatever goes wrong with the record, what was done has been done, and its caller is told so."""
        try:
            self.record.add(act)
        except Exception:
            log.exception("%s of user %d is not in the record", act.what, act.caller.uid)
