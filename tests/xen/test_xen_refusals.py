"""Writes that make no sense: the errno at the write, a caret in the error log, and nothing changed."""

from __future__ import annotations

import errno
import os
import stat
from functools import partial
from itertools import islice
from typing import NamedTuple

import pytest
from nonsense import accepted, corpus
from worlds import HARMLESS
from xen_guests import Guest
from xen_mount import Mount, called, failure, write

from xenfs.cli.paths import match_of
from xenfs.nodes.tables.base import Exchange, File
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.tree import whole
from xenfs.options import Options

ASKING = {name.replace(" ", ":") for name in HARMLESS}
DOMAIN = "domains/<d>"
OURS = pytest.mark.once("it is refused by xenfs, and Xen hears nothing of it")
REFUSED = {errno.EINVAL, errno.ERANGE, errno.E2BIG}


class Refusal(NamedTuple):
    """A node, what is written, the errno, and the word that the caret stands under; None: no caret is wanted."""

    node: str
    text: str
    errno: int
    word: str | None
    asks: bool = False  # Xen has to be asked something harmless to know that it is wrong


ROWS = [
    Refusal(f"{DOMAIN}/freeze", "2", errno.EINVAL, "2"),
    Refusal(f"{DOMAIN}/freeze", "yes\n", errno.EINVAL, "yes"),
    Refusal(f"{DOMAIN}/freeze", "\n", errno.EINVAL, None),
    Refusal(f"{DOMAIN}/freeze", "1 1", errno.EINVAL, "1 1"),
    Refusal(f"{DOMAIN}/sched/weight", "heavy", errno.EINVAL, "heavy"),
    Refusal(f"{DOMAIN}/sched/weight", "0", errno.ERANGE, "0"),
    Refusal(f"{DOMAIN}/sched/weight", "65536", errno.ERANGE, "65536"),
    Refusal(f"{DOMAIN}/sched/cap", " -1", errno.ERANGE, "-1"),
    Refusal(f"{DOMAIN}/sched/cap", "1e3", errno.EINVAL, "1e3"),
    Refusal(f"{DOMAIN}/memory/max", "12x", errno.EINVAL, "12x"),
    Refusal(f"{DOMAIN}/memory/max", "99999999999999999999999", errno.ERANGE, "99999999999999999999999"),
    Refusal(f"{DOMAIN}/memory/max", "5" * 5000, errno.E2BIG, None),
    Refusal(f"{DOMAIN}/vcpus/0/affinity_hard", "0,x", errno.EINVAL, "x"),
    Refusal(f"{DOMAIN}/vcpus/0/affinity_hard", "0,3-1", errno.EINVAL, "3-1"),
    Refusal(f"{DOMAIN}/vcpus/0/affinity_hard", "0-4000000000", errno.ERANGE, "0-4000000000"),
    Refusal(f"{DOMAIN}/vcpus/0/affinity_hard", "0,4095", errno.ERANGE, "4095", asks=True),
    Refusal(f"{DOMAIN}/vcpus/0/affinity_soft", "+4095", errno.ERANGE, "4095", asks=True),
    Refusal(f"{DOMAIN}/vcpus/0/affinity_hard", "-all", errno.EINVAL, "all"),
    Refusal("host/debug_keys", "q \x01", errno.EINVAL, " \\x01"),
    Refusal("host/debug_keys", "q" * 65, errno.E2BIG, None),
    Refusal("host/memory/availheap", "0 0", errno.EINVAL, "0 0"),
    Refusal("host/memory/page_status", "9-3", errno.EINVAL, "9-3"),
    Refusal("host/memory/page_status", "page", errno.EINVAL, "page"),
    Refusal("host/cpus/0/online", "on", errno.EINVAL, "on"),
]


def in_words(row: Refusal) -> str:
    return f"{row.node.replace(f'{DOMAIN}/', '')}-{row.text.strip()[:12]!r}-{errno.errorcode[row.errno]}"


