"""The thread that watches for those who wait: quick where xenstore tells, right where it does not, else asleep."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S, until
from scripted_xenstored import Store, Xenstored, event
from worlds import Host

from xenfs.calls.happenings import catch_up
from xenfs.connect import watcher as module
from xenfs.connect.watcher import CALLS, CONSOLE, DOMAINS, Watcher
from xenfs.xenstore import FakeXenstore, XenstoreClient
from xenfs.xenstore.fake import FakeWatches


class Watched:
    """A host with a watcher, and what it has told."""

    def __init__(self, settings: str = "") -> None:
        self.host = Host(settings)
        self.told: Counter[str] = Counter()
        self.watcher = Watcher(self.host.xen, lambda topic: self.told.update([topic]))

    @property
    def store(self) -> FakeXenstore:
        assert isinstance(self.host.xen.store, FakeXenstore)
        return self.host.xen.store

    @property
    def names(self) -> list[str]:
        return [happening.kind for happening in self.host.xen.happenings.since(0)]

    def looks(self) -> int:
        return self.host.counts["sysctl getdomaininfolist"]

    def settled(self) -> None:
        """Watches are set, and what they fired for at first is over."""
        until(lambda: self.host.xen.names.domains_watched)
        looks = -1
        while looks != self.looks():
            looks = self.looks()
            time.sleep(0.3)


@contextlib.contextmanager
def watched(settings: str = "") -> Iterator[Watched]:
    made = Watched(settings)
    try:
        yield made
    finally:
        made.watcher.stop()
        made.host.xen.close()


def test_nothing_is_asked_and_no_thread_is_there_while_nobody_wants_anything() -> None:
    with watched() as it:
        before = it.host.counts.copy()
        it.host.world.create(40)
        time.sleep(0.1)
        assert not it.host.asked(before)
        assert it.watcher._thread is None


@pytest.mark.logs("no thread is to be had")
def test_where_no_thread_is_to_be_had_the_next_one_who_waits_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    with watched() as it:
        with monkeypatch.context() as bomb:
            bomb.setattr(threading.Thread, "start", none)
            it.watcher.hold(DOMAINS)
        it.watcher.wait(DOMAINS, 1)
        it.settled()


@pytest.mark.parametrize("settings", ["", "xenstore=off"])
def test_who_waits_is_told_of_all_four(settings: str) -> None:
    with watched(settings) as it:
        catch_up(it.host.xen)
        it.watcher.hold(DOMAINS)
        it.watcher.wait(DOMAINS, 1)
        for act, kind in (
            (lambda: it.host.world.create(40), "created"),
            (lambda: it.host.world.shutdown(40, 0), "shutdown"),
            (lambda: it.host.world.destroy(40), "dying"),
            (lambda: it.host.advance(3), "gone"),
        ):
            with it.host.sim._lock:
                act()
            until(lambda kind=kind: it.names[-1:] == [kind], kind)
        assert it.told[DOMAINS] >= 3
        assert it.names[0] == "created"
        assert it.names.count("dying") == it.names.count("gone") == 1


def test_with_watches_a_domain_is_listed_once_for_each_change_and_not_by_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_WATCHED_S", 1000.0)
    with watched("domains=10") as it:  # without the one that is forever dying
        it.watcher.hold(DOMAINS)
        it.watcher.wait(DOMAINS, 1)
        it.settled()
        before = it.looks()
        time.sleep(0.5)
        assert it.looks() == before
        it.host.world.create(40)
        until(lambda: it.names == ["created"])
        assert it.looks() - before <= 2


def test_who_has_it_open_finds_what_happened_though_nobody_waited() -> None:
    with watched() as it:
        catch_up(it.host.xen)
        it.watcher.hold(DOMAINS)
        it.settled()
        it.host.world.create(40)
        until(lambda: it.names == ["created"])
        it.host.world.vanish(40)
        until(lambda: it.names == ["created", "dying", "gone"])
        it.watcher.hold(DOMAINS, -1)
        time.sleep(0.05)
        before = it.looks()
        it.host.world.create(41)
        time.sleep(0.1)
        assert it.looks() == before, "nobody wants to know any more"


def test_what_xenstore_does_not_tell_of_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A domain that no toolstack introduced, and one that shuts down again after something else resumed it."""
    with watched() as it:
        world = it.host.world
        catch_up(it.host.xen)
        it.watcher.wait(DOMAINS, 1)
        it.settled()
        monkeypatch.setattr(module, "_WATCHED_S", 0.1)  # not before: it would never come to rest
        world.build(40, bytes(15) + b"x", "pv")
        until(lambda: it.names == ["created"])
        world.shutdown(2, 0)
        until(lambda: it.names == ["created", "shutdown"])
        world.resume(2)
        time.sleep(0.3)
        world.shutdown(2, 0)
        until(lambda: it.names == ["created", "shutdown", "shutdown"])


