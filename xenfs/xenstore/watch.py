"""What the watcher hears from xenstore: that domains come and go, and whose name has changed."""

from __future__ import annotations

import errno
import logging
from collections import deque
from collections.abc import Callable
from time import monotonic

from xenfs.errors import XenfsError
from xenfs.xenstore import Event, Watches, Xenstore
from xenfs.xenstore.names import StoreNames, name_path

log = logging.getLogger(__name__)

_AGAIN_S, _LATEST_AGAIN_S = 0.1, 5.0  # before xenstore is tried once more, doubled each time
_DOMAINS = b"domains"
_NAME = b"name "


class StoreWatch:
    """Watches that are set when they are wanted, and anew where they got lost.

    The methods are for one thread, but for `want_name` and `unwant_name`. `rouse` is called when there is something
    for that thread to do.
    """

    def __init__(self, store: Xenstore | None, names: StoreNames, rouse: Callable[[], object]) -> None:
        self._store, self._names, self._rouse = store, names, rouse
        self._asked: deque[tuple[int, bool]] = deque()  # (domid, whether to watch its name or no longer)
        self._again_s = _AGAIN_S
        self._begun_at = 0.0
        self.again_at = 0.0
        self.watches: Watches | None = None

    def want_name(self, domid: int) -> None:
        """Watch the name of this domain from now on."""
        self._asked.append((domid, True))
        self._rouse()

    def unwant_name(self, domid: int) -> None:
        """There is no such domain any more. Without a connection there is no watch either."""
        if self.watches is not None:
            self._asked.append((domid, False))
            self._rouse()

    def due(self, wanted: bool) -> float | None:
        """When `connect` should be called next, None for not at all: nobody wants it, or it is done."""
        if self._store is None or self.watches is not None:
            return None
        return self.again_at if wanted or self._asked else None

    def connect(self, wanted: bool) -> None:
        """Set the watches that tell of domains, where that is due."""
        due = self.due(wanted)
        if self._store is None or due is None or due > monotonic():
            return
        self._begun_at = monotonic()
        try:
            self.watches = self._store.watches()
            if self.watches is None:
                self._put_off()
                return
            self.watches.add("@introduceDomain", _DOMAINS)
            self.watches.add("@releaseDomain", _DOMAINS)
        except (XenfsError, OSError) as problem:
            log.debug("%s", problem)
            self._put_off()

    def heard(self) -> bool:
        """Send and take what there is; whether domains may have come or gone."""
        if self.watches is None:
            return False
        changed = False
        try:
            self._set_watches(self.watches)
            for event in self.watches.events():
                changed |= self._take(self.watches, event)
        except (XenfsError, OSError) as problem:
            log.debug("%s", problem)
            self._put_off()
            return True  # what happens from now on nobody tells
        return changed

    def _take(self, watches: Watches, event: Event) -> bool:
        """One event; whether anything has happened to a domain. A name is read where its watch has fired."""
        token = event.token
        if token == _DOMAINS:
            self._names.domains_changed()
            return True
        domid = _domid(token)
        if event.answered:
            return self._names.heard(domid, event.value)
        if self._names.changed(domid):
            watches.ask(name_path(domid), token)
        return False

    def end(self) -> None:
        """Give the watches back."""
        self._names.lost()
        if self.watches is not None:
            self.watches.close()
            self.watches = None

    def _put_off(self) -> None:
        """Try again later, and later each time where it did not last; names are read each time until then."""
        self.end()
        self._asked.clear()
        lasted_s = monotonic() - self._begun_at
        self._again_s = _AGAIN_S if lasted_s > _LATEST_AGAIN_S else min(2 * self._again_s, _LATEST_AGAIN_S)
        self.again_at = monotonic() + self._again_s

    def _set_watches(self, watches: Watches) -> None:
        while self._asked:
            domid, wanted = self._asked.popleft()
            (watches.add if wanted else watches.remove)(name_path(domid), _NAME + str(domid).encode())


def _domid(token: bytes) -> int:
    """Whose name a token stands for; EIO where it is none that was ever set."""
    number = token.removeprefix(_NAME)
    if not token.startswith(_NAME) or not number.isdigit() or len(number) > len("32767"):
        raise XenfsError(f"xenstored sent an event with the token {token[:40]!r}", errno.EIO)
    return int(number)
