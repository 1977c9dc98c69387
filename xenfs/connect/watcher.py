"""One thread that sleeps until xenstore or the clock has something for those who wait, and tells them.

It is there from the first time that somebody wants something of it. While nobody does, it sleeps: nothing is asked of
Xen and nothing of xenstore.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from xenfs.calls import sysctl
from xenfs.calls.happenings import catch_up
from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.xenstore.watch import StoreWatch

log = logging.getLogger(__name__)

DOMAINS, CONSOLE, CALLS, VALUES, TRACE = "domains", "console", "calls", "values", "trace"

_PERIOD_S = 0.2  # between looks at what nothing tells of
_WATCHED_S = 2.0  # between looks at domains while xenstore tells of them: it does not know of all
_DYING_S, _PATIENCE = 0.01, 8  # while domains are dying: at least; and a part of the time since the last news
_SHARE = 20  # looks by the clock take no more than this part of a CPU
_AGAIN_S = 1.0  # after something that must not be
_NEVER = float("inf")


class Watcher:
    """Follows the topics that are wanted: `tell(topic)` is called, in some thread, when there may be news.

    `hold` counts who has opened something and must find, when they read, all that has happened since; `wait` counts
    who sleeps until there is something. Nothing tells of values: `compare()` looks at those that are waited for.
    """

    def __init__(
        self, xen: Hypervisor, tell: Callable[[str], object], compare: Callable[[], object] = lambda: None
    ) -> None:
        self._xen, self._tell, self._compare = xen, tell, compare
        self._held: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._working = threading.Lock()  # held while hypercalls may be made
        self._stopped = False
        self._store = StoreWatch(xen.store, xen.names, self._rouse)
        self._changed = False  # xenstore has told of domains, and nobody has looked since
        self._looked = self._look_at = self._news_at = self._console_at = self._values_at = self._trace_at = 0.0
        self._console_end: int | None = None
        xen.happenings.told = lambda: self._tell(DOMAINS)  # a reader may be the first to see something
        if xen.store is not None:
            xen.names.want, xen.names.unwant = self._store.want_name, self._store.unwant_name

    # From other threads

    def hold(self, topic: str, by: int = 1) -> None:
        """So many more have a file of this topic open, or fewer."""
        self._held[topic] += by
        if topic == DOMAINS and by > 0 and self._xen.store is not None:
            self._rouse()

    def wait(self, topic: str, count: int) -> None:
        """So many wait for news of this topic now."""
        before, self._waiting[topic] = self._waiting[topic], count
        if topic == CALLS:
            self._xen.calls.ended = (lambda: self._tell(CALLS)) if count else None
        elif count and not before:
            self._rouse()

    def stop(self) -> None:
        """End. Returns when no hypercall is under way any more; whether xenstore ever answers is not waited for."""
        self._xen.names.want = self._xen.calls.ended = self._xen.happenings.told = None
        with self._starting:
            if self._stopped:
                return
            self._stopped = True
            os.eventfd_write(self._fd, 1)
        with self._working:
            pass
        if self._thread is not None:
            self._thread.join(0.5)
        if self._thread is None or not self._thread.is_alive():
            os.close(self._fd)

    def _rouse(self) -> None:
        with self._starting:
            if self._stopped:
                return
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="watcher", daemon=True)
                try:
                    thread.start()
                except RuntimeError as problem:  # who wants something next tries again
                    log.warning("nobody looks for news, as no thread is to be had: %s", problem)
                    return
                self._thread = thread
            os.eventfd_write(self._fd, 1)

    # In the thread

    def _run(self) -> None:
        try:
            while not self._stopped:
                try:
                    self._round()
                except Exception:  # a bug costs one round, and never the end of all news
                    log.exception("looking for news failed")
                    self._store.end()
                    time.sleep(_AGAIN_S)
        finally:
            self._store.end()

    def _round(self) -> None:
        self._store.connect(self._wanted)
        self._sleep()
        with self._working:
            if not self._stopped:
                self._work()

    @property
    def _wanted(self) -> bool:
        return bool(self._held[DOMAINS] or self._waiting[DOMAINS])

    def _sleep(self) -> None:
        """Until something is to be done, or may be."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        watches = self._store.watches
        if watches is not None:
            poll.register(watches, select.POLLIN)
        until = min(
            self._domains_due(), self._console_due(), self._values_due(), self._trace_due(),
            self._store.due(self._wanted) or _NEVER,
        )  # fmt: skip
        poll.poll(None if until == _NEVER else max(0, int((until - monotonic()) * 1000) + 1))
        with suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def _work(self) -> None:
        self._changed |= self._store.heard()
        now = monotonic()
        if self._domains_due() <= now:
            self._look()
        if self._console_due() <= now:
            self._look_at_console()
        if self._trace_due() <= now:
            self._tell(TRACE)
            self._trace_at = now + _PERIOD_S
        if self._values_due() <= now:
            self._compare()
            took_s = monotonic() - now
            self._values_at = now + took_s + max(_PERIOD_S, _SHARE * took_s)

    def _domains_due(self) -> float:
        """When to look at the domains: soon after they changed, though never more than half of the time."""
        if not self._wanted:
            return _NEVER
        soon = self._looked + self._xen.happenings.took_s if self._changed else _NEVER
        return min(soon, self._look_at if self._waiting[DOMAINS] else _NEVER)

    def _values_due(self) -> float:
        return self._values_at if self._waiting[VALUES] else _NEVER

    def _trace_due(self) -> float:
        return self._trace_at if self._waiting[TRACE] else _NEVER

    def _console_due(self) -> float:
        return self._console_at if self._waiting[CONSOLE] else _NEVER

    def _look(self) -> None:
        happenings = self._xen.happenings
        began, self._changed = monotonic(), False
        try:
            if catch_up(self._xen):
                self._news_at = began
        except XenfsError as problem:
            log.debug("domains: %s", problem)
        period_s = _WATCHED_S if self._xen.names.domains_watched else _PERIOD_S
        if happenings.dying:  # nothing tells when a dying domain is gone
            period_s = min(period_s, max(_DYING_S, (began - self._news_at) / _PATIENCE))
        self._looked = monotonic()
        self._look_at = self._looked + max(period_s, _SHARE * happenings.took_s)

    def _look_at_console(self) -> None:
        end = None
        try:
            _, end = sysctl.console(self._xen, self._console_end)
        except XenfsError as problem:
            log.debug("console: %s", problem)
        if end != self._console_end:
            self._console_end = end
            self._tell(CONSOLE)
        self._console_at = monotonic() + _PERIOD_S
