"""`xenfs watch`: follow what happens, or wait until something has."""

from __future__ import annotations

import argparse
import errno
import os
import select
import signal
import stat
import sys
from contextlib import suppress
from time import monotonic, sleep

from xenfs.cli.followed import GONE, Awaited, Events, Followed, Lines, Value, encoded
from xenfs.cli.lives import mount_of
from xenfs.cli.paths import match_of
from xenfs.errors import XenfsError
from xenfs.nodes.tables.base import Stream
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.tree import whole
from xenfs.options import Options

_LOST = (errno.ENOTCONN, errno.ECONNABORTED)
_LOOK_AGAIN_S = 0.1
_HOMES = ("domains", "domains/by-name", "domains/by-uuid")
TIMED_OUT = 124  # as timeout(1) has it
_RUNS = ("running", "blocked", "runnable")  # a guest that waits for something runs, as far as others can tell
_NO_MORE = ("shutdown", "dying", GONE)  # who has come to one of these has passed those before it

DETAILS = """\
xenfs watch prints, by what PATH is:
  a growing file (domains/events, host/console/log, xenfs/calls/log): each new line
  any other file: its value, and the value again each time it changes
  a directory with a file "state", such as a domain's: each state, until the domain is "gone"
With more than one PATH, each line begins with the path that it belongs to.

--until ends when STATE has been printed for every PATH: as a value, or as a word of a line. Of a domain that has shut
down or crashed, "reason poweroff" or the like follows, but for --json. A domain that is crashed,
dying or gone has also reached "shutdown", and one that is gone "dying"; one that is blocked or runnable is "running".
With --until a PATH below domains/ may be of a domain that is not there yet, such as domains/by-name/web.

If the daemon ends, another is waited for as long as --reconnect says. What has happened to domains meanwhile comes
first then, as lines numbered 0; a domain that is followed by a path goes on if it is still the same life.

--json prints an object for each line. Its keys: time, path; of domains/events also seq, event, domid, uuid, reason,
name; of xenfs/calls/log also number, began, operation, domain, ns and the other words of the line; of any other
growing file, line; of a domain's directory, state; of any other file, its name.

exit status: 0 done, or STATE is reached; 1 it cannot be reached any more, or something failed; 2 the command line is
wrong; 124 not within SECONDS. A signal ends it at once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `xenfs watch`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = DETAILS
    parser.add_argument("paths", metavar="PATH", nargs="+", help="such as /run/xenfs/domains/events")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line, with the time")
    parser.add_argument("--until", metavar="STATE", help="end when this is reached")
    parser.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="end after so long, with status 124")
    parser.add_argument("--all", action="store_true", help="begin with the lines that a growing file has already")
    parser.add_argument(
        "--reconnect", type=float, default=10.0, metavar="SECONDS",
        help="how long to wait for another daemon when this one ends (10); 0 is not at all",
    )  # fmt: skip
    parser.add_argument(
        "--interval", type=_seconds, default=0.5, metavar="SECONDS",
        help="how often to look at what cannot be waited for (0.5)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Print what is new until a signal, the end of everything that is watched, or what the options say."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)  # at once, also out of the kernel, where Python would only take a note
    deadline = None if args.timeout is None else monotonic() + args.timeout
    return _Watch(args).run(deadline)


class _Watch:
    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._followed = [_followed(path, args.all, awaited=bool(args.until)) for path in args.paths]
        self._reached: set[Followed] = set()
        self._bells = _bells(self._followed)  # looked at for nothing but to be woken
        self._register()

    def _register(self) -> None:
        # Not poll(2): a signal wakes it, or a machine that wants to sleep. It then asks each file once more, and would
        # wait for a daemon that is stopped already. A machine with one such process cannot sleep.
        self._epoll = select.epoll()
        with suppress(PermissionError):  # a plain file, which has no reader to lose
            self._epoll.register(sys.stdout.fileno(), 0)  # says when nobody reads any more
        everything = (*self._followed, *self._bells)
        self._polled = {each.fd: each for each in everything if isinstance(each, Lines) and each not in self._reached}
        for fd in self._polled:
            self._epoll.register(fd, select.EPOLLIN)

    def run(self, deadline: float | None) -> int:
        while True:
            try:
                return self._follow(deadline)
            except XenfsError as problem:
                if problem.errno not in _LOST or not self._another(deadline):
                    raise

    def _another(self, deadline: float | None) -> bool:
        """Wait for another daemon; whether there is one."""
        end = monotonic() + self._args.reconnect
        if self._args.reconnect > 0:
            print("xenfs: the daemon has ended: waiting for another", file=sys.stderr, flush=True)
        while monotonic() < (end if deadline is None else min(end, deadline)):
            sleep(_LOOK_AGAIN_S)
            try:
                for each in (*self._followed, *self._bells):
                    if not each.over and each not in self._reached:
                        each.again()
            except XenfsError:
                continue
            self._register()
            return True
        return False

    def _follow(self, deadline: float | None) -> int:
        while True:
            self._print_what_is_new()
            if self._args.until and len(self._reached) == len(self._followed):
                return 0
            lost = [each for each in self._followed if each.over and each not in self._reached]
            if self._args.until and lost:
                raise XenfsError(f"{lost[0].name}: gone without having been {self._args.until}")
            if all(each.over for each in self._followed):
                return 0
            left_s = None if deadline is None else deadline - monotonic()
            if left_s is not None and left_s <= 0:
                return TIMED_OUT
            if not self._sleep(left_s):
                return 0

    def _print_what_is_new(self) -> None:
        for each in self._followed:
            for text in each.new() if each not in self._reached else ():
                self._print(each, text)
                if self._args.until and _reached(each, text, self._args.until):
                    self._reached.add(each)
                    self._print_reason(each)
                    self._look_away(each)
                    break
        sys.stdout.buffer.flush()

    def _print_reason(self, followed: Followed) -> None:
        """Why a domain has shut down, behind the state that was waited for."""
        why = "" if self._args.json else followed.reason()
        if why:
            self._print(followed, f"reason {why}")

    def _print(self, followed: Followed, text: str) -> None:
        if self._args.json:
            text = encoded(followed, text)
        elif len(self._followed) > 1:
            text = f"{followed.name}:{text}"
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")

    def _sleep(self, left_s: float | None) -> bool:
        """Until there may be something new; False when nobody reads what is printed."""
        looks = any(each.interval and not each.over for each in (*self._followed, *self._bells))
        waits_s = [wait_s for wait_s in (left_s, self._args.interval if looks else None) if wait_s is not None]
        for fd, events in self._epoll.poll(min(waits_s) if waits_s else None):
            if fd not in self._polled:
                return False
            each = self._polled[fd]
            each.rung(events)
            if each.interval:
                self._look_away(each)
            if each in self._bells:
                for _ in each.new():
                    pass
        return True

    def _look_away(self, followed: Followed) -> None:
        if self._polled.pop(followed.fd, None):
            self._epoll.unregister(followed.fd)


def _followed(path: str, all_lines: bool, awaited: bool = False) -> Followed:
    """What is behind a path as it was given; `awaited` where it need not be there yet."""
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            return Value(path, os.path.join(path, "state"), "state")
    except OSError as problem:
        if awaited and problem.errno == errno.ENOENT and _will_be_a_domain(path):
            return Awaited(path, lambda: _followed(path, all_lines))
        raise XenfsError(f"{path}: {problem.strerror}", problem.errno or 0) from None
    mount = mount_of(path)
    if mount is not None:
        match = match_of(whole(Options(), Refusals()), os.path.relpath(os.path.realpath(path), mount))
        if match is not None and isinstance(match.node, Stream):
            if match.node.topic == "domains":
                return Events(path, path, whole=all_lines)
            return Lines(path, path, match.node.topic, whole=all_lines)
    return Value(path, path)


def _will_be_a_domain(path: str) -> bool:
    """Whether a path that leads nowhere is where a domain will be: domains/<d>, by-name/<name> or by-uuid/<uuid>."""
    where = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    mount = mount_of(where)
    return mount is not None and os.path.relpath(where, mount) in _HOMES


def _bells(followed: list[Followed]) -> list[Lines]:
    """The events of every mount of whose domains a value is watched."""
    found = {mount_of(each.name) for each in followed if isinstance(each, (Value, Awaited))}
    paths = [os.path.join(mount, "domains", "events") for mount in found if mount is not None]
    return [Lines(path, path) for path in paths if os.path.exists(path)]


def _reached(followed: Followed, text: str, until: str) -> bool:
    if isinstance(followed, Lines):
        return until in text.split()
    reached = {text}
    if text in ("crashed", *_NO_MORE):
        reached.update(_NO_MORE[: _NO_MORE.index("shutdown" if text == "crashed" else text) + 1])
    if text in _RUNS:
        reached.add("running")
    return until in reached


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e9:
        raise ValueError(text)
    return value
