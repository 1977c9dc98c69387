"""Sharing of caches and bandwidth on the simulator: classes of service run out, ids do, and counters count."""

from __future__ import annotations

from collections.abc import Iterator
from errno import EEXIST, EFAULT, EINVAL, ENODEV, ENOENT, ENOSYS, EOPNOTSUPP, EOVERFLOW, ERANGE

import pytest
from caller import Caller

from xenfs.simulator.world import hotplug

CMT, ALLOC = "xen_sysctl_psr_cmt_op", "xen_sysctl_psr_alloc"
EVTSEL, COUNTER = 0xC8D, 0xC8E


@pytest.fixture
def psr() -> Iterator[Caller]:
    return Caller("processor=intel,psr=on")


def fact(xen: Caller, name: str, **members: int) -> tuple[int, int]:
    cmd = xen.constant(f"XEN_SYSCTL_PSR_CMT_{name}")
    result, body = xen.sysctl("psr_cmt_op", CMT, cmd=cmd, **members)
    return result, xen.read(body, CMT, "u.data")


def resource(xen: Caller, name: str, socket: int) -> tuple[int, int, int, int]:
    """(result, most, cos_max, flags) of what can be allocated."""
    arm, most = ("u.mba_info", "thrtl_max") if name == "mba" else ("u.cat_info", "cbm_len")
    cmd = xen.constant(f"XEN_SYSCTL_PSR_get_{name}_info")
    result, body = xen.sysctl("psr_alloc", ALLOC, cmd=cmd, target=socket)
    return (result, *xen.read(body, ALLOC, f"{arm}.{most}", f"{arm}.cos_max", f"{arm}.flags"))


def get(xen: Caller, domid: int, name: str, socket: int) -> tuple[int, int]:
    struct = "xen_domctl_psr_alloc"
    cmd = xen.constant(f"XEN_DOMCTL_PSR_GET_{name}")
    result, body = xen.domctl("psr_alloc", domid, struct, cmd=cmd, target=socket)
    return result, xen.read(body, struct, "data")


def put(xen: Caller, domid: int, name: str, socket: int, value: int) -> int:
    cmd = xen.constant(f"XEN_DOMCTL_PSR_SET_{name}")
    return xen.domctl("psr_alloc", domid, "xen_domctl_psr_alloc", cmd=cmd, target=socket, data=value)[0]


def monitoring(xen: Caller, domid: int, name: str) -> tuple[int, int]:
    struct = "xen_domctl_psr_cmt_op"
    result, body = xen.domctl("psr_cmt_op", domid, struct, cmd=xen.constant(f"XEN_DOMCTL_PSR_CMT_OP_{name}"))
    return result, xen.read(body, struct, "data")


def test_without_psr_on_the_command_line(xen: Caller) -> None:
    if xen.x86:
        assert fact(xen, "enabled")[0] == -ENODEV
        assert [resource(xen, name, 0)[0] for name in ("l3", "l2", "mba")] == [-ENODEV] * 3
        assert get(xen, 1, "L3_CBM", 0)[0] == -ENODEV
        assert monitoring(xen, 1, "QUERY_RMID")[0] == -ENODEV
    else:
        assert xen.sysctl("psr_cmt_op", CMT)[0] == xen.sysctl("psr_alloc", ALLOC)[0] == -ENOSYS


def test_facts(psr: Caller) -> None:
    assert fact(psr, "enabled") == (0, 1)
    assert fact(psr, "get_total_rmid") == (0, 223)
    assert fact(psr, "get_l3_event_mask") == (0, 7)
    size = {"u.l3_cache.cpu": 7}
    assert fact(psr, "get_l3_cache_size", **size) == (0, 61440)
    assert fact(psr, "get_l3_cache_size", **{"u.l3_cache.cpu": 99}) == (-ENODEV, 0)
    hotplug.set_online(psr.world, 7, False)
    assert fact(psr, "get_l3_cache_size", **size) == (-ENODEV, 0)
    assert fact(psr, "enabled", flags=1)[0] == -EINVAL
    assert psr.sysctl("psr_cmt_op", CMT, cmd=9)[0] == -ENOSYS


