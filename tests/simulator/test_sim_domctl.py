"""Domctls on domains and vCPUs, on every release and architecture."""

from __future__ import annotations

from errno import EACCES, EEXIST, EFAULT, EINVAL, ENOENT, ENOSYS, EOPNOTSUPP, EOVERFLOW, ESRCH
from typing import Any

import pytest
from caller import Caller

ANY = 0x7FF5


def test_getdomaininfo(xen: Caller) -> None:
    domain = xen.world.domains[3]
    pages, highest, vcpus, handle, pool = xen.info(3, "tot_pages", "max_pages", "nr_online_vcpus", "handle", "cpupool")
    assert (pages, vcpus, handle, pool) == (domain.tot_pages, 4, domain.handle, 0)
    assert highest >= pages
    assert xen.info(3, "max_vcpu_id") == 3
    assert "hvm_guest" in xen.flags(3)
    assert "hap" in xen.flags(3)
    assert ("hvm_guest" in xen.flags(1)) == (not xen.x86)


def test_members_at_the_end_are_where_the_release_has_them(xen: Caller) -> None:
    struct = "xen_domctl_getdomaininfo"
    if xen.layouts.has(struct, "gpaddr_bits"):
        assert xen.info(3, "gpaddr_bits") == (46 if xen.x86 else 44)
    offset, size = xen.layouts.field(struct, "arch_config")
    _, body = xen.domctl("getdomaininfo", 3)
    expected = 0x3FF if xen.x86 else 0
    assert int.from_bytes(body[offset : offset + size], "little") == expected


def test_states_show_in_the_flags(xen: Caller) -> None:
    assert "running" in xen.flags(0)
    assert "paused" in xen.flags(9)
    assert "shutdown" in xen.flags(10)
    assert xen.info(10, "flags") >> 16 == 0
    assert xen.info(12, "flags") >> 16 == 3
    assert xen.info(4, "flags") >> 16 == 0xFFFF  # not shut down: what Xen keeps for no code
    assert "dying" in xen.flags(15)
    for domid in xen.world.domains:
        assert not {"running", "blocked"} <= xen.flags(domid)


def test_no_such_domain_is_the_next_one_up_to_4_17(xen: Caller) -> None:
    address, memory, _ = xen.domctl_struct("getdomaininfo", 5)
    result = xen.call("domctl", address)
    if xen.release < (4, 18):
        assert (result, xen.read(memory, "xen_domctl", "domain")) == (0, 6)
    else:
        assert result == -ESRCH
    assert xen.domctl("getdomaininfo", 17)[0] == -ESRCH
    assert xen.domctl("getdomaininfo", 0x7FF4)[0] == (-EINVAL if xen.release < (4, 18) else -ESRCH)


def test_versions_come_first_and_the_stable_one_has_version_zero(xen: Caller) -> None:
    right = xen.layouts.interfaces["domctl"]
    for version, cmd, expected in ((right + 1, 5, -EACCES), (0, 5, -EACCES), (right, 9999, -ENOSYS)):
        address, _ = xen.struct("xen_domctl", cmd=cmd, interface_version=version, domain=1)
        assert xen.call("domctl", address) == expected
    address, _ = xen.struct("xen_domctl", cmd=90, interface_version=right, domain=1)
    assert xen.call("domctl", address) == (-EACCES if xen.release >= (4, 21) else -ENOSYS)


def test_the_whole_struct_must_be_there(xen: Caller) -> None:
    address, memory = xen.arena.take(xen.layouts.size("xen_domctl") - 1)
    xen.layouts.put(memory, "xen_domctl", cmd=5, interface_version=xen.layouts.interfaces["domctl"], domain=1)
    assert xen.call("domctl", address) == -EFAULT


def test_operations_on_a_domain_need_one(xen: Caller) -> None:
    for name in ("pausedomain", "unpausedomain", "destroydomain", "max_mem", "getvcpuinfo", "getnodeaffinity"):
        assert xen.domctl(name, 999)[0] == -ESRCH


