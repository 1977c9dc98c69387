"""One life of a domain: what was opened in it never reads or writes the next domain with the same id."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from itertools import count
from time import perf_counter_ns
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from worlds import Between, Host, Place

from xenfs.abi.numbers import Domctl, DomInf, Hypercall
from xenfs.calls import domains
from xenfs.errors import XenfsError
from xenfs.hypervisor.lives import Domain, Lives, Sight
from xenfs.nodes.tables.base import File
from xenfs.simulator import Simulator
from xenfs.simulator.world.domains import Domain as Truth

DOMIDS = st.integers(1, 4)
KINDS = st.sampled_from(["pv", "pvh", "hvm"])
READ = (
    "uuid",
    "state",
    "type",
    "cpu_time_ns",
    "memory/current_kb",
    "info",
    "vcpu_stat",
    "freeze",
    "sched/weight",
    "vcpus/0/cpu_time_ns",
    "vcpus/0/affinity_hard",
    "name",
)
WRITTEN = {
    "freeze": b"1",
    "memory/max": b"4096",
    "sched/weight": b"999",
    "sched/cap": b"7",
    "vcpus/0/affinity_hard": b"1",
    "vcpus/0/affinity_soft": b"2",
    "kill": b"1",
}
GONE = {errno.ESTALE, errno.ENOENT}


def state(domain: Truth) -> tuple[Any, ...]:
    """All that a write could change."""
    return (
        domain.pause_count,
        domain.max_pages,
        domain.weight,
        domain.cap,
        domain.dying,
        domain.shutdown_code,
        [(vcpu.hard, vcpu.soft) for vcpu in domain.existing()],
    )


class LivesMachine(RuleBasedStateMachine):
    """Domains come and go under four ids; files that were found in one life are tried again in all that follow."""

    release, same_uuids = "4.17", False
    opened = Bundle("opened")

    @initialize()
    def begin(self) -> None:
        self.host = Host(f"xen={self.release},domains=1")
        self.made = 0

    def teardown(self) -> None:
        if hasattr(self, "host"):
            self.host.__exit__(None, None, None)

    @rule(domid=DOMIDS, kind=KINDS, load=st.integers(0, 1000))
    def create(self, domid: int, kind: str, load: int) -> None:
        if domid in self.host.world.domains:
            return
        self.made += 1
        uuid = UUID(int=1 if self.same_uuids else self.made)
        self.host.world.create(domid, uuid=uuid, type=kind, load=load, memory_kb=4096, name=f"made-{self.made}")

    @rule(domid=DOMIDS)
    def destroy(self, domid: int) -> None:
        if domid in self.host.world.domains:
            self.host.world.destroy(domid)

    @rule(domid=DOMIDS)
    def vanish(self, domid: int) -> None:
        self.host.world.vanish(domid)

    @rule(domid=DOMIDS, reason=st.integers(0, 4))
    def shutdown(self, domid: int, reason: int) -> None:
        if domid in self.host.world.domains:
            self.host.world.shutdown(domid, reason)

    @rule(seconds=st.sampled_from([0.001, 0.3, 3.0]))
    def advance(self, seconds: float) -> None:
        self.host.advance(seconds)

    @rule()
    def look_at_all(self) -> None:
        assert sorted(map(int, filter(str.isdigit, self.host.names("domains")))) == sorted(self.alive())

    @rule(domid=DOMIDS)
    def look_at_one(self, domid: int) -> None:
        assert self.host.has(f"domains/{domid}") == (self.host.world.domain(domid) is not None)

    @rule(target=opened, domid=DOMIDS, path=st.sampled_from([*READ, *WRITTEN]))
    def open(self, domid: int, path: str) -> tuple[Place, Truth] | None:
        truth = self.host.world.domain(domid)
        if truth is None:
            return None
        return self.host.at(f"domains/{domid}/{path}"), truth

    @rule(file=opened)
    def read(self, file: tuple[Place, Truth] | None) -> None:
        if file is None or not isinstance(file[0].node, File) or file[0].node.read is None:
            return
        place, truth = file
        if truth.gone or self.host.world.domain(truth.domid) is not truth:
            with pytest.raises(XenfsError) as caught:
                place.node.produce(self.host.xen, place.ids)  # type: ignore[attr-defined]
            assert caught.value.errno in GONE, place.path
            return
        text = place.node.produce(self.host.xen, place.ids).decode().strip()  # type: ignore[attr-defined]
        if place.path.endswith("/uuid"):
            assert UUID(text).bytes == truth.handle
        if place.path.endswith("/name"):
            assert text == truth.name

    @rule(file=opened)
    def write(self, file: tuple[Place, Truth] | None) -> None:
        if file is None:
            return
        place, truth = file
        data = WRITTEN.get(place.path.split("/", 2)[2])
        if data is None:
            return
        now = self.host.world.domain(truth.domid)
        if now is truth:
            try:
                self.host.put(place, data)
            except XenfsError as problem:
                assert problem.errno not in GONE, place.path  # noqa: PT017
            return
        before = None if now is None else state(now)
        with pytest.raises(XenfsError) as caught:
            self.host.put(place, data)
        assert caught.value.errno in GONE, place.path
        assert before is None or state(now) == before, place.path  # type: ignore[arg-type]

    @rule(file=consumes(opened))
    def close(self, file: object) -> None:
        pass

    def alive(self) -> list[int]:
        return [domain.domid for domain in self.host.world.domains_from(0)]

    @invariant()
    def stat_has_a_line_for_each(self) -> None:
        if hasattr(self, "host"):
            assert [int(line.split()[0]) for line in self.host.value("domains/stat").splitlines()] == self.alive()


class StableMachine(LivesMachine):
    """From Xen 4.21 on lives are told apart even where the new domain has the old one's UUID."""

    release, same_uuids = "4.22", True


