"""Who waits with poll(2), select or epoll: one notification handle for each open file, and nothing else.

A waiter costs no thread and no request that stays unanswered: `poll` says at once what there is, and leaves with the
kernel's handle. When there is news, the handle is told, and who waits asks again.
"""

from __future__ import annotations

import logging
import select
from collections import defaultdict
from contextlib import suppress
from typing import Any, Protocol

import trio

from xenfs.connect.watcher import Watcher
from xenfs.errors import XenfsError
from xenfs.filesystem.handles import Follower
from xenfs.hypervisor.base import Hypervisor

log = logging.getLogger(__name__)

ALWAYS = select.POLLIN | select.POLLRDNORM | select.POLLOUT | select.POLLWRNORM  # as a file that has no events
NEWS = select.POLLIN | select.POLLRDNORM | select.POLLPRI


class Bell(Protocol):
    """pyfuse3's PollHandle: rings once."""

    def notify(self) -> None:
        """Wake whoever waits for the file."""


class Waiting:
    """The open growing files, and those of them that somebody waits for."""

    def __init__(self, xen: Hypervisor) -> None:
        self._xen = xen
        self._armed: defaultdict[str, dict[int, tuple[Follower, Bell]]] = defaultdict(dict)
        self._token: trio.lowlevel.TrioToken | None = None
        self._watcher: Watcher | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch for as long as this is not cancelled."""
        self._token = trio.lowlevel.current_trio_token()
        self._watcher = Watcher(self._xen, self._told)
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            self._watcher.stop()

    def opened(self, follower: Follower) -> None:
        """A growing file was opened: what happens from now on is for its reader to find."""
        if self._watcher is not None:
            self._watcher.hold(follower.node.topic)

    def released(self, fh: int, follower: Follower) -> None:
        """It was closed, by the last that had it."""
        self._disarm(fh, follower)
        if self._watcher is not None:
            self._watcher.hold(follower.node.topic, -1)

    def poll(self, fh: int, follower: Follower, bell: Bell | None) -> int:
        """What there is now. The bell is kept for the next news, hung up before the look so that none is between them.

        Also where there is something: an edge-triggered epoll does not ask again, but waits to be rung for.
        """
        if bell is not None:
            self._armed[follower.node.topic][fh] = follower, bell
            self._count(follower.node.topic)
        return NEWS if _ahead(self._xen, follower) else 0

    def _disarm(self, fh: int, follower: Follower) -> None:
        topic = follower.node.topic
        if self._armed[topic].pop(fh, None):
            self._count(topic)

    def _count(self, topic: str) -> None:
        if self._watcher is not None:
            self._watcher.wait(topic, len(self._armed[topic]))

    def _told(self, topic: str) -> None:
        """In any thread: there may be news. Said twice before the loop comes to it, it is heard once."""
        assert self._token is not None
        with suppress(trio.RunFinishedError):  # then nobody waits any more
            self._token.run_sync_soon(self.news, topic, idempotent=True)

    def news(self, topic: str) -> None:
        """Ring for those for whom there is something new. Nothing may come out of here: it would end the event loop."""
        try:
            armed = self._armed[topic]
            for fh, (follower, bell) in list(armed.items()):
                if _ahead(self._xen, follower):
                    del armed[fh]
                    _ring(bell)
            self._count(topic)
        except Exception:
            log.exception("news of %s", topic)


def _ahead(xen: Hypervisor, follower: Follower) -> bool:
    try:
        return follower.ahead(xen)
    except XenfsError:
        return True  # the read will say what is wrong


def _ring(bell: Any) -> None:
    try:
        bell.notify()
    except OSError as problem:  # the one who waited has closed it meanwhile
        log.debug("a waiter is gone: %s", problem)
