"""Answers of a moment ago: how long they are kept, and what makes xenfs forget them."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from worlds import Host

from xenfs.calls import domains, neighbours
from xenfs.errors import Stale, XenfsError
from xenfs.hypervisor.recent import KEPT_S, Listings, RecentAnswers


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def host(clock: Clock) -> Iterator[Host]:
    with Host("domains=12") as made:
        made.xen.recent = RecentAnswers(clock)
        yield made


def test_an_answer_is_kept_for_a_moment(clock: Clock) -> None:
    recent, asked = RecentAnswers(clock), 0

    def ask() -> int:
        nonlocal asked
        asked += 1
        return asked

    assert [recent.answer("q", ask) for _ in range(3)] == [1, 1, 1]
    clock.now += KEPT_S / 2 - 0.01
    assert recent.answer("q", ask) == 1
    clock.now += KEPT_S + 0.01
    assert recent.answer("q", ask) == 2
    for _ in range(20):  # asking again and again does not make it last
        clock.now += KEPT_S / 8
        recent.answer("q", ask)
    assert asked >= 4


def test_what_is_asked_while_something_is_done_is_not_kept(clock: Clock) -> None:
    recent = RecentAnswers(clock)

    def ask() -> str:
        recent.forget()
        return "from before"

    assert recent.answer("q", ask) == "from before"
    assert recent.get("q") is None


def test_how_far_it_reaches(clock: Clock) -> None:
    recent = RecentAnswers(clock)
    assert [recent.read_ahead(7) for _ in range(3)] == [1, 1, 1], "one thing, again and again"
    assert [recent.read_ahead(at) for at in (8, 10, 14, 22, 38, 70, 102)] == [2, 4, 8, 16, 32, 32, 32]
    assert recent.read_ahead(9000) == 32, "far away, and no step of a walk"
    assert [recent.read_ahead(at) for at in (50, 40, 30, 20, 10, 5)] == [16, 8, 4, 2, 1, 1]
    recent.furthest = 1
    assert [recent.read_ahead(at) for at in (6, 7, 8)] == [1, 1, 1]


def calls(host: Host) -> int:
    return host.xen.calls.total


def test_a_domain_is_looked_at_once_in_a_moment(host: Host, clock: Clock) -> None:
    domain = neighbours.life_recent(host.xen, 3)
    assert domain is not None
    before = calls(host)
    assert neighbours.life_recent(host.xen, 3) == domain
    assert neighbours.info_recent(host.xen, domain).domain == 3
    neighbours.require_recent(host.xen, domain)
    assert calls(host) == before
    clock.now += 2 * KEPT_S
    neighbours.require_recent(host.xen, domain)
    assert calls(host) == before + 1


def test_one_that_is_new_is_found_at_once_and_one_that_ended_soon(host: Host, clock: Clock) -> None:
    assert neighbours.life_recent(host.xen, 30) is None
    domain = neighbours.life_recent(host.xen, 3)
    assert domain is not None
    host.world.vanish(3)
    host.world.create(30)
    assert neighbours.life_recent(host.xen, 30) is not None, "that there was none is not kept"
    clock.now += 2 * KEPT_S
    with pytest.raises(Stale):
        neighbours.require_recent(host.xen, domain)
    assert neighbours.life_recent(host.xen, 3) is None


def test_whoever_looked_closer_is_believed(host: Host) -> None:
    """That a life is over, a read has seen: the name is not found by what was seen before."""
    domain = neighbours.life_recent(host.xen, 3)
    assert domain is not None
    host.world.vanish(3)
    assert neighbours.life_recent(host.xen, 3) == domain
    with pytest.raises(Stale):
        domains.info(host.xen, domain)
    assert neighbours.life_recent(host.xen, 3) is None


def test_what_is_done_is_seen_at_once(host: Host) -> None:
    """A domain in another pool has what that one's scheduler has, also where its names were asked for just before."""
    root = host.root

    def has(path: str) -> bool:
        node, ids = root, ()
        for name in path.split("/"):
            found = node.child(host.xen, ids, name)  # type: ignore[attr-defined]
            if found is None:
                return False
            node, ids = found
        return True

    host.write("host/cpus/7/online", "1")
    assert has("domains/3/sched/weight")
    assert has("domains/3/kill")
    place = host.at("domains/3/kill")
    assert has("domains/3")
    place.node.apply(host.xen, place.ids, b"1")  # type: ignore[attr-defined]
    host.advance(60)
    assert not has("domains/3/kill")


def test_a_question_about_many_is_asked_once(host: Host) -> None:
    asked: list[list[int]] = []

    @neighbours.together
    def double(xen: object, infos: list[domains.DomainInfo]) -> list[int]:
        asked.append([info.domain for info in infos])
        return [2 * info.domain for info in infos]

    living = [domain for domain, _ in domains.living(host.xen)]
    assert [double(host.xen, domain) for domain in living] == [2 * domain.domid for domain in living]
    assert sorted(domid for each in asked for domid in each) == [domain.domid for domain in living]
    assert len(asked) <= 5


