"""QEMU's monitor in a thread, which answers as a test tells it to: one client at a time, as the real one."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from patience import PATIENCE_S

GREETING = (
    b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, '
    b'"capabilities": ["oob"]}}\r\n'
)
Conversation = Callable[[socket.socket], object]


def row(node: str, reads: int = 0, writes: int = 0, read: int = 0, written: int = 0, **more: Any) -> dict[str, Any]:
    """A disk of query-blockstats, with names and members that QEMU 7.2 was seen to have."""
    stats = {
        "unmap_operations": 0, "unmap_merged": 0, "flush_total_time_ns": 0, "wr_highest_offset": 0,
        "failed_wr_operations": 0, "wr_merged": 0, "wr_bytes": written, "timed_stats": [], "account_invalid": False,
        "rd_total_time_ns": 0, "flush_operations": 0, "wr_operations": writes, "rd_bytes": read,
        "rd_operations": reads, "invalid_rd_operations": 0,
    }  # fmt: skip
    return {"device": "", "node-name": node, "qdev": "/machine/unattached/device[1]", "stats": stats, **more}


def answer(*rows: object) -> bytes:
    """To all that is asked."""
    lines = [{"return": {}}, {"return": list(rows), "id": "xenfs"}]
    return b"".join(json.dumps(line).encode() + b"\r\n" for line in lines)


def says(*pieces: bytes) -> Conversation:
    """Say these pieces, and listen until the other side hangs up."""

    def conversation(client: socket.socket) -> None:
        for piece in pieces:
            client.sendall(piece)
        while client.recv(4096):
            pass

    return conversation


class Qemu:
    """One of them. `heard` is all that it was told."""

    def __init__(self, home: Path, domid: int, conversation: Conversation) -> None:
        self.path, self._conversation = home / f"qmp-libxenstat-{domid}", conversation
        self.heard, self.clients = b"", 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.clients += 1
            with client, contextlib.suppress(OSError):
                self._conversation(_Hearing(self, client))  # type: ignore[arg-type]

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


class _Hearing:
    def __init__(self, qemu: Qemu, client: socket.socket) -> None:
        self._qemu, self._client = qemu, client

    def sendall(self, data: bytes) -> None:
        self._client.sendall(data)

    def recv(self, size: int) -> bytes:
        data = self._client.recv(size)
        self._qemu.heard += data
        return data
