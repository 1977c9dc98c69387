"""The xenstore client against a scripted xenstored, and the framing against every way bytes may arrive."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE_S, until
from scripted_xenstored import Handler, Xenstored, error, lost, reply

from xenfs.errors import XenfsError
from xenfs.xenstore import Entry, FakeXenstore, XenstoreClient, connect
from xenfs.xenstore.connection import Connection
from xenfs.xenstore.transport import UnixSocket
from xenfs.xenstore.wire import PAYLOAD_MAX, Decoder, Message, Op, pack, strings

messages = st.builds(
    Message, st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1), st.just(0), st.binary(max_size=PAYLOAD_MAX)
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., tuple[XenstoreClient, Xenstored]]]:
    """Starts a xenstored with the handler given, and a client of it."""
    started: list[Xenstored | XenstoreClient] = []

    def start(handler: Handler, **options: float) -> tuple[XenstoreClient, Xenstored]:
        server = Xenstored(tmp_path / "socket", handler)
        client = XenstoreClient([server.path], **{"timeout_s": 5.0, **options})
        started.extend((client, server))
        return client, server

    yield start
    for one in started:
        one.close() if isinstance(one, XenstoreClient) else one.stop()


EVENT = pack(Message(Op.WATCH_EVENT, 0, 0, b"@introduceDomain\0token\0"))


def store(nodes: dict[bytes, bytes]) -> Handler:
    """Answers READ from a mapping."""

    def handler(request: Message) -> list[bytes]:
        path = request.payload.rstrip(b"\0")
        return [reply(request, nodes[path])] if path in nodes else [error(request, b"ENOENT")]

    return handler


# framing


@given(st.lists(messages, max_size=5), st.data())
def test_messages_survive_any_cutting(sent: list[Message], data: st.DataObject) -> None:
    stream = b"".join(map(pack, sent))
    decoder, got = Decoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += decoder.feed(stream[:size])
        stream = stream[size:]
    assert got == sent


def test_header_is_four_machine_words() -> None:
    assert pack(Message(Op.READ, 7, 0, b"/a\0")) == struct.pack("=4I", 2, 7, 0, 3) + b"/a\0"


@given(st.integers(PAYLOAD_MAX + 1, 2**32 - 1))
def test_too_long_a_payload_is_refused_both_ways(length: int) -> None:
    with pytest.raises(XenfsError) as caught:
        Decoder().feed(struct.pack("=4I", Op.READ, 1, 0, length))
    assert caught.value.errno == errno.EIO
    with pytest.raises(XenfsError) as caught:
        pack(Message(Op.READ, 1, 0, bytes(PAYLOAD_MAX + 1)))
    assert caught.value.errno == errno.E2BIG


@given(st.lists(st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name)))
def test_strings_are_split_at_their_ends(names: list[bytes]) -> None:
    assert strings(b"".join(name + b"\0" for name in names)) == names


# reading


def test_read(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, server = served(store({b"/local/domain/0/name": b"Domain-0", b"/empty": b"", b"/odd": b"\xff\0\n"}))
    assert client.read("/local/domain/0/name") == b"Domain-0"
    assert client.read(b"/empty") == b""
    assert client.read("/odd") == b"\xff\0\n"
    assert client.read("/absent") is None
    assert server.connections == 1


def test_read_many_keeps_order_and_pipelines(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    nodes = {f"/d/{i}".encode(): str(i).encode() * 100 for i in range(0, 1000, 2)}
    client, _ = served(store(nodes))
    paths = [f"/d/{i}" for i in range(1000)]
    assert client.read_many(paths) == [nodes.get(path.encode()) for path in paths]
    assert client.read_many([]) == []


def test_several_requests_are_under_way_at_once(
    served: Callable[..., tuple[XenstoreClient, Xenstored]],
) -> None:
    held: list[Message] = []

    def handler(request: Message) -> list[bytes]:
        held.append(request)  # nothing is answered until the third has come
        return [reply(one, one.payload) for one in held] if len(held) == 3 else []

    client, _ = served(handler)
    assert client.read_many(["/a", "/b", "/c"]) == [b"/a\0", b"/b\0", b"/c\0"]


@pytest.mark.parametrize("path", ["", "/a\0b", b"\0"])
def test_impossible_paths_are_not_sent(path: str | bytes) -> None:
    with pytest.raises(XenfsError) as caught:
        XenstoreClient(["/nonexistent"]).read(path)
    assert caught.value.errno == errno.EINVAL


def test_replies_in_crumbs(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, _ = served(lambda request: [bytes([byte]) for byte in reply(request, b"value")])
    assert client.read_many(["/a"] * 3) == [b"value"] * 3


def test_an_event_for_nobody_costs_the_connection(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, server = served(lambda r: [EVENT, reply(r, b"value")] if r.payload == b"/a\0" else [reply(r, b"value")])
    with pytest.raises(XenfsError) as caught:
        client.read("/a")
    assert caught.value.errno == errno.EIO
    assert client.read("/b") == b"value"
    assert server.connections == 2


# directories


def directory(children: list[bytes], part_bytes: int = PAYLOAD_MAX, change_at: int = -1) -> Handler:
    """Answers as xenstored does, parts included; the generation changes once, at request `change_at`."""
    listing, count = b"".join(child + b"\0" for child in children), 0

    def handler(request: Message) -> list[bytes]:
        nonlocal count
        count += 1
        generation = b"2" if 0 <= change_at <= count else b"1"
        if request.op == Op.DIRECTORY:
            return [reply(request, listing) if len(listing) <= part_bytes else error(request, b"E2BIG")]
        offset = int(strings(request.payload)[1])
        chunk = listing[offset : offset + part_bytes]
        chunk = chunk[: chunk.rindex(b"\0") + 1] if chunk else b""
        end = b"\0" if offset + len(chunk) == len(listing) else b""
        return [reply(request, generation + b"\0" + chunk + end)]

    return handler


def test_directory(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, _ = served(directory([b"0", b"12", b"3"]))
    assert client.directory("/local/domain") == [b"0", b"12", b"3"]


def test_directory_of_a_leaf_and_of_nothing(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, _ = served(lambda r: [reply(r, b"")] if r.payload == b"/leaf\0" else [error(r, b"ENOENT")])
    assert client.directory("/leaf") == []
    assert client.directory("/nothing") is None


@pytest.mark.parametrize("change_at", [-1, 3])
def test_long_directory(served: Callable[..., tuple[XenstoreClient, Xenstored]], change_at: int) -> None:
    children = [str(domid).encode() for domid in range(3000)]
    client, server = served(directory(children, 4000, change_at))
    assert client.directory("/local/domain") == children
    assert server.requests[1].payload == b"/local/domain\x000\0"


def test_directory_that_never_rests(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    def handler(request: Message) -> list[bytes]:
        if request.op == Op.DIRECTORY:
            return [error(request, b"E2BIG")]
        return [reply(request, str(request.req_id).encode() + b"\0one\0")]

    client, _ = served(handler)
    with pytest.raises(XenfsError) as caught:
        client.directory("/local/domain")
    assert caught.value.errno == errno.EAGAIN


# what goes wrong


@pytest.mark.parametrize(
    ("name", "code"),
    [(b"EACCES", errno.EACCES), (b"EINVAL", errno.EINVAL), (b"EWHAT", errno.EIO), (b"", errno.EIO)],
)
def test_errors_by_name(served: Callable[..., tuple[XenstoreClient, Xenstored]], name: bytes, code: int) -> None:
    client, server = served(lambda r: [error(r, name) if r.payload == b"/bad\0" else reply(r, b"value")])
    with pytest.raises(XenfsError, match="/bad") as caught:
        client.read("/bad")
    assert caught.value.errno == code
    if code == errno.EACCES:
        assert client.read_many(["/good", "/bad", "/good"]) == [b"value", None, b"value"], "it hides no other"
    else:
        with pytest.raises(XenfsError, match="/bad"):
            client.read_many(["/good", "/bad", "/good"])
    assert client.read("/good") == b"value"
    assert server.connections == 1, "the others' replies were read, so the connection is still in step"


@pytest.mark.parametrize(
    "reply_bytes",
    [
        struct.pack("=4I", Op.READ, 999, 0, 0),
        struct.pack("=4I", Op.DIRECTORY, 1, 0, 0),
        struct.pack("=4I", 77, 1, 0, 0),
        struct.pack("=4I", Op.READ, 1, 0, 5000),
        struct.pack("=4I", Op.READ, 1, 0, 0)[:8] + struct.pack("=2I", 0, 4097),
        struct.pack("=4I", Op.ERROR, 1, 0, 6) + b"ENOENT",
        b"\xff" * 16,
    ],
)
def test_malformed_replies(served: Callable[..., tuple[XenstoreClient, Xenstored]], reply_bytes: bytes) -> None:
    client, server = served(lambda r: [reply_bytes if r.payload == b"/a\0" else reply(r, b"value")])
    with pytest.raises(XenfsError) as caught:
        client.read("/a")
    assert caught.value.errno == errno.EIO
    assert client.read("/b") == b"value"
    assert server.connections == 2, "a connection that is out of step is not used again"


def test_a_reply_too_many_costs_the_connection(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, server = served(lambda r: [reply(r, b"value")] * (2 if r.payload == b"/a\0" else 1))
    assert client.read("/a") == b"value", "which came before"
    with contextlib.suppress(XenfsError):
        client.read("/b")
    assert client.read("/c") == b"value"
    assert server.connections == 2


@pytest.mark.parametrize("listing", [b"x", b"0\x0012"])
def test_malformed_directories(served: Callable[..., tuple[XenstoreClient, Xenstored]], listing: bytes) -> None:
    client, server = served(lambda r: [reply(r, listing)])
    for _ in range(2):
        with pytest.raises(XenfsError) as caught:
            client.directory("/a")
        assert caught.value.errno == errno.EIO
    assert server.connections == 2


@pytest.mark.parametrize("part", [b"", b"1", b"1\0"])
def test_malformed_parts(served: Callable[..., tuple[XenstoreClient, Xenstored]], part: bytes) -> None:
    client, _ = served(lambda r: [error(r, b"E2BIG") if r.op == Op.DIRECTORY else reply(r, part)])
    with pytest.raises(XenfsError) as caught:
        client.directory("/a")
    assert caught.value.errno == errno.EIO


def test_hung_up_connection_is_made_again(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    times = 0

    def handler(request: Message) -> list[bytes] | None:
        nonlocal times
        times += 1
        return None if times == 2 else [reply(request, b"value")]

    client, server = served(handler)
    assert client.read_many(["/a", "/b", "/c"]) == [b"value"] * 3
    assert server.connections == 2


def test_always_hung_up(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, server = served(lambda request: None)
    with pytest.raises(XenfsError) as caught:
        client.read("/a")
    assert caught.value.errno in (errno.EPIPE, errno.ECONNRESET)
    assert server.connections == 2


def test_restarted_xenstored_is_found(tmp_path: Path) -> None:
    first = Xenstored(tmp_path / "socket", lambda r: [reply(r, b"1")] if len(first.requests) < 2 else None)
    client = XenstoreClient([first.path], rest_s=0)
    assert client.read("/a") == b"1"
    os.unlink(first.path)
    second = Xenstored(tmp_path / "socket", lambda r: [reply(r, b"2")])
    assert client.read("/a") == b"2"
    client.close()
    first.stop()
    second.stop()


def test_silence_times_out_and_then_fails_fast(
    served: Callable[..., tuple[XenstoreClient, Xenstored]],
) -> None:
    answering = threading.Event()
    client, server = served(
        lambda r: [reply(r, b"value")] if answering.is_set() else [], timeout_s=0.2, rest_s=PATIENCE_S
    )
    began = time.monotonic()
    for _ in range(4):
        with pytest.raises(XenfsError) as caught:
            client.read("/a")
        assert caught.value.errno == errno.ETIMEDOUT
        assert time.monotonic() - began >= 0.2
    assert len(server.requests) <= 2, "the second one may have come while the first was given up"


def test_it_recovers_once_the_rest_is_over_whoever_asked_meanwhile(
    served: Callable[..., tuple[XenstoreClient, Xenstored]],
) -> None:
    answering = threading.Event()
    client, _ = served(lambda r: [reply(r, b"value")] if answering.is_set() else [], timeout_s=0.2, rest_s=0.3)
    for _ in range(2):
        with pytest.raises(XenfsError):
            client.read("/a")
    answering.set()

    def reads() -> bool:
        with contextlib.suppress(XenfsError):
            return client.read("/a") == b"value"
        return False

    until(reads, "an answer")


def test_events_do_not_put_the_time_out_off(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    """A xenstored that talks on and on, and answers nothing."""
    ending = threading.Event()

    def chatter(request: Message) -> list[bytes]:
        if request.op == Op.WATCH:
            return [reply(request, b"OK\0"), EVENT]
        if request.payload == b"/a\0":
            while not ending.wait(0.02):
                server.clients[-1].sendall(EVENT * 20)
        return [reply(request, b"")]

    client, server = served(chatter, timeout_s=0.3)
    watches = client.watches()
    watches.add("@introduceDomain", b"token")
    assert select.select([watches], [], [], PATIENCE_S)[0]
    with pytest.raises(XenfsError) as caught:
        client.read("/a")
    assert caught.value.errno == errno.ETIMEDOUT
    assert lost(watches).errno == errno.ETIMEDOUT, "the connection is given up soon after, and its watches with it"
    ending.set()
    watches.close()


def test_one_deadline_for_all_parts_of_a_directory(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    """A xenstored that sends one name after the other, each in good time, and never the last."""

    def handler(request: Message) -> list[bytes]:
        if request.op == Op.DIRECTORY:
            return [error(request, b"E2BIG")]
        time.sleep(0.02)
        return [reply(request, b"1\0one\0")]

    client, server = served(handler, timeout_s=0.4)
    with pytest.raises(XenfsError) as caught:
        client.directory("/local/domain")
    assert caught.value.errno == errno.ETIMEDOUT
    assert len(server.requests) > 2, "or there was no second part, and no deadline for both"


def test_who_asks_little_does_not_wait_for_who_asks_much(
    served: Callable[..., tuple[XenstoreClient, Xenstored]],
) -> None:
    """Counted in requests, not by the clock: the one is among the next that are sent, and not behind ten thousand."""
    begun = threading.Event()

    def handler(request: Message) -> list[bytes]:
        if len(server.requests) == 100:
            begun.set()
            assert asked.wait(PATIENCE_S)
        return [reply(request, b"")]

    client, server = served(handler, timeout_s=PATIENCE_S)
    asked = threading.Event()
    many = threading.Thread(target=client.read_many, args=[[f"/{i}" for i in range(10_000)]])
    many.start()
    assert begun.wait(PATIENCE_S)
    one = threading.Thread(target=client.read, args=["/one"])
    one.start()
    time.sleep(0.1)  # for it to be asked; too short a time would make it come later, not sooner
    asked.set()
    one.join(PATIENCE_S)
    many.join(PATIENCE_S)
    assert [request.payload for request in server.requests].index(b"/one\0") < 5000


def test_a_slow_xenstored_costs_who_asks_much_and_not_its_connection(
    served: Callable[..., tuple[XenstoreClient, Xenstored]],
) -> None:
    def handler(request: Message) -> list[bytes]:
        time.sleep(0.02)
        return [reply(request, b"value")]

    client, server = served(handler, timeout_s=0.2)
    with pytest.raises(XenfsError) as caught:
        client.read_many(["/a"] * 30)
    assert caught.value.errno == errno.ETIMEDOUT
    sent = len(server.requests)
    deadline = time.monotonic() + PATIENCE_S
    while len(server.requests) < 30 and time.monotonic() < deadline:
        time.sleep(0.05)  # those that are under way are answered still, to nobody
    assert client.read("/b") == b"value"
    assert server.connections == 1
    assert sent < 30


def test_a_kernel_that_keeps_the_thread_costs_nobody_more_than_his_time(
    served: Callable[..., tuple[XenstoreClient, Xenstored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a write to /dev/xen/xenbus does that sets a watch while xenstored is silent."""
    released = threading.Event()
    send = UnixSocket.send

    def stuck(self: UnixSocket, data: bytes) -> int:
        released.wait(PATIENCE_S)
        return send(self, data)

    monkeypatch.setattr(UnixSocket, "send", stuck)
    client, _ = served(store({b"/a": b"1"}), timeout_s=1, rest_s=PATIENCE_S)
    outcomes: list[int] = []

    def ask() -> None:
        with pytest.raises(XenfsError) as caught:
            client.read("/a")
        outcomes.append(caught.value.errno)

    ask()
    waiting = [threading.Thread(target=ask) for _ in range(4)]
    for thread in waiting:
        thread.start()
    for thread in waiting:
        thread.join(PATIENCE_S)
    assert outcomes == [errno.ETIMEDOUT] * 5
    began = time.monotonic()
    ask()
    assert time.monotonic() - began < 1, "a row of readers does not wait one after the other"
    released.set()


