"""Red zones: writing beyond a buffer, or after its end, is noticed, reported, and hurts nobody."""

import logging
from typing import Any

import cffi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenfs import abi
from xenfs.pool import Pool, SimulatedPages, Violation

WILD = cffi.FFI()


def scribble(address: int, data: bytes) -> None:
    """Write as a hypervisor does: without a look at any bounds."""
    WILD.memmove(WILD.cast("char *", address), data, len(data))


@pytest.mark.parametrize("nbytes", [1, 63, 64, 200, 4000, 5000, 100_000])
@pytest.mark.parametrize(("offset", "kind"), [(-1, "before"), (-64, "before"), (0, "past"), (63, "past")])
def test_a_write_beyond_either_end_is_reported(
    checked: Any, caplog: pytest.LogCaptureFixture, nbytes: int, offset: int, kind: str
) -> None:
    buf = checked.take(nbytes)
    at = offset if kind == "before" else nbytes + offset
    checked.admit((buf,), "sysctl example")
    scribble(int(buf.address) + at, b"\x01")
    checked.retire_flight((buf,))
    buf.release()
    (seen,) = checked.seen
    assert seen.kind.startswith(f"write {kind}")
    assert (seen.buffer, seen.nbytes, seen.operation, seen.offset) == (buf.name, nbytes, "sysctl example", at)
    assert seen.found[0] == 1
    assert f"{buf.name}, last used by sysctl example: byte {at} and on is 01" in caplog.text
    assert checked.stat()["red_zone_hits"] == 1


def test_the_memory_is_not_lent_again(checked: Any, caplog: pytest.LogCaptureFixture) -> None:
    buf = checked.take(100)
    scribble(int(buf.address) + 100, b"over")
    where = int(buf.address)
    buf.release()
    others = [checked.take(100) for _ in range(200)]
    assert where not in {int(other.address) for other in others}
    for other in others:
        other.release()


def test_a_write_after_release_is_reported_when_the_memory_is_lent_again(
    checked: Any, caplog: pytest.LogCaptureFixture
) -> None:
    buf = checked.take(100)
    buf.operation = "domctl late"
    where = int(buf.address)
    buf.release()
    scribble(where + 10, b"late")
    for _ in range(64):
        checked.take(100).release()
    (seen,) = checked.seen
    assert str(seen).startswith(f"write after the release of {buf.name}, last used by domctl late: byte 10 and on is")


def test_an_honest_user_is_left_alone(checked: Any) -> None:
    for nbytes in range(1, 3000, 7):
        with checked.take(nbytes, align=8 << nbytes % 7) as buf:
            assert bytes(buf) == bytes(nbytes)
            buf.memory[:] = b"\x55" * nbytes
    assert checked.seen == []


def test_a_stride_of_4_15_on_a_domain_list_of_4_17_is_caught(caplog: pytest.LogCaptureFixture) -> None:
    """A caller that lays out 12 domains as Xen 4.15 did, on a Xen that writes them as 4.17 does."""
    name, domains = "struct xen_domctl_getdomaininfo", 12
    wrong, right = (abi.load(release).sizeof(name) for release in ((4, 15), (4, 17)))
    assert wrong < right
    seen: list[Violation] = []
    with Pool(SimulatedPages(), check=True, on_violation=seen.append) as pool:
        neighbour = pool.take(domains * wrong)
        with pool.take(domains * wrong) as rows, pool.admitted((rows,), "sysctl getdomaininfolist"):
            scribble(int(rows.address), b"\x2a" * (domains * right))
        assert bytes(neighbour) == bytes(domains * wrong)
        neighbour.release()
    (violation,) = seen
    assert (violation.operation, violation.offset) == ("sysctl getdomaininfolist", domains * wrong)
    assert "past the end of" in caplog.text


def test_without_check_there_is_neither_cost_nor_notice(caplog: pytest.LogCaptureFixture) -> None:
    with Pool(SimulatedPages(), on_violation=lambda _: pytest.fail("told")) as pool:
        with pool.take(60) as buf:
            scribble(int(buf.address) + 60, b"over")
        with pool.take(64) as again:
            assert bytes(again) == bytes(64)  # but what was written is gone all the same
        assert pool.stat()["red_zone_hits"] == 0


@given(st.integers(1, 70_000), st.sampled_from([1, 8, 64, 256, 4096]), st.integers(1, 64))
def test_no_byte_next_to_a_buffer_goes_unwatched(nbytes: int, align: int, distance: int) -> None:
    logging.disable()
    try:
        with Pool(SimulatedPages(), check=True) as pool:
            for offset in (-distance, nbytes + distance - 1):
                buf = pool.take(nbytes, align=align)
                scribble(int(buf.address) + offset, b"\0")
                buf.release()
            assert pool.stat()["red_zone_hits"] == 2
    finally:
        logging.disable(logging.NOTSET)
