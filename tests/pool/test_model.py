"""A pool against a model of it: whatever is done, bytes belong to one owner, are zeroed first, and counts are right."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import cffi
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from xenfs.errors import PoolError
from xenfs.pool import Buffer, LockedAnonymous, Pages, Pool, SimulatedPages, Way

BOUND = 1 << 20
FFI = cffi.FFI()
FFI.cdef("typedef struct xen_guest_memory *guest_handle; struct holder { guest_handle to[4]; };")

SIZES = st.one_of(st.integers(1, 300), st.integers(1, 20_000), st.sampled_from([64, 4096, 65_536, 65_537, 300_000]))
ALIGNS = st.sampled_from([8, 8, 8, 1, 64, 256, 4096])


@dataclass
class Lent:
    """What the model knows of a buffer."""

    buf: Buffer
    content: bytearray
    flights: int = 0
    attached: dict[int, "Lent"] = field(default_factory=dict)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def in_place(buf: Buffer) -> bytes:
    """Its bytes as they lie there. To look by `memory` would make a buffer that is released in another way."""
    return bytes(FFI.buffer(FFI.cast("char *", int(buf.address)), buf.nbytes))


class Machine(RuleBasedStateMachine):
    """Take, write, bounce, attach, fly, release and trim in any order."""

    check = False
    source: type[Pages] = SimulatedPages

    buffers = Bundle("buffers")

    @initialize()
    def start(self) -> None:
        self.pool = Pool(self.source(), max_bytes=BOUND, check=self.check)
        self.lent: list[Lent] = []
        self.takes = self.peak = self.bytes_in = self.bytes_out = 0

    def lend(self, nbytes: int, align: int = 8) -> Lent | None:
        try:
            buf = self.pool.take(nbytes, align=align)
        except PoolError:
            assert self.pool.stat()["bytes_mapped"] + 2 * nbytes + (64 << 10) > BOUND // 2
            return None
        self.takes += 1
        assert int(buf.address) % align == 0
        assert not any(in_place(buf))
        found = Lent(buf, bytearray(nbytes))
        self.lent.append(found)
        self.peak = max(self.peak, len(self.lent))
        return found

    @rule(target=buffers, nbytes=SIZES, align=ALIGNS)
    def take(self, nbytes: int, align: int) -> Any:
        found = self.lend(nbytes, align)
        return multiple() if found is None else found

    @rule(target=buffers, nbytes=st.integers(1, 300), count=st.integers(2, 40))
    def take_many(self, nbytes: int, count: int) -> Any:
        return multiple(*(found for _ in range(count) if (found := self.lend(nbytes))))

    @rule(lent=buffers, data=st.binary(min_size=1, max_size=400), place=st.integers(0, 20_000))
    def fill(self, lent: Lent, data: bytes, place: int) -> None:
        at = place % (len(lent.content) + 1)
        if not lent.buf.live or at + len(data) > len(lent.content):
            with pytest.raises(PoolError):
                lent.buf.fill(data, at)
            return
        lent.buf.fill(data, at)
        lent.content[at : at + len(data)] = data
        self.bytes_in += len(data)

    @rule(lent=buffers, byte=st.integers(1, 255))
    def write_all_in_place(self, lent: Lent, byte: int) -> None:
        if lent.buf.live and not lent.attached:
            lent.buf.memory[:] = bytes([byte]) * len(lent.content)
            lent.content[:] = bytes([byte]) * len(lent.content)

    @rule(
        user=st.binary(min_size=1, max_size=5000), way=st.sampled_from(Way), fails=st.booleans(), always=st.booleans()
    )
    def bounce(self, user: bytes, way: Way, fails: bool, always: bool) -> None:
        mine = bytearray(user)
        into, out = way in (Way.IN, Way.BOTH), way in (Way.OUT, Way.BOTH)
        try:
            with self.pool.bounce(mine, way, even_failed=always) as buf:
                self.takes, self.peak = self.takes + 1, max(self.peak, len(self.lent) + 1)
                self.bytes_in += into * len(mine)
                assert bytes(buf.memory) == (user if into else bytes(len(user)))
                buf.memory[:] = user[::-1]
                if fails:
                    raise KeyError
        except KeyError:
            out = out and always
        except PoolError:
            return
        self.bytes_out += out * len(mine)
        assert mine == (user[::-1] if out else user)

    @rule(holder=buffers, slot=st.integers(0, 3), other=buffers)
    def attach(self, holder: Lent, slot: int, other: Lent) -> None:
        if len(holder.content) < FFI.sizeof("struct holder") or not holder.buf.live:
            return
        view = holder.buf.view(FFI, "struct holder")
        if not other.buf.live:
            with pytest.raises(TypeError):
                holder.buf.attach(view, ("to", slot), other.buf)
            return
        holder.buf.attach(view, ("to", slot), other.buf)
        address = int(other.buf.address)
        holder.content[slot * 8 : slot * 8 + 8] = address.to_bytes(8, "little")
        holder.attached[slot] = other

    @rule(lent=buffers)
    def fly(self, lent: Lent) -> None:
        reach = [lent]
        for one in reach:
            reach += [other for other in one.attached.values() if other not in reach]
        broken = self.check and any(
            one.content[slot * 8 : slot * 8 + 8] != int(other.buf.address).to_bytes(8, "little")
            for one in reach
            if one.buf.live
            for slot, other in one.attached.items()
            if other.buf.live
        )
        if broken or not all(one.buf.live for one in reach):
            with pytest.raises(PoolError):
                self.pool.admit((1, lent.buf))
            return
        with self.pool.admitted((1, lent.buf)) as numbers:
            assert numbers == (1, int(lent.buf.address))
            for one in reach:
                with pytest.raises(PoolError, match="a hypercall is using it"):
                    one.buf.release()

    @rule(lent=consumes(buffers))
    def release(self, lent: Lent) -> None:
        lent.buf.release()
        self.lent.remove(lent)
        with pytest.raises(PoolError, match="released before"):
            lent.buf.release()

    @rule()
    def trim(self) -> None:
        self.pool.trim()

    @invariant()
    def nobody_shares_bytes(self) -> None:
        if not hasattr(self, "pool"):
            return
        spans = sorted((int(lent.buf.address), int(lent.buf.address) + lent.buf.nbytes) for lent in self.lent)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))

    @invariant()
    def contents_are_as_written(self) -> None:
        for lent in getattr(self, "lent", ()):
            assert in_place(lent.buf) == lent.content
            assert self.pool.locate(int(lent.buf.address), lent.buf.nbytes) == lent.content

    @invariant()
    def counts_are_right(self) -> None:
        if not hasattr(self, "pool"):
            return
        stat = self.pool.stat()
        assert stat["takes"] == self.takes == stat["hits"] + stat["misses"]
        assert stat["in_use"] == len(self.lent) == stat["takes"] - stat["releases"]
        assert stat["peak"] == self.peak
        assert (stat["bytes_in"], stat["bytes_out"]) == (self.bytes_in, self.bytes_out)
        assert stat["bytes_mapped"] <= BOUND
        assert stat["red_zone_hits"] == 0
        classes = self.pool.size_classes()
        assert sum(lent for _, _, lent in classes) == len(self.lent)
        assert sum(size * total for size, total, _ in classes) <= stat["bytes_mapped"]

    def teardown(self) -> None:
        for lent in getattr(self, "lent", ()):
            lent.buf.release()
        if hasattr(self, "pool"):
            self.pool.trim()
            free = sum(len(shelf.free) for shelf in self.pool._stock.shelves)
            assert free == sum(total for _, total, _ in self.pool.size_classes())  # nothing leaked
            self.pool.close()
            assert self.pool.stat()["bytes_mapped"] == 0


class CheckedMachine(Machine):
    """The same with guard bytes."""

    check = True


class LockedMachine(Machine):
    """The same on locked memory."""

    source = LockedAnonymous


TestPlain, TestChecked, TestLocked = Machine.TestCase, CheckedMachine.TestCase, LockedMachine.TestCase
TestPlain.settings = TestChecked.settings = TestLocked.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
