"""Idle states of all CPUs in one batch: the same as of each on its own."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
from worlds import COMBINATIONS, Between, Host

from xenfs.abi.numbers import Hypercall
from xenfs.calls import pmstat
from xenfs.errors import HypercallError
from xenfs.simulator import Simulator


@pytest.fixture(params=[each for each in COMBINATIONS if each[1] == "x86_64"], ids="-".join)
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    with Host(f"xen={request.param[0]},cpus=9") as made:
        yield made


def test_they_are_the_same_as_one_by_one(host: Host) -> None:
    host.world.host.cpus[4].online = False
    host.world.power.counted = True  # the hardware's own counters, too
    room = pmstat.max_cx(host.xen, 0)
    before = host.xen.calls.total
    found = pmstat.cxstats(host.xen, range(9), room)
    assert host.xen.calls.total == before + 1
    assert list(found) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert found == {cpu: pmstat.cxstat(host.xen, cpu, room) for cpu in found}
    assert any(each.core or each.package for each in found.values())
    assert len({each.states[0] for each in found.values()}) > 1


def test_less_room_than_states(host: Host) -> None:
    found = pmstat.cxstats(host.xen, [2, 7], 2)
    assert {cpu: len(each.states) for cpu, each in found.items()} == {2: 2, 7: 2}
    assert found == {cpu: pmstat.cxstat(host.xen, cpu, 2) for cpu in found}


def test_more_cpus_than_a_batch_has() -> None:
    with Host("cpus=1100") as host:
        before = host.xen.calls.total
        found = pmstat.cxstats(host.xen, range(1100), 4)
        assert host.xen.calls.total == before + 3
        assert list(found) == list(range(1100))
        assert found[1099] == pmstat.cxstat(host.xen, 1099, 4)
        assert pmstat.cxstats(host.xen, [], 4) == {}


def test_where_nobody_counts() -> None:
    with Host("pm=off,xen=4.22") as host, pytest.raises(HypercallError) as refused:
        pmstat.cxstats(host.xen, [0, 1], 4)
    assert refused.value.errno in (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV)


def test_a_batch_that_fails() -> None:
    def refuse(number: int, args: tuple[int, ...]) -> int | None:
        return -errno.EPERM if number == Hypercall.multicall else None

    with Host(backend=Between(Simulator.from_settings(""), refuse)) as host, pytest.raises(HypercallError):
        pmstat.cxstats(host.xen, [0, 1], 4)