QUICK = settings(max_examples=25, stateful_step_count=30, suppress_health_check=list(HealthCheck), deadline=None)
TestByUuid = LivesMachine.TestCase
TestByUuid.settings = QUICK
TestByUniqueId = StableMachine.TestCase
TestByUniqueId.settings = QUICK


def sight(uuid: int = 1, flags: int = 0, cpu_time: int = 100, frame: int = 7, unique_id: int = 0) -> Sight:
    return Sight(uuid.to_bytes(16, "big"), flags, cpu_time, frame, unique_id)


NOW = 10**18  # as asked long after everything that was seen before
EARLIER = 0  # as asked before anything was seen


def test_the_same_sight_is_the_same_life() -> None:
    lives = Lives()
    first = lives.observe(5, sight(), NOW)
    assert lives.observe(5, sight(cpu_time=200, flags=DomInf.paused | DomInf.shutdown), NOW) == first
    assert not lives.ended(first)


@pytest.mark.parametrize(
    "other",
    [
        sight(uuid=2),
        sight(flags=DomInf.hvm_guest),
        sight(frame=8),
        sight(unique_id=9, uuid=2),
    ],
)
def test_what_never_changes_tells_lives_apart(other: Sight) -> None:
    lives = Lives()
    first = lives.observe(5, sight(), NOW)
    assert lives.observe(5, other, NOW) != first
    assert lives.ended(first)


def test_the_dying_do_not_recover() -> None:
    lives = Lives()
    first = lives.observe(5, sight(flags=DomInf.dying), NOW)
    assert lives.observe(5, sight(), NOW) != first


def test_clocks_that_differ_are_no_new_life() -> None:
    """Seen on a real 4.17: two readings that followed each other, the second of them 11 ms behind the first."""
    lives = Lives()
    first = lives.observe(5, sight(cpu_time=112_408_174_620), NOW)
    assert lives.observe(5, sight(cpu_time=112_396_822_549), NOW) == first


def test_cpu_time_that_began_again_is_a_new_life() -> None:
    lives = Lives()
    first = lives.observe(5, sight(cpu_time=2_000_000_000), NOW)
    assert lives.observe(5, sight(cpu_time=1_000_000), NOW) != first


def test_unique_id_rules_over_everything() -> None:
    lives = Lives()
    first = lives.observe(5, sight(unique_id=1), NOW)
    assert lives.observe(5, sight(uuid=2, cpu_time=0, unique_id=1), NOW) == first
    assert lives.observe(5, sight(unique_id=2), NOW) != first


def test_unique_id_is_kept_through_a_listing() -> None:
    lives = Lives()
    first = lives.observe(5, sight(unique_id=1), NOW)
    assert lives.observe(5, sight(), NOW) == first
    assert lives.observe(5, sight(unique_id=2), NOW) != first


