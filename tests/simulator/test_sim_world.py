"""The pretended world itself: who lives there, what happens to them, and how it looks in xenstore."""

from __future__ import annotations

import gc
import time
from errno import EEXIST, EINVAL, ENODEV, ESRCH
from uuid import UUID

import pytest
from caller import Caller

from xenfs.simulator import Simulator
from xenfs.simulator.world import hotplug
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.refused import Refused


def test_the_dozen_is_in_every_state() -> None:
    xen = Caller()
    kinds = {domain.kind for domain in xen.world.domains.values()}
    states = set.union(*(xen.flags(domid) for domid in xen.world.domains))
    assert len(xen.world.domains) == 12
    assert kinds == {"pv", "pvh", "hvm"}
    assert states >= {"running", "blocked", "paused", "shutdown", "dying", "hvm_guest", "hap"}
    assert [domain.domid for domain in xen.world.domains.values() if domain.name is None] == [16]


def test_there_are_no_pv_domains_on_arm64() -> None:
    assert {domain.kind for domain in Caller("arch=arm64").world.domains.values()} == {"pvh"}


@pytest.mark.parametrize("count", [1, 3, 12, 13, 500])
def test_as_many_domains_as_wanted(count: int) -> None:
    world = Caller(f"domains={count}").world
    assert len(world.domains) == len(world.order) == count
    assert world.free_pages > 0


@pytest.mark.parametrize("settings", ["cpus=1", "cpus=3,nodes=3", "cpus=4096,nodes=64", "cpus=64,nodes=1,arch=arm64"])
def test_hosts_of_other_sizes(settings: str) -> None:
    xen = Caller(settings)
    nr_cpus = xen.world.host.nr_cpus
    assert xen.read(xen.sysctl("physinfo")[1], "xen_sysctl_physinfo", "nr_cpus") == nr_cpus
    pools = sum(pool.cpus for pool in xen.world.pools.by_id.values())
    assert pools + xen.world.pools.free == (1 << nr_cpus) - 1
    assert xen.info(0, "nr_online_vcpus") == min(4, nr_cpus)


def test_the_same_seed_makes_the_same_host() -> None:
    def handles(seed: int) -> list[bytes]:
        return [domain.handle for domain in Caller(f"seed={seed}").world.domains.values()]

    assert handles(1) == handles(1)
    assert handles(1)[1:] != handles(2)[1:]
    assert handles(1)[0] == bytes(16)


def test_time_can_go_faster() -> None:
    xen = Caller("speed=60")
    before = xen.world.clock.now()
    xen.time.passes(1)
    assert xen.world.clock.now() - before == 60 * 10**9


def test_time_goes_by_without_a_test_s_hand() -> None:
    clock = Simulator().world.clock
    before = clock.now()
    time.sleep(0.002)
    assert clock.now() - before >= 2_000_000


def test_domains_come_and_go() -> None:
    xen = Caller()
    domain = xen.world.create(name="new", uuid="00010203-0405-0607-0809-0a0b0c0d0e0f", type="hvm", vcpus=3, load=100)
    assert (domain.domid, xen.info(domain.domid, "handle")) == (17, bytes(range(16)))
    with pytest.raises(Refused) as refused:
        xen.world.create(17)
    assert refused.value.code == EEXIST
    xen.world.shutdown(17, 3)
    assert "shutdown" in xen.flags(17)
    xen.world.destroy(17)
    assert "dying" in xen.flags(17)
    xen.time.passes(2)
    assert xen.world.domain(17) is None
    assert domain.gone
    for action in (xen.world.destroy, xen.world.pause, xen.world.unpause, xen.world.resume):
        with pytest.raises(Refused) as refused:
            action(17)
        assert refused.value.code == ESRCH
    with pytest.raises(Refused) as refused:
        xen.world.shutdown(17, 0)
    assert refused.value.code == ESRCH


def test_ids_are_not_used_again_soon() -> None:
    world = Caller().world
    first = world.create().domid
    world.vanish(first)
    world.vanish(first)
    assert world.create().domid == first + 1


def test_a_dying_domain_goes_back_to_pool_0_and_gives_its_memory_back() -> None:
    world = Caller().world
    free, domain = world.free_pages, world.domains[6]
    had = domain.tot_pages
    world.destroy(6)
    assert domain.pool.id == 0
    assert world.free_pages > free + had - 10
    world.vanish(6)
    assert world.free_pages == free + had


def test_what_happens_to_cpus() -> None:
    world = Caller().world
    for number, online, code in ((99, True, EINVAL), (0, False, EINVAL), (1, True, EEXIST), (5, False, ENODEV)):
        with pytest.raises(Refused) as refused:
            hotplug.set_online(world, number, online)
        assert refused.value.code == code
    hotplug.set_online(world, 7, False)  # one that is free
    assert world.pools.free == 0
    idle = world.host.cpus[7].idle(world.clock.ticks())
    world.clock._began -= 10**10
    assert world.host.cpus[7].idle(world.clock.ticks()) == idle
    hotplug.set_online(world, 7, True)
    assert world.pools.by_id[0].cpus >> 7 & 1


def test_xenstore_tells_names() -> None:
    xen = Caller()
    store = xen.sim.xenstore()
    assert store is not None
    assert store.read("/local/domain/0/name") == b"Domain-0"
    assert store.read("/local/domain/16/name") is None
    assert store.read("/local/domain/999/name") is None
    assert store.read("/local/pool/0/name") == b"Pool-0"
    assert store.read("/elsewhere") is None
    handle = str(UUID(bytes=xen.world.domains[1].handle))
    assert store.read("/local/domain/1/vm") == f"/vm/{handle}".encode()
    assert store.read(f"/vm/{handle}/name") == b"web-1"
    listed = store.directory("/local/domain")
    assert listed is not None
    assert [int(name) for name in listed] == [domid for domid in xen.world.order if domid != 16]
    assert store.read_many(["/local/domain/1/name", "/local/domain/5/name"]) == [b"web-1", None]
    xen.world.vanish(1)
    assert store.read("/local/domain/1/name") is None


def test_a_host_without_xenstore() -> None:
    assert Caller("xenstore=off").sim.xenstore() is None


def gone() -> int:
    """Domains that are gone and still in memory."""
    return sum(isinstance(thing, Domain) and thing.gone for thing in gc.get_objects())


@pytest.mark.parametrize("kind", ["pv", "pvh", "hvm"])
def test_nothing_is_kept_of_a_domain_that_is_gone(kind: str) -> None:
    """Not by itself either: Python looks for cycles that are old only where many were found (garbage.py)."""
    xen = Caller()
    gc.collect()
    gc.disable()
    try:
        before = gone()
        for number in range(10):
            domid = xen.world.create(type=kind, name=f"passing-{number}", vcpus=3, memory_kb=1 << 14, load=100).domid
            assert xen.info(domid, "nr_online_vcpus") == 3
            if number % 2:
                xen.world.shutdown(domid, 0)
            xen.world.guests.request(xen.world.domains[domid], "poweroff")
            xen.world.destroy(domid)
            xen.time.passes(10)
            assert xen.world.domain(domid) is None
        assert gone() == before
    finally:
        gc.enable()