def test_console_and_calls() -> None:
    with watched() as it:
        it.watcher.wait(CONSOLE, 1)
        until(lambda: it.told[CONSOLE] == 1)  # whoever waits looks for himself, once
        it.host.world.console.print("hello")
        until(lambda: it.told[CONSOLE] == 2)
        it.watcher.wait(CONSOLE, 0)
        time.sleep(0.05)
        before = it.host.counts.copy()
        time.sleep(0.3)
        assert not it.host.asked(before)
        assert it.told[CALLS] == 0
        it.watcher.wait(CALLS, 1)
        catch_up(it.host.xen)
        assert it.told[CALLS] == 1
        it.watcher.wait(CALLS, 0)
        catch_up(it.host.xen)
        assert it.told[CALLS] == 1


def test_a_xenstored_that_is_restarted() -> None:
    with watched("domains=10") as it:
        catch_up(it.host.xen)
        it.watcher.hold(DOMAINS)
        it.settled()
        it.store.hang_up()
        it.host.world.create(40)
        until(lambda: it.names == ["created"], "found when it is there again")
        it.settled()
        it.host.world.create(41)
        until(lambda: it.names == ["created", "created"])


def test_a_xenstored_that_is_silent_holds_nothing_up(tmp_path: Path) -> None:
    """It takes connections and says nothing: all that the thread of xenstore waits for holds up that thread alone."""
    silent = Xenstored(tmp_path / "socket", lambda request: [])
    with watched() as it:
        it.host.xen.store = store = XenstoreClient([silent.path], timeout_s=PATIENCE_S)
        it.watcher = Watcher(it.host.xen, lambda topic: it.told.update([topic]))
        catch_up(it.host.xen)
        it.watcher.wait(DOMAINS, 1)
        until(lambda: bool(silent.requests), "it is asked whether it lives")
        it.host.world.create(40)
        until(lambda: it.names == ["created"])
        it.watcher.stop()
        store.close()
    silent.stop()


def test_a_xenstored_that_lies_is_asked_anew_and_news_go_on(tmp_path: Path) -> None:
    """A token of nobody's, then an event that is cut short: each costs a connection, and then all is watched again."""
    telling = Store(tmp_path / "socket")
    with watched() as it:
        it.host.xen.store = XenstoreClient([telling.server.path])
        it.watcher = Watcher(it.host.xen, lambda topic: it.told.update([topic]))
        catch_up(it.host.xen)
        it.watcher.hold(DOMAINS)
        until(lambda: it.host.xen.names.domains_watched)
        for count, lie in enumerate((event(b"@releaseDomain", b"name 31999"), event(b"/x", b"domains")[:-1] + b"x"), 2):
            telling.server.clients[-1].sendall(lie)
            until(lambda count=count: telling.server.connections == count)  # type: ignore[misc]
            until(lambda: it.host.xen.names.domains_watched, "watched again")
        looks = it.looks()
        it.host.world.create(40)
        telling.fire(b"@introduceDomain")
        until(lambda: it.names == ["created"])
        assert it.looks() > looks
    telling.server.stop()