def test_who_waits_for_a_listing_of_somebody_else_says_so() -> None:
    """He may hold something meanwhile that who lists needs: he gives it up, which nobody does who need not wait."""
    listings, said, listing = Listings(RecentAnswers()), list[str](), threading.Event()

    @contextmanager
    def waiting() -> Iterator[None]:
        said.append("waits")
        go_on.set()
        yield
        said.append("goes on")

    def slow() -> str:
        listing.set()
        assert go_on.wait(60)
        return "all"

    listings.waiting, go_on = waiting, threading.Event()
    first = threading.Thread(target=listings.recent, args=("names", slow))
    first.start()
    assert listing.wait(60)
    assert listings.recent("names", lambda: "others") == "all"
    first.join()
    assert said == ["waits", "goes on"]
    assert listings.recent("names", lambda: "others") == "all"
    assert len(said) == 2


def test_who_waits_for_a_listing_that_does_not_end_is_told_so() -> None:
    """After a while, and who comes then at once: he has no listing of his own, which would hang as well."""
    listings, go_on, began = Listings(RecentAnswers(), wait_s=0.2), threading.Event(), threading.Event()
    others = list[str]()

    def hangs() -> str:
        began.set()
        assert go_on.wait(60)
        return "all"

    first = threading.Thread(target=listings.recent, args=("names", hangs))
    first.start()
    assert began.wait(60)
    for _ in range(3):
        with pytest.raises(XenfsError) as told:
            listings.recent("names", lambda: others.append("names"))
        assert told.value.errno == errno.EAGAIN
    assert not others
    assert listings.recent("uuids", lambda: "others") == "others"
    go_on.set()
    first.join()
    assert listings.recent("names", lambda: "anew") in {"all", "anew"}


def test_nobody_waits_for_a_listing_that_has_taken_too_long(clock: Clock) -> None:
    listings, go_on, began = Listings(RecentAnswers(), clock, wait_s=20), threading.Event(), threading.Event()
    assert listings.recent("names", lambda: "of long ago") == "of long ago"
    clock.now += 100
    waits = list[float]()

    @contextmanager
    def waiting() -> Iterator[None]:
        waits.append(clock.now)
        go_on.set()
        yield

    def hangs() -> str:
        began.set()
        assert go_on.wait(60)
        return "late"

    listings.waiting = waiting
    first = threading.Thread(target=listings.recent, args=("names", hangs))
    first.start()
    assert began.wait(60)
    clock.now += 20
    with pytest.raises(XenfsError):
        listings.recent("names", lambda: "another")
    assert not waits
    clock.now -= 0.1
    assert listings.recent("names", lambda: "another") == "another"
    assert waits == [219.9]
    first.join()


def test_who_has_just_begun_is_waited_for(clock: Clock) -> None:
    """However long ago the last one was: between two instructions he has the lock, and has not said since when."""
    listings = Listings(RecentAnswers(), clock, wait_s=20)
    assert listings.recent("names", lambda: "of long ago") == "of long ago"
    clock.now += 100
    lock = listings._making["names"].lock
    lock.acquire()

    @contextmanager
    def waiting() -> Iterator[None]:
        lock.release()
        yield

    listings.waiting = waiting
    assert listings.recent("names", lambda: "another") == "another"


def test_who_waited_takes_what_was_begun_meanwhile(clock: Clock) -> None:
    """Each of many who wait for one that takes long would make one after the other otherwise."""
    listings, waits, made = Listings(RecentAnswers(), clock), threading.Semaphore(0), list[float]()

    @contextmanager
    def waiting() -> Iterator[None]:
        waits.release()
        yield

    def slow() -> float:
        if not made:
            assert all(waits.acquire(timeout=60) for _ in range(5))
        made.append(clock.now)
        clock.now += 10
        return made[-1]

    listings.waiting = waiting
    threads = [threading.Thread(target=listings.recent, args=("names", slow)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [100]
    assert listings.recent("names", slow) == 110


def test_what_is_forgotten_while_another_thread_turns_does_not_come_back() -> None:
    """Between two instructions: the thread that turns has what was kept in its hands, and puts it aside as older."""
    now, threads = 0.0, list[threading.Thread]()

    class Raced(RecentAnswers):
        """Something is done in another thread as the older answers are set."""

        def __setattr__(self, name: str, value: object) -> None:
            if name == "_older" and now and not threads:
                threads.append(threading.Thread(target=self.forget))
                threads[0].start()
                threads[0].join(0.2)
            super().__setattr__(name, value)

    recent = Raced(lambda: now)
    recent.keeping()("who", "Ann")
    now = KEPT_S / 2
    recent.get("who")
    threads[0].join()
    assert recent.forgotten == 1
    assert recent.get("who") is None
