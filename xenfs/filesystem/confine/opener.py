"""A process that does what takes root for a daemon that is not root any more: it opens xenstore again, and asks QEMUs.

A xenstored that starts again leaves every connection to it dead, and /dev/xen/xenbus and its socket are root's. To give
them to a group would let others in, and would take a rule of udev on each dom0; so what is opened comes from here.
QEMU's sockets are root's as well, and who may talk there can have QEMU write files; so one question is asked from here,
and numbers are all that is handed on. This process has no capability, opens nothing but the paths that it was made with
and these sockets, and reads nothing from the former.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Sequence
from time import monotonic

from xenfs.filesystem.confine import landlock
from xenfs.filesystem.confine.helper import beside
from xenfs.hypervisor.qemu import sockets
from xenfs.hypervisor.qemu.disks import Answers, Told, answer_s
from xenfs.hypervisor.qemu.qmp import Disk, Disks
from xenfs.politely import politely
from xenfs.xenstore.transport import opened

_CONNECT_S = 2.0
_ANSWER_S = 4.0  # a full backlog makes it wait as long as _CONNECT_S
_LONGEST = 1 << 17  # bytes of a question: ten thousand domains
_PIECE = 1 << 14  # and of an answer that is sent at once
_LOOKED_AT = 1024  # domains
_MOST_AT_ONCE = 64  # questions; the daemon has fewer threads
_LAST_DOMID = 0x7FEF


class Opener:
    """The daemon's end. Calling it opens one of the paths; any thread may, and none waits for another.

    With each question goes a socket of its own, for the answer.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        known = list(paths)
        self._pid, self._socket = beside(b"xenfs-open", frozenset(), lambda ours: _wait(ours, known))
        self._socket.settimeout(_ANSWER_S)

    def __call__(self, path: str, timeout_s: float) -> int:
        """A descriptor of the device, or of a socket that is connected; OSError says why there is none."""
        with self._asked(b"open %s" % os.fsencode(path)) as answer:
            answer.settimeout(_ANSWER_S)
            code, fds, _, _ = socket.recv_fds(answer, 64, 1)
        if fds:
            os.set_inheritable(fds[0], False)
            return fds[0]
        reason = int(code) if code else errno.ECONNRESET
        raise OSError(reason, os.strerror(reason))

    def qemus(self, question: str, domids: Sequence[int]) -> Answers:
        """Have QEMUs asked: see xenfs/hypervisor/qemu/disks.py."""
        return _Answers(self._asked(b"%s %s" % (question.encode(), b" ".join(b"%d" % domid for domid in domids))))

    def close(self) -> None:
        """It is not needed any more. The second time there is nothing to do."""
        if self._socket.fileno() < 0:
            return
        self._socket.close()
        os.waitpid(self._pid, 0)

    def _asked(self, question: bytes) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                socket.send_fds(self._socket, [question], [theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        return ours


class _Answers(Answers):
    """Lines from the other process: a domain, an errno, and five numbers with commas for each disk."""

    def __init__(self, answer: socket.socket) -> None:
        self._socket, self._found = answer, dict[int, Told]()

    def by(self, deadline: float) -> dict[int, Told]:
        """Those that have come by then; at once when all have."""
        while self._socket.fileno() >= 0:
            self._socket.settimeout(max(0.0, deadline - monotonic()))
            try:
                data = self._socket.recv(_LONGEST)
            except (BlockingIOError, TimeoutError):
                break
            if not data:
                self._socket.close()
            for line in politely(data.splitlines()):
                domid, code, *disks = line.split(b" ")
                self._found[int(domid)] = Told(int(code), dict(map(_disk, disks)))
        return self._found

    def close(self) -> None:
        """Read no more."""
        self._socket.close()


def _disk(text: bytes) -> tuple[int, Disk]:
    number, *counters = map(int, text.split(b","))
    return number, Disk(*counters)


def _wait(ours: socket.socket, paths: Sequence[str]) -> None:
    """All of the life of the other process."""
    landlock.restrict({os.path.dirname(path) for path in paths})
    sockets.allow_many()
    while True:
        question, fds, _, _ = socket.recv_fds(ours, _LONGEST, 1)
        if not question:
            return
        for fd in fds:  # none where this process has no descriptor left: whoever asks sees that there is no answer
            _begin(question, socket.socket(fileno=fd), paths)


def _begin(question: bytes, answer: socket.socket, paths: Sequence[str]) -> None:
    try:
        if threading.active_count() <= _MOST_AT_ONCE:
            threading.Thread(target=_answer, args=(question, answer, paths), daemon=True).start()
            return
    except RuntimeError:  # this system allows no more threads now
        pass
    answer.close()


def _answer(question: bytes, answer: socket.socket, paths: Sequence[str]) -> None:
    word, _, rest = question.partition(b" ")
    with answer, contextlib.suppress(OSError):  # nobody waits for it any more
        answer.settimeout(_ANSWER_S)
        if word == b"open":
            fds, code = _fd(os.fsdecode(rest), paths)
            try:
                socket.send_fds(answer, [b"%d" % code], fds)
            finally:
                for fd in fds:
                    os.close(fd)
        elif word == b"listed":
            _look(answer, sockets.listed())
        elif word == b"there":
            _look(answer, _domids(rest))
        elif word == b"disks":
            _ask_qemus(answer, _domids(rest))


def _fd(path: str, paths: Sequence[str]) -> tuple[list[int], int]:
    """The descriptor, or the errno that there is instead."""
    if path not in paths:
        return [], errno.EPERM
    try:
        return [opened(path, _CONNECT_S)], 0
    except OSError as problem:
        return [], problem.errno or errno.EIO


def _domids(text: bytes) -> list[int]:
    """Numbers of domains, and nothing else."""
    words = [word for word in text.split(b" ") if word.isdigit() and len(word) <= 5]
    return [domid for domid in map(int, words) if domid <= _LAST_DOMID]


def _look(answer: socket.socket, domids: Sequence[int]) -> None:
    """Whether they have sockets; in pieces of some 10 KB."""
    for at in range(0, len(domids), _LOOKED_AT):
        some = domids[at : at + _LOOKED_AT]
        answer.send(b"".join(b"%d %d\n" % (domid, sockets.there(domid)) for domid in some))


def _ask_qemus(answer: socket.socket, domids: Sequence[int]) -> None:
    lines: list[bytes] = []

    def told(domid: int, code: int, disks: Disks) -> None:
        rows = (b" %d,%d,%d,%d,%d" % (number, *disk) for number, disk in disks.items())
        lines.append(b"%d %d%s\n" % (domid, code, b"".join(rows)))
        if sum(map(len, lines)) > _PIECE:
            batch()

    def batch() -> None:
        if lines:
            answer.send(b"".join(lines))
            lines.clear()

    sockets.Asking(told).ask(domids, monotonic() + answer_s(len(domids)), batch)