def test_hvm_guests_move_their_shared_page() -> None:
    lives = Lives()
    first = lives.observe(5, sight(flags=DomInf.hvm_guest, frame=1), NOW)
    assert lives.observe(5, sight(flags=DomInf.hvm_guest, frame=2), NOW) == first


def test_overlapping_sights_out_of_order_end_no_life() -> None:
    lives = Lives()
    first = lives.observe(5, sight(cpu_time=200, flags=DomInf.dying), NOW)
    assert lives.observe(5, sight(cpu_time=100), EARLIER) == first
    assert lives.observe(5, sight(cpu_time=200, flags=DomInf.dying), NOW) == first


def test_a_listing_from_before_ends_no_life_that_began_since() -> None:
    """A listing in another thread was asked for before the domain was there, and comes back after it was seen."""
    lives = Lives()
    old = lives.observe(4, sight(), NOW)
    first = lives.observe(5, sight(), NOW)
    lives.keep_only([4], EARLIER)
    assert not lives.ended(first)
    lives.gone(5, EARLIER)
    assert not lives.ended(first)
    lives.keep_only([5], NOW)
    assert lives.ended(old)
    lives.gone(5, NOW)
    assert lives.ended(first)


@pytest.mark.parametrize("then", ["nobody", "another"])
def test_a_listing_from_before_begins_no_life_anew_that_ended_since(then: str) -> None:
    """Seen on a real 4.20: Xen had put a dying domain into a list, and said to another thread that there was none."""
    lives = Lives()
    first = lives.observe(5, sight(), NOW)
    asked = perf_counter_ns()
    if then == "nobody":
        lives.gone(5, NOW)
        second = None
    else:
        second = lives.observe(5, sight(uuid=2), NOW)
    assert lives.ended(first)
    changes = lives.changes
    assert lives.observe(5, sight(flags=DomInf.dying), asked) is None, "Xen is to be asked once more"
    assert lives.changes == changes
    if second is not None:
        assert not lives.ended(second)
        assert lives.observe(5, sight(uuid=2), NOW) == second
    assert lives.observe(5, sight(uuid=3), asked) is None, "nor somebody who was there before both"
    assert lives.changes == changes
    assert lives.observe(5, sight(), NOW) not in (None, first, second)


def test_who_is_over_is_remembered_for_as_long_as_an_answer_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [NOW]
    monkeypatch.setattr("xenfs.hypervisor.lives.perf_counter_ns", lambda: now[0])
    lives = Lives()
    for domid in range(1000):
        lives.observe(domid, sight(), now[0])
    now[0] += 1
    lives.keep_only([], now[0])
    assert len(lives._over) == 1000
    now[0] += 3601 * 10**9
    for domid in range(1000, 2000):
        lives.observe(domid, sight(), now[0])
        now[0] += 1
        lives.gone(domid, now[0])
    assert not any(domid < 1000 for domid in lives._over)


def test_gone_and_back_is_another_life() -> None:
    lives = Lives()
    first = lives.observe(5, sight(), NOW)
    lives.gone(5, NOW)
    assert lives.ended(first)
    assert lives.observe(5, sight(), NOW) != first
    second = lives.observe(6, sight(), NOW)
    lives.keep_only([5], NOW)
    assert lives.ended(second)


OTHER = (2).to_bytes(16, "big")


def test_a_new_uuid_given_by_xenfs_is_no_new_life() -> None:
    lives = Lives()
    first = lives.observe(5, sight(), perf_counter_ns())
    asked = perf_counter_ns()
    with lives.renaming(5, OTHER):
        assert lives.observe(5, sight(), perf_counter_ns()) == first, "Xen has not done it yet"
        assert lives.observe(5, sight(uuid=2), perf_counter_ns()) == first, "or it has"
        assert lives.observe(5, sight(uuid=2), perf_counter_ns()) == first
    assert lives.observe(5, sight(), asked) is None, "as it was called before"
    assert lives.observe(5, sight(uuid=2), perf_counter_ns()) == first
    assert lives.observe(5, sight(uuid=3), NOW) != first


def test_a_uuid_that_xenfs_could_not_give_is_anothers() -> None:
    lives = Lives()
    first = lives.observe(5, sight(), perf_counter_ns())
    with pytest.raises(ZeroDivisionError), lives.renaming(5, OTHER):
        raise ZeroDivisionError
    assert lives.observe(5, sight(), perf_counter_ns()) == first
    assert lives.observe(5, sight(uuid=2), perf_counter_ns()) != first


