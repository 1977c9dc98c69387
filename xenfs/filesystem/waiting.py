"""Who waits with poll(2), select or epoll: one notification handle for each open file, and nothing else.

A waiter costs no thread and no request that stays unanswered: `poll` says at once what there is, and leaves with the
kernel's handle. When there is news, the handle is told, and who waits asks again.
"""

from __future__ import annotations

import logging
import select
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import suppress
from itertools import islice
from time import monotonic
from typing import NamedTuple, Protocol

import trio

from xenfs.connect.watcher import VALUES, Watcher
from xenfs.errors import XenfsError
from xenfs.filesystem.following import Follower
from xenfs.filesystem.handles import Watched
from xenfs.filesystem.inodes import Inode
from xenfs.hypervisor.base import Hypervisor

log = logging.getLogger(__name__)

ALWAYS = select.POLLIN | select.POLLRDNORM | select.POLLOUT | select.POLLWRNORM  # as a file that has no events
NEWS = select.POLLIN | select.POLLRDNORM | select.POLLPRI
OTHER = ALWAYS | select.POLLERR | select.POLLPRI  # as cgroup.events, which can always be read
_ASK_AGAIN_S = 5.0  # who waits for a value is to say so again; the kernel does not tell who has stopped
_RUNG = 16  # in a turn of the loop: each takes 20 us, and one user may wait for thousands
_FOLLOWED = 8  # opens of one process whose news are looked for when it asks how long the file is


class Bell(Protocol):
    """pyfuse3's PollHandle: rings once."""

    def notify(self) -> None:
        """Wake whoever waits for the file."""


class Armed(NamedTuple):
    """An open file that somebody waits for, since when."""

    handle: Follower | Watched
    bell: Bell
    since: float


