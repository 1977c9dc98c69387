"""Watches over xenstore's wire protocol, and the same of the fake, whose watches the simulator fires."""

from __future__ import annotations

import errno
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S
from scripted_xenstored import Store, Xenstored, event, lost, reply
from worlds import Host

from xenfs.errors import XenfsError
from xenfs.xenstore import Event, FakeXenstore, Watches, XenstoreClient, transport
from xenfs.xenstore.wire import Message, Op, pack


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[..., XenstoreClient]]:
    """Clients of the xenstored at this path, which are closed in the end."""
    made: list[XenstoreClient] = []

    def make(path: str, **options: float) -> XenstoreClient:
        made.append(XenstoreClient([path], **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "socket")
    yield made
    made.server.stop()


@pytest.fixture
def watches(store: Store) -> Iterator[Watches]:
    client = XenstoreClient([store.server.path])
    made = client.watches()
    yield made
    made.close()
    client.close()


def fired(watches: Watches, count: int) -> list[Event]:
    """So many events, however they arrive, and no more."""
    found: list[Event] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < deadline:
        select.select([watches], [], [], 0.1)
        found += watches.events()
    time.sleep(0.02)
    assert len(found + watches.events()) == count, found
    return found


def test_a_watch_fires_once_up_front_and_then_for_what_is_below_it(store: Store, watches: Watches) -> None:
    watches.add("/local/domain/7/name", b"name 7")
    watches.add("@releaseDomain", b"domains")
    assert fired(watches, 2) == [Event(b"/local/domain/7/name", b"name 7"), Event(b"@releaseDomain", b"domains")]
    store.fire(b"/local/domain/7/name")
    store.fire(b"/local/domain/7/name/below")
    store.fire(b"/local/domain/77/name")
    store.fire(b"@releaseDomain")
    assert [path for path, *_ in fired(watches, 3)] == [
        b"/local/domain/7/name",
        b"/local/domain/7/name/below",
        b"@releaseDomain",
    ]
    watches.remove("/local/domain/7/name", b"name 7")
    assert fired(watches, 0) == []
    store.fire(b"/local/domain/7/name")
    assert fired(watches, 0) == []


def test_ten_thousand_watches_are_set_without_waiting(
    store: Store, client: Callable[..., XenstoreClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """xenstored answers none before all have been asked for."""
    watches = client(store.server.path, timeout_s=PATIENCE_S).watches()
    all_asked, answer = threading.Event(), store.server.handler
    monkeypatch.setattr(store.server, "handler", lambda request: (all_asked.wait(PATIENCE_S) and answer(request)) or [])
    for domid in range(10_000):
        watches.add(f"/local/domain/{domid}/name", b"name %d" % domid)
    all_asked.set()
    found: list[Event] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < 10_000:
        assert time.monotonic() < deadline
        select.select([watches], [], [], 1)
        found += watches.events()
        ahead = sum(request.op == 4 for request in store.server.requests) - len(found)
        assert ahead <= 200, "a xenstored with too much to send becomes slow"
    assert [each.token for each in found] == [b"name %d" % domid for domid in range(10_000)]


def test_a_watch_that_is_refused_never_fires(tmp_path: Path, client: Callable[..., XenstoreClient]) -> None:
    store = Store(tmp_path / "socket", refuse=b"/local")
    asking = client(store.server.path)
    watches = asking.watches()
    watches.add("/local/domain/7/name", b"name 7")
    watches.add("@releaseDomain", b"domains")
    assert fired(watches, 1) == [Event(b"@releaseDomain", b"domains")]
    asking.close()
    store.server.stop()


def test_what_is_asked_is_answered_among_the_events(store: Store, watches: Watches) -> None:
    watches.ask("/local/domain/7/name", b"name 7")
    watches.ask("/local/domain/8/name", b"name 8")
    told = {each.token: each for each in fired(watches, 2)}
    assert all(each.answered for each in told.values())
    assert told[b"name 7"].path == b"/local/domain/7/name"
    assert told[b"name 8"].value is None


def test_events_in_crumbs(store: Store, watches: Watches) -> None:
    watches.add("@releaseDomain", b"domains")
    fired(watches, 1)
    data = event(b"@releaseDomain", b"domains") * 2
    for byte in data:
        store.server.clients[-1].sendall(bytes([byte]))
    assert len(fired(watches, 2)) == 2


def test_a_connection_that_is_gone_says_so(store: Store, watches: Watches) -> None:
    watches.add("@releaseDomain", b"domains")
    fired(watches, 1)
    store.hang_up()
    assert lost(watches).errno in (errno.EPIPE, errno.ECONNRESET)


LIES = {
    "a reply to nothing": pack(Message(Op.WATCH, 99, 0, b"OK\0")),
    "an event for nobody": event(b"@releaseDomain", b"somebody else's"),
    "an event of one string": pack(Message(Op.WATCH_EVENT, 0, 0, b"@releaseDomain\0")),
    "an event that does not end": pack(Message(Op.WATCH_EVENT, 0, 0, b"@releaseDomain\0domains")),
    "an event of three strings": pack(Message(Op.WATCH_EVENT, 0, 0, b"@releaseDomain\0domains\0more\0")),
    "a length that nothing has": b"\xff" * 16,
}


@pytest.mark.parametrize("lie", LIES.values(), ids=list(LIES))
def test_a_lie_costs_the_connection_and_not_the_news(
    tmp_path: Path, client: Callable[..., XenstoreClient], lie: bytes
) -> None:
    store = Store(tmp_path / "socket", {b"/a": b"value"})
    asking = client(store.server.path)
    watches = asking.watches()
    watches.add("@releaseDomain", b"domains")
    fired(watches, 1)
    store.server.clients[-1].sendall(lie)
    assert lost(watches).errno == errno.EIO
    watches.close()
    assert asking.read("/a") == b"value", "who asks next is none the worse for it"
    again = asking.watches()
    again.add("@releaseDomain", b"domains")
    assert fired(again, 1) == [Event(b"@releaseDomain", b"domains")]
    asking.close()
    store.server.stop()


@pytest.mark.parametrize("answer", [b"", b"OK", b"NO\0", b"OK\0OK\0"])
def test_an_odd_answer_to_a_watch(tmp_path: Path, client: Callable[..., XenstoreClient], answer: bytes) -> None:
    server = Xenstored(tmp_path / "socket", lambda r: [reply(r, answer if r.op == Op.WATCH else b"")])
    asking = client(server.path)
    watches = asking.watches()
    watches.add("@releaseDomain", b"domains")
    assert lost(watches).errno == errno.EIO
    asking.close()
    server.stop()


def test_a_xenstored_that_says_nothing_is_found_out_before_a_watch_is_set(
    tmp_path: Path, client: Callable[..., XenstoreClient]
) -> None:
    server = Xenstored(tmp_path / "socket", lambda request: [])
    asking = client(server.path, timeout_s=0.2)
    watches = asking.watches()
    watches.add("@releaseDomain", b"domains")
    assert watches.events() == [], "nobody waits for it"
    assert lost(watches).errno == errno.ETIMEDOUT
    assert [request.op for request in server.requests] == [Op.READ]
    asking.close()
    server.stop()


def test_watches_that_are_made_anew_are_set_on_a_connection_of_their_own(store: Store, watches: Watches) -> None:
    """On the old one xenstored would say EEXIST, and no event would come up front."""
    client = XenstoreClient([store.server.path])
    first = client.watches()
    first.add("@releaseDomain", b"domains")
    fired(first, 1)
    before = store.server.connections
    first.close()
    second = client.watches()
    second.add("@releaseDomain", b"domains")
    fired(second, 1)
    assert store.server.connections == before + 1
    client.close()


def test_a_socket_is_preferred_to_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a socket tells when the xenstored at its other end has gone. What the environment names is first."""
    monkeypatch.setenv("XENSTORED_PATH", "/dev/somewhere")
    named, *usual = transport.candidates()
    assert named == "/dev/somewhere"
    assert ["socket" in path for path in usual] == sorted(["socket" in path for path in usual], reverse=True)


# the fake, and what the simulator tells it


def test_the_fake_fires_as_xenstored_does() -> None:
    fake = FakeXenstore({})
    watches = fake.watches()
    watches.add("/local/domain/7", b"a")
    watches.add("@releaseDomain", b"b")
    watches.add("@releaseDomain", b"b")  # xenstored says EEXIST
    assert watches.events() == [Event(b"/local/domain/7", b"a"), Event(b"@releaseDomain", b"b")]
    assert not select.select([watches], [], [], 0)[0]
    for path in ("/local/domain/7/name", "/local/domain/70", "/local/domain/7", "/local", "@releaseDomain"):
        fake.fire(path)
    assert select.select([watches], [], [], 0)[0]
    assert [path for path, *_ in watches.events()] == [b"/local/domain/7/name", b"/local/domain/7", b"@releaseDomain"]
    watches.remove("@releaseDomain", b"b")
    fake.fire("@releaseDomain")
    assert watches.events() == []
    fake.hang_up()
    assert select.select([watches], [], [], 0)[0]
    with pytest.raises(XenfsError):
        watches.events()
    watches.close()
    fake.fire("/local/domain/7")


def paths(watches: Watches) -> list[str]:
    return [os.fsdecode(path) for path, *_ in watches.events()]


def test_what_xenstored_says_of_a_simulated_domains_life(host: Host) -> None:
    assert host.xen.store is not None
    watches, world = host.xen.store.watches(), host.world
    assert watches is not None
    for path in ("@introduceDomain", "@releaseDomain", "/local/domain/40/name"):
        watches.add(path, b"")
    watches.events()
    world.create(40, name="new")
    assert paths(watches) == ["/local/domain/40/name", "@introduceDomain"]
    world.rename(40, "other")
    assert paths(watches) == ["/local/domain/40/name"]
    world.pause(40)
    world.unpause(40)
    assert paths(watches) == []
    world.shutdown(40, 3)
    assert paths(watches) == ["@releaseDomain"]
    world.resume(40)
    world.shutdown(40, 0)
    assert paths(watches) == [], "xenstored was not told that it was resumed"
    world.resume(40)
    host.xen.store.resume(40)
    host.xen.store.resume(4000)
    assert paths(watches) == []
    world.shutdown(40, 0)
    assert paths(watches) == ["@releaseDomain"], "now it was"
    world.destroy(40)
    assert paths(watches) == ["@releaseDomain"]
    host.advance(3)
    assert world.domain(40) is None
    assert paths(watches) == [], "it had been forgotten before it was gone"
    world.build(41, bytes(16), "pv")
    world.shutdown(41, 0)
    world.vanish(41)
    assert paths(watches) == [], "xenstored never heard of it"
    world.create(42)
    world.vanish(42)
    assert paths(watches) == ["@introduceDomain", "@releaseDomain"]
    watches.close()
