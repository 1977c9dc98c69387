"""Lanes: what hangs holds up its own kind and its own user alone, what is too much is turned away, nothing is left."""

from __future__ import annotations

import errno
import threading
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import pytest
import trio
import trio.testing

from xenfs.errors import XenfsError
from xenfs.filesystem.lane import Gate
from xenfs.filesystem.lanes import Lanes
from xenfs.hypervisor.recent import Listings, RecentAnswers
from xenfs.nodes.tables.cost import NOTHING, Cost

ROOT, ANN, BEN = 0, 1000, 1001
WAITS, BULK = Cost.WAITS, Cost.DOMAINS


async def code_of(call: Awaitable[Any]) -> int:
    try:
        await call
    except XenfsError as problem:
        return problem.errno
    return 0


async def until(begun: int, hung: Hung) -> None:
    """A thread begins when it gets to it."""
    with trio.fail_after(30):
        while hung.begun < begun:
            await trio.sleep(0.005)
    assert hung.begun == begun


class Hung:
    """Work that ends when it is let go."""

    def __init__(self) -> None:
        self.go, self.begun = threading.Event(), 0

    def __call__(self) -> str:
        self.begun += 1
        assert self.go.wait(60)
        return "done"


async def among(
    test: Callable[[Lanes, Hung, list[int]], Awaitable[None]],
    count: int,
    uid: int = ANN,
    cost: Cost = WAITS,
    kind: Callable[[int], object] = lambda number: "hung",
    **more: Any,
) -> list[int]:
    """Run a test beside so many calls that hang; then let go, and return how each of these ended."""
    codes: list[int] = []
    lanes, hung = Lanes(**{name: more.pop(name) for name in ("patience_s",) if name in more}), Hung()

    async def one(number: int) -> None:
        codes.append(await code_of(lanes.run(uid, kind(number), cost, hung, **more)))

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)
        await trio.testing.wait_all_tasks_blocked()
        try:
            with trio.fail_after(60):
                await test(lanes, hung, codes)
        finally:
            hung.go.set()
    assert lanes.idle
    return codes


def test_another_kind_goes_on_while_one_hangs() -> None:
    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        assert [await lanes.run(BEN, "other", WAITS, lambda: 7) for _ in range(20)] == [7] * 20
        await until(4, hung)
        assert lanes.waiting == 20

    assert trio.run(among, test, 20) == [0] * 20


def test_another_user_goes_on_while_all_that_one_wants_hangs() -> None:
    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        await until(4, hung)
        assert [await lanes.run(BEN, number, WAITS, lambda: 7) for number in range(20)] == [7] * 20

    assert trio.run(lambda: among(test, 40, kind=lambda number: number)) == [0] * 40


def test_users_take_turns() -> None:
    """Ann has eighty things in the queue; Ben's one comes second and not last."""
    order: list[str] = []

    async def run() -> None:
        lanes, hung = Lanes(), Hung()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lanes.run, ANN, "first", BULK, hung)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(80):
                nursery.start_soon(lanes.run, ANN, number, BULK, order.append, "ann")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(lanes.run, BEN, "ben", BULK, order.append, "ben")
            await trio.testing.wait_all_tasks_blocked(0.01)
            hung.go.set()
        assert lanes.idle

    trio.run(run)
    assert len(order) == 81
    assert order.index("ben") == 0, "one of the two threads is never Ann's"


@pytest.mark.parametrize("cost", [WAITS, BULK])
def test_readers_take_no_place_of_root_and_of_writers(cost: Cost) -> None:
    """Hundreds of each of many users: root reads and kills, and a user writes who may, and none of them sees EAGAIN."""

    async def run() -> None:
        lanes, hung = Lanes(), Hung()
        codes: list[int] = []

        async def one(number: int) -> None:
            codes.append(await code_of(lanes.run(1000 + number % 20, number, cost, hung)))

        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(one, number)
            await trio.testing.wait_all_tasks_blocked()
            assert codes.count(errno.EAGAIN) > 500
            with trio.fail_after(60):
                for _ in range(50):
                    assert await lanes.run(ROOT, "stat", cost, lambda: 7) == 7
                    assert await lanes.run(ROOT, "kill", WAITS, lambda: 7, writes=True) == 7
                    assert await lanes.run(1001, "kill", WAITS, lambda: 7, writes=True) == 7
            hung.go.set()
        assert lanes.idle

    trio.run(run)


