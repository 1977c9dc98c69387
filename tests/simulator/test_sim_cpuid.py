"""Featuresets, policies, registers and machine check facts of the simulator, by measured layouts."""

from __future__ import annotations

from collections.abc import Iterator
from errno import E2BIG, EACCES, EEXIST, EINVAL, ENOBUFS, ENODEV, ENOENT, ENOSYS, EPERM, ESRCH
from typing import Any

import pytest
from caller import Caller

from xenfs.simulator.world import hotplug

LEAF = ("leaf", "subleaf", "a", "b", "c", "d")
NONE = 0xFFFFFFFF
SET, POLICY = "xen_sysctl_cpu_featureset", "xen_sysctl_cpu_policy"
# How many feature words there are, from the headers of each point release.
WORDS = {
    "4.14.4": 11, "4.14.5": 14, "4.14.6": 18, "4.15.2": 11, "4.15.4": 14, "4.15.5": 18, "4.16.0": 12, "4.16.3": 14,
    "4.16.4": 16, "4.16.5": 18, "4.17.0": 14, "4.17.1": 16, "4.17.5": 18, "4.17.6": 19, "4.18.5": 18, "4.18.6": 19,
    "4.19.2": 18, "4.19.3": 19, "4.20.0": 18, "4.20.1": 19, "4.21.0": 19, "4.22.0": 19,
}  # fmt: skip


@pytest.fixture(params=["amd", "intel"])
def each(request: pytest.FixtureRequest) -> Iterator[Caller]:
    return Caller(f"xen=4.20,processor={request.param}")


def words(xen: Caller, index: int, room: int = 19) -> tuple[int, list[int]]:
    """(result, words) of a featureset."""
    address, memory = xen.arena.take(4 * max(1, room))
    result, body = xen.sysctl("get_cpu_featureset", SET, index=index, nr_features=room, features=address)
    count = xen.read(body, SET, "nr_features")
    return result, memory[: 4 * count].cast("I").tolist()


Found = tuple[int, dict[tuple[int, int], Any], dict[int, int]]


def policy(xen: Caller, body_of: Any, struct: str, **members: int) -> Found:
    """(result, leaves, MSRs) after asking how many there are."""
    result, body = body_of(**members)
    assert result == 0
    nr_leaves, nr_msrs = xen.read(body, struct, "nr_leaves", "nr_msrs")
    leaves, leaf_memory = xen.arena.take(24 * nr_leaves)
    msrs, msr_memory = xen.arena.take(16 * nr_msrs)
    result, body = body_of(**members, nr_leaves=nr_leaves, nr_msrs=nr_msrs, leaves=leaves, msrs=msrs)
    filled, filled_msrs = xen.read(body, struct, "nr_leaves", "nr_msrs")
    rows = [xen.layouts.get(leaf_memory[24 * n :], "xen_cpuid_leaf", *LEAF) for n in range(filled)]
    entries = [xen.layouts.get(msr_memory[16 * n :], "xen_msr_entry", "idx", "val") for n in range(filled_msrs)]
    return result, {row[:2]: row[2:] for row in rows}, dict(entries)


def host_policy(xen: Caller, index: int) -> Found:
    ask = lambda **members: xen.sysctl("get_cpu_policy", POLICY, **members)  # noqa: E731
    return policy(xen, ask, POLICY, index=index)


def domain_policy(xen: Caller, domid: int) -> Found:
    struct = "xen_domctl_cpu_policy"
    return policy(xen, lambda **members: xen.domctl("get_cpu_policy", domid, struct, **members), struct)


@pytest.mark.parametrize(("release", "count"), WORDS.items())
def test_words_by_point_release(release: str, count: int) -> None:
    xen = Caller(f"xen={release}")
    result, body = xen.sysctl("get_cpu_featureset", SET, index=99)
    assert (result, xen.read(body, SET, "nr_features")) == (0, count), "the size, whatever the index"
    assert words(xen, 0)[0] == 0
    assert len(words(xen, 0, 64)[1]) == count
    assert words(xen, 0, 3)[0] == -ENOBUFS
    assert words(xen, 0, 3)[1] == words(xen, 0)[1][:3]
    assert words(xen, 6)[0] == -EINVAL


