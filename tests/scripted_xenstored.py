"""A xenstored in a thread, which answers as a test tells it to, or keeps watches as the real one does."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from patience import PATIENCE_S

from xenfs.errors import XenfsError
from xenfs.xenstore import Watches
from xenfs.xenstore.wire import Decoder, Message, Op, pack, strings

Handler = Callable[[Message], list[bytes] | None]


def reply(request: Message, payload: bytes) -> bytes:
    return pack(Message(request.op, request.req_id, request.tx_id, payload))


def error(request: Message, name: bytes) -> bytes:
    return pack(Message(Op.ERROR, request.req_id, request.tx_id, name + b"\0"))


class Xenstored:
    """A xenstored in a thread. `handler` gives the bytes that a request is answered with; `None` hangs up."""

    def __init__(self, path: Path, handler: Handler) -> None:
        self.path, self.handler = str(path), handler
        self.requests: list[Message] = []
        self.clients: list[socket.socket] = []
        self.connections = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self.clients.append(client)
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        decoder = Decoder()
        with client, contextlib.suppress(OSError):  # the client may hang up first
            while data := client.recv(4096):
                for request in decoder.feed(data):
                    self.requests.append(request)
                    replies = self.handler(request)
                    if replies is None:
                        return
                    for reply in replies:
                        client.sendall(reply)

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        assert not any(thread.is_alive() for thread in self._threads)


class Store:
    """Nodes and watches, for one connection: a watch fires once up front, then for its path and for all below it."""

    def __init__(self, path: Path, nodes: dict[bytes, bytes] | None = None, refuse: bytes = b"") -> None:
        self.nodes = nodes or {}
        self.refuse = refuse
        self.watches: list[tuple[bytes, bytes]] = []
        self.server = Xenstored(path, self.answer)

    def answer(self, request: Message) -> list[bytes]:
        """The replies, an event after that to a WATCH."""
        words = strings(request.payload)
        if request.op == Op.WATCH and self.refuse and words[0].startswith(self.refuse):
            return [error(request, b"ENOSPC")]
        if request.op == Op.WATCH:
            self.watches.append((words[0], words[1]))
            return [reply(request, b"OK\0"), event(words[0], words[1])]
        if request.op == Op.UNWATCH:
            self.watches.remove((words[0], words[1]))
            return [reply(request, b"OK\0")]
        found = self.nodes.get(words[0])
        return [error(request, b"ENOENT") if found is None else reply(request, found)]

    def fire(self, path: bytes) -> None:
        """Something changed."""
        for watched, token in self.watches:
            if path == watched or path.startswith(watched + b"/"):
                self.server.clients[-1].sendall(event(path, token))

    def hang_up(self) -> None:
        """End every connection, as a xenstored that is restarted."""
        self.watches.clear()
        for client in self.server.clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)


def event(path: bytes, token: bytes) -> bytes:
    """A WATCH_EVENT."""
    return pack(Message(Op.WATCH_EVENT, 0, 0, path + b"\0" + token + b"\0"))


def lost(watches: Watches) -> XenfsError:
    """What watches say in the end whose connection was lost."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        select.select([watches], [], [], 0.5)
        try:
            watches.events()
        except XenfsError as problem:
            return problem
    raise AssertionError("nothing was lost")
