"""The event loop's time by user: who asks for more than his part waits, nobody else does, and nobody who is alone."""

from __future__ import annotations

import errno
import inspect
import os
from dataclasses import replace
from types import SimpleNamespace

import pyfuse3
import pytest
import trio
from test_operations import over
from worlds import EVERYTHING, Host

from xenfs.errors import XenfsError
from xenfs.filesystem import turns
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.turns import BYTE_S, REQUEST_S, Turns
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.payload import Payload

ROOT, ANN, BEN = 0, 1000, 1001


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(turns, "monotonic", made)
    return made


def test_alone_nobody_waits(clock: Clock) -> None:
    assert {Turns().due(ANN) for _ in range(3)} == {0.0}
    alone = Turns()
    assert not any(alone.due(ANN) for _ in range(10_000))


def test_who_asks_for_more_than_his_part_waits_for_it(clock: Clock) -> None:
    """Eighty threads of Ann's ask at once again and again; Ben once every hundredth of a second, and never waits."""
    ours = Turns()
    served = 0
    for _ in range(100):
        clock.now += 0.01
        assert ours.due(BEN) == 0.0
        while ours.due(ANN) <= 0.01:
            served += 1
    assert served * REQUEST_S <= 1.0 / 2 + 0.02


def test_an_answer_that_many_wait_for_is_charged_with_what_they_ask_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """All who waited for one computation have its answer at once, and each closes and opens the file then."""
    with Host("domains=3") as host:
        lines = "x" * 200_000
        k = over(host, File("many", "lines", read=lambda xen: lines, grows=Cost.DOMAINS, format="lines"))
        charged: list[float] = []
        monkeypatch.setattr(k.ops.turns, "due", lambda uid, cost_s=REQUEST_S: charged.append(cost_s) or 0.0)

        async def run() -> None:
            fh = (await k.open("many", os.O_RDONLY)).fh
            charged.clear()
            for offset in (0, 1 << 17):
                await k.ops.read(fh, offset, 1 << 17)
            await k.ops.release(fh)

        trio.run(run)
        computed, kept = 4 * REQUEST_S + (1 << 17) * BYTE_S, REQUEST_S + (200_001 - (1 << 17)) * BYTE_S
        assert charged == pytest.approx([REQUEST_S, computed, REQUEST_S, kept])


def test_root_never_waits(clock: Clock) -> None:
    ours = Turns()
    ours.due(ANN)
    assert not any(ours.due(ROOT) for _ in range(10_000))


def test_thousands_of_ids_keep_nobody_waiting_for_long(clock: Clock) -> None:
    """One user may have them, and ask as each of them; they are forgotten a few at a time."""
    ours = Turns()
    for uid in range(100_000, 110_000):
        ours.due(uid)
    assert sum(ours.due(BEN) > 0 for _ in range(3)) == 2
    assert ours.due(BEN) < 4 * 64 * REQUEST_S
    clock.now += 2
    before, requests = len(ours), 0
    while len(ours) > 1:
        ours.due(BEN)
        requests, before, gone = requests + 1, len(ours), before - len(ours)
        assert gone <= 256
    assert requests < 60
    assert ours.due(BEN) == 0


def test_beside_thousands_of_ids_another_has_one_request_in_twenty_milliseconds(clock: Clock) -> None:
    """And each of the ids as well: so they may ask for more than the loop can do, and no turn holds them up."""
    ours, ids = Turns(), range(100_000, 102_000)
    for _ in range(50):
        clock.now += 0.02
        assert ours.due(BEN) == 0
        assert not any(ours.due(uid) for uid in ids)
        assert ours.due(ROOT) == 0
    assert len(ids) * REQUEST_S > 0.02
    for _ in range(50):
        clock.now += 0.01
        ours.due(BEN)
        for uid in ids:
            ours.due(uid)
    assert ours.due(BEN) > 0.4


def test_who_is_gone_is_forgotten(clock: Clock) -> None:
    ours = Turns()
    for uid in range(1000, 1100):
        ours.due(uid)
    clock.now += 2
    ours.due(ANN)
    assert len(ours) == 1


BY_HANDLE = {"read": (0, 1), "write": (0, b"1\n"), "fsync": (True,), "readdir": (0, None)}
GIVEN_BACK = {"forget", "release", "releasedir"}
REQUESTS = {
    name for name, handler in vars(pyfuse3.Operations).items()
    if inspect.iscoroutinefunction(handler) and getattr(Operations, name) is not handler and name not in GIVEN_BACK
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(REQUESTS))
def test_each_request_takes_its_users_turn(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Before anything is done for it. What is given back was paid for when it was taken."""
    with Host("domains=3") as host:
        value: File = File("value", "a value", read=lambda xen: "1", write=lambda xen, data: None, format="1")
        if name == "flush":  # only of what is handed over at the end
            value = Payload("value", "a value", write=lambda xen, data: None, format="binary", most=9)
        k = over(host, value, options=replace(EVERYTHING, allow_other=True))

        async def run() -> None:
            ann = SimpleNamespace(uid=ANN, gid=ANN, pid=0, umask=0)
            root, file = pyfuse3.ROOT_INODE, (await k.lookup("value")).st_ino
            fh = (
                await k.ops.opendir(root, ann)
                if name == "readdir"
                else (await k.ops.open(file, os.O_WRONLY if name == "flush" else os.O_RDWR, ann)).fh
            )
            known = {"parent_inode": root, "inode": file, "inode_p": root, "ctx": ann, "fh": fh}
            asked: list[int] = []

            def due(uid: int, cost_s: float = REQUEST_S) -> float:
                asked.append(uid)
                raise XenfsError("asked", errno.EXFULL)

            monkeypatch.setattr(k.ops.turns, "due", due)
            wanted = list(inspect.signature(getattr(pyfuse3.Operations, name)).parameters)[1:]
            given = [fh, *BY_HANDLE[name]] if name in BY_HANDLE else [known.get(each, b"value") for each in wanted]
            with pytest.raises(pyfuse3.FUSEError) as problem:
                await getattr(k.ops, name)(*given)
            assert problem.value.errno == errno.EXFULL
            assert asked == [ANN]

        trio.run(run)