@pytest.mark.parametrize(
    ("release", "result"),
    [("4.14.5", -EINVAL), ("4.14.6", 0), ("4.15.4", -EINVAL), ("4.15.5", 0), ("4.16.4", -EINVAL), ("4.16.5", 0),
     ("4.17.1", -EINVAL), ("4.17.2", 0), ("4.18.0", 0), ("4.22.0", 0)],
)  # fmt: skip
def test_what_guests_could_have_came_late(release: str, result: int) -> None:
    xen = Caller(f"xen={release}")
    assert [words(xen, index)[0] for index in (4, 5)] == [result, result]


def test_words_and_policies_agree(each: Caller) -> None:
    """raw, host, pv, hvm, pv_max, hvm_max against the leaves of the policy with the same name."""
    places = [(1, NONE, 3), (1, NONE, 2), (0x80000001, NONE, 3), (0x80000001, NONE, 2)]
    places += [(0xD, 1, 0), (7, 0, 1), (7, 0, 2)]
    for index, which in enumerate((0, 1, 4, 5, 2, 3)):
        _, found = words(each, index)
        result, leaves, msrs = host_policy(each, which)
        assert result == 0
        assert [leaves[leaf, subleaf][register] for leaf, subleaf, register in places] == found[:7]
        assert msrs[0x10A] == found[16] | found[17] << 32


def test_each_set_is_within_the_one_before(each: Caller) -> None:
    """Guests see nothing that the host has not, but that they are guests; defaults lie within what could be."""
    raw, host, pv, hvm, pv_max, hvm_max = (words(each, index)[1] for index in range(6))
    made_up = [0] * 19
    made_up[2] = 0x0183F3FF
    made_up[1], made_up[3], made_up[0] = 1 << 31 | 1 << 21, 1 << 1, 1 << 28
    within = lambda inner, outer: all(not a & ~b & ~c for a, b, c in zip(inner, outer, made_up, strict=True))  # noqa: E731
    assert within(host, raw)
    for guest in (pv, hvm, pv_max, hvm_max):
        assert within(guest, host)
        assert guest[1] >> 31
    assert within(pv, pv_max)
    assert within(hvm, hvm_max)
    assert not (pv[0] | pv_max[0]) >> 17 & 1, "PSE36 is nothing for PV"
    assert not (pv[5] | hvm[5]) >> 12 & 1, "nor is monitoring of caches for guests"


def test_physinfo_and_cpu_version_are_of_the_same_processor(each: Caller) -> None:
    _, host = words(each, 1)
    caps = each.read(each.sysctl("physinfo")[1], "xen_sysctl_physinfo", "hw_cap")
    noted = memoryview(caps).cast("I").tolist()
    again = host[0] & 0x0183F3FF if each.sim.settings.processor == "amd" else 0
    assert host[:8] == [*noted[:2], noted[2] | again, *noted[3:]], "AMD has some in two leaves, a policy too"
    version, revision = "xenpf_pcpu_version", "xenpf_ucode_revision"
    vendor, family, model, stepping = each.read(
        each.platform("get_cpu_version", version)[1], version, "vendor_id", "family", "model", "stepping"
    )
    _, leaves, _ = host_policy(each, 0)
    _, b, c, d = leaves[0, NONE]
    assert b"".join(word.to_bytes(4, "little") for word in (b, d, c)) == vendor
    eax = leaves[1, NONE][0]
    assert (eax >> 8 & 15) + (eax >> 20 & 255 if eax >> 8 & 15 == 15 else 0) == family
    assert (eax >> 4 & 15) + (eax >> 16 & 15) * 16 == model
    assert eax & 15 == stepping
    signature, number = each.read(each.platform("get_ucode_revision", revision)[1], revision, "signature", "revision")
    assert signature == eax
    assert number


def test_microcode_of_cpus_that_are_not_online(xen: Caller) -> None:
    struct = "xenpf_ucode_revision"
    if not xen.x86 or xen.release < (4, 18):
        address, _ = xen.struct("xen_platform_op", cmd=65, interface_version=xen.layouts.interfaces["platform"])
        assert xen.call("platform_op", address) == -ENOSYS
        return
    xen.world.pools.remove_cpu(0, 4)
    hotplug.set_online(xen.world, 4, False)
    assert [xen.platform("get_ucode_revision", struct, cpu=cpu)[0] for cpu in (0, 4, 99)] == [0, -ENOENT, -ENOENT]


