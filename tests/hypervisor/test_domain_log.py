"""What becomes of domains: each thing once, in an order that makes sense, however seldom somebody looks."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import Between, Host

from xenfs.abi.numbers import DomInf, Hypercall, Sysctl
from xenfs.calls import domains
from xenfs.calls.happenings import catch_up
from xenfs.hypervisor.domain_log import Census, Change, DomainLog, Happening
from xenfs.hypervisor.lives import Domain
from xenfs.simulator import Simulator

RUNS, SHUT, DIES = 0, int(DomInf.shutdown), int(DomInf.shutdown | DomInf.dying)
KILLED = int(DomInf.dying)
ORDER = ("created", "shutdown", "dying", "gone")


class Info(NamedTuple):
    flags: int
    handle: bytes


def one(flags: int, domid: int = 7, life: int = 1) -> tuple[Domain, Info]:
    return Domain(domid, life), Info(flags, life.to_bytes(16, "big"))


def told(*listings: Iterable[tuple[Domain, Info]]) -> list[str]:
    """What is said of one domain after another in domid 7, as letters."""
    census = Census()
    census.update([])
    return [each.kind for listing in listings for each in census.update(list(listing))]


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ([RUNS, SHUT, DIES, None], "created shutdown dying gone"),
        ([RUNS, KILLED, None], "created dying gone"),
        ([RUNS, None], "created dying gone"),
        ([SHUT], "created shutdown"),
        ([DIES, None], "created shutdown dying gone"),
        ([RUNS, SHUT, RUNS, SHUT], "created shutdown shutdown"),  # resumed in between
        ([RUNS, RUNS, SHUT, SHUT, DIES, DIES, None, None], "created shutdown dying gone"),
        ([None, None], ""),
    ],
)
def test_a_life(seen: list[int | None], said: str) -> None:
    assert told(*([one(flags)] if flags is not None else [] for flags in seen)) == said.split()


def test_who_was_resumed_and_ends_again_before_anybody_looks() -> None:
    census = Census()
    census.update([one(RUNS), one(SHUT, 8, 2)])
    assert [each.kind for each in census.update([one(SHUT), one(SHUT, 8, 2)])] == ["shutdown"]
    for domain in (
        Domain(7, 1),
        Domain(8, 3),
        Domain(9, 4),
    ):  # the second is another life's, and nobody has seen the third
        census.resumed(domain)
    assert [(each.kind, each.domid) for each in census.update([one(SHUT), one(SHUT, 8, 2)])] == [("shutdown", 7)]


def test_another_life_under_the_same_id() -> None:
    census = Census()
    census.update([one(RUNS, 7, 1)])
    assert census.update([one(SHUT, 7, 2)]) == [
        Change("dying", 7, (1).to_bytes(16, "big")),
        Change("gone", 7, (1).to_bytes(16, "big")),
        Change("created", 7, (2).to_bytes(16, "big")),
        Change("shutdown", 7, (2).to_bytes(16, "big"), reason=0),
    ]


lives = st.lists(
    st.tuples(st.integers(1, 4), st.lists(st.sampled_from([RUNS, SHUT, KILLED, DIES]), max_size=4)), max_size=30
)


@given(lives)
def test_every_life_is_told_of_once_and_in_order(planned: list[tuple[int, list[int]]]) -> None:
    """Lives follow each other under four ids; of each, some states are seen, of some of them none."""
    census, told_of = Census(), {}
    census.update([])
    for life, (domid, states) in enumerate(planned, 1):
        for flags in states:
            others = [one(RUNS, 9, 10**6)]
            for kind, at, uuid, *_ in census.update([one(flags, domid, life), *others]):
                told_of.setdefault((at, int.from_bytes(uuid, "big")), []).append(kind)
    for kind, at, uuid, *_ in census.update([]):
        told_of.setdefault((at, int.from_bytes(uuid, "big")), []).append(kind)
    told_of.pop((9, 10**6), None)
    seen = {(domid, life): states for life, (domid, states) in enumerate(planned, 1) if states}
    assert told_of.keys() == seen.keys()
    for key, said in told_of.items():
        kinds = [kind for number, kind in enumerate(said) if kind != "shutdown" or "shutdown" not in said[:number]]
        assert (kinds[0], kinds[-2:]) == ("created", ["dying", "gone"])
        assert kinds.count("created") == kinds.count("dying") == kinds.count("gone") == 1
        alive = list(itertools.takewhile(lambda flags: not flags & KILLED, seen[key]))
        assert ("shutdown" in kinds) == (SHUT in alive or seen[key][len(alive) :][:1] == [DIES])
        assert [ORDER.index(kind) for kind in kinds] == sorted(ORDER.index(kind) for kind in kinds)


def test_a_name_is_told_of_once_and_again_when_it_is_another() -> None:
    census = Census()
    census.update([one(RUNS, 1)])  # there before: its first name is no news, whenever it becomes known
    both = [one(RUNS, 1), one(RUNS, 7, 2)]
    assert [(each.kind, each.name) for each in census.update(both, {1: b"old", 7: b""})] == [("created", b"")]
    named = census.update(both, {1: b"old", 7: b"new one"})
    assert [(each.kind, each.name) for each in named] == [("named", b"new one")]
    assert census.update(both, {1: b"old", 7: b"new one"}) == []
    named = census.update(both, {1: b"older"})
    assert [(each.kind, each.domid, each.name) for each in named] == [("named", 1, b"older")]
    crash = 3 << 16 | SHUT
    told = census.update([one(RUNS, 1), one(crash, 7, 2)], {7: b""})
    told += census.update([one(RUNS, 1)])
    assert [(each.kind, each.reason, each.name) for each in told] == [
        (kind, 3, b"new one") for kind in ("shutdown", "dying", "gone")
    ]


def test_shutdowns_are_counted_by_reason() -> None:
    log = DomainLog()
    log.catch_up(lambda: [one(3 << 16 | SHUT, 4, 4)])
    assert log.reasons() == {}, "who is there at first has not just crashed"
    for life, reason in ((5, 3), (6, 3), (7, 1)):
        log.catch_up(lambda life=life, reason=reason: [one(reason << 16 | SHUT, life, life)])
    assert log.reasons() == {3: 2, 1: 1}


def test_the_first_look_finds_out_who_is_there() -> None:
    log = DomainLog()
    assert not log.catch_up(lambda: [one(SHUT)])
    assert log.since(0) == []
    assert log.catch_up(lambda: [])
    assert [happening.kind for happening in log.since(0)] == ["dying", "gone"]


def test_a_reader_who_is_too_late_sees_what_it_missed_by_the_numbers() -> None:
    log = DomainLog(kept=4)
    log.catch_up(list)
    for life in itertools.count(1):
        if log.last >= 10:
            break
        log.catch_up(lambda life=life: [one(RUNS, life % 100, life)])
    numbers = [happening.seq for happening in log.since(0)]
    assert numbers == list(range(log.last - 3, log.last + 1))
    assert [happening.seq for happening in log.since(log.last - 2)] == [log.last - 1, log.last]
    assert log.since(log.last) == []


def test_a_look_a_moment_ago_will_do() -> None:
    log, asked = DomainLog(), []
    log.catch_up(lambda: asked.append(1) or [])
    log.catch_up(lambda: asked.append(2) or [], not_older_s=60)
    assert asked == [1]
    log.catch_up(lambda: asked.append(3) or [])
    assert asked == [1, 3]


def kinds(found: list[Happening], domid: int) -> list[str]:
    return [happening.kind for happening in found if happening.domid == domid]


@pytest.mark.parametrize("xen", ["4.14", "4.17", "4.21", "4.22"])
def test_of_simulated_domains(xen: str) -> None:
    with Host(f"xen={xen}") as host:
        catch_up(host.xen)
        domain = host.world.create(40)
        catch_up(host.xen)
        host.world.shutdown(40, 3)
        catch_up(host.xen)
        host.world.destroy(40)
        catch_up(host.xen)
        host.advance(3)
        catch_up(host.xen)
        found = host.xen.happenings.since(0)
        assert kinds(found, 40) == list(ORDER)
        assert {happening.uuid for happening in found} == {domain.handle}
        host.world.pause(1)
        host.write("domains/1/uuid", "01234567-89ab-cdef-0123-456789abcdef")
        assert not catch_up(host.xen), "a new UUID is not a new life, and a pause nothing to tell of"


@pytest.mark.parametrize("xen", ["4.17", "4.20", "4.22"])
def test_who_ends_while_it_is_being_listed_has_one_life(xen: str) -> None:
    """Xen has put it into the list, and says to whoever asks before the list is handed over that there is none."""
    asks_meanwhile: list[int] = []

    def answer(number: int, args: tuple[int, ...]) -> int | None:
        if number != Hypercall.sysctl or not asks_meanwhile or not lists(host.sim, args):
            return None
        domid = asks_meanwhile.pop()
        result = host.sim.hypercall(number, args)
        host.world.vanish(domid)
        assert domains.life_now(host.xen, domid) is None
        return result

    with Host(f"xen={xen}", wrap=lambda sim: Between(sim, answer)) as host:
        catch_up(host.xen)
        host.world.create(40)
        catch_up(host.xen)
        host.world.destroy(40)
        asks_meanwhile.append(40)
        catch_up(host.xen)
        catch_up(host.xen)
        assert not asks_meanwhile
        assert kinds(host.xen.happenings.since(0), 40) == ["created", "dying", "gone"]


def lists(sim: Simulator, args: tuple[int, ...]) -> bool:
    """Whether this sysctl is getdomaininfolist."""
    return int.from_bytes(sim.machine.at(args[0], 4)[:4], "little") == Sysctl.getdomaininfolist


def test_a_storm_of_a_thousand_short_lives_under_a_few_ids(host: Host) -> None:
    """Looked at from two threads while domains come and go: none is lost, none is told of twice."""
    host.world.linger_ns = 0
    catch_up(host.xen)
    stop, lock, born = threading.Event(), host.sim._lock, {}

    def looking() -> None:
        while not stop.is_set():
            catch_up(host.xen)

    threads = [threading.Thread(target=looking) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1000):
            with lock:
                domain = host.world.create(50 + number % 3, memory_kb=4096)
                born[domain.handle] = domain.domid
            catch_up(host.xen)
            with lock:
                host.world.destroy(domain.domid) if number % 2 else host.world.vanish(domain.domid)
                host.advance(0.001)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    catch_up(host.xen)
    found = host.xen.happenings.since(0)
    assert [happening.seq for happening in found] == list(range(1, len(found) + 1))
    told_of: dict[bytes, list[str]] = {}
    for happening in found:
        assert born[happening.uuid] == happening.domid
        told_of.setdefault(happening.uuid, []).append(happening.kind)
    assert told_of == {uuid: ["created", "dying", "gone"] for uuid in born}