@pytest.mark.parametrize("kinds", ["kill", "others"])
def test_writers_take_no_place_and_no_thread_of_root(kinds: str) -> None:
    """However many of those who may write hang, in what root wants as well: he waits for none, and they for each other
    alone."""

    async def run() -> None:
        lanes, hung = Lanes(patience_s=30), Hung()
        codes: list[int] = []

        async def one(uid: int, kind: object) -> None:
            codes.append(await code_of(lanes.run(uid, kind, WAITS, hung, writes=True)))

        async with trio.open_nursery() as nursery:
            for user in range(6):
                for number in range(30):
                    nursery.start_soon(one, 1000 + user, "kill" if kinds == "kill" else (user, number))
            await trio.testing.wait_all_tasks_blocked()
            assert codes.count(errno.EAGAIN) >= 180 - 72
            with trio.fail_after(20):
                assert await lanes.run(ROOT, "kill", WAITS, lambda: 7, writes=True) == 7
                for _ in range(4):
                    nursery.start_soon(one, ROOT, "kill")
                await until(2 + 4 if kinds == "kill" else 3 + 4, hung)
                assert await lanes.run(ROOT, "freeze", WAITS, lambda: 7, writes=True) == 7
            hung.go.set()
        assert lanes.idle

    trio.run(run)


def test_one_writer_leaves_a_thread_to_another() -> None:
    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        await until(2, hung)
        assert await lanes.run(BEN, "other", WAITS, lambda: 7, writes=True) == 7

    assert trio.run(lambda: among(test, 20, kind=lambda number: number, writes=True)) == [0] * 20


def test_who_comes_late_finds_a_place_among_readers() -> None:
    async def run() -> None:
        lanes, hung = Lanes(), Hung()
        async with trio.open_nursery() as nursery:
            for number in range(300):
                nursery.start_soon(code_of, lanes.run(1000 + number % 3, number, WAITS, hung))
            await trio.testing.wait_all_tasks_blocked()
            late: list[int] = []

            async def one() -> None:
                late.append(await code_of(lanes.run(BEN + 100, "late", WAITS, lambda: 7)))

            nursery.start_soon(one)
            await trio.testing.wait_all_tasks_blocked()
            assert errno.EAGAIN not in late
            hung.go.set()
        assert late == [0]

    trio.run(run)


def test_who_has_many_ids_can_take_all_places_of_readers_and_none_of_root() -> None:
    """Each of his ids is a user: docs/permissions.md says so, and how many it takes."""

    async def run() -> None:
        lanes, hung = Lanes(), Hung()
        async with trio.open_nursery() as nursery:
            for users, each in ((range(3), 96), (range(3, 19), 8)):
                for uid in users:
                    for number in range(each):
                        nursery.start_soon(code_of, lanes.run(100_000 + uid, (uid, number), WAITS, hung))
                await trio.testing.wait_all_tasks_blocked()
            try:
                await turned_away(lanes)
            finally:
                hung.go.set()

    async def turned_away(lanes: Lanes) -> None:
        assert lanes.waiting == 384
        assert await code_of(lanes.run(BEN, "read", WAITS, lambda: 7)) == errno.EAGAIN
        assert await code_of(lanes.run(BEN, "read", NOTHING, lambda: 7)) == 0
        assert await lanes.run(ROOT, "read", WAITS, lambda: 7) == 7
        assert await lanes.run(BEN, "write", WAITS, lambda: 7, writes=True) == 7

    trio.run(run)


def test_what_is_too_much_of_one_kind_is_turned_away() -> None:
    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        assert codes == [errno.EAGAIN] * 76
        assert await lanes.run(ROOT, "other", WAITS, lambda: 7, writes=True) == 7
        assert await lanes.run(ANN, "other", NOTHING, lambda: 7) == 7, "what is prompt needs no thread"

    assert sorted(trio.run(lambda: among(test, 100, ROOT, writes=True))) == [0] * 24 + [errno.EAGAIN] * 76


def test_nobody_waits_for_long_and_what_has_begun_is_not_given_up() -> None:
    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        while len(codes) < 2:
            await trio.sleep(0.01)
        assert codes == [errno.EAGAIN] * 2
        assert hung.begun == 4

    assert sorted(trio.run(lambda: among(test, 6, patience_s=0.2))) == [0] * 4 + [errno.EAGAIN] * 2