def test_resources(psr: Caller) -> None:
    assert resource(psr, "l3", 0) == (0, 15, 14, 0)
    assert resource(psr, "l2", 1) == (0, 16, 7, 0)
    assert resource(psr, "mba", 1) == (0, 90, 14, 1)
    assert resource(psr, "l3", 2)[0] == -ERANGE
    assert psr.sysctl("psr_alloc", ALLOC, cmd=9)[0] == -EOPNOTSUPP
    amd = Caller("psr=on")
    assert resource(amd, "l3", 0) == (0, 16, 15, 0)
    assert [resource(amd, name, 0)[0] for name in ("l2", "mba")] == [-ENOENT, -ENOENT]
    assert resource(Caller("processor=intel,psr=cdp"), "l3", 0) == (0, 15, 6, 1)


def test_shares_are_a_domain_s_and_a_socket_s(psr: Caller) -> None:
    assert get(psr, 1, "L3_CBM", 0) == (0, 0x7FFF)
    assert get(psr, 1, "MBA_THRTL", 0) == (0, 0)
    assert put(psr, 1, "L3_CBM", 0, 0x0F0) == 0
    assert put(psr, 1, "MBA_THRTL", 0, 37) == 0
    assert get(psr, 1, "L3_CBM", 0) == (0, 0x0F0), "setting one leaves the others"
    assert get(psr, 1, "MBA_THRTL", 0) == (0, 30), "rounded down to what the CPU can do"
    assert get(psr, 1, "L3_CBM", 1) == (0, 0x7FFF)
    assert get(psr, 3, "L3_CBM", 0) == (0, 0x7FFF)
    assert put(psr, 1, "L3_CBM", 0, 0x7FFF) == 0
    assert put(psr, 1, "MBA_THRTL", 0, 0) == 0
    assert psr.world.psr is not None
    assert psr.world.psr.class_of(psr.world.domains[1], 0) == 0, "back in the class of all"


def test_values_that_cannot_be(psr: Caller) -> None:
    for value in (0, 0x8000, 0b101, 1 << 32, 0x10F):
        assert put(psr, 1, "L3_CBM", 0, value) == -EINVAL, hex(value)
    assert put(psr, 1, "MBA_THRTL", 0, 91) == 0, "cut to a step"
    assert put(psr, 1, "MBA_THRTL", 0, 1 << 32) == -EINVAL
    assert put(psr, 1, "MBA_THRTL", 0, 100) == -EINVAL
    assert put(psr, 1, "L3_CBM", 9, 1) == -ERANGE
    assert put(psr, 1, "L3_CODE", 0, 1) == -ENOENT
    assert put(Caller("psr=on"), 1, "L2_CBM", 0, 1) == -ENOENT


def test_classes_run_out(psr: Caller) -> None:
    """L2 has eight classes, one of which is everybody's; equal settings share one."""
    domids = sorted(psr.world.domains)[:9]
    assert [put(psr, domid, "L2_CBM", 0, 1 << n) for n, domid in enumerate(domids[:7])] == [0] * 7
    assert put(psr, domids[7], "L2_CBM", 0, 1 << 7) == -EOVERFLOW
    assert get(psr, domids[7], "L2_CBM", 0) == (0, 0xFFFF)
    assert put(psr, domids[7], "L2_CBM", 0, 1 << 3) == 0, "a class that is there already"
    assert put(psr, domids[2], "L2_CBM", 0, 3 << 9) == 0, "its own class, which nobody else has"
    assert put(psr, domids[3], "L2_CBM", 0, 3 << 11) == -EOVERFLOW, "it shares its class with another"
    psr.world.vanish(domids[1])
    assert put(psr, domids[3], "L2_CBM", 0, 3 << 11) == 0, "the class of a domain that is gone"
    assert get(psr, domids[7], "L2_CBM", 0) == (0, 1 << 3)


def test_a_class_beyond_what_a_resource_has(psr: Caller) -> None:
    """There are more classes for L3 than for L2: a domain in one of those has all of L2, and cannot have less."""
    domids = sorted(psr.world.domains)[:12]
    for n, domid in enumerate(domids):
        assert put(psr, domid, "L3_CBM", 0, 1 << n) == 0
    assert put(psr, domids[9], "L2_CBM", 0, 1) == -EOVERFLOW
    assert get(psr, domids[9], "L2_CBM", 0) == (0, 0xFFFF)