@pytest.mark.parametrize("row", [row if row.asks else pytest.param(row, marks=OURS) for row in ROWS], ids=in_words)
def test_refused(mount: Mount, guest: Guest, row: Refusal) -> None:
    node = row.node.replace("<d>", str(guest.domid))
    if not mount.has(node):
        pytest.skip("not on this Xen")
    value = mount.read(node)
    mount.write("xenfs/error_log", "x")
    fd = os.open(mount.path(node), os.O_RDWR if "memory/" in node and "max" not in node else os.O_WRONLY)
    try:
        before = mount.calls()
        outcome = failure(lambda: write(fd, row.text))
        made = called(before, mount.calls())
    finally:
        os.close(fd)
    assert outcome == row.errno
    assert set(made) <= (ASKING if row.asks else set()), made
    assert mount.read(node) == value
    assert_explained(mount.value("xenfs/error_log"), node, row)


def assert_explained(log: str, node: str, row: Refusal) -> None:
    first, *rest = log.splitlines()
    when, where, code, why = first.split(" ", 3)
    assert when.endswith("Z")
    assert (where, code) == (f"{node}:", f"{errno.errorcode[row.errno]}:")
    assert why
    if row.word is not None:
        written, caret = rest
        assert caret.strip() == "^"
        assert written[caret.index("^") :].startswith(row.word)


@pytest.mark.parametrize("name", ["gnttab_max_frames", "global-pages", "console_timestamps"])
def test_parameters_of_xen(mount: Mount, name: str) -> None:
    node = f"host/params/{name}"
    if not mount.has(node) or not os.stat(mount.path(node)).st_mode & 0o200:
        pytest.skip("no such setting in this Xen")
    value = mount.read(node)
    # Of a setting that is text, Xen itself must say so.
    assert failure(lambda: mount.write(node, "nonsense, surely")) in (errno.EINVAL, errno.ERANGE)
    assert mount.read(node) == value
    assert node in mount.value("xenfs/error_log")


def writable(mount: Mount) -> dict[str, File]:
    """One path of each kind that can be written, with its entry in the tables."""
    root, found = whole(Options(lifecycle=True, debug=True, raw=True), Refusals()), {}
    for folder, _, names in os.walk(mount.root):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), mount.root)
            if stat.S_ISREG(os.lstat(mount.path(path)).st_mode) and os.lstat(mount.path(path)).st_mode & 0o222:
                match = match_of(root, path)
                assert match is not None, path
                assert isinstance(match.node, File), path
                found.setdefault(match.pattern, (path, match.node))
    return dict(found.values())


@OURS
def test_nothing_that_does_not_parse_reaches_xen(mount: Mount, real: bool) -> None:
    """Of every kind of file, all that its parser refuses: an errno for each, and not one hypercall.

    On a real Xen only some, of each kind others: thousands of writes take an emulated machine minutes.
    """
    tried, step = 0, 10 if real else 1
    for number, (path, node) in enumerate(writable(mount).items()):
        some = islice(corpus(node, b""), number % step, None, step)
        wrong = [data for data in some if len(data) <= 5000 and not accepted(node, data)]
        fd = os.open(mount.path(path), os.O_RDWR if isinstance(node, Exchange) else os.O_WRONLY)
        try:
            before = mount.calls()
            outcomes = {data: failure(partial(write, fd, data)) for data in wrong if data}
            made = called(before, mount.calls())
        finally:
            os.close(fd)
        odd = {data: code for data, code in outcomes.items() if code not in REFUSED}
        assert not odd, (path, odd)
        assert not made, (path, made)
        tried += len(outcomes)
    print(f"{tried} writes refused")
    assert tried > 1000 / step


@OURS
def test_not_text(mount: Mount, guest: Guest) -> None:
    assert failure(lambda: mount.write(guest.node("sched/weight"), b"25\xff6")) == errno.EINVAL


@OURS
def test_a_question_for_each_open(mount: Mount) -> None:
    answer = mount.ask("host/memory/availheap", "-1 0 0")
    assert int(answer) > 1 << 20
    fd = os.open(mount.path("host/memory/availheap"), os.O_RDWR)
    try:
        write(fd, "0 0 0")
        assert failure(lambda: write(fd, "0 0 0")) == errno.EBUSY
    finally:
        os.close(fd)


@OURS
def test_the_log_is_bounded_and_any_write_clears_it(mount: Mount, guest: Guest) -> None:
    for number in range(70):
        assert failure(lambda word=f"no {number} \x1b[31m": mount.write(guest.node("freeze"), word)) == errno.EINVAL
    log = mount.value("xenfs/error_log")
    assert "no 69" in log
    assert "no 0 " not in log
    assert "\x1b" not in log
    mount.write("xenfs/error_log", "\n")
    assert mount.read("xenfs/error_log") == b""