def test_pauses_are_counted(xen: Caller) -> None:
    assert xen.domctl("unpausedomain", 1)[0] == -EINVAL
    assert [xen.domctl("pausedomain", 1)[0] for _ in range(2)] == [0, 0]
    assert xen.domctl("unpausedomain", 1)[0] == 0
    assert "paused" in xen.flags(1)
    assert xen.domctl("unpausedomain", 1)[0] == 0
    assert "paused" not in xen.flags(1)
    assert xen.domctl("pausedomain", 0)[0] == -EINVAL


def test_pauses_end_at_255(x86: Caller) -> None:
    assert {x86.domctl("pausedomain", 1)[0] for _ in range(255)} == {0}
    assert x86.domctl("pausedomain", 1)[0] == -EOVERFLOW


def test_a_paused_domain_gets_no_time(xen: Caller) -> None:
    def passes() -> int:
        before = xen.info(3, "cpu_time")
        xen.time.passes(10)
        return int(xen.info(3, "cpu_time") - before)

    assert passes() > 10**9
    xen.domctl("pausedomain", 3)
    assert passes() == 0
    xen.domctl("unpausedomain", 3)
    assert passes() > 10**9


def test_a_destroyed_domain_dies_and_then_is_gone(xen: Caller) -> None:
    handle = xen.info(2, "handle")
    assert xen.domctl("destroydomain", 2)[0] == 0
    assert "dying" in xen.flags(2)
    assert xen.domctl("destroydomain", 2)[0] == 0
    xen.time.passes(3)
    assert xen.domctl("pausedomain", 2)[0] == -ESRCH
    assert xen.create(2)[0] == 0
    assert xen.info(2, "handle") != handle
    assert xen.domctl("destroydomain", 0)[0] == -EINVAL


def test_one_never_quite_goes(xen: Caller) -> None:
    xen.time.passes(10_000)
    assert "dying" in xen.flags(15)


def test_resuming_undoes_a_shutdown(xen: Caller) -> None:
    assert xen.domctl("resumedomain", 10)[0] == 0
    assert "shutdown" not in xen.flags(10)
    assert xen.domctl("resumedomain", 0)[0] == -EINVAL


def test_memory_limit_and_handle_are_set(xen: Caller) -> None:
    assert xen.domctl("max_mem", 4, "xen_domctl_max_mem", max_memkb=4097)[0] == 0
    assert xen.info(4, "max_pages") == 1024
    assert xen.domctl("max_mem", 4, "xen_domctl_max_mem", max_memkb=(1 << 64) - 1)[0] == 0
    assert xen.info(4, "max_pages") == 0xFFFFFFFF
    assert xen.domctl("setdomainhandle", 4, "xen_domctl_setdomainhandle", handle=b"0123456789abcdef")[0] == 0
    assert xen.info(4, "handle") == b"0123456789abcdef"


def state(xen: Caller, domid: int, **members: int) -> tuple[int, Any]:
    result, body = xen.domctl("get_domain_state", domid, "xen_domctl_get_domain_state", **members)
    return result, xen.read(body, "xen_domctl_get_domain_state", "state", "caps", "unique_id")


def test_domain_state_since_4_21(xen: Caller) -> None:
    if xen.release < (4, 21):
        address, _ = xen.struct("xen_domctl", cmd=90, interface_version=0, domain=1)
        assert xen.call("domctl", address) == -EACCES
        return
    assert state(xen, 0)[1][:2] == (1, 7)
    assert state(xen, 10)[1][0] == 3
    assert state(xen, 15)[1][0] == 9
    assert state(xen, 999)[0] == -ESRCH
    assert state(xen, 0x7FF4)[0] == -EACCES
    assert state(xen, 1, pad0=1)[0] == -EINVAL
    assert len({state(xen, domid)[1][2] for domid in xen.world.domains}) == len(xen.world.domains)


def test_unique_ids_tell_lives_apart() -> None:
    xen = Caller("xen=4.22")
    before = state(xen, 2)[1][2]
    xen.world.vanish(2)
    xen.world.create(2)
    assert state(xen, 2)[1][2] != before