def test_policies_do_not_fit_everywhere(each: Caller) -> None:
    address, memory = each.arena.take(24 * 3)
    result, body = each.sysctl("get_cpu_policy", POLICY, nr_leaves=3, leaves=address)
    assert result == -ENOBUFS
    assert each.read(body, POLICY, "nr_leaves") == 3
    assert any(memory)
    assert each.sysctl("get_cpu_policy", POLICY, index=6)[0] == -EINVAL
    assert each.sysctl("get_cpu_policy", POLICY, _rsvd=1)[0] == -EINVAL


def test_policies_on_arm() -> None:
    xen = Caller("arch=arm64")
    assert xen.sysctl("get_cpu_featureset", SET)[0] == -ENOSYS
    assert xen.sim.hypercall(48, (0,)) == -ENOSYS


@pytest.mark.parametrize(
    ("release", "leaves", "msrs"),
    [("4.14.0", 114, 1), ("4.14.4", 114, 2), ("4.14.6", 120, 2), ("4.16.0", 119, 2), ("4.22", 120, 2)],
)  # fmt: skip
def test_most_leaves_by_point_release(release: str, leaves: int, msrs: int) -> None:
    """Basic 14, leaf 7 and 4 and 0xb and 0xd with their subleaves, two of the hypervisor, the extended ones."""
    xen = Caller(f"xen={release}")
    result, body = xen.sysctl("get_cpu_policy", POLICY)
    assert (result, *xen.read(body, POLICY, "nr_leaves", "nr_msrs")) == (0, leaves, msrs)
    assert xen.domctl("get_cpu_policy", 1, "xen_domctl_cpu_policy")[0] == 0
    assert xen.domctl("get_cpu_policy", 99, "xen_domctl_cpu_policy")[0] == -ESRCH


def set_policy(xen: Caller, domid: int, leaves: list[tuple[int, ...]], msrs: list[tuple[int, ...]]) -> tuple[int, ...]:
    """(result, err_leaf, err_subleaf, err_msr) of a set."""
    struct = "xen_domctl_cpu_policy"
    data = b"".join(xen.layouts.array("xen_cpuid_leaf", *LEAF).pack(*row) for row in leaves)
    more = b"".join(xen.layouts.array("xen_msr_entry", "idx", "flags", "val").pack(*row) for row in msrs)
    members = {"leaves": xen.arena.take(data)[0], "msrs": xen.arena.take(more)[0]}
    result, body = xen.domctl(
        "set_cpu_policy", domid, struct, nr_leaves=len(leaves), nr_msrs=len(msrs), err_leaf=NONE, err_subleaf=NONE,
        err_msr=NONE, **members,
    )  # fmt: skip
    return (result, *xen.read(body, struct, "err_leaf", "err_subleaf", "err_msr"))


def test_a_policy_is_laid_over_a_new_domain_s(each: Caller) -> None:
    result, domid = each.create(0x7FF5)
    assert result == 0
    _, before, _ = domain_policy(each, domid)
    a, b, c, d = before[1, NONE]
    assert set_policy(each, domid, [(1, NONE, a, b, c & ~(1 << 23), d)], []) == (0, NONE, NONE, NONE)
    _, after, _ = domain_policy(each, domid)
    assert after == before | {(1, NONE): (a, b, c & ~(1 << 23), d)}
    assert set_policy(each, domid, [(1, NONE, a, b, NONE, d)], [])[0] == 0
    most = host_policy(each, 3)[1][1, NONE][2]
    assert domain_policy(each, domid)[1][1, NONE][2] & ~most == 0, "no more than there is"
    each.domctl("max_vcpus", domid, "xen_domctl_max_vcpus", max=2)
    assert each.domctl("unpausedomain", domid)[0] == 0
    assert set_policy(each, domid, [(1, NONE, a, b, c, d)], [])[0] == -EEXIST