def test_who_was_never_seen_begins_with_the_uuid_that_xenfs_has_given() -> None:
    lives = Lives()
    asked = perf_counter_ns()
    with lives.renaming(5, OTHER):
        pass
    assert lives.observe(5, sight(), asked) is None
    first = lives.observe(5, sight(uuid=2), perf_counter_ns())
    assert first is not None
    assert first.life == 1


def test_of_two_overlapping_sights_the_one_asked_for_later_is_kept() -> None:
    lives = Lives()
    first = lives.observe(5, sight(flags=DomInf.dying, cpu_time=10**9), perf_counter_ns())
    assert lives.observe(5, sight(), EARLIER) == first
    assert lives.observe(5, sight(), perf_counter_ns()) != first, "the dying do not recover"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 90), st.sampled_from(["come", "go", "rename"])), max_size=12),
)
def test_however_answers_overlap_each_life_is_one(
    questions: list[tuple[int, int, int]], deeds: list[tuple[int, str]]
) -> None:
    """Each question is asked, answered by Xen and handed over at times of their own; all that Xen says is true then.

    A rename by xenfs begins, is done and is known to be done, likewise. Each UUID is one life's.
    """
    begins, now, script = 0, [0], list[tuple[int, int, Callable[[], object]]]()
    truth: dict[str, int] = {}  # the life that there is, and its UUID now
    uuids, found = count(1), dict[int, set[Domain]]()
    lives, renaming = Lives(), list[AbstractContextManager[None]]()

    def ask(begins: int, until_answer: int, until_over: int) -> None:
        answer: dict[str, int] = {}

        def over() -> None:
            if not answer:
                lives.gone(5, begins)
            elif (life := lives.observe(5, sight(uuid=answer["uuid"]), begins)) is not None:
                found.setdefault(answer["life"], set()).add(life)

        answered = begins + 1 + 10 * until_answer
        script.extend([(answered, 1, lambda: answer.update(truth)), (answered + 1 + 10 * until_over, 2, over)])

    def do(deed: str) -> None:
        if renaming:
            return
        if deed == "go":
            truth.clear()
        elif deed == "come" and not truth:
            uuid = next(uuids)
            truth.update(life=uuid, uuid=uuid)
        elif deed == "rename" and truth:
            life = lives.observe(5, sight(uuid=truth["uuid"]), now[0])
            if life is None:
                return
            found.setdefault(truth["life"], set()).add(life)
            given = next(uuids)
            renaming.append(lives.renaming(5, given.to_bytes(16, "big")))
            renaming[0].__enter__()
            script.extend([(now[0] + 4, 3, lambda: truth.update(uuid=given)), (now[0] + 8, 4, known)])
            script.sort(key=lambda each: each[:2])

    def known() -> None:
        renaming.pop().__exit__(None, None, None)

    for gap, until_answer, until_over in questions:
        begins += gap
        ask(begins, until_answer, until_over)
    script += [(at, 0, partial(do, deed)) for at, deed in [(0, "come"), *deeds]]
    script.sort(key=lambda each: each[:2])
    with patch("xenfs.hypervisor.lives.perf_counter_ns", lambda: now[0]):
        while script:
            now[0], _, step = script.pop(0)
            step()
    assert all(len(each) == 1 for each in found.values()), "one life was taken for several"
    assert len(set.union(set(), *found.values())) == len(found), "several lives were taken for one"


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Threads take turns after each instruction, or nearly so."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("quick_switches")
def test_who_is_seen_first_by_two_threads_at_once_has_one_life() -> None:
    for _ in range(40):
        ended: list[Domain] = []
        lives, both = Lives(ended.append), threading.Barrier(2)

        def see(lives: Lives = lives, both: threading.Barrier = both) -> list[Domain | None]:
            both.wait()
            return [lives.observe(domid, sight(), perf_counter_ns()) for domid in range(300)]

        with ThreadPoolExecutor(2) as pool:
            one, other = (each.result() for each in [pool.submit(see), pool.submit(see)])
        assert one == other
        assert not ended
        assert lives.changes == 300