def test_create_with_an_id_and_with_any(xen: Caller) -> None:
    assert xen.create(40) == (0, 40)
    assert xen.create(40)[0] == -EEXIST
    result, domid = xen.create(ANY)
    assert (result, domid not in (0, 40)) == (0, True)
    assert "paused" in xen.flags(40)
    assert xen.info(40, "nr_online_vcpus", "max_vcpu_id") == (0, 0xFFFFFFFF)


def test_the_old_wildcards_end_with_4_22(xen: Caller) -> None:
    results = [xen.create(wanted)[0] for wanted in (0, 0xFFFF)]
    assert results == ([-EEXIST] * 2 if xen.release >= (4, 22) else [0, 0])


def test_what_createdomain_refuses(xen: Caller) -> None:
    assert xen.create(40, vcpus=0)[0] == -EINVAL
    assert xen.create(40, wanted={"flags": 1 << 30})[0] == -EINVAL
    assert xen.create(40, wanted={"iommu_opts": 1})[0] == -EINVAL
    assert xen.create(40, wanted={"flags": xen.constant("XEN_DOMCTL_CDF_hap")})[0] == -EINVAL
    pv = xen.create(41, wanted={"flags": 0})[0]
    assert pv == (0 if xen.x86 else -EINVAL)
    if xen.release >= (4, 16):
        assert xen.create(40, wanted={"grant_opts": 0})[0] == -EINVAL
    if xen.release >= (4, 17):
        assert xen.create(40, wanted={"cpupool_id": 9})[0] == -ESRCH
        assert xen.create(42, wanted={"cpupool_id": 1})[0] == 0
        assert xen.info(42, "cpupool") == 1
    if xen.release >= (4, 21) and xen.x86:
        assert xen.create(40, wanted={"altp2m.opts": 1})[0] == -EINVAL
        assert xen.create(40, wanted={"altp2m.opts": 1, "altp2m.nr": 2})[0] == 0


def test_vcpus_of_a_new_domain(xen: Caller) -> None:
    xen.create(40, vcpus=3)
    missing = xen.domctl("getvcpuinfo", 40, "xen_domctl_getvcpuinfo", vcpu=1)[0]
    assert missing == (-ENOENT if xen.release >= (4, 22) else -ESRCH)
    assert xen.domctl("max_vcpus", 40, "xen_domctl_max_vcpus", max=2)[0] == -EINVAL
    assert xen.domctl("max_vcpus", 40, "xen_domctl_max_vcpus", max=3)[0] == 0
    assert xen.info(40, "nr_online_vcpus", "max_vcpu_id") == (0, 2)
    beyond = xen.domctl("getvcpuinfo", 40, "xen_domctl_getvcpuinfo", vcpu=3)[0]
    assert beyond == (-ENOENT if xen.release >= (4, 22) else -EINVAL)


def test_vcpus_add_up_to_their_domain(xen: Caller) -> None:
    for domid in (0, 3, 6):
        xen.time.passes(1.2345)
        count = xen.info(domid, "max_vcpu_id") + 1
        told = []
        for number in range(count):
            result, body = xen.domctl("getvcpuinfo", domid, "xen_domctl_getvcpuinfo", vcpu=number)
            assert result == 0
            told.append(xen.read(body, "xen_domctl_getvcpuinfo", "online", "running", "cpu_time", "cpu"))
        assert sum(time for _, _, time, _ in told) == xen.info(domid, "cpu_time")
        assert any(running for _, running, _, _ in told) == ("running" in xen.flags(domid))
        assert all(online for online, _, _, _ in told)
        assert all(xen.world.domains[domid].pool.cpus >> cpu & 1 for _, _, _, cpu in told)


def test_no_cpu_runs_two_at_once(xen: Caller) -> None:
    for _ in range(50):
        xen.time.passes(0.4)
        runs = xen.world.placement.running(xen.world.clock.ticks())
        assert sum(map(len, runs.values())) <= 8
        places = [xen.world.domains[d].vcpus[v].cpu.id for d, numbers in runs.items() for v in numbers]
        assert len(places) == len(set(places))


