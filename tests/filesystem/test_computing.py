"""Who computes lets the event loop go first: told when it is at work, and never for more than half of the time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from xenfs.filesystem import computing
from xenfs.filesystem.computing import Computing, LoopAtWork, Turn
from xenfs.filesystem.lanes import Lanes
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.pieces import Content, Pieces
from xenfs.politely import politely

ANN = 1000


def in_a_thread(look: Callable[[], bool]) -> bool:
    """What somebody else sees at this moment, while the event loop waits for nothing but him."""
    seen: list[bool] = []
    thread = threading.Thread(target=lambda: seen.append(look()))
    thread.start()
    thread.join()
    return seen[0]


def test_the_loop_is_at_work_while_it_does_something_and_not_while_it_waits() -> None:
    async def main() -> None:
        at_work = LoopAtWork()
        assert not in_a_thread(lambda: at_work.busy)
        with at_work, at_work:
            assert in_a_thread(lambda: at_work.busy), "it runs this"
            await trio.lowlevel.checkpoint()
            assert in_a_thread(lambda: at_work.busy), "and has never waited"
            assert not await trio.to_thread.run_sync(eventually, lambda: not at_work.busy), "now it does"
            assert in_a_thread(lambda: at_work.busy), "and goes on"
        assert not in_a_thread(lambda: at_work.busy), "nobody computes: nobody needs to know"

    trio.run(main)


def eventually(what: Callable[[], bool]) -> bool:
    """False as soon as it is so; the event loop may be on its way to where it waits."""
    while not what():
        threading.Event().wait(0.001)
    return False


def test_who_computes_waits_until_the_loop_has_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that comes to its rows while the loop is at work takes none before the loop waits."""
    monkeypatch.setattr(computing, "MOST_S", 60)
    taken: list[int] = []

    async def main() -> None:
        lanes = Lanes()
        reached = threading.Event()

        def compute() -> None:
            reached.set()
            for row in politely(range(3)):
                taken.append(row)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lanes.run, ANN, "stat", Cost.DOMAINS, compute)
            while lanes.idle:
                await trio.lowlevel.checkpoint()
            assert reached.wait(60), "all this time the loop runs this, and waits for nothing of its own"
            assert not threading.Event().wait(0.05)
            assert not taken
        assert lanes.idle
        assert not lanes.at_work.busy

    trio.run(main)
    assert taken == [0, 1, 2]


class Busy:
    """An event loop that is always at work, and the time that passes meanwhile."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = self.waited = 0.0
        self.waits = 0
        monkeypatch.setattr(computing, "monotonic", lambda: self.now)
        monkeypatch.setattr(computing, "sleep", self.wait)

    @property
    def busy(self) -> bool:
        """Whether it has something to do."""
        return True

    def wait(self, most_s: float) -> None:
        self.now += most_s
        self.waited += most_s
        self.waits += 1
        assert self.waits < 1000


def test_a_loop_that_never_rests_makes_it_take_twice_as_long_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = Busy(monkeypatch)

    def compute() -> None:
        for _ in politely(range(100_000)):
            busy.now += 1e-6

    Computing(busy).one_at_a_time(Turn(), compute)  # type: ignore[arg-type]
    assert busy.waits > 20
    assert 0.08 < busy.waited < 0.1 + 2 * computing.MOST_S


def test_it_waits_as_long_as_the_loop_is_at_work_and_looks_once_more_after_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = Busy(monkeypatch)
    looks = iter([False, True, True, False])
    monkeypatch.setattr(Busy, "busy", property(lambda self: next(looks)))

    def compute() -> None:
        for _ in politely(range(40)):
            busy.now += 1.0

    Computing(busy).one_at_a_time(Turn(), compute)  # type: ignore[arg-type]
    assert busy.waits == 4, "twice for the loop, and a moment each time for who asks again at once"


def test_who_gets_on_keeps_the_turn_and_who_hangs_loses_it_after_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a scrape takes, no second thread computes beside it: two would make each request wait for both."""
    monkeypatch.setattr(computing, "LEASE_S", 0.001)
    times = iter([100.0, *[100.0005] * 50, 100.002])
    monkeypatch.setattr(computing, "monotonic", lambda: next(times))
    turn = Turn()
    assert turn.take()
    assert not turn.take()
    assert not list(times), "it was asked for fifty leases, in which there was a sign of life, and for one without"
    turn.give_up()
    assert not turn.taken


def test_the_turn_goes_to_who_has_waited_longest() -> None:
    """Not to who gave it up and wants it again at once: that would be whoever asks most."""
    turn, order = Turn(), list[str]()

    def wait() -> None:
        turn.take()
        order.append("waited")
        turn.give_up()

    assert turn.take()
    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: bool(turn._waiting))
    turn.give_up()
    assert turn.take()
    order.append("again")
    turn.give_up()
    thread.join()
    assert order == ["waited", "again"]
    assert not turn.taken


def test_each_pause_is_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, turn, seen = Busy(monkeypatch), Turn(), list[float]()
    monkeypatch.setattr(Busy, "busy", False)

    def compute() -> None:
        for _ in politely(range(100)):
            busy.now += 1.0
            seen.append(turn.seen_at)

    Computing(busy).one_at_a_time(turn, compute)  # type: ignore[arg-type]
    assert sorted(set(seen)) == [0, 32, 64, 96]
    assert not turn.taken


def test_what_is_closed_last_is_freed_in_a_thread_and_a_few_pieces_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes it is the event loop: it hands the pieces over, all of them, and frees none."""
    handed: list[Any] = []
    monkeypatch.setattr(trio.lowlevel, "start_thread_soon", lambda *work, name: handed.append(work))
    lanes, left = Lanes(), list[int]()
    monkeypatch.setattr(Computing, "pause", lambda self: left.append(len(pieces)))

    def handed_over() -> list[bytes]:
        made: Content | None = lanes.lasting(lambda xen, ids: Pieces([b"x"] * 1000), None, ())  # type: ignore[arg-type]
        also = made
        assert isinstance(made, Pieces)
        pieces = made.pieces
        del made
        assert not handed, "somebody has it open"
        assert also is not None
        return pieces

    async def main() -> None:
        nonlocal pieces
        pieces = handed_over()
        ((work, over),) = handed
        assert len(pieces) == 1000
        assert lanes.at_work.busy, "who frees has to know when the loop is at work"
        await trio.to_thread.run_sync(lambda: over(work()))
        await trio.testing.wait_all_tasks_blocked()
        assert not lanes.at_work.busy

    pieces: list[bytes] = []
    trio.run(main)
    assert not pieces
    assert left == list(range(1000, 0, -16))
    assert lanes.lasting(lambda xen, ids: b"a value", None, ()) == b"a value"  # type: ignore[arg-type]


def test_what_a_thread_drops_is_freed_there() -> None:
    made: Content | None = Lanes().lasting(lambda xen, ids: Pieces([b"x"] * 10), None, ())  # type: ignore[arg-type]
    assert isinstance(made, Pieces)
    pieces = made.pieces
    del made
    assert not pieces


def test_where_no_thread_is_to_be_had_it_is_freed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nobody goes on telling the threads when the loop is at work."""

    def none(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(trio.lowlevel, "start_thread_soon", none)
    lanes = Lanes()

    async def main() -> None:
        made: Content | None = lanes.lasting(lambda xen, ids: Pieces([b"x"] * 10), None, ())  # type: ignore[arg-type]
        assert made is not None
        del made
        assert not lanes.at_work.busy

    trio.run(main)