@pytest.mark.usefixtures("quick_switches")
def test_lives_that_end_in_several_threads_are_told_of_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xenfs.hypervisor.lives._LONGEST_NS", 0)
    ended: list[Domain] = []
    lives = Lives(ended.append)
    begun: list[Domain | None] = []

    def live(round: int) -> None:
        for domid in range(20):
            begun.append(lives.observe(domid, sight(uuid=round), perf_counter_ns()))
            lives.gone(domid, NOW)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(live, range(2000)))
    assert len(ended) == len(set(ended))
    assert set(ended) == set(begun) - {None}


@pytest.mark.parametrize("release", ["4.17", "4.22"])
def test_who_is_renamed_while_a_list_is_under_way_has_one_life(release: str) -> None:
    """Xen has put it into the list by the UUID before, and has given it another when the list is handed over."""

    def answer(number: int, args: tuple[int, ...]) -> int | None:
        if number != Hypercall.sysctl or not armed:
            return None
        result = host.sim.hypercall(number, args)
        if armed.pop():
            host.write("domains/3/uuid", str(UUID(int=77)))
        return result

    armed: list[bool] = []
    with Host(f"xen={release}", wrap=lambda sim: Between(sim, answer)) as host:
        before = dict(domains.named(host.xen))
        changes = host.xen.lives.changes
        armed.append(True)
        assert dict((str(life.domid), life) for life, _ in domains.living(host.xen)) == before
        assert not armed
        assert domains.life_now(host.xen, 3) == before["3"]
        assert host.xen.lives.changes == changes


def test_a_template_is_one_life_from_its_first_step_on() -> None:
    """It is begun with a UUID that says that it is not finished, and whoever looks meanwhile sees that one."""

    def answer(number: int, args: tuple[int, ...]) -> None:
        if looking and number == Hypercall.domctl and host.sim.machine.at(args[0], 4)[0] == Domctl.max_mem:
            looking.pop()
            seen.extend(domains.named(host.xen))

    looking: list[bool] = []
    seen: list[tuple[str, Domain]] = []
    with Host("xen=4.17", wrap=lambda sim: Between(sim, answer)) as host:
        before = {name for name, _ in domains.named(host.xen)}
        looking.append(True)
        host.mkdir("templates/new")
        host.write("templates/new/commit", "any")
        (new,) = [each for each in seen if each[0] not in before]
        assert new in domains.named(host.xen)


def test_a_list_that_was_never_true_is_not_kept() -> None:
    """5 ends while it is listed, and comes back under its UUID before the next list: nobody has seen it twice."""

    def answer(number: int, args: tuple[int, ...]) -> int | None:
        if number != Hypercall.sysctl or not ending:
            return None
        result = host.sim.hypercall(number, args)
        ending.pop()
        if not ending:
            host.world.vanish(3)
            assert domains.life_now(host.xen, 3) is None
            host.world.create(3, uuid=handle)
            assert domains.life_now(host.xen, 3) is not None
        return result

    ending: list[int] = []
    with Host("xen=4.17", wrap=lambda sim: Between(sim, answer)) as host:
        handle = UUID(bytes=host.world.domains[3].handle)
        ending += [1, 2]
        host.world.create(40)
        domains.named(host.xen)
        assert not ending
        for _ in range(2):
            assert dict(domains.named(host.xen))["3"] == domains.life_now(host.xen, 3)


@pytest.mark.parametrize("release", ["4.14", "4.17", "4.18", "4.21"])
def test_files_of_an_earlier_life(release: str) -> None:
    """The plain story: opened, the domain goes and another takes its id; reading and writing say so."""
    with Host(f"xen={release},domains=4") as host:
        for number, path in enumerate([*READ, *WRITTEN], 100):
            place = host.at(f"domains/3/{path}")
            assert isinstance(place.node, File)
            host.world.vanish(3)
            refused(host, place)
            host.world.create(3, uuid=UUID(int=number), vcpus=2)
            before = state(host.world.domains[3])
            refused(host, place)
            assert host.value("domains/3/uuid") == str(UUID(int=number))
            refused(host, place)
            assert state(host.world.domains[3]) == before


def refused(host: Host, place: Place) -> None:
    node = place.node
    assert isinstance(node, File)
    if node.read is not None:
        with pytest.raises(XenfsError) as caught:
            node.produce(host.xen, place.ids)
        assert caught.value.errno in GONE
    data = WRITTEN.get(place.path.split("/", 2)[2])
    if data is not None:
        with pytest.raises(XenfsError) as caught:
            host.put(place, data)
        assert caught.value.errno in GONE