@pytest.mark.logs("looking for news failed")
def test_a_bug_is_not_the_end_of_all_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", 0.01)
    with watched() as it:
        catch_up(it.host.xen)
        failed: list[int] = []
        with monkeypatch.context() as patch:
            patch.setattr(FakeWatches, "events", lambda self: failed.append(1) or 1 // 0)
            it.watcher.hold(DOMAINS)
            until(lambda: len(failed) > 1)
        it.settled()
        it.host.world.create(40)
        until(lambda: it.names == ["created"])


def test_names_are_read_once_and_again_when_they_change() -> None:
    with watched() as it:
        reads: list[str] = []
        original = it.store.read
        it.store.read = lambda path: reads.append(str(path)) or original(path)  # type: ignore[method-assign]
        host = it.host
        assert host.value("domains/1/name") == "web-1"
        until(lambda: 1 in host.xen.names._fired)
        assert host.value("domains/1/name") == "web-1"
        reads.clear()
        for _ in range(5):
            assert host.value("domains/1/name") == "web-1"
        assert reads == []
        host.world.rename(1, "other")
        until(lambda: host.value("domains/1/name") == "other")
        assert 1 <= len(reads) <= 3
        host.world.rename(1, None)
        until(lambda: host.value("domains/1/name") == "")


def settled_names(host: Host) -> None:
    host.names("domains/by-name")
    until(lambda: len(host.xen.names._fired) == len(host.world.domains))
    host.names("domains/by-name")
    until(lambda: host.xen.names.domains_watched)


def test_looking_a_name_up_lists_nothing_while_nothing_changes() -> None:
    with watched() as it:
        host = it.host
        settled_names(host)
        host.names("domains/by-name"), host.names("domains/by-uuid")
        uuid = host.value("domains/3/uuid")

        def nothing_is_listed() -> bool:
            """But for the watcher's own look each two seconds, which may fall in between."""
            before = host.counts.copy()
            assert host.has("domains/by-name/database")
            assert host.has(f"domains/by-uuid/{uuid}")
            return host.asked(before)["sysctl getdomaininfolist"] == 0

        until(nothing_is_listed)
        newest = host.world.create(name="database")
        until(lambda: link(host, "by-name/database") == f"../{newest.domid}")  # of equal names the one that came last
        host.world.shutdown(newest.domid, 0)
        until(lambda: link(host, "by-name/database") == "../3")  # or the one that lives
        host.world.rename(newest.domid, "over")
        newest = host.world.create(name="database")
        until(lambda: link(host, "by-name/database") == f"../{newest.domid}")
        host.world.rename(newest.domid, "web-1")
        until(lambda: link(host, "by-name/database") == "../3")
        other = "01234567-89ab-cdef-0123-456789abcdef"
        host.names("domains/by-uuid")
        host.write("domains/3/uuid", other)
        assert not host.has(f"domains/by-uuid/{uuid}")
        assert host.has(f"domains/by-uuid/{other}")
        uuid = other
        host.world.destroy(3)
        host.world.vanish(3)
        assert not host.has("domains/by-name/database"), "even before xenstore tells"
        assert not host.has(f"domains/by-uuid/{uuid}")


def link(host: Host, path: str) -> str:
    place = host.at(f"domains/{path}")
    return str(place.node.target(host.xen, *place.ids))  # type: ignore[attr-defined]


def test_a_second_scrape_asks_xenstore_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are watched, starts are known, and what went through devices is not in xenstore."""
    with watched("domains=12,devices=4") as it:
        host, asked = it.host, list[str]()

        def noting(ask: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *words: asked.append(str(words)) or ask(*words)

        for name in ("read", "read_many", "directory"):
            monkeypatch.setattr(it.store, name, noting(getattr(it.store, name)))
        host.value("metrics/xen.prom")
        assert asked
        settled_names(host)
        asked.clear()
        found = host.value("metrics/xen.prom")
        assert found.count("\nxen_domain_block_reads_total{") >= 15
        assert asked == []
        it.host.world.rename(1, "other")
        until(lambda: 'name="other"' in host.value("metrics/xen.prom"))


def test_names_of_who_is_gone_are_not_watched_any_more() -> None:
    with watched() as it:
        for domid in range(100, 150):
            it.host.world.create(domid, name=f"n{domid}", memory_kb=4096)
        settled_names(it.host)
        for domid in range(100, 150):
            it.host.world.vanish(domid)
        it.host.names("domains/by-name")
        it.host.value("domains/1/name")
        until(lambda: sum(len(each._set) for each in it.store._watching) == len(it.host.world.domains) + 2)
        assert len(it.host.xen.names._fired) == len(it.host.world.domains)


@pytest.mark.parametrize(
    ("name", "shown", "listed"),
    [
        (None, "", None),
        ("web-2", "web-2", "web-2"),
        ("new\nline", "new\\nline", "new%0Aline"),
        ("a/b", "a/b", "a%2Fb"),
        ("x" * 255, "x" * 255, "x" * 255),
        ("x" * 4096, "x" * 4096, None),  # the most that xenstore takes
        (b"\xff\xfe".decode("utf-8", "surrogateescape"), "\\xff\\xfe", "%FF%FE"),
        ("tab\there\x7f", "tab\\there\\x7f", "tab%09here%7F"),
    ],
)
def test_a_name_that_is_odd_disturbs_nobody_else(name: str | None, shown: str, listed: str | None) -> None:
    with watched() as it:
        host = it.host
        settled_names(host)
        others = set(host.names("domains/by-name")) - {"database"}
        host.world.rename(3, name)
        place = host.at("domains/3/name")
        until(lambda: place.node.produce(host.xen, place.ids) == (f"{shown}\n" if shown else "").encode(  # type: ignore[attr-defined]
            "utf-8", "surrogateescape"))  # fmt: skip
        assert set(host.names("domains/by-name")) == others | ({listed} if listed else set())
        for other in others:
            assert host.has(f"domains/by-name/{other}")
        assert host.value("domains/2/name") == "web-2"
        assert link(host, "by-name/web-2") == ("../3" if name == "web-2" else "../2")  # the one that came last


def test_without_watches_a_name_is_read_each_time() -> None:
    with Host() as host:
        assert host.value("domains/1/name") == "web-1"
        host.world.domains[1].name = "other"
        assert host.value("domains/1/name") == "other"
        assert host.has("domains/by-name/other")