@pytest.mark.logs("talking with xenstored")
def test_a_bug_costs_the_connection(
    served: Callable[..., tuple[XenstoreClient, Xenstored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = served(store({b"/a": b"1"}))
    with monkeypatch.context() as patch:
        patch.setattr(Connection, "receive", lambda self: 1 // 0)
        with pytest.raises(XenfsError) as caught:
            client.read("/a")
        assert caught.value.errno == errno.EIO
    assert client.read("/a") == b"1"


def test_one_thread_and_none_where_it_must_settle(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, server = served(store({b"/a": b"1"}))

    def talking() -> int:
        return sum(thread.name == "xenstore" for thread in threading.enumerate())

    assert not talking()
    watches = client.watches()
    for _ in range(3):
        assert client.read("/a") == b"1"
    assert talking() == 1
    client.settle()
    assert not talking()
    assert client.read("/a") == b"1"
    assert talking() == 1
    assert server.connections == 1
    watches.close()


def test_many_threads(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, server = served(lambda r: [reply(r, r.payload[:-1])])
    wrong: list[object] = []

    def work(worker: int) -> None:
        for i in range(50):
            path = f"/{worker}/{i}".encode()
            if client.read(path) != path:
                wrong.append(path)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not wrong
    assert len(server.requests) == 400
    assert server.connections == 1


def test_nobody_there(tmp_path: Path) -> None:
    client = XenstoreClient([str(tmp_path / "none"), str(tmp_path / "other")])
    with pytest.raises(XenfsError, match=r"none.*other") as caught:
        client.read("/a")
    assert caught.value.errno == errno.ECONNREFUSED


def test_closed(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, _ = served(store({}))
    client.close()
    client.close()
    with pytest.raises(XenfsError) as caught:
        client.read("/a")
    assert caught.value.errno == errno.ESHUTDOWN


def test_connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect([str(tmp_path / "none")]) is None
    server = Xenstored(tmp_path / "socket", store({b"/a": b"1"}))
    monkeypatch.setenv("XENSTORED_PATH", server.path)
    client = connect()
    assert client is not None
    if not os.path.exists("/dev/xen/xenbus"):
        assert client.read("/a") == b"1"
    client.close()
    server.stop()


# the fake


def test_write(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, xenstored = served(lambda request: [reply(request, b"OK\0" if request.op == Op.WRITE else b"x")])
    client.write("/local/domain/1/memory/target", b"1024")
    writes = [request.payload for request in xenstored.requests if request.op == Op.WRITE]
    assert writes == [b"/local/domain/1/memory/target\0" + b"1024"]


def test_nodes_are_made_and_taken_away(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, xenstored = served(lambda request: [reply(request, b"OK\0")])
    client.make([Entry("/a", b"", ("n0", "r7")), Entry("/a/b", b"1")])
    client.introduce(7, 0xFEFFC, 3)
    client.remove("/a")
    assert [(request.op, request.payload) for request in xenstored.requests] == [
        (Op.WRITE, b"/a\0"), (Op.SET_PERMS, b"/a\0n0\0r7\0"), (Op.WRITE, b"/a/b\0001"),
        (Op.INTRODUCE, b"7\x001044476\x003\0"), (Op.RM, b"/a\0"),
    ]  # fmt: skip


@pytest.mark.parametrize(("refused", "code"), [(Op.WRITE, errno.ENOSPC), (Op.SET_PERMS, errno.EACCES)])
def test_a_node_that_cannot_be_made_says_so(
    served: Callable[..., tuple[XenstoreClient, Xenstored]], refused: Op, code: int
) -> None:
    client, _ = served(
        lambda request: [
            error(request, errno.errorcode[code].encode()) if request.op == refused else reply(request, b"OK\0")
        ]
    )
    with pytest.raises(XenfsError) as problem:
        client.make([Entry("/a", b"", ("n0",)), Entry("/a/b", b"1")])
    assert problem.value.errno == code


def test_what_is_not_there_need_not_be_taken_away(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, _ = served(lambda request: [error(request, b"ENOENT")])
    client.remove("/a")
    with pytest.raises(XenfsError):
        client.introduce(7, 1, 1)


@pytest.mark.parametrize(("said", "code"), [(b"", 0), (b"ENOENT", 0), (b"EINVAL", 0), (b"EACCES", errno.EACCES)])
def test_a_domain_goes_on(served: Callable[..., tuple[XenstoreClient, Xenstored]], said: bytes, code: int) -> None:
    """Of whom xenstored does not serve, and says so in one way or another, there is nothing to remember."""
    client, xenstored = served(lambda request: [error(request, said) if said else reply(request, b"OK\0")])
    if code:
        with pytest.raises(XenfsError) as problem:
            client.resume(7)
        assert problem.value.errno == code
    else:
        client.resume(7)
    assert [(request.op, request.payload) for request in xenstored.requests] == [(18, b"7\0")]


def test_a_write_that_is_refused_says_so(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, _ = served(lambda request: [error(request, b"EACCES")])
    with pytest.raises(XenfsError) as problem:
        client.write("/tool/x", b"1")
    assert problem.value.errno == errno.EACCES


def test_what_was_written_is_not_written_again(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    """A connection that is lost under a write leaves it open whether it was done: a guest must not be asked twice."""
    client, xenstored = served(lambda request: None)
    with pytest.raises(XenfsError):
        client.write("/local/domain/1/control/shutdown", b"suspend")
    assert len([request for request in xenstored.requests if request.op == Op.WRITE]) == 1


def test_too_long_a_value_is_not_sent(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, xenstored = served(lambda request: [reply(request, b"OK\0")])
    with pytest.raises(XenfsError) as problem:
        client.write("/x", b"1" * PAYLOAD_MAX)
    assert problem.value.errno == errno.E2BIG
    assert not xenstored.requests


def test_a_write_meets_the_deadline(served: Callable[..., tuple[XenstoreClient, Xenstored]]) -> None:
    client, _ = served(lambda request: [], timeout_s=0.2)
    with pytest.raises(XenfsError) as problem:
        client.write("/x", b"1")
    assert problem.value.errno == errno.ETIMEDOUT


def test_fake() -> None:
    nodes = {"/local/domain/0/name": b"Domain-0", "/local/domain/3/name": b"web", "/tool": b""}
    fake = FakeXenstore(nodes)
    assert fake.read("/local/domain/0/name") == b"Domain-0"
    assert fake.read(b"/local/domain/1/name") is None
    assert fake.directory("/local/domain") == [b"0", b"3"]
    assert fake.directory("/") == [b"local", b"tool"]
    assert fake.directory("/tool") == []
    assert fake.directory("/nothing") is None
    nodes["/local/domain/7/name"] = b"new"
    assert fake.directory("/local/domain") == [b"0", b"3", b"7"]
    assert fake.read_many(["/local/domain/7/name", "/x"]) == [b"new", None]


def test_what_no_thread_was_to_be_had_for_is_not_asked_later(
    served: Callable[..., tuple[XenstoreClient, Xenstored]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who writes was told that nothing was written; and the next one who asks has a thread again."""

    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    client, xenstored = served(lambda request: [reply(request, b"value")])
    with monkeypatch.context() as bomb:
        bomb.setattr(threading.Thread, "start", none)
        with pytest.raises(XenfsError) as caught:
            client.write("/local/domain/1/memory/target", b"1024")
    assert caught.value.errno == errno.EAGAIN
    assert client.read("/a") == b"value"
    assert {request.op for request in xenstored.requests} == {Op.READ}
