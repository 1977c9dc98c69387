"""The console ring and the keys that print into it."""

from __future__ import annotations

from caller import Caller
from hypothesis import given
from hypothesis import strategies as st

from xenfs.simulator.world.console import RING_BYTES, Console

pieces = st.lists(st.binary(max_size=RING_BYTES + 100), max_size=6)


@given(start=st.integers(0, 0xFFFFFFFF), written=pieces)
def test_the_ring_holds_the_last_of_what_was_written(start: int, written: list[bytes]) -> None:
    console = Console(start)
    for piece in written:
        console.put(piece)
    everything = b"".join(written)
    data, index = console.read(1 << 20, 0, False)
    assert data == everything[-RING_BYTES:]
    assert index == start + len(everything) & 0xFFFFFFFF


@given(
    start=st.integers(0xFFFF0000, 0xFFFFFFFF),
    rounds=st.lists(st.tuples(st.binary(max_size=RING_BYTES), st.integers(1, 5000)), max_size=8),
)
def test_a_reader_that_keeps_up_misses_nothing(start: int, rounds: list[tuple[bytes, int]]) -> None:
    console, index, got = Console(start), start, b""
    for piece, room in rounds:
        console.put(piece)
        while True:
            data, index = console.read(room, index, True)
            got += data
            if not data:
                break
    assert got == b"".join(piece for piece, _ in rounds)


def test_a_reader_that_was_overtaken_goes_on_with_what_is_left() -> None:
    console = Console()
    console.put(b"old" * RING_BYTES)
    data, index = console.read(5, 3, True)
    assert data == (b"old" * RING_BYTES)[-RING_BYTES:][:5]
    assert index == 2 * RING_BYTES + 5


def readconsole(xen: Caller, room: int = 1 << 15, **members: int) -> tuple[int, bytes, int]:
    address, memory = xen.arena.take(room)
    result, body = xen.sysctl("readconsole", buffer=address, count=room, **members)
    index, count = xen.read(body, "xen_sysctl_readconsole", "index", "count")
    return result, bytes(memory[:count]), index


def test_keys_print(xen: Caller) -> None:
    keys, _ = xen.arena.take(b"hqrmud?")
    _, _, index = readconsole(xen)
    assert xen.sysctl("debug_keys", keys=keys, nr_keys=7)[0] == 0
    result, text, _ = readconsole(xen, incremental=1, index=index)
    assert result == 0
    for line in (b"showing installed handlers", b"General information for domain 12:", b"Cpupool 1:", b"Dom heap:"):
        assert line in text
    assert all(line.startswith(b"(XEN) ") for line in text.splitlines())


def test_keys_out_of_reach_fault(xen: Caller) -> None:
    keys, _ = xen.arena.take(b"h")
    assert xen.sysctl("debug_keys", keys=keys, nr_keys=2)[0] == -14


def test_a_host_that_booted_has_said_so(xen: Caller) -> None:
    _, text, _ = readconsole(xen)
    assert f"Xen version {xen.release[0]}.{xen.release[1]}".encode() in text


def test_clearing_forgets_what_was_read(xen: Caller) -> None:
    xen.world.console.print("one", "two")
    _, first, _ = readconsole(xen, 10, clear=1)
    _, rest, _ = readconsole(xen)
    assert len(first) == 10
    assert rest.endswith(b"two\n")
    assert readconsole(xen, clear=1)[0] == 0
    assert readconsole(xen)[1] == b""
