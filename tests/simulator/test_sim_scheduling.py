"""Affinities and scheduling parameters of domains, on every release and architecture."""

from __future__ import annotations

from errno import EFAULT, EINVAL, ESRCH
from typing import Any

from caller import Caller
from hypothesis import given
from hypothesis import strategies as st

STRUCT = "xen_domctl_vcpuaffinity"
CREDIT, CREDIT2, RTDS = 5, 6, 8


def affinity(
    xen: Caller,
    name: str,
    *,
    hard: tuple[int, int] | None = None,
    soft: tuple[int, int] | None = None,
    domid: int = 1,
    vcpu: int = 0,
) -> tuple[int, int | None, int | None]:
    """(result, hard bits, soft bits); each of hard and soft is (bits, nr_bits)."""
    flags = (xen.constant("XEN_VCPUAFFINITY_HARD") if hard else 0) | (
        xen.constant("XEN_VCPUAFFINITY_SOFT") if soft else 0
    )
    address, _, body = xen.domctl_struct(f"{name}vcpuaffinity", domid, STRUCT, vcpu=vcpu, flags=flags)
    maps = [
        xen.bitmap(body, STRUCT, f"cpumap_{kind}", *given) if given else None
        for kind, given in (("hard", hard), ("soft", soft))
    ]
    result = xen.call("domctl", address)
    hard_bits, soft_bits = (None if each is None else int.from_bytes(each, "little") for each in maps)
    return result, hard_bits, soft_bits


def test_a_fresh_vcpu_may_run_anywhere(xen: Caller) -> None:
    assert affinity(xen, "get", hard=(0, 64), soft=(0, 64)) == (0, 0xFF, 0xFF)


def test_setting_answers_with_what_is_in_effect(xen: Caller) -> None:
    assert affinity(xen, "set", hard=(0b11000110, 8)) == (0, 0b00000110, None)
    assert affinity(xen, "get", hard=(0, 8)) == (0, 0b11000110, None)
    assert affinity(xen, "set", soft=(0b11110100, 8)) == (0, None, 0b00000100)
    assert affinity(xen, "get", soft=(0, 8)) == (0, None, 0b11110100)
    assert affinity(xen, "set", hard=(0b1, 8), soft=(0b10, 8)) == (0, 0b1, 0)
    assert xen.world.domains[1].vcpus[0].cpu.id == 0


def test_what_affinities_refuse(xen: Caller) -> None:
    assert affinity(xen, "get")[0] == -EINVAL
    assert affinity(xen, "set", hard=(0, 8))[0] == -EINVAL
    assert affinity(xen, "set", hard=(0b11100000, 8))[0] == -EINVAL  # none of them in its pool
    assert affinity(xen, "set", soft=(0, 8))[0] == 0
    assert affinity(xen, "get", hard=(0, 8), vcpu=2)[0] == -EINVAL
    xen.create(40)
    assert affinity(xen, "get", hard=(0, 8), domid=40, vcpu=1)[0] == -ESRCH
    address, _, body = xen.domctl_struct("getvcpuaffinity", 1, STRUCT, flags=xen.constant("XEN_VCPUAFFINITY_HARD"))
    assert xen.call("domctl", address) == -EINVAL  # a null pointer
    at = body[xen.layouts.offset(STRUCT, "cpumap_hard") :]
    xen.layouts.put(at, "xenctl_bitmap", bitmap=0x1234, nr_bits=8)
    assert xen.call("domctl", address) == -EFAULT


def test_a_soft_affinity_that_faults_leaves_the_hard_one_alone(xen: Caller) -> None:
    flags = xen.constant("XEN_VCPUAFFINITY_HARD") | xen.constant("XEN_VCPUAFFINITY_SOFT")
    address, _, body = xen.domctl_struct("setvcpuaffinity", 1, STRUCT, flags=flags)
    xen.bitmap(body, STRUCT, "cpumap_hard", 1, 8)
    at = body[xen.layouts.offset(STRUCT, "cpumap_soft") :]
    xen.layouts.put(at, "xenctl_bitmap", bitmap=0x1234, nr_bits=8)
    assert xen.call("domctl", address) == -EFAULT
    assert affinity(xen, "get", hard=(0, 8))[1] == 0xFF