def test_the_next_domain_is_not_taken_for_a_missing_one() -> None:
    """Up to 4.17 getdomaininfo answers with the next domain that there is."""
    with Host("xen=4.17") as host:
        assert 5 not in host.world.domains
        assert domains.life_now(host.xen, 5) is None
        assert not host.has("domains/5")
        found = domains.life_now(host.xen, 6)
        assert found is not None
        assert found.domid == 6


def test_listing_needs_few_calls() -> None:
    with Host("domains=3000") as host:
        before = host.counts.copy()
        assert len(domains.living(host.xen)) == 3000
        assert host.asked(before) == {"sysctl getdomaininfolist": -(-3000 // 512)}


def test_who_wants_to_know_hears_of_each_end_once() -> None:
    ended: list[Domain] = []
    lives = Lives(ended.append)
    first = lives.observe(5, sight(), NOW)
    second = lives.observe(5, sight(uuid=2), NOW)
    assert ended == [first]
    other = lives.observe(6, sight(uuid=3), NOW)
    lives.keep_only([6], NOW)
    assert ended == [first, second]
    lives.gone(5, NOW)
    lives.gone(6, NOW)
    assert ended == [first, second, other]


def host_where_another_comes(release: str, before: Domctl) -> tuple[Host, list[bool]]:
    """A host where domain 3 becomes another one right before that operation, once the list has an item."""

    def answer(number: int, args: tuple[int, ...]) -> None:
        if number == Hypercall.domctl and armed and host.sim.machine.at(args[0], 4)[0] == before:
            armed.clear()
            host.world.vanish(3)
            host.world.create(3, uuid=UUID(int=77))
            host.world.domains[3].pause_count = int(before == Domctl.unpausedomain)  # or there is nothing to take back

    armed: list[bool] = []
    host = Host(backend=Between(Simulator.from_settings(f"xen={release}"), answer))
    return host, armed


@pytest.mark.parametrize("release", ["4.17", "4.22"])
@pytest.mark.parametrize(
    ("path", "first", "text", "deed"),
    [("memory/max", "3000000", "4000000", Domctl.max_mem), ("freeze", "1", "0", Domctl.unpausedomain)],
)
def test_another_domain_between_looking_and_acting(
    release: str, path: str, first: str, text: str, deed: Domctl
) -> None:
    """What no interface of Xen can rule out is seen at once, and said."""
    host, armed = host_where_another_comes(release, deed)
    with host:
        host.write(f"domains/3/{path}", first)
        place = host.at(f"domains/3/{path}")
        armed.append(True)
        with pytest.raises(XenfsError, match="may have had it") as caught:
            host.put(place, text.encode())
        assert caught.value.errno == errno.ESTALE
        assert not armed


@pytest.mark.parametrize("release", ["4.17", "4.22"])
def test_another_domain_is_paused(release: str) -> None:
    """A pause is not looked at again. The next question says that the id is another's, who can be let go."""
    host, armed = host_where_another_comes(release, Domctl.pausedomain)
    with host:
        place = host.at("domains/3/freeze")
        armed.append(True)
        host.put(place, b"1")
        assert host.world.domains[3].pause_count == 1
        with pytest.raises(XenfsError, match="another domain now"):
            place.node.produce(host.xen, place.ids)
        host.write("domains/3/freeze", "0")
        assert host.world.domains[3].pause_count == 0


def test_what_was_done_is_done_whatever_xen_says_afterwards() -> None:
    """Looking once more may fail; the write has not."""

    def answer(number: int, args: tuple[int, ...]) -> int | None:
        if number != Hypercall.domctl or not armed:
            return None
        command = host.sim.machine.at(args[0], 4)[0]
        asked.append(command)
        return -errno.EBUSY if command == Domctl.getdomaininfo and Domctl.unpausedomain in asked else None

    asked: list[int] = []
    armed: list[bool] = []
    with Host(backend=Between(Simulator.from_settings(""), answer)) as host:
        host.write("domains/3/freeze", "1")
        armed.append(True)
        host.write("domains/3/freeze", "0")
        assert asked[-1] == Domctl.getdomaininfo
        assert host.world.domains[3].pause_count == 0
