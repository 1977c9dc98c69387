"""What may reach the hypervisor, and who has a buffer meanwhile."""

import errno
from enum import IntEnum
from typing import Any

import cffi
import pytest

from xenfs.errors import PoolError
from xenfs.pool import Buffer, Pool, SimulatedPages


class Op(IntEnum):
    PHYSINFO = 3


def test_integers_pass_and_buffers_become_addresses(pool: Pool) -> None:
    with pool.take(64) as buf:
        assert pool.admit((Op.PHYSINFO, buf, -1, 2**32)) == (3, int(buf.address), -1, 2**32)
        pool.retire_flight((Op.PHYSINFO, buf, -1, 2**32))


def test_a_buffer_in_flight_is_not_given_back(pool: Pool) -> None:
    buf = pool.take(64)
    with pool.admitted((1, buf), "sysctl physinfo") as numbers:
        assert numbers == (1, int(buf.address))
        assert (buf.operation, buf.state) == ("sysctl physinfo", "in flight")
        with pytest.raises(PoolError, match=f"{buf.name} cannot be released: a hypercall is using it") as caught:
            buf.release()
        assert caught.value.errno == errno.EBUSY
        with pytest.raises(PoolError, match="cannot be passed to Xen: a hypercall is using it"):
            pool.admit((buf,))
        assert pool.locate(int(buf.address), 64).nbytes == 64
        assert pool.stat()["in_use"] == 1
        with pytest.raises(PoolError, match="cannot be closed"):
            pool.close()
    buf.release()


def test_a_buffer_that_does_not_fly_cannot_land(pool: Pool) -> None:
    with pool.take(64) as buf:
        with pytest.raises(PoolError, match="cannot be landed: no hypercall is using it"):
            pool.retire_flight((buf,))
        assert pool.stat()["in_use"] == 1


def test_a_flight_ends_when_the_call_fails(pool: Pool) -> None:
    with pool.take(64) as buf, pytest.raises(KeyError), pool.admitted((buf,)):
        raise KeyError


def refused(pool: Pool, *args: Any) -> PoolError:
    with pytest.raises(PoolError) as caught:
        pool.admit(args)
    assert not pool._flying
    return caught.value


def test_anything_but_integers_and_live_buffers_is_refused(pool: Pool) -> None:
    with pool.take(64) as buf:
        for wrong in (buf.address, buf.memory, "x", None, 1.0, [], b"", buf.__class__):
            assert "only integers and live buffers can" in str(refused(pool, 1, buf, wrong))
            assert refused(pool, wrong).errno == errno.EINVAL


def test_a_raw_address_is_refused(pool: Pool) -> None:
    with pool.take(64) as buf:
        for address in (int(buf.address), int(buf.address) + 3):
            assert "pass the buffer, not its address" in str(refused(pool, buf, address))


def test_the_address_of_any_other_memory_is_refused_too(pool: Pool) -> None:
    outside = cffi.FFI().new("char[100]")
    address = int(cffi.FFI().cast("uintptr_t", outside))
    if address <= 2**32:
        pytest.skip("this Python's heap lies where numbers are not looked at")
    with pool.take(64) as buf:
        assert f"{address:#x} is an address in this process" in str(refused(pool, buf, address))
        with pool.admitted((buf, 2**63 - 1, 2**40 + 3)):  # numbers that are large and no addresses
            pass


def test_a_stale_buffer_is_refused(pool: Pool) -> None:
    buf = pool.take(64)
    buf.release()
    assert refused(pool, 1, buf).errno == errno.ESTALE


def test_a_buffer_of_another_pool_is_refused(pool: Pool) -> None:
    with Pool(SimulatedPages()) as other, other.take(64) as buf:
        assert "it belongs to another pool" in str(refused(pool, buf))


def test_the_same_buffer_cannot_be_two_arguments(pool: Pool) -> None:
    with pool.take(64) as buf:
        assert refused(pool, buf, buf).errno == errno.EBUSY


def test_buffers_may_be_held_across_calls_and_refreshed_in_place(pool: Pool, ffi: cffi.FFI) -> None:
    with pool.take(4096) as rows:
        buf, op = attached(pool, ffi, rows, 4096)
        before = pool.stat()
        for count in range(100):
            op.cmd = count
            with pool.admitted((buf,)) as (address,):
                pool.locate(address, 4)
                pool.locate(int(rows.address), 4096)[:4] = bytes([count] * 4)
            assert rows.memory[0] == count
        assert pool.stat() == before  # nothing taken, nothing copied
        buf.release()


# Guest handles


def attached(pool: Pool, ffi: cffi.FFI, other: Buffer | None, needs: int = 0) -> tuple[Buffer, Any]:
    buf = pool.take(ffi.sizeof("struct op"))
    op = buf.view(ffi, "struct op")
    buf.attach(op.u.list, "buffer", other, needs)
    return buf, op


def test_a_handle_takes_a_buffer_or_nothing(pool: Pool, ffi: cffi.FFI) -> None:
    with pool.take(64) as other:
        buf, op = attached(pool, ffi, other)
        assert int(ffi.cast("uintptr_t", op.u.list.buffer)) == int(other.address)
        assert buf.attached == (other,)
        buf.attach(op, ("u", "list", "buffer"), None)
        assert op.u.list.buffer == ffi.NULL
        assert buf.attached == ()
        buf.release()


def test_cffi_itself_refuses_an_integer_as_a_handle(pool: Pool, ffi: cffi.FFI) -> None:
    with pool.take(136) as buf, pytest.raises(TypeError):
        buf.view(ffi, "struct op").u.list.buffer = 0x1000


