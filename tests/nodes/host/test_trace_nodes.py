"""host/trace/records: Xen's trace buffers as the stream that xentrace writes."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio
from trace_stream import GUEST, LOST, WRAP, records
from worlds import Host

from xenfs.calls import trace, trace_records
from xenfs.filesystem.operations import Operations

CTX: Any = SimpleNamespace(uid=0, gid=0, pid=1, umask=0)
PATH = "host/trace/records"


def begin(host: Host, pages: int = 1) -> None:
    host.write("host/trace/size_pages", str(pages))  # and Xen notes from now on


def mark(host: Host, *numbers: int) -> None:
    for number in numbers:
        trace.mark(host.xen, 0x123, [number, 7])


def taken(host: Host, position: trace_records.Position | None) -> tuple[bytes, trace_records.Position]:
    """What a round takes."""
    found = b""
    while True:
        data, position = trace_records.take(host.xen, position)
        found += data
        if not data:
            return found, position


def marks(data: bytes) -> list[int]:
    assert all(each.cpu == 0 and each.event == GUEST | 0x123 for each in records(data))
    return [each.words[0] for each in records(data)]


@pytest.mark.parametrize("release", ["4.14", "4.22"])
def test_what_was_noted_can_be_read_and_stays(release: str) -> None:
    with Host(f"xen={release}") as host:
        assert host.at(PATH).node.produce(host.xen, ()) == b""  # type: ignore[attr-defined]
        assert host.refused(PATH, "1") == errno.EINVAL
        begin(host)
        mark(host, 1, 2, 3)
        for _ in range(2):
            assert marks(host.at(PATH).node.produce(host.xen, ())) == [1, 2, 3]  # type: ignore[attr-defined]


def test_a_reader_goes_on_where_it_was(host: Host) -> None:
    begin(host)
    mark(host, 1)
    data, position = trace_records.read(host.xen, None)
    assert marks(data) == [1]
    assert not trace_records.ahead(host.xen, position)
    data, position = trace_records.read(host.xen, position)
    assert data == b""
    mark(host, 2)
    assert trace_records.ahead(host.xen, position)
    assert marks(trace_records.read(host.xen, position)[0]) == [2]


def test_a_full_ring_loses_records_until_somebody_takes_them(host: Host) -> None:
    begin(host)
    mark(host, *range(400))
    full = marks(trace_records.read(host.xen, None)[0])
    assert full == list(range(340)), "340 records of 12 bytes are all that fits"
    position, wrapped = None, 0
    for turn in range(5):
        data, position = taken(host, position)
        noted = list(records(data))
        lost = [each.words[0] for each in noted if each.event == LOST]
        assert lost == ([] if not turn else [60] if turn == 1 else [])
        wrapped += sum(each.event == WRAP for each in noted)
        found = [each.words[0] for each in noted if each.event == GUEST | 0x123]
        assert found == (full if not turn else list(range(1000 * turn, 1000 * turn + 300)))
        mark(host, *range(1000 * (turn + 1), 1000 * (turn + 1) + 300))
    assert wrapped == 4, "no record lies across the end of the ring"


def test_what_was_lost_is_told_no_more_once_nothing_is_noted(host: Host) -> None:
    begin(host)
    mark(host, *range(400))
    trace_records.take(host.xen, None)
    host.write("host/trace/enabled", "0")
    host.write("host/trace/enabled", "1")
    mark(host, 1)
    assert [each.event for each in records(trace_records.read(host.xen, None)[0])] == [WRAP, GUEST | 0x123]


def test_who_reads_beside_one_who_takes(host: Host) -> None:
    begin(host)
    mark(host, 1, 2)
    _, reader = trace_records.read(host.xen, None)
    data, reader = trace_records.read(host.xen, reader)
    assert data == b""
    mark(host, 3)
    trace_records.take(host.xen, None)
    mark(host, 4)
    assert marks(trace_records.read(host.xen, reader)[0]) == [4], "3 may have been written over"


def test_who_is_noted_while_reading_comes_to_an_end(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a real Xen each read makes its own caller run, which is noted."""
    begin(host)
    mark(host, 1)
    real = trace_records._heads

    def noted(*given: Any) -> Any:
        mark(host, 2)
        return real(*given)

    monkeypatch.setattr(trace_records, "_heads", noted)
    for attempt in range(2):
        data, position = taken(host, None)
        assert marks(data) == ([1, 2] if not attempt else [2, 2, 2])
        assert trace_records.ahead(host.xen, position)


def test_masks_hold(host: Host) -> None:
    begin(host, 2)
    host.write("host/trace/event_mask", "0x0001f000")
    mark(host, 1)
    host.write("host/trace/event_mask", "0x0800f000")
    host.write("host/trace/cpu_mask", "1-7")
    mark(host, 2)
    host.write("host/trace/cpu_mask", "0")
    mark(host, 3)
    host.write("host/trace/enabled", "0")
    mark(host, 4)
    assert marks(trace_records.read(host.xen, None)[0]) == [3]


def test_the_file_follows_and_takes_once_it_is_told(host: Host) -> None:
    async def run() -> None:
        ops = Operations(host.xen, host.root, host.options, host.refusals)
        inode = pyfuse3.ROOT_INODE
        for name in PATH.split("/"):
            inode = (await ops.lookup(inode, name.encode(), CTX)).st_ino
        fh = (await ops.open(inode, os.O_RDWR, CTX)).fh
        first = await ops.read(fh, 0, 1 << 16)
        assert marks(first) == [1, 2]
        assert await ops.read(fh, len(first), 1 << 16) == b""
        mark(host, 3)
        more = await ops.read(fh, len(first), 1 << 16)
        assert marks(more) == [3]
        assert marks(trace_records.read(host.xen, None)[0]) == [1, 2, 3], "nothing was taken"
        at = len(first) + len(more)
        assert await ops.read(fh, at, 1 << 16) == b""
        await ops.write(fh, at, b"1\n")
        mark(host, 4)
        assert marks(await ops.read(fh, at + 2, 1 << 16)) == [4]
        assert trace_records.read(host.xen, None)[0] == b"", "this is"
        await ops.release(fh)

    begin(host)
    mark(host, 1, 2)
    trio.run(run)