@given(
    cpus=st.integers(1, 100),
    given_bits=st.integers(0, 200),
    wanted=st.integers(0, (1 << 200) - 1),
    room=st.integers(0, 200),
)
def test_bitmaps_are_cut_and_filled_up(cpus: int, given_bits: int, wanted: int, room: int) -> None:
    xen = Caller(f"cpus={cpus},nodes=1,domains=1")
    before = wanted & ((1 << -(-given_bits // 8) * 8) - 1)  # what lies beyond nr_bits in the last byte is not looked at
    result, _, _ = affinity(xen, "set", soft=(before, given_bits), domid=0)
    assert result == 0
    kept = wanted & ((1 << min(given_bits, cpus)) - 1)
    assert xen.world.domains[0].vcpus[0].soft == kept
    garbage = (1 << -(-room // 8) * 8) - 1
    _, _, told = affinity(xen, "get", soft=(garbage, room), domid=0)
    assert told == kept & garbage


def scheduler(xen: Caller, sched_id: int, cmd: str, arm: str, domid: int = 1, **members: Any) -> tuple[int, memoryview]:
    number = xen.constant(f"XEN_DOMCTL_SCHEDOP_{cmd}")
    address, _, body = xen.domctl_struct(
        "scheduler_op", domid, "xen_domctl_scheduler_op", sched_id=sched_id, cmd=number
    )
    arm_at = body[xen.layouts.offset("xen_domctl_scheduler_op", "u") :]
    xen.layouts.put(arm_at, arm, **members)
    return xen.call("domctl", address), arm_at


def test_weight_and_cap(xen: Caller) -> None:
    arm = "xen_domctl_sched_credit2"
    assert xen.read(scheduler(xen, CREDIT2, "getinfo", arm)[1], arm, "weight", "cap") == (256, 0)
    assert scheduler(xen, CREDIT2, "putinfo", arm, weight=512, cap=150)[0] == 0
    assert scheduler(xen, CREDIT2, "putinfo", arm, weight=0, cap=100)[0] == 0
    assert xen.read(scheduler(xen, CREDIT2, "getinfo", arm)[1], arm, "weight", "cap") == (512, 100)
    assert scheduler(xen, CREDIT2, "putinfo", arm, weight=0, cap=201)[0] == -EINVAL  # two vCPUs
    assert scheduler(xen, CREDIT, "getinfo", arm)[0] == -EINVAL
    assert scheduler(xen, CREDIT2, "getvcpuinfo", arm)[0] == -EINVAL


def test_credit_keeps_a_cap_on_request(xen: Caller) -> None:
    arm = "xen_domctl_sched_credit"
    assert scheduler(xen, CREDIT, "putinfo", arm, 6, weight=100, cap=900)[0] == 0
    assert scheduler(xen, CREDIT, "putinfo", arm, 6, weight=0, cap=0xFFFF)[0] == 0
    assert xen.read(scheduler(xen, CREDIT, "getinfo", arm, 6)[1], arm, "weight", "cap") == (100, 900)


def vcpu_parameters(xen: Caller, cmd: str, *entries: dict[str, int]) -> tuple[int, int, list[tuple[int, ...]]]:
    """(result, nr_vcpus, each entry's period, budget and flags)."""
    struct, inner = "xen_domctl_schedparam_vcpu", "xen_domctl_sched_rtds"
    size = xen.layouts.size(struct)
    array, memory = xen.arena.take(size * len(entries))
    for index, entry in enumerate(entries):
        xen.layouts.put(memory[index * size :], struct, vcpuid=entry.pop("vcpuid"))
        xen.layouts.put(memory[index * size :], inner, **entry)
    number = xen.constant(f"XEN_DOMCTL_SCHEDOP_{cmd}")
    outer = "xen_domctl_scheduler_op"
    address, _, body = xen.domctl_struct("scheduler_op", 1, outer, sched_id=RTDS, cmd=number)
    xen.layouts.put(body, outer, **{"u.v.vcpus": array, "u.v.nr_vcpus": len(entries)})
    result = xen.call("domctl", address)
    told = [xen.read(memory[index * size :], inner, "period", "budget", "flags") for index in range(len(entries))]
    return result, xen.read(body, outer, "u.v.nr_vcpus"), told


def test_real_time_parameters_by_vcpu(xen: Caller) -> None:
    pool = xen.world.pools.create(RTDS)
    xen.world.pools.add_cpu(pool.id, None)
    xen.world.pools.move_domain(xen.world.domains[1], pool.id)
    extra = xen.constant("XEN_DOMCTL_SCHEDRT_extra")
    assert vcpu_parameters(xen, "getvcpuinfo", {"vcpuid": 1}, {"vcpuid": 0}) == (0, 2, [(10_000, 4_000, extra)] * 2)
    assert vcpu_parameters(xen, "putvcpuinfo", {"vcpuid": 1, "period": 500, "budget": 100})[0] == 0
    assert vcpu_parameters(xen, "getvcpuinfo", {"vcpuid": 1}, {"vcpuid": 0})[2] == [
        (500, 100, 0),
        (10_000, 4_000, extra),
    ]
    assert vcpu_parameters(xen, "putvcpuinfo", {"vcpuid": 1, "period": 100, "budget": 101})[0] == -EINVAL
    assert vcpu_parameters(xen, "putvcpuinfo", {"vcpuid": 1, "period": 9, "budget": 9})[0] == -EINVAL
    assert vcpu_parameters(xen, "getvcpuinfo", {"vcpuid": 7})[0] == -EINVAL
    arm = "xen_domctl_sched_rtds"
    assert scheduler(xen, RTDS, "putinfo", arm, period=200, budget=100)[0] == 0
    assert xen.read(scheduler(xen, RTDS, "getinfo", arm)[1], arm, "period", "budget") == (10_000, 4_000)
    assert [each[:2] for each in vcpu_parameters(xen, "getvcpuinfo", {"vcpuid": 0})[2]] == [(200, 100)]