def test_nothing_else_is_attached(pool: Pool, ffi: cffi.FFI) -> None:
    stale = pool.take(64)
    stale.release()
    with Pool(SimulatedPages()) as elsewhere, elsewhere.take(64) as foreign, pool.take(136) as buf:
        op = buf.view(ffi, "struct op")
        for wrong in (0, 4096, buf.address, buf.memory, "x", stale, foreign):
            with pytest.raises(TypeError, match="takes a live buffer of the same pool"):
                buf.attach(op.u.list, "buffer", wrong)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="cmd is a uint32_t, not a guest handle"):
            buf.attach(op, "cmd", buf)
        assert op.u.list.buffer == ffi.NULL


def test_a_handle_must_lie_in_the_buffer_that_it_is_attached_to(pool: Pool, ffi: cffi.FFI) -> None:
    with pool.take(136) as one, pool.take(136) as two, pytest.raises(PoolError, match=f"does not lie in {two.name}"):
        two.attach(one.view(ffi, "struct op").u.list, "buffer", one)


def test_words_of_multicalls_are_handles_too(pool: Pool, ffi: cffi.FFI) -> None:
    with pool.take(2 * 64) as buf, pool.take(64) as other:
        entries = buf.cast(ffi, "struct entry *")[0:2]
        for index in (1, 5):
            buf.attach(entries[1], ("args", index), other)
        assert list(entries[1].args) == [0, int(other.address), 0, 0, 0, int(other.address)]
        with pool.admitted((buf, 2)):
            assert other in pool._flying
        assert pool._live == {buf, other}


def test_a_stale_attachment_is_refused(pool: Pool, ffi: cffi.FFI) -> None:
    other = pool.take(64)
    buf, _ = attached(pool, ffi, other)
    other.release()
    problem = refused(pool, 1, buf)
    assert f"{other.name} cannot be passed to Xen inside {buf.name}: it was released before" in str(problem)
    buf.release()


def test_an_attachment_shorter_than_the_struct_says_is_refused(pool: Pool, ffi: cffi.FFI) -> None:
    with pool.take(64) as other:
        buf, op = attached(pool, ffi, other, needs=65)
        assert f"{other.name} is attached to {buf.name}, which needs 65 bytes" in str(refused(pool, buf))
        buf.attach(op.u.list, "buffer", other, 64)
        with pool.admitted((buf,)):
            pass
        buf.release()


def test_everything_within_reach_flies_and_lands(pool: Pool, ffi: cffi.FFI) -> None:
    with pool.take(64) as end:
        middle, op = attached(pool, ffi, end)
        first, _ = attached(pool, ffi, middle)
        middle.attach(op.u.list, "old_style", first)  # a circle
        with pool.admitted((first,), "domctl x"):
            assert pool._flying == {first, middle, end}
            assert end.operation == "domctl x"
            with pytest.raises(PoolError, match="a hypercall is using it"):
                end.release()
        assert not pool._flying
        middle.release()
        assert "released before" in str(refused(pool, first))
        first.release()


def test_an_overwritten_handle_is_noticed_in_check_mode(checked: Pool, ffi: cffi.FFI) -> None:
    with checked.take(64) as other:
        buf, op = attached(checked, ffi, other)
        op.u.list.buffer = ffi.cast("guest_handle", 0x1000)
        assert f"the handle to {other.name} in {buf.name} was overwritten" in str(refused(checked, buf))
        buf.release()


def test_what_is_launched_is_in_flight_until_it_lands(pool: Pool) -> None:
    buf = pool.launch(b"\1" * 100, "sysctl physinfo")
    start = int(buf.address)
    assert (buf.operation, buf.state, pool.in_flight(start)) == ("sysctl physinfo", "in flight", buf)
    assert bytes(pool.locate(start, 100)) == b"\1" * 100
    for wrong in (buf.release, pool.close):
        with pytest.raises(PoolError) as caught:
            wrong()
        assert caught.value.errno == errno.EBUSY
    with pytest.raises(PoolError, match="cannot be passed to Xen: a hypercall is using it"):
        pool.admit((buf,))
    pool.locate(start, 1)[0] = 7
    before = pool.stat()
    assert pool.land(buf) == b"\7" + b"\1" * 99
    assert (buf.state, pool.in_flight(start)) == ("released", None)
    assert (before["in_use"], pool.stat()["in_use"], pool.stat()["bytes_out"]) == (1, 0, 100)
    with pool.take(100) as anew:  # the same memory
        assert (int(anew.address), bytes(anew)) == (start, bytes(100))


def test_only_what_was_launched_lands(pool: Pool) -> None:
    buf = pool.launch(b"a", "")
    pool.land(buf)
    with pytest.raises(PoolError, match="cannot be landed: it was released before"):
        pool.land(buf)
    with pool.take(1) as lent, pytest.raises(PoolError, match="cannot be landed: no hypercall is using it"):
        pool.land(lent)
    with pytest.raises(PoolError, match="makes no sense"):
        pool.launch(b"", "")


@pytest.mark.logs("write past the end of buffer .* last used by sysctl physinfo")
def test_what_xen_writes_behind_what_was_launched_is_reported(checked: Pool) -> None:
    buf = checked.launch(bytes(100), "sysctl physinfo")
    cffi.FFI().memmove(cffi.FFI().cast("char *", int(buf.address) + 100), b"x", 1)
    assert checked.land(buf) == bytes(100)
    assert len(checked.seen) == 1  # type: ignore[attr-defined]
