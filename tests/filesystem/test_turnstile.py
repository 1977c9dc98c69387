"""The lock that pyfuse3's workers are given: who goes on without waiting, who is let in, and where it is left alone."""

from __future__ import annotations

import pyfuse3
import pytest
import trio
import trio.testing

from xenfs.filesystem.turnstile import Stand, turnstile


class Loop:
    """Workers as pyfuse3 has them: one takes a request at a time from a channel, then answers it outside the lock."""

    def __init__(self, trio_module: Stand) -> None:
        self.trio = trio_module
        self.lock = trio_module.Lock()
        self.send, self.requests = trio.open_memory_channel[str](100)
        self.served: list[tuple[int, str]] = []
        self.gate = trio.Event()

    async def worker(self, number: int, most: int = 1000) -> None:
        while most:
            most -= 1
            async with self.lock:
                try:
                    request = await self.requests.receive()
                except trio.EndOfChannel:
                    return
            if request == "slow":
                await self.gate.wait()
            self.served.append((number, request))

    async def run(self, requests: list[str], *, most: int = 1000, workers: int = 2) -> None:
        for request in requests:
            self.send.send_nowait(request)
        self.send.close()
        async with self.trio.open_nursery() as nursery:
            for number in range(workers):
                nursery.start_soon(self.worker, number, most if number == 0 else 1000, name=f"worker {number}")


def run(requests: list[str], **more: int) -> list[tuple[int, str]]:
    async def main() -> list[tuple[int, str]]:
        loop = Loop(Stand())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: loop.run(requests, **more))
            await trio.testing.wait_all_tasks_blocked()
            loop.gate.set()
        return loop.served

    return trio.run(main)


def test_who_has_answered_goes_on() -> None:
    """One worker serves all, as long as it waits for nothing else."""
    served = run(["quick"] * 20)
    assert len(served) == 20
    assert len({number for number, _ in served}) == 1


def test_another_goes_on_while_one_waits() -> None:
    served = run(["slow", *["quick"] * 5])
    (slow,) = (number for number, request in served if request == "slow")
    assert served[-1] == (slow, "slow")
    assert len(served) == 6


def test_all_wait_but_one() -> None:
    served = run(["slow"] * 3 + ["quick"], workers=4)
    assert served[0][1] == "quick"
    assert len(served) == 4


def test_another_goes_on_where_one_has_ended() -> None:
    """Also where it never waited for anything but requests."""
    served = run(["quick"] * 6, most=3, workers=3)
    assert len(served) == 6


def test_a_worker_that_is_not_seen_passes_it_on_as_before() -> None:
    """Where pyfuse3 starts its workers in another way, nobody says who waits: each release lets the next one in."""

    async def main() -> int:
        loop = Loop(Stand())
        for request in ["slow", *["quick"] * 5]:
            loop.send.send_nowait(request)
        loop.send.close()
        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(loop.worker, number)
            await trio.testing.wait_all_tasks_blocked()
            quick = len(loop.served)
            loop.gate.set()
        return quick

    assert trio.run(main) == 5


def test_cancelling_ends_all_workers() -> None:
    async def main() -> bool:
        loop = Loop(Stand())
        with trio.move_on_after(0.01) as scope:
            async with loop.trio.open_nursery() as nursery:
                for number in range(3):
                    nursery.start_soon(loop.worker, number)
        return scope.cancelled_caught

    assert trio.run(main)


def test_an_error_of_a_worker_comes_out() -> None:
    async def broken() -> None:
        raise OSError("the device is gone")

    async def main() -> None:
        async with Stand().open_nursery() as nursery:
            nursery.start_soon(broken)

    with pytest.raises(ExceptionGroup) as found:
        trio.run(main)
    assert found.value.subgroup(OSError) is not None


def test_it_is_given_back() -> None:
    with turnstile() as stand:
        assert stand is not None
        assert pyfuse3.trio is stand
        assert stand.sleep is trio.sleep
    assert pyfuse3.trio is trio


@pytest.mark.parametrize("version", ["3.3.1", "3.6.0", "4.0"])
def test_a_pyfuse3_that_was_not_tried_is_left_alone(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pyfuse3, "__version__", version)
    with turnstile() as stand:
        assert stand is None
        assert pyfuse3.trio is trio


def test_with_another_event_loop_it_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyfuse3.asyncio puts its own stand-in there."""
    other = object()
    monkeypatch.setattr(pyfuse3, "trio", other)
    with turnstile() as stand:
        assert stand is None
        assert pyfuse3.trio is other
