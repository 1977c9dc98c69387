"""Xenstore's wire protocol: messages to bytes and back. Nothing here opens or waits for anything."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from xenfs.errors import XenfsError, errno_name

PAYLOAD_MAX = 4096
_HEADER = struct.Struct("=IIII")  # type, req_id, tx_id, len: the machine's own byte order, it never leaves it


class Op(IntEnum):
    """Message types, of requests, their replies and the two that only xenstored sends."""

    DIRECTORY = 1
    READ = 2
    WATCH = 4
    UNWATCH = 5
    INTRODUCE = 8
    WRITE = 11
    RM = 13
    SET_PERMS = 14
    WATCH_EVENT = 15
    ERROR = 16
    RESUME = 18
    DIRECTORY_PART = 22


class Message(NamedTuple):
    """One message of either direction. `op` stays a plain number: what a peer sends is not always an Op."""

    op: int
    req_id: int
    tx_id: int
    payload: bytes


def pack(message: Message) -> bytes:
    """The bytes of a message. E2BIG when the payload is longer than xenstored takes."""
    op, req_id, tx_id, payload = message
    require_room(payload)
    return _HEADER.pack(op, req_id, tx_id, len(payload)) + payload


def require_room(payload: bytes) -> None:
    """E2BIG for more than xenstored takes in one request."""
    if len(payload) > PAYLOAD_MAX:
        raise XenfsError(f"a xenstore request of {len(payload)} bytes, {PAYLOAD_MAX} fit", errno.E2BIG)


def text(value: str | bytes) -> bytes:
    """A path or token as the wire has it, with its closing NUL. EINVAL when it is empty or contains one."""
    raw = value.encode() if isinstance(value, str) else value
    if not raw or b"\0" in raw:
        raise XenfsError(f"not a xenstore path: {value!r}", errno.EINVAL)
    return raw + b"\0"


def strings(payload: bytes) -> list[bytes]:
    """The NUL-terminated strings of a payload. EIO when the last one is cut short."""
    if payload and not payload.endswith(b"\0"):
        raise malformed("a list of strings that does not end")
    return payload.split(b"\0")[:-1]


def malformed(what: str) -> XenfsError:
    """The error, EIO, for a reply that breaks the protocol."""
    return XenfsError(f"xenstored sent {what}", errno.EIO)


class Decoder:
    """Cuts a byte stream into messages, however the bytes arrive."""

    def __init__(self) -> None:
        self._buffered = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that `data` completes, in order. EIO when a header announces too long a payload."""
        self._buffered += data
        messages = []
        while (message := self._next()) is not None:
            messages.append(message)
        return messages

    def _next(self) -> Message | None:
        if len(self._buffered) < _HEADER.size:
            return None
        op, req_id, tx_id, length = _HEADER.unpack_from(self._buffered)
        if length > PAYLOAD_MAX:
            raise malformed(f"a payload of {length} bytes, {PAYLOAD_MAX} is the most")
        end = _HEADER.size + length
        if len(self._buffered) < end:
            return None
        payload = bytes(self._buffered[_HEADER.size : end])
        del self._buffered[:end]
        return Message(op, req_id, tx_id, payload)


class ErrorReply(XenfsError):
    """An ERROR reply: xenstored names the errno in letters."""

    def __init__(self, request: Message, payload: bytes) -> None:
        name = payload.rstrip(b"\0").decode("ascii", "replace")
        code = getattr(errno, name, None) if name.startswith("E") else None
        asked = request.payload.split(b"\0")[0].decode("utf-8", "replace")
        known = code if isinstance(code, int) else errno.EIO
        said = name if known == code else f"{name!r}, taken as {errno_name(known)}"
        super().__init__(f"xenstore: {Op(request.op).name} {asked}: {said}", known)


_DONE = b"OK\0"  # what xenstored answers where there is nothing to say


def answer(request: Message, reply: Message) -> bytes:
    """The payload of the reply to `request`. ErrorReply when it is an error, EIO when it is no answer to it."""
    if reply.req_id != request.req_id:
        raise malformed(f"a reply to request {reply.req_id}, expected {request.req_id}")
    if reply.op == Op.ERROR and reply.payload.endswith(b"\0"):
        raise ErrorReply(request, reply.payload)
    if reply.op != request.op:
        raise malformed(f"a reply of type {reply.op} to a request of type {request.op}")
    if not _SHAPES[Op(request.op)](reply.payload):
        raise malformed(f"{len(reply.payload)} odd bytes in reply to {Op(request.op).name}")
    return reply.payload


_SHAPES: dict[Op, Callable[[bytes], bool]] = {
    Op.DIRECTORY: lambda payload: not payload or payload.endswith(b"\0"),
    Op.DIRECTORY_PART: lambda payload: bool(payload.partition(b"\0")[2]) and payload.endswith(b"\0"),
    Op.READ: lambda payload: True,
    Op.WATCH: lambda payload: payload == _DONE,
    Op.UNWATCH: lambda payload: payload == _DONE,
    Op.INTRODUCE: lambda payload: payload == _DONE,
    Op.WRITE: lambda payload: payload == _DONE,
    Op.RM: lambda payload: payload == _DONE,
    Op.SET_PERMS: lambda payload: payload == _DONE,
    Op.RESUME: lambda payload: payload == _DONE,
}


class Parts:
    """Joins the parts of a long DIRECTORY, which each begin with the directory's generation."""

    def __init__(self) -> None:
        self.generation: bytes | None = None
        self.children = bytearray()
        self.restarts = 0

    @property
    def offset(self) -> int:
        """Where the next part begins, in bytes of the whole list."""
        return len(self.children)

    def add(self, payload: bytes) -> bool:
        """Take one part; True when it was the last. A directory that changed meanwhile begins anew."""
        generation, nul, part = payload.partition(b"\0")
        if not nul or not part:
            raise malformed("an empty part of a directory")
        if generation != self.generation:
            changed, self.generation = self.generation is not None, generation
            if changed:
                self.restarts += 1
                self.children.clear()
                return False
        last = part == b"\0" or part.endswith(b"\0\0")  # an empty name closes the list
        self.children += part[:-1] if last else part
        return last