def nodes(xen: Caller, name: str, bits: int, nr_bits: int, domid: int = 1) -> tuple[int, int]:
    address, _, body = xen.domctl_struct(name, domid)
    memory = xen.bitmap(body, "xen_domctl_nodeaffinity", "nodemap", bits, nr_bits)
    return xen.call("domctl", address), int.from_bytes(memory, "little")


def test_node_affinity(xen: Caller) -> None:
    everywhere = (1 << xen.world.host.nr_nodes) - 1
    assert nodes(xen, "getnodeaffinity", 0, 64) == (0, everywhere)
    assert nodes(xen, "setnodeaffinity", 1, 64)[0] == 0
    assert nodes(xen, "getnodeaffinity", 0xFFFF, 16) == (0, 1)
    assert nodes(xen, "setnodeaffinity", 1 << 40, 64)[0] == -EINVAL
    assert nodes(xen, "setnodeaffinity", (1 << 64) - 1, 64)[0] == 0
    assert nodes(xen, "getnodeaffinity", 0, 64) == (0, everywhere)


def test_paging_pools_since_4_17(xen: Caller) -> None:
    if xen.release < (4, 17):
        address, _ = xen.struct("xen_domctl", cmd=85, interface_version=xen.layouts.interfaces["domctl"], domain=4)
        assert xen.call("domctl", address) == -ENOSYS
        return
    struct = "xen_domctl_paging_mempool"
    assert xen.domctl("set_paging_mempool_size", 4, struct, size=8 << 20)[0] == 0
    assert xen.read(xen.domctl("get_paging_mempool_size", 4)[1], struct, "size") == 8 << 20
    assert xen.domctl("set_paging_mempool_size", 4, struct, size=4097)[0] == -EINVAL
    if xen.x86:
        assert xen.domctl("get_paging_mempool_size", 1)[0] == -EOPNOTSUPP


def test_what_only_x86_has(xen: Caller) -> None:
    trigger = "xen_domctl_sendtrigger"
    if not xen.x86:
        assert xen.domctl("get_address_size", 4)[0] == -ENOSYS
        assert xen.domctl("sendtrigger", 4, trigger, trigger=0)[0] == -ENOSYS
        return
    result, body = xen.domctl("get_address_size", 1)
    assert (result, xen.read(body, "xen_domctl_address_size", "size")) == (0, 64)
    assert xen.domctl("get_address_size", 4)[0] == -EOPNOTSUPP
    nmi, power = xen.constant("XEN_DOMCTL_SENDTRIGGER_NMI"), xen.constant("XEN_DOMCTL_SENDTRIGGER_POWER")
    assert xen.domctl("sendtrigger", 1, trigger, trigger=nmi, vcpu=1)[0] == 0
    assert xen.domctl("sendtrigger", 1, trigger, trigger=nmi, vcpu=2)[0] == -ESRCH
    assert xen.domctl("sendtrigger", 1, trigger, trigger=power)[0] == -EINVAL
    assert xen.domctl("sendtrigger", 1, trigger, trigger=xen.constant("XEN_DOMCTL_SENDTRIGGER_RESET"))[0] == -ENOSYS
    assert xen.domctl("sendtrigger", 3, trigger, trigger=power)[0] == 0
    assert "shutdown" in xen.flags(3)


@pytest.mark.parametrize("release", ["4.14", "4.20"])
def test_when_ids_run_out(release: str) -> None:
    xen = Caller(f"xen={release}")
    xen.world.domains.update(dict.fromkeys(range(1, 0x7FF0), xen.world.domains[1]))
    assert xen.create(ANY)[0] == -12
    later = Caller("xen=4.21")
    later.world.domains.update(dict.fromkeys(range(1, 0x7FF0), later.world.domains[1]))
    assert later.create(ANY)[0] == -EEXIST