def test_one_result_for_all_who_wait_and_none_older_than_its_request() -> None:
    """While it is being computed a hundred of several users ask: one more computation, begun after they asked."""
    computed = 0
    go = threading.Event()

    def compute() -> int:
        nonlocal computed
        computed += 1
        number = computed
        assert go.wait(60)
        return number

    async def run() -> None:
        lanes = Lanes()
        found: list[int] = []

        async def one(uid: int) -> None:
            found.append(await lanes.run(uid, "stat", BULK, compute, key="stat"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, ANN)
            await trio.testing.wait_all_tasks_blocked()
            for number in range(80):
                nursery.start_soon(one, ANN + number % 2)
            await trio.testing.wait_all_tasks_blocked()
            go.set()
        assert sorted(found) == [1] + [2] * 80
        assert lanes.idle

    trio.run(run)


def test_an_error_is_everybodys_who_waited_and_frees_the_thread() -> None:
    async def run() -> None:
        lanes = Lanes()
        errors: list[BaseException] = []

        async def one() -> None:
            with pytest.raises(ZeroDivisionError) as caught:
                await lanes.run(ANN, "kind", WAITS, lambda: 1 // 0, key="same")
            errors.append(caught.value)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(one)
        assert len(errors) == 20
        assert lanes.idle

    trio.run(run)


def test_who_gives_up_leaves_what_others_wait_for() -> None:
    async def run() -> None:
        lanes, hung = Lanes(), Hung()
        found: list[int] = []

        async def one() -> None:
            found.append(await lanes.run(BEN, "same", BULK, lambda: 7, key="same"))

        async with trio.open_nursery() as nursery:
            for uid in (ANN, BEN):
                nursery.start_soon(lanes.run, uid, uid, BULK, hung)
            await trio.testing.wait_all_tasks_blocked()
            with trio.CancelScope() as scope:
                nursery.start_soon(one)
                scope.cancel()
                await lanes.run(ANN, "same", BULK, lambda: 7, key="same")
            hung.go.set()
        assert found == [7]
        assert lanes.idle

    trio.run(run)


def test_what_need_not_end_is_answered_when_it_has_begun(caplog: pytest.LogCaptureFixture) -> None:
    """Errors that come at once are the caller's; later ones are logged."""

    def refuse() -> None:
        raise XenfsError("not yours", errno.EPERM)

    async def whole() -> None:
        lanes, hung = Lanes(), Hung()

        def fail_late() -> None:
            hung()
            raise XenfsError("too late", errno.EIO)

        with trio.fail_after(60):
            await lanes.begin(ROOT, "rmdir", hung, 20)
            await lanes.begin(ROOT, "rmdir", fail_late, 20)
            assert await code_of(lanes.begin(ROOT, "rmdir", refuse, 20)) == errno.EPERM
            assert not lanes.idle
            hung.go.set()
            await lanes.drained()

    trio.run(whole)
    assert "too late" in caplog.text


def test_who_may_not_wait_long_is_told_when_nothing_has_begun() -> None:
    async def run() -> None:
        lanes, hung = Lanes(), Hung()
        with trio.fail_after(60):
            for _ in range(4):
                await lanes.begin(ROOT, "rmdir", hung, 20)
            assert await code_of(lanes.begin(ROOT, "rmdir", hung, 0.1)) == errno.EAGAIN
            hung.go.set()
            await lanes.drained()
        assert hung.begun == 4

    trio.run(run)


# one computes at a time


async def computing(lanes: Lanes, costs: list[Cost], work: Callable[[], object]) -> None:
    """As many readers as costs, each of whom wants something else computed."""
    async with trio.open_nursery() as nursery:
        for number, cost in enumerate(costs):
            nursery.start_soon(lanes.run, 1000 + number, f"file {number}", cost, work)


class Counted:
    """Work that notes how many do it at once."""

    def __init__(self, lanes: Lanes, waits: bool = False) -> None:
        self._lanes, self._waits = lanes, waits
        self._lock = threading.Lock()
        self.now = self.most = self.done = 0

    def __call__(self) -> None:
        with self._lanes.computing.waiting() if self._waits else nullcontext():
            self._counted()

    def _counted(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        threading.Event().wait(0.03)
        with self._lock:
            self.now -= 1
            self.done += 1


@pytest.mark.parametrize(("waits", "most"), [(False, 1), (True, 4)])
def test_what_grows_is_computed_one_at_a_time_whatever_thread_does_it(waits: bool, most: int) -> None:
    """What grows and may wait as well has threads of its own, and its turn with all else that grows until it waits."""
    lanes = Lanes()
    work = Counted(lanes, waits)
    trio.run(computing, lanes, [BULK, BULK | WAITS, BULK | WAITS, Cost.CPUS], work)
    assert (work.most, work.done) == (most, 4)
    assert lanes.idle


def test_who_has_waited_computes_when_it_is_his_turn_again() -> None:
    """Or the dearest file of all would be made beside another one from the moment on at which it asked xenstore."""
    lanes = Lanes()
    counted = Counted(lanes)

    def work() -> None:
        with lanes.computing.waiting(), lanes.computing.waiting():
            threading.Event().wait(0.01)
        counted()

    trio.run(computing, lanes, [BULK, BULK | WAITS, BULK | WAITS, Cost.CPUS], work)
    assert (counted.most, counted.done) == (1, 4)
    assert lanes.idle


def test_who_hangs_keeps_the_turn_for_half_a_second_at_the_most() -> None:
    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        await until(1, hung)
        assert await lanes.run(BEN, "other", BULK, lambda: "computed") == "computed"
        assert not codes

    trio.run(among, test, 1, ANN, BULK)


def test_a_listing_that_hangs_costs_one_thread_and_who_needs_it_an_error() -> None:
    """Names that are not there, asked for by somebody in a loop: his threads would wait for the listing for good."""
    lanes, hung, codes = Lanes(), Hung(), list[int]()
    listings = Listings(RecentAnswers(), wait_s=0.1)
    listings.waiting = lanes.computing.waiting

    async def look_up(uid: int) -> None:
        codes.append(await code_of(lanes.run(uid, "by-name", BULK | WAITS, listings.recent, "names", hung)))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look_up, ANN)
            await until(1, hung)
            try:
                async with trio.open_nursery() as others:
                    for number in range(20):
                        others.start_soon(look_up, (ANN, BEN)[number % 2])
                assert codes == [errno.EAGAIN] * 20
                assert (lanes._long._busy, hung.begun) == (1, 1)
            finally:
                hung.go.set()
        assert lanes.idle

    trio.run(main)


def test_root_computes_beside_a_reader_who_does() -> None:
    """And not after him: the first of root's is done while the reader's hangs, and has no lease to wait for."""

    async def test(lanes: Lanes, hung: Hung, codes: list[int]) -> None:
        await until(1, hung)
        assert lanes._turn.taken
        assert not lanes._own_turn.taken
        assert await lanes.run(ROOT, "other", BULK, lambda: lanes._own_turn.taken)

    trio.run(among, test, 1, ANN, BULK)


def test_writes_take_no_turn() -> None:
    """They may take seconds in Xen."""
    lanes = Lanes()

    async def main() -> None:
        assert not await lanes.run(ANN, "file", BULK | WAITS, lambda: lanes._own_turn.taken, writes=True)

    trio.run(main)


def test_many_who_waited_for_the_same_go_on_a_few_at_a_time() -> None:
    """So that a request of somebody else's is taken between them: in each turn of the loop, one."""

    async def main() -> None:
        gate, gone, turns = Gate(), 0, []

        async def wait() -> None:
            nonlocal gone
            await gate.wait()
            gone += 1

        async with trio.open_nursery() as nursery:
            for _ in range(80):
                nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            gate.set()
            while gone < 80:
                before = gone
                await trio.lowlevel.checkpoint()
                turns.append(gone - before)
        assert max(turns) <= 2, "a turn may begin with one of the one before"
        await gate.wait()

    trio.run(main)


@pytest.mark.parametrize("cost", [WAITS, BULK])
def test_where_no_thread_is_to_be_had_who_asks_is_told_so_and_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, cost: Cost
) -> None:
    """A fork bomb of somebody's: as long as it lasts. What waits is begun as another job ends, in the event loop."""
    codes: list[int] = []

    def none(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    async def main() -> None:
        lanes, hung = Lanes(), Hung()

        async def one(number: int) -> None:
            codes.append(await code_of(lanes.run(ANN + number, number, cost, hung)))

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(one, number)
            await trio.testing.wait_all_tasks_blocked()
            with monkeypatch.context() as bomb:
                bomb.setattr(trio.lowlevel, "start_thread_soon", none)
                hung.go.set()
                with trio.fail_after(30):
                    while len(codes) < 20:
                        await trio.sleep(0.005)
                assert await code_of(lanes.run(ANN, "hung", cost, hung)) == errno.EAGAIN
        assert lanes.idle
        assert await lanes.run(ANN, "hung", cost, hung) == "done"

    trio.run(main)
    begun = {WAITS: 8, BULK: 2}[cost]
    assert sorted(codes) == [0] * begun + [errno.EAGAIN] * (20 - begun)
