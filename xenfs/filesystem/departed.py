"""Domains that are gone, of which the kernel would go on remembering each file that anybody ever looked at.

It forgets by itself only when memory is short. Until then every such entry is kept here too: on a host where domains
come and go there would be more and more of them. What somebody has open just then stays until it is closed,
and has to be told of once more.
"""

from __future__ import annotations

import logging
from collections import deque

import pyfuse3
import trio

from xenfs.filesystem.inodes import Inode, Inodes
from xenfs.filesystem.threads import in_a_thread
from xenfs.hypervisor.lives import Domain, Lives

log = logging.getLogger(__name__)

_BATCH = 64


class Departed:
    """Tells the kernel, some time after, that a domain's directory and the links to it are no more."""

    def __init__(self, inodes: Inodes, lives: Lives) -> None:
        self._inodes, self._lives = inodes, lives
        self._gone: deque[Domain] = deque()
        self._closed: deque[Inode] = deque()
        self._news = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._limiter = trio.CapacityLimiter(1)

    def gone(self, domain: Domain) -> None:
        """This life has ended; called in whatever thread has noticed."""
        token = self._token
        if token is not None:
            self._gone.append(domain)
            try:
                token.run_sync_soon(self._rouse)
            except trio.RunFinishedError:
                self._token = None

    def closed(self, inode: Inode) -> None:
        """This is not open any more; it may belong to a life that has ended."""
        if not self._token or not inode.ids:
            return
        thing = inode.ids[0]
        if isinstance(thing, Domain) and self._lives.ended(thing):
            self._closed.append(inode)
            self._news.set()

    def _rouse(self) -> None:
        self._news.set()

    async def run(self) -> None:
        """Until cancelled, while the mount is there."""
        self._token = trio.lowlevel.current_trio_token()
        try:
            while True:
                await self._news.wait()
                self._news = trio.Event()
                while names := self._names():
                    await in_a_thread(forget, names, limiter=self._limiter)
        finally:
            self._token = None
            self._gone.clear()
            self._closed.clear()

    def _names(self) -> list[tuple[pyfuse3.InodeT, bytes]]:
        """(directory, name) of some of what the kernel knows of those that are gone."""
        found: list[tuple[pyfuse3.InodeT, bytes]] = []
        while self._gone and len(found) < _BATCH:
            found += self._inodes.names_of(self._gone.popleft())
        while self._closed and len(found) < _BATCH:
            found += self._inodes.names_within(self._closed.popleft())
        return found


def forget(names: list[tuple[pyfuse3.InodeT, bytes]]) -> None:
    """Tell the kernel that these names, and all below them, are to be looked up anew.

    In a thread of its own: the kernel may have to wait for an answer that is on its way to this directory."""
    for directory, name in names:
        try:
            pyfuse3.invalidate_entry(directory, name)
        except OSError as problem:  # it has forgotten by itself, or the mount is about to go
            log.debug("%r in %d: %s", name, directory, problem.strerror)
