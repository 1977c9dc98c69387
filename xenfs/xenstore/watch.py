"""What the watcher hears from xenstore: that domains come and go, and whose name has changed."""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from xenfs.errors import XenfsError
from xenfs.xenstore import Event, Watches, Xenstore
from xenfs.xenstore.names import StoreNames, name_path

log = logging.getLogger(__name__)

_AGAIN_S, _LATEST_AGAIN_S = 0.1, 5.0  # before xenstore is tried once more, doubled each time
_DOMAINS = b"domains"
_NAME = b"name "


class StoreWatch:
    """Watches on a connection that is made when it is wanted, in a thread that a dead xenstored may hold up.

    The methods are for one thread, but for `want_name` and `unwant_name`. `rouse` is called when there is something
    for that thread to do.
    """

    def __init__(self, store: Xenstore | None, names: StoreNames, rouse: Callable[[], object]) -> None:
        self._store, self._names, self._rouse = store, names, rouse
        self._asked: deque[tuple[int, bool]] = deque()  # (domid, whether to watch its name or no longer)
        self._made: deque[Watches | None] = deque()  # what the connecting thread came back with
        self._connecting = self._ended = False
        self._again_s = _AGAIN_S
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
        """When `connect` should be called next, None for not at all: nobody wants it, or it is under way."""
        if self._store is None or self.watches is not None or self._connecting:
            return None
        return self.again_at if wanted or self._asked else None

    def connect(self, wanted: bool) -> None:
        """Take over a connection that has been made; else begin to make one where that is due."""
        while self._made:
            self._connecting = False
            self.watches = self._made.popleft()
            if self.watches is None:
                self._put_off()
        due = self.due(wanted)
        if due is not None and due <= monotonic():
            self._connecting = True
            threading.Thread(target=self._make, name="xenstore", daemon=True).start()

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
        """Give the connection back, and the one that may be in the making too."""
        self._ended = True
        self._close()
        self._drop()

    def _close(self) -> None:
        self._names.lost()
        if self.watches is not None:
            self.watches.close()
            self.watches = None

    def _drop(self) -> None:
        with suppress(IndexError):
            while True:
                made = self._made.popleft()
                if made is not None:
                    made.close()

    def _make(self) -> None:
        assert self._store is not None
        made = None
        try:
            made = self._store.watches()
            if made is not None:
                made.add("@introduceDomain", _DOMAINS)
                made.add("@releaseDomain", _DOMAINS)
        except (XenfsError, OSError) as problem:
            log.debug("%s", problem)
            if made is not None:
                made.close()
                made = None
        self._made.append(made)
        if self._ended:
            self._drop()
        self._rouse()

    def _put_off(self) -> None:
        """Try again later, and then later still; names are read each time until then."""
        self._close()
        self._asked.clear()
        self.again_at = monotonic() + self._again_s
        self._again_s = min(2 * self._again_s, _LATEST_AGAIN_S)

    def _set_watches(self, watches: Watches) -> None:
        self._again_s = _AGAIN_S
        while self._asked:
            domid, wanted = self._asked.popleft()
            (watches.add if wanted else watches.remove)(name_path(domid), _NAME + str(domid).encode())


def _domid(token: bytes) -> int:
    """Whose name a token stands for; EIO where it is none that was ever set."""
    number = token.removeprefix(_NAME)
    if not token.startswith(_NAME) or not number.isdigit() or len(number) > len("32767"):
        raise XenfsError(f"xenstored sent an event with the token {token[:40]!r}", errno.EIO)
    return int(number)