class Waiting:
    """The open growing files, and those and the values that somebody waits for."""

    def __init__(self, xen: Hypervisor) -> None:
        self._xen = xen
        self._armed: defaultdict[str, dict[int, Armed]] = defaultdict(dict)
        self._open: defaultdict[tuple[Inode, int], dict[Follower, None]] = defaultdict(dict)  # by process, in order
        self._telling: set[str] = set()  # topics whose waiters are being rung for
        self._again: set[str] = set()  # those of them that there is more news of meanwhile
        self._token: trio.lowlevel.TrioToken | None = None
        self._watcher: Watcher | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch for as long as this is not cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        self._watcher = Watcher(self._xen, self._told, self._compare)
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            self._watcher.stop()

    def opened(self, follower: Follower) -> None:
        """A growing file was opened: what happens from now on is for its reader to find."""
        self._open[follower.inode, follower.caller.pid][follower] = None
        if self._watcher is not None:
            self._watcher.hold(follower.topic)

    def released(self, fh: int, handle: Follower | Watched) -> None:
        """It was closed, by the last that had it."""
        if self._armed[handle.topic].pop(fh, None):
            self._count(handle.topic)
        if isinstance(handle, Watched):
            return
        mine = self._open[handle.inode, handle.caller.pid]
        mine.pop(handle, None)
        if not mine:
            del self._open[handle.inode, handle.caller.pid]
        if self._watcher is not None:
            self._watcher.hold(handle.topic, -1)

    def followers(self, inode: Inode, pid: int) -> list[Follower]:
        """Who of this process follows a growing file: the last few, however often it has opened it."""
        return list(islice(reversed(self._open.get((inode, pid), {})), _FOLLOWED))

    def follows(self, follower: Follower) -> bool:
        """Whether it is open still."""
        return follower in self._open.get((follower.inode, follower.caller.pid), {})

    def poll(self, fh: int, handle: Follower | Watched, bell: Bell | None) -> int:
        """What there is now. The bell is kept for the next news, hung up before the look so that none is between them.

        Also where there is something: an edge-triggered epoll does not ask again, but waits to be rung for.
        """
        if bell is not None:
            self._armed[handle.topic][fh] = Armed(handle, bell, monotonic())
            self._count(handle.topic)
        ahead = _ahead(self._xen, handle)
        if isinstance(handle, Watched):
            return OTHER if ahead else ALWAYS
        return NEWS if ahead else 0

    def _count(self, topic: str) -> None:
        if self._watcher is not None:
            self._watcher.wait(topic, len(self._armed[topic]))

    def _told(self, topic: str) -> None:
        """In any thread: there may be news. Said twice before the loop comes to it, it is heard once."""
        assert self._token is not None
        with suppress(trio.RunFinishedError):  # then nobody waits any more
            self._token.run_sync_soon(self.news, topic, idempotent=True)

    def news(self, topic: str) -> None:
        """Ring for those for whom there is something new. What comes while that goes on is for another round, so that
        nobody is left out."""
        if topic in self._telling:
            self._again.add(topic)
        else:
            self._telling.add(topic)
            self._tell(topic, iter(list(self._armed[topic])))

    def _tell(self, topic: str, round: Iterator[int]) -> None:
        """Of a few in this turn of the loop, and of the others in those that follow. Nothing may come out of here: it
        would end the event loop."""
        try:
            some = list(islice(round, _RUNG))
            for fh in some:
                armed = self._armed[topic].get(fh)
                if armed is not None and _ahead(self._xen, armed.handle):
                    self._ring(topic, fh, armed)
            self._count(topic)
            if len(some) == _RUNG:
                self._soon(self._tell, topic, round)
                return
        except Exception:
            log.exception("news of %s", topic)
        self._telling.discard(topic)
        if topic in self._again:
            self._again.discard(topic)
            self._soon(self.news, topic)

    def _soon(self, call: Callable[..., object], *args: object) -> None:
        assert self._token is not None
        with suppress(trio.RunFinishedError):  # then nobody waits any more
            self._token.run_sync_soon(call, *args)

    def _compare(self) -> None:
        """In the watcher's thread, where Xen may be asked: look at each value that somebody waits for, once for all who
        wait for the same."""
        try:
            now, look = monotonic(), _Look(self._xen)
            found = [
                (fh, armed)
                for fh, armed in self._armed[VALUES].copy().items()
                if now - armed.since > _ASK_AGAIN_S or look.ahead(armed.handle)
            ]
            if found and self._token is not None:
                self._soon(self._others, iter(found))
        except Exception:
            log.exception("values that are waited for")

    def _others(self, found: Iterator[tuple[int, Armed]]) -> None:
        """These are other values, or are to be asked for again; a few in each turn."""
        some = list(islice(found, _RUNG))
        for fh, armed in some:
            if self._armed[VALUES].get(fh) is armed:
                self._ring(VALUES, fh, armed)
        self._count(VALUES)
        if len(some) == _RUNG:
            self._soon(self._others, found)

    def _ring(self, topic: str, fh: int, armed: Armed) -> None:
        del self._armed[topic][fh]
        try:
            armed.bell.notify()
        except OSError as problem:  # the one who waited has closed it meanwhile
            log.debug("a waiter is gone: %s", problem)


class _Look:
    """At values: each is asked for once, however many wait for it. One user may have thousands of opens of one file."""

    def __init__(self, xen: Hypervisor) -> None:
        self._xen = xen
        self._found: dict[Inode, bytes | None] = {}  # None where the read will say what is wrong
        self._grown: dict[tuple[Inode, Hashable], bool] = {}  # by how far it was followed

    def ahead(self, handle: Follower | Watched) -> bool:
        """Whether a read would find something else than this open has read last."""
        if not isinstance(handle, Watched):
            return self._ahead(handle)
        if handle.inode not in self._found:
            try:
                self._found[handle.inode] = handle.node.produce(self._xen, handle.inode.ids)
            except XenfsError:
                self._found[handle.inode] = None
        found = self._found[handle.inode]
        return found is None or found != handle.content

    def _ahead(self, handle: Follower) -> bool:
        """Of a console: all who have read it to its end have come equally far."""
        if handle.unread:
            return True
        place = handle.inode, handle.position
        if place not in self._grown:
            self._grown[place] = _ahead(self._xen, handle)
        return self._grown[place]


def _ahead(xen: Hypervisor, handle: Follower | Watched) -> bool:
    try:
        return handle.ahead(xen)
    except XenfsError:
        return True  # the read will say what is wrong
