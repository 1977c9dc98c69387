"""The one thread that talks to xenstored: everybody's questions and all watches, over one connection.

Nobody waits here for anybody else: each caller has a turn for one request after the other, and waits until his own
deadline. A connection that is silent for too long, or says what makes no sense, is made anew.
"""

from __future__ import annotations

import errno
import logging
import select
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from time import monotonic

from xenfs.errors import XenfsError
from xenfs.xenstore.connection import Connection
from xenfs.xenstore.series import Outcome, Series, late
from xenfs.xenstore.transport import open_transport
from xenfs.xenstore.waker import Waker
from xenfs.xenstore.watches import ClientWatches
from xenfs.xenstore.wire import Op, text

log = logging.getLogger(__name__)

_CLOSING_S = 0.5  # for a thread that is not held up
_LOST = (BrokenPipeError, ConnectionResetError)


class Talk:
    """Over the first of `paths` that opens. The thread is there from the first question on, until `settle` or `close`.

    What is silent for `timeout_s`, or cannot be reached, is left alone for `rest_s`: until `rest_until`.
    """

    def __init__(self, paths: Sequence[str], timeout_s: float, rest_s: float) -> None:
        self._paths, self._timeout_s, self._rest_s = list(paths), timeout_s, rest_s
        self.rest_until = 0.0
        self._lock = threading.Lock()  # held while the thread is begun or ended; the loop never takes it
        self._thread: threading.Thread | None = None
        self._waker: Waker | None = None  # the thread's
        self._ending = self._closed = False
        self._posted: deque[Series] = deque()
        self._active: deque[Series] = deque()
        self._connection: Connection | None = None
        self._latest: ClientWatches | None = None  # that somebody made
        self._watches: ClientWatches | None = None  # that this connection has
        self._turn = 0  # whose request was sent last: 0 is the watches'
        self._greeted = False  # whether this connection was asked something, before any watch
        self._beat_at = 0.0  # when the thread was last seen to do something

    # For callers

    def post(self, series: Series) -> None:
        """Have it asked."""
        self._posted.append(series)
        try:
            self._rouse()
        except XenfsError:
            with suppress(ValueError):  # another caller has found a thread meanwhile, and it is asked
                self._posted.remove(series)  # nothing is asked, or written, later for who was told that it was not
                raise

    def missed(self, series: Series) -> None:
        """A caller has waited in vain. If the thread was held up all the time, the next ones need not wait as well."""
        if self._beat_at < series.begun_at:
            self.rest_until = monotonic() + self._rest_s

    def watches(self) -> ClientWatches:
        """New watches, in the place of those before."""
        made = ClientWatches(self._rouse)
        self._latest = made
        self._rouse()
        return made

    def settle(self) -> None:
        """End the thread until the next question, for whoever must be alone in the process. The connection stays."""
        with self._lock:
            thread = self._thread
            if thread is not None:
                self._ending = True
                self._wake()
                thread.join(2 * self._timeout_s)
                self._thread, self._ending = (thread if thread.is_alive() else None), False

    def close(self) -> None:
        """Have the thread end and give the connection back; whether xenstored ever answers is not waited for."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._wake()
            if self._thread is None:
                self._finish()
            else:
                self._thread.join(_CLOSING_S)

    def _rouse(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                waker = Waker()
                thread = threading.Thread(target=self._run, args=[waker], name="xenstore", daemon=True)
                try:
                    thread.start()
                except RuntimeError as problem:
                    waker.close()
                    raise XenfsError(
                        f"xenstore is not asked, no thread is to be had: {problem}", errno.EAGAIN
                    ) from None
                self._waker, self._thread = waker, thread
            self._wake()

    def _wake(self) -> None:
        if self._waker is not None:
            self._waker.wake()

    # In the thread

    def _run(self, waker: Waker) -> None:
        try:
            while not (self._ending or self._closed):
                self._sleep(waker)
                self._work()
        finally:
            if self._closed:
                self._finish()
            waker.close()

    def _finish(self) -> None:
        gone = XenfsError("the xenstore connection was closed", errno.ESHUTDOWN)
        for series in (*self._active, *self._posted):
            series.fail(gone)
        self._drop(gone)

    def _sleep(self, waker: Waker) -> None:
        poll = select.poll()
        poll.register(waker, select.POLLIN)
        until = None
        if self._connection is not None:
            # Sending is tried first: xenbus never polls writable.
            poll.register(
                self._connection.transport, select.POLLIN | (select.POLLOUT if self._connection.sending else 0)
            )
            until = self._connection.silent_at(self._timeout_s)
        poll.poll(None if until is None else max(0, int((until - monotonic()) * 1000) + 1))
        waker.clear()

    def _work(self) -> None:
        self._beat_at = monotonic()
        self._active += [self._posted.popleft() for _ in range(len(self._posted))]
        try:
            self._take_over_watches()
            if self._connection is None and self._wanted():
                self._connect()
            if self._connection is not None:
                self._exchange(self._connection)
        except (XenfsError, OSError) as problem:
            self._broke(problem)
        except Exception as problem:  # a bug costs the connection, and never the end of all news
            log.exception("talking with xenstored")
            self._broke(XenfsError(f"xenstore: {problem}", errno.EIO))
        self._active = deque(series for series in self._active if not series.ended)

    def _wanted(self) -> bool:
        return self._watches is not None or any(not series.ended for series in self._active)

    def _connect(self) -> None:
        if monotonic() < self.rest_until:
            raise resting()
        self._connection = Connection(open_transport(self._paths, monotonic() + self._timeout_s))
        self._greeted = False

    def _exchange(self, connection: Connection) -> None:
        """Send what may be sent, and take what has come."""
        connection.flush()
        fired = connection.receive()
        if fired and self._watches is not None:
            self._watches.fire(fired)
        until = connection.silent_at(self._timeout_s)
        if until is not None and until <= monotonic():
            raise late(self._timeout_s)
        self._send(connection)

    def _send(self, connection: Connection) -> None:
        """A request of each in turn, those for watches being one of them, while there is room."""
        sources, idle = 1 + len(self._active), 0
        while connection.has_room and idle < sources:
            self._turn = (self._turn + 1) % sources
            if self._turn:
                sent = _send_next(connection, self._active[self._turn - 1])
            else:
                sent = self._send_for_watches(connection)
            idle = 0 if sent else idle + 1

    def _send_for_watches(self, connection: Connection) -> bool:
        """A first question goes ahead, for the kernel sets a watch within write(2), however long xenstored takes."""
        if self._watches is None:
            return False
        if not connection.lives:
            greeted, self._greeted = self._greeted, True
            if not greeted:
                connection.ask(Op.READ, text("/"), _nothing)
            return not greeted
        wanted = self._watches.take()
        if wanted is not None:
            connection.ask(wanted.op, wanted.payload, partial(self._watches.answered, wanted))
        return wanted is not None

    def _take_over_watches(self) -> None:
        """Xenstored forgets watches with their connection; who reads meanwhile does so once more on the next one."""
        latest = self._latest if self._latest is not None and not self._latest.over else None
        if self._watches is not None and self._watches is not latest:
            self._drop(XenfsError("these watches were given back", errno.ESHUTDOWN))
            gone = XenfsError("xenstore: the connection was made anew meanwhile", errno.EIO)
            for series in self._active:
                series.lost(gone)
        self._watches = latest

    def _broke(self, problem: XenfsError | OSError) -> None:
        """The connection is gone: what it takes to ask again is done once, and what is nobody's fault is nobody's."""
        lost = isinstance(problem, _LOST)
        said = problem if isinstance(problem, XenfsError) else _named(problem)
        dead = said.errno in (errno.ETIMEDOUT, errno.ECONNREFUSED)
        if dead and monotonic() >= self.rest_until:
            self.rest_until = monotonic() + self._rest_s
        for series in self._active:
            if dead or series.again or (series.under_way and not lost):
                series.fail(said)
            else:
                series.again = True
                series.lost(said)
        self._drop(said)
        self._wake()  # for those who ask again

    def _drop(self, problem: XenfsError) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._watches is not None:
            self._watches.broken(problem)
            self._watches = None


def _send_next(connection: Connection, series: Series) -> bool:
    request = series.take()
    if request is not None:
        place, op, payload = request
        connection.ask(op, payload, partial(series.answered, place))
    return request is not None


def resting() -> XenfsError:
    """What is said while a xenstored that did not answer is left alone."""
    return XenfsError("xenstore did not answer a moment ago", errno.ETIMEDOUT)


def _named(exc: OSError) -> XenfsError:
    return XenfsError(f"xenstore: {exc.strerror or exc}", exc.errno or errno.EIO)


def _nothing(outcome: Outcome) -> None:
    """Whatever it answers, if only that there is no such node."""