def test_a_feature_goes_with_what_it_is_built_on(each: Caller) -> None:
    """Without XSAVE no AVX and no extended state; without AES no VAES; how the FPU behaves is nobody's choice."""
    _, domid = each.create(0x7FF5)
    _, before, _ = domain_policy(each, domid)
    a, b, c, d = before[1, NONE]
    assert c >> 25 & c >> 26 & c >> 28 & 1
    assert before[0xD, 0][0] & 4, "registers of AVX"
    assert before[7, 0][2] >> 9 & 1, "VAES"
    assert set_policy(each, domid, [(1, NONE, a, b, c & ~(1 << 25), d)], [])[0] == 0
    _, after, _ = domain_policy(each, domid)
    assert not after[7, 0][2] >> 9 & 1
    assert set_policy(each, domid, [(1, NONE, a, b, c & ~(1 << 26), d)], [])[0] == 0
    _, after, _ = domain_policy(each, domid)
    assert not (after[1, NONE][2] >> 26 | after[1, NONE][2] >> 28 | after[7, 0][1] >> 5) & 1
    assert (0xD, 2) not in after
    assert after[0xD, 0] == (0, 0, 0, 0)
    a, b, c, d = after[7, 0]
    assert set_policy(each, domid, [(7, 0, a, b ^ (1 << 13 | 1 << 6), c, d)], [])[0] == 0
    assert domain_policy(each, domid)[1][7, 0][1] == b
    every_leaf = [(leaf, subleaf, *registers) for (leaf, subleaf), registers in before.items()]
    assert set_policy(each, domid, every_leaf, [])[0] == 0
    assert domain_policy(each, domid)[1] == before, "all of it comes back at once"


@pytest.mark.parametrize(("release", "subleaves", "vendor"), [("4.14", 0, 0), ("4.15", 22, 0), ("4.22", 22, 22)])
def test_what_is_compared_by_release(release: str, subleaves: int, vendor: int) -> None:
    xen = Caller(f"xen={release},processor=intel")
    _, domid = xen.create(0x7FF5)
    _, before, _ = domain_policy(xen, domid)
    assert set_policy(xen, domid, [(7, 0, 9, *before[7, 0][1:])], [])[0] == -subleaves
    a, b, c, d = before[0, NONE]
    assert set_policy(xen, domid, [(0, NONE, a, b ^ 1, c, d)], [])[0] == -vendor


def test_what_a_policy_cannot_take_is_named(each: Caller) -> None:
    _, domid = each.create(0x7FF5)
    assert set_policy(each, domid, [(0x12, NONE, 0, 0, 0, 0)], []) == (-34, 0x12, NONE, NONE)
    assert set_policy(each, domid, [(7, 3, 0, 0, 0, 0)], []) == (-34, 7, 3, NONE)
    assert set_policy(each, domid, [(1, 0, 0, 0, 0, 0)], []) == (-34, 1, 0, NONE)
    assert set_policy(each, domid, [(0, NONE, 0x20, 0, 0, 0)], []) == (-EINVAL, 0, NONE, NONE)
    assert set_policy(each, domid, [(0x80000000, NONE, 0x80000040, 0, 0, 0)], []) == (-EINVAL, 0x80000000, NONE, NONE)
    assert set_policy(each, domid, [], [(0x1B, 0, 0)]) == (-34, NONE, NONE, 0x1B)
    assert set_policy(each, domid, [], [(0xCE, 1, 0)]) == (-EINVAL, NONE, NONE, 0xCE)
    assert set_policy(each, domid, [], [(0xCE, 0, 1)]) == (-EINVAL, NONE, NONE, 0xCE)
    assert set_policy(each, domid, [(2, NONE, 0, 0, 0, 0)] * 200, []) == (-E2BIG, NONE, NONE, NONE)
    assert set_policy(each, 0, [], [])[0] == -EINVAL
    assert set_policy(each, 1, [], [])[0] == -EEXIST
    assert set_policy(each, 99, [], [])[0] == -ESRCH


# Registers


def access(xen: Caller, cpu: int, *steps: tuple[int, int, int]) -> tuple[int, list[tuple[int, int]]]:
    """(result, (command or errno, value) of each) of (command, register, value)."""
    entry = "xenpf_resource_entry"
    data = b""
    for cmd, index, value in steps:
        _, memory = xen.struct(entry, **{"u.cmd": cmd, "idx": index, "val": value})
        data += bytes(memory)
    address, memory = xen.arena.take(data)
    result, _ = xen.platform("resource_op", "xenpf_resource_op", nr_entries=len(steps), cpu=cpu, entries=address)
    found = [xen.read(memory[24 * n :], entry, "u.ret", "val") for n in range(len(steps))]
    return result, [(ret - 2**32 if ret >> 31 else ret, value) for ret, value in found]