def test_code_and_data_apart() -> None:
    xen = Caller("processor=intel,psr=cdp")
    assert get(xen, 1, "L3_CBM", 0)[0] == -EINVAL
    assert put(xen, 1, "L3_CODE", 0, 0xF) == 0
    assert (get(xen, 1, "L3_CODE", 0), get(xen, 1, "L3_DATA", 0)) == ((0, 0xF), (0, 0x7FFF))
    assert put(xen, 1, "L3_CBM", 0, 0x3) == 0, "both"
    assert (get(xen, 1, "L3_CODE", 0), get(xen, 1, "L3_DATA", 0)) == ((0, 3), (0, 3))


def test_monitoring_ids(psr: Caller) -> None:
    assert monitoring(psr, 1, "QUERY_RMID") == (0, 1), "from the beginning"
    assert monitoring(psr, 1, "ATTACH")[0] == -EEXIST
    assert monitoring(psr, 4, "QUERY_RMID") == (0, 0)
    assert monitoring(psr, 4, "DETACH")[0] == -ENOENT
    assert monitoring(psr, 4, "ATTACH")[0] == 0
    assert monitoring(psr, 4, "QUERY_RMID") == (0, 3)
    assert monitoring(psr, 1, "DETACH")[0] == 0
    assert monitoring(psr, 6, "ATTACH")[0] == 0
    assert monitoring(psr, 6, "QUERY_RMID") == (0, 1), "the first that is free"
    psr.world.vanish(4)
    assert monitoring(psr, 7, "ATTACH")[0] == 0
    assert monitoring(psr, 7, "QUERY_RMID") == (0, 3), "a domain that is gone holds none"
    assert psr.domctl("psr_cmt_op", 1, "xen_domctl_psr_cmt_op", cmd=9)[0] == -ENOSYS


def test_monitoring_ids_run_out() -> None:
    xen = Caller("processor=intel,psr=on,domains=230")
    results = [monitoring(xen, domid, "ATTACH")[0] for domid in sorted(xen.world.domains)]
    assert results.count(0) + results.count(-EEXIST) == 223
    assert results[-1] == -EOVERFLOW


def counted(xen: Caller, cpu: int, rmid: int, event: int) -> int:
    """What the counter shows right after it was told what to count."""
    entry, data = "xenpf_resource_entry", b""
    for cmd, index, value in ((1, EVTSEL, rmid << 32 | event), (0, COUNTER, 0)):
        data += bytes(xen.struct(entry, **{"u.cmd": cmd, "idx": index, "val": value})[1])
    address, memory = xen.arena.take(data)
    result, _ = xen.platform("resource_op", "xenpf_resource_op", nr_entries=2, cpu=cpu, entries=address)
    assert result == 2
    return int(xen.read(memory[24:], entry, "val"))


def test_counters_count(psr: Caller) -> None:
    before = [counted(psr, 0, 1, event) for event in (1, 2, 3)]
    assert before[0] * 114688 < 61440 * 1024
    assert before[1] > before[2] > 0
    psr.time.passes(10)
    after = [counted(psr, 0, 1, event) for event in (1, 2, 3)]
    assert after[0] == before[0]
    assert all(later > earlier for earlier, later in zip(before[1:], after[1:], strict=True))
    assert counted(psr, 0, 5, 1) == 0, "nobody's"
    assert counted(psr, 0, 224, 1) == counted(psr, 0, 1, 9) == 1 << 63


def test_a_socket_where_a_domain_is_not_counts_nothing(psr: Caller) -> None:
    domain = psr.world.domains[1]
    for vcpu in domain.existing():
        vcpu.hard = 0b11
    psr.world.placement.again(domain, psr.world.clock.ticks())
    assert counted(psr, 0, 1, 2) > 0
    assert counted(psr, 7, 1, 2) == 1 << 62
    assert counted(psr, 7, 1, 1) == 0


def test_the_counter_cannot_be_written(psr: Caller) -> None:
    entry = "xenpf_resource_entry"
    address, memory = psr.struct(entry, **{"u.cmd": 1, "idx": COUNTER})
    result, _ = psr.platform("resource_op", "xenpf_resource_op", nr_entries=1, cpu=0, entries=address)
    assert (result, psr.read(memory, entry, "u.ret")) == (0, 2**32 - EFAULT)