READ, WRITE = 0, 1


def test_refused_registers(xen: Caller) -> None:
    if not xen.x86:
        return
    refused = -EPERM if xen.release >= (4, 16) else -EACCES
    assert access(xen, 0, (READ, 0x1B, 0)) == (0, [(refused, 0)])
    assert access(xen, 0, (READ, 0x10, 0), (READ, 0x1B, 0))[1][1][0] == refused
    assert access(xen, 0, (READ, 0x10, 0), (READ, 0x1B, 0))[0] == 1
    assert access(xen, 0, (WRITE, 0x10, 0)) == (0, [(-EPERM, 0)])
    assert access(xen, 0, (READ, 1 << 32, 0)) == (0, [(-EINVAL, 0)])
    assert access(xen, 0, (7, 0x10, 0)) == (0, [(-95, 0)])
    assert access(xen, 0, *[(READ, 0x10, 0)] * 4)[0] == -EINVAL
    assert access(xen, 99, (READ, 0x10, 0))[0] == -ENODEV
    assert access(xen, 99, (READ, 0x1B, 0))[0] == 0, "what is refused is refused before the CPU is looked at"
    assert access(xen, 0)[0] == 0


@pytest.mark.parametrize("release", ["4.21", "4.22"])
@pytest.mark.parametrize("processor", ["amd", "intel"])
def test_temperatures_since_4_22(release: str, processor: str) -> None:
    xen = Caller(f"xen={release},processor={processor}")
    readable = release == "4.22" and processor == "intel"
    for register in (0x19C, 0x1A2, 0x1B1):
        result, ((code, value),) = access(xen, 0, (READ, register, 0))
        assert (result, code) == ((1, 0) if readable else (0, -EPERM))
        assert bool(value) == readable


def test_inventory_numbers_are_a_socket_s() -> None:
    xen = Caller("processor=intel")
    numbers = [access(xen, cpu, (READ, 0x4F, 0))[1][0][1] for cpu in range(8)]
    assert numbers[0] == numbers[3] != numbers[4] == numbers[7]
    assert access(xen, 0, (READ, 0xC00102F1, 0))[0] == 0, "that would be AMD's"


# Machine check facts


def physcpuinfo(xen: Caller, room: int, **members: int) -> tuple[int, int, memoryview]:
    """(result, ncpus, array)."""
    values = {"cmd": xen.constant("XEN_MC_physcpuinfo"), "interface_version": xen.constant("XEN_MCA_INTERFACE_VERSION")}
    address, memory = xen.struct("xen_mc", **(values | members))
    array, cpus = xen.arena.take(304 * room)
    body = memory[xen.layouts.offset("xen_mc", "u") :]
    if room:
        xen.layouts.put(body, "xen_mc_physcpuinfo", ncpus=room, info=array)
    result = xen.call("mca", address)
    return result, xen.read(body, "xen_mc_physcpuinfo", "ncpus"), cpus


def test_machine_check_facts(xen: Caller) -> None:
    if not xen.x86:
        return
    assert physcpuinfo(xen, 0)[:2] == (0, 8)
    xen.world.pools.remove_cpu(0, 3)
    hotplug.set_online(xen.world, 3, False)
    result, count, cpus = physcpuinfo(xen, 16)
    assert (result, count) == (0, 7)
    numbers = [xen.read(cpus[304 * n :], "mcinfo_logical_cpu", "mc_cpunr") for n in range(count)]
    assert numbers == [0, 1, 2, 4, 5, 6, 7]
    level, brand = xen.read(cpus, "mcinfo_logical_cpu", "mc_cpuid_level", "mc_brandid")
    assert brand.rstrip(b"\0").startswith(b"AMD EPYC")
    assert level == 0x10
    assert physcpuinfo(xen, 2)[:2] == (0, 2)
    assert physcpuinfo(xen, 1, interface_version=1)[0] == -EACCES
    assert physcpuinfo(xen, 1, cmd=99)[0] == -EINVAL


def test_a_pvh_control_domain_has_no_mca() -> None:
    xen = Caller("dom0=pvh")
    assert physcpuinfo(xen, 0)[0] == -ENOSYS
