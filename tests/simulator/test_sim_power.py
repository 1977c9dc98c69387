"""Power management of the pretended Xen, as Xen's own handlers have it: who answers what, and what time does."""

from __future__ import annotations

from errno import EACCES, EAGAIN, EEXIST, EINVAL, ENODEV, ENOSYS, EOPNOTSUPP, EPERM

import pytest
from caller import Caller

PARA = "xen_get_cpufreq_para"
MINUTE = 60


def pm(xen: Caller, name: str, cpu: int = 1, body: bytes = b"") -> tuple[int, memoryview]:
    """A pm_op with these bytes in its union; the union as it came back."""
    known = name if xen.layouts.defines(name) else f"XEN_SYSCTL_pm_op_{name}"
    address, memory = xen.struct(
        "xen_sysctl", cmd=xen.constant("XEN_SYSCTL_pm_op"), interface_version=xen.layouts.interfaces["sysctl"]
    )
    arm = memory[xen.layouts.offset("xen_sysctl", "u") :]
    xen.layouts.put(arm, "xen_sysctl_pm_op", cmd=xen.constant(known), cpuid=cpu)
    union = arm[xen.layouts.offset("xen_sysctl_pm_op", "u") :]
    union[: len(body)] = body
    return xen.call("sysctl", address), union


def packed(xen: Caller, struct: str, **members: object) -> bytes:
    memory = xen.struct(struct, **members)[1]
    return bytes(memory)


def para(xen: Caller, cpu: int = 1) -> tuple[int, memoryview, list[memoryview]]:
    """GET_CPUFREQ_PARA with as much room as it says is needed."""
    result, union = pm(xen, "GET_CPUFREQ_PARA", cpu)
    if result != -EAGAIN:
        return result, union, []
    sizes = xen.read(union, PARA, "cpu_num", "freq_num", "gov_num")
    rooms = [xen.arena.take(count * width) for count, width in zip(sizes, (4, 4, 16), strict=True)]
    names = ("affected_cpus", "scaling_available_frequencies", "scaling_available_governors")
    given: dict[str, object] = dict(zip(("cpu_num", "freq_num", "gov_num"), sizes, strict=True))
    given |= {name: room[0] for name, room in zip(names, rooms, strict=True)}
    result, union = pm(xen, "GET_CPUFREQ_PARA", cpu, packed(xen, PARA, **given))
    return result, union, [room[1] for room in rooms]


def set_para(xen: Caller, kind: str, value: int, cpu: int = 1) -> int:
    return pm(
        xen, "SET_CPUFREQ_PARA", cpu,
        packed(xen, "xen_set_cpufreq_para", ctrl_type=xen.constant(kind), ctrl_value=value),
    )[0]  # fmt: skip


def set_governor(xen: Caller, name: str, cpu: int = 1) -> int:
    return pm(xen, "SET_CPUFREQ_GOV", cpu, name.encode().ljust(16, b"\0"))[0]


def set_cppc(xen: Caller, params: int, cpu: int = 1, **values: int) -> tuple[int, int]:
    result, union = pm(xen, "SET_CPUFREQ_CPPC", cpu, packed(xen, "xen_set_cppc_para", set_params=params, **values))
    return result, xen.read(union, "xen_set_cppc_para", "set_params")


def governed(xen: Caller, union: memoryview, *members: str) -> list[object]:
    place = next(each for each in ("s.", "u.s.", "") if xen.layouts.has(PARA, f"{each}scaling_governor"))
    return [xen.read(union, PARA, place + member) for member in members]


def limits(xen: Caller, cpu: int = 1) -> tuple[object, ...]:
    return tuple(governed(xen, para(xen, cpu)[1], "scaling_min_freq", "scaling_max_freq"))


def stat(xen: Caller, name: str, cpu: int = 1, arm: str = "", **members: object) -> tuple[int, memoryview]:
    result, union = xen.sysctl("get_pmstat", type=xen.constant(f"PMSTAT_{name}"), cpuid=cpu)
    if not arm:
        return result, union[xen.layouts.offset("xen_sysctl_get_pmstat", "u") :]
    address, memory = xen.struct(
        "xen_sysctl", cmd=xen.constant("XEN_SYSCTL_get_pmstat"), interface_version=xen.layouts.interfaces["sysctl"]
    )
    outer = memory[xen.layouts.offset("xen_sysctl", "u") :]
    xen.layouts.put(outer, "xen_sysctl_get_pmstat", type=xen.constant(f"PMSTAT_{name}"), cpuid=cpu)
    body = outer[xen.layouts.offset("xen_sysctl_get_pmstat", "u") :]
    xen.layouts.put(body, arm, **members)
    return xen.call("sysctl", address), body


def p_states(xen: Caller, cpu: int = 1, total: int = 3) -> tuple[list[tuple[int, ...]], list[int]]:
    address, states = xen.arena.take(24 * 16)
    other, table = xen.arena.take(8 * 256)
    result, body = stat(xen, "get_pxstat", cpu, "pm_px_stat", total=total, pt=address, trans_pt=other)
    assert result == 0
    count = xen.read(body, "pm_px_stat", "total")
    words = states.cast("B").cast("Q").tolist()
    return [tuple(words[at : at + 3]) for at in range(0, 3 * count, 3)], table.cast("B").cast("Q").tolist()[: count**2]


def c_states(xen: Caller, cpu: int = 1) -> tuple[list[int], list[int], list[int], tuple[int, ...]]:
    """Counts, times, package's slots, and (nr, nr_pc, nr_cc)."""
    rooms = [xen.arena.take(b"\xff" * 8 * 12) for _ in range(4)]
    names = ("triggers", "residencies", "pc", "cc")
    given: dict[str, object] = {name: room[0] for name, room in zip(names, rooms, strict=True)}
    result, body = stat(xen, "get_cxstat", cpu, "pm_cx_stat", nr=12, nr_pc=12, nr_cc=12, **given)
    assert result == 0
    sizes = xen.read(body, "pm_cx_stat", "nr", "nr_pc", "nr_cc")
    counts, times, package, _ = (room[1].cast("B").cast("Q").tolist() for room in rooms)
    return counts[: sizes[0]], times[: sizes[0]], package, sizes


def test_arm_has_none_of_it() -> None:
    arm = Caller("arch=arm64")
    assert pm(arm, "get_max_cstate", 0)[0] == -ENOSYS
    assert stat(arm, "get_max_cx")[0] == -ENOSYS


@pytest.mark.parametrize(("release", "answer"), [("4.14", 0), ("4.20", 0), ("4.21", -ENOSYS), ("4.22", -ENOSYS)])
def test_it_can_be_left_out_from_4_21_on(release: str, answer: int) -> None:
    xen = Caller(f"xen={release},pm=off")
    assert pm(xen, "get_max_cstate", 0)[0] == answer
    assert stat(xen, "get_max_cx")[0] == answer


@pytest.mark.parametrize(
    ("settings", "para_says", "px_says"),
    [
        ("xen=4.17,cpufreq=acpi", 0, 0),
        ("xen=4.17,cpufreq=hwp", 0, 0),  # which Xen does not have yet: acpi-cpufreq
        ("xen=4.18,cpufreq=hwp", 0, 0),
        ("xen=4.19,cpufreq=hwp", 0, -EOPNOTSUPP),
        ("xen=4.22,cpufreq=hwp", 0, -EOPNOTSUPP),
        ("xen=4.20,cpufreq=amd-cppc", 0, 0),
        ("xen=4.21,cpufreq=amd-cppc", 0, -ENODEV),
        ("xen=4.22,cpufreq=amd-cppc-epp", 0, -ENODEV),
        ("xen=4.17,cpufreq=none", -ENODEV, -ENODEV),
        ("xen=4.20,cpufreq=emulated", -EINVAL, -ENODEV),
        ("xen=4.21,cpufreq=emulated", -ENODEV, -ENODEV),
    ],
)
def test_who_has_frequencies(settings: str, para_says: int, px_says: int) -> None:
    xen = Caller(settings)
    assert para(xen)[0] == para_says
    assert pm(xen, "GET_CPUFREQ_AVGFREQ")[0] == para_says
    assert stat(xen, "get_max_px")[0] == px_says
    if para_says:
        assert pm(xen, "enable_turbo")[0] == -EACCES
        if xen.layouts.defines("SET_CPUFREQ_CPPC"):
            assert set_cppc(xen, 0)[0] == para_says


def test_only_cpus_that_are_online(xen: Caller) -> None:
    if not xen.x86:
        return
    xen.sysctl("cpu_hotplug", cpu=7, op=xen.constant("XEN_SYSCTL_CPU_HOTPLUG_OFFLINE"))
    for cpu in (7, 8, 2**32 - 1):
        assert para(xen, cpu)[0] == -EINVAL
        assert stat(xen, "get_max_cx", cpu)[0] == -EINVAL
        assert pm(xen, "enable_turbo", cpu)[0] == -EINVAL
    assert pm(xen, "get_max_cstate", 2)[0] == -EINVAL
    assert pm(xen, "set_sched_opt_smt", 1)[0] == -EINVAL


def test_sizes_first(xen: Caller) -> None:
    if not xen.x86:
        return
    result, union = pm(xen, "GET_CPUFREQ_PARA")
    assert (result, xen.read(union, PARA, "cpu_num", "freq_num", "gov_num")) == (-EAGAIN, (1, 3, 4))
    result, union, (cpus, frequencies, governors) = para(xen)
    assert result == 0
    assert cpus.cast("I").tolist() == [1]
    assert frequencies.cast("I").tolist() == [3_000_000, 2_200_000, 1_500_000]
    assert bytes(governors).rstrip(b"\0") == b"userspace performance powersave ondemand"
    assert xen.read(union, PARA, "scaling_driver").rstrip(b"\0") == b"powernow"
    governor, demand = governed(xen, union, "scaling_governor", "u.ondemand")
    assert (governor, demand) == (
        b"ondemand".ljust(16, b"\0"), b"".join(word.to_bytes(4, "little") for word in (10_000_000, 10_000, 20_000, 80)),
    )  # fmt: skip


@pytest.mark.parametrize("release", ["4.18", "4.19", "4.20"])
def test_cppc_lies_over_the_governor(release: str) -> None:
    xen = Caller(f"xen={release},cpufreq=hwp")
    result, union, (_, _, governors) = para(xen)
    assert result == 0
    assert not any(governors), "left as they were"
    block = union[xen.layouts.offset(PARA, "u.cppc_para") :]
    assert xen.read(block, "xen_cppc_para", "lowest", "highest", "maximum", "energy_perf") == (8, 38, 38, 0x80)


@pytest.mark.parametrize("driver", ["hwp", "amd-cppc-epp"])
def test_without_governors_their_block_is_left_alone(driver: str) -> None:
    xen = Caller(f"xen=4.22,cpufreq={driver}")
    sizes = xen.read(pm(xen, "GET_CPUFREQ_PARA")[1], PARA, "cpu_num", "freq_num", "gov_num")
    rooms = [xen.arena.take(64)[0] for _ in range(3)]
    names = ("affected_cpus", "scaling_available_frequencies", "scaling_available_governors")
    given: dict[str, object] = dict(zip(("cpu_num", "freq_num", "gov_num"), sizes, strict=True))
    given |= dict(zip(names, rooms, strict=True))
    before = packed(xen, PARA, s=b"\xa5" * 44, **given)
    result, union = pm(xen, "GET_CPUFREQ_PARA", 1, before)
    assert (result, xen.read(union, PARA, "s")) == (0, b"\xa5" * 44)
    assert xen.read(union, PARA, "scaling_driver").rstrip(b"\0") == driver.encode()


def test_cppc_has_an_operation_of_its_own() -> None:
    hwp, amd = Caller("xen=4.21,cpufreq=hwp"), Caller("xen=4.21,cpufreq=amd-cppc")
    result, union = pm(hwp, "GET_CPUFREQ_CPPC")
    assert (result, hwp.read(union, "xen_get_cppc_para", "features", "nominal", "minimum")) == (0, (1, 30, 8))
    assert pm(amd, "GET_CPUFREQ_CPPC")[0] == -ENODEV
    assert set_cppc(amd, 0)[0] == -EOPNOTSUPP


def test_cppc_is_told() -> None:
    xen = Caller("xen=4.18,cpufreq=hwp")
    flag = {name: xen.constant(f"XEN_SYSCTL_CPPC_SET_{name}") for name in ("MINIMUM", "MAXIMUM", "ACT_WINDOW")}
    assert set_cppc(xen, flag["MINIMUM"] | flag["MAXIMUM"], minimum=10, maximum=20)[0] == 0
    assert xen.world.power.frequency(xen.world.host.cpus[1]).request.maximum == 20  # type: ignore[union-attr]
    assert set_cppc(xen, flag["MINIMUM"], minimum=256)[0] == -EINVAL
    assert set_cppc(xen, flag["MINIMUM"], maximum=20)[0] == -EINVAL, "a value without its flag"
    assert set_cppc(xen, flag["ACT_WINDOW"], activity_window=0x400)[0] == -EINVAL
    assert set_cppc(xen, 0x40)[0] == -EINVAL
    assert set_cppc(xen, xen.constant("XEN_SYSCTL_CPPC_SET_PRESET_POWERSAVE"))[0] == 0
    assert set_cppc(xen, 0x70000000)[0] == -EINVAL
    block = para(xen)[1][xen.layouts.offset(PARA, "u.cppc_para") :]
    assert xen.read(block, "xen_cppc_para", "minimum", "maximum", "energy_perf") == (8, 8, 0xFF)


def test_limits_move_and_are_moved() -> None:
    xen = Caller("processor=intel")
    assert limits(xen) == (1_200_000, 3_001_000)
    assert set_para(xen, "SCALING_MAX_FREQ", 9_999_999) == 0
    assert limits(xen) == (1_200_000, 3_001_000), "no more than there is"
    assert set_para(xen, "SCALING_MAX_FREQ", 2_000_000) == 0
    assert limits(xen) == (1_200_000, 2_000_000)
    assert set_para(xen, "SCALING_MIN_FREQ", 2_500_000) == -EINVAL, "raised above the highest"
    assert set_para(xen, "SCALING_MIN_FREQ", 1_900_000) == 0
    assert limits(xen) == (1_900_000, 2_100_000), "no P-state lies between: the next one up is let in"
    assert set_para(xen, "SCALING_MAX_FREQ", 1_300_000) == 0
    assert limits(xen) == (1_300_000, 1_500_000), "the lowest follows"
    assert set_para(xen, "SCALING_SETSPEED", 1_500_000) == -EINVAL, "userspace only"
    assert set_para(xen, "SAMPLING_RATE", 9_999) == -EINVAL
    assert set_para(xen, "UP_THRESHOLD", 10) == -EINVAL
    assert set_para(xen, "UP_THRESHOLD", 11) == 0
    assert pm(xen, "SET_CPUFREQ_PARA", 1, (99).to_bytes(4, "little") * 2)[0] == -EINVAL


def test_governors() -> None:
    xen = Caller("processor=intel")
    assert set_governor(xen, "conservative") == -EINVAL
    assert set_governor(xen, "PowerSave") == 0, "Xen looks at no case"
    assert governed(xen, para(xen)[1], "scaling_cur_freq") == [1_200_000]
    assert set_governor(xen, "userspace") == 0
    assert set_para(xen, "SCALING_SETSPEED", 2_000_000) == 0
    assert governed(xen, para(xen)[1], "scaling_cur_freq") == [2_100_000], "the next one up"
    assert set_governor(xen, "performance") == 0
    assert governed(xen, para(xen)[1], "scaling_cur_freq") == [3_001_000]
    assert pm(xen, "disable_turbo")[0] == 0
    assert set_governor(xen, "powersave") == set_governor(xen, "performance") == 0
    assert governed(xen, para(xen)[1], "scaling_cur_freq") == [3_000_000]
    epp = Caller("xen=4.22,cpufreq=amd-cppc-epp")
    assert set_governor(epp, "userspace") == -EINVAL
    assert set_governor(epp, "performance") == 0
    assert set_para(epp, "SCALING_MAX_FREQ", 3_000_000) == -EOPNOTSUPP


@pytest.mark.parametrize(
    ("release", "answer"), [("4.18", 0), ("4.19", -EOPNOTSUPP), ("4.20", -EOPNOTSUPP), ("4.22", -EOPNOTSUPP)]
)
def test_hwp_takes_no_limits(release: str, answer: int) -> None:
    assert set_para(Caller(f"xen={release},cpufreq=hwp"), "SCALING_MAX_FREQ", 2_000_000) == answer


def test_busy_time_goes_to_p_states(xen: Caller) -> None:
    """As much as the CPU was not idle, and more of it at the top the more there was to do."""
    if not xen.x86:
        return
    xen.time.passes(MINUTE)
    cpu = next(cpu for cpu in xen.world.host.cpus if 50 < cpu.busy < 600)  # of 1024: neither idle nor always fast
    before, changes = p_states(xen, cpu.id)
    idle = cpu.idle(xen.world.clock.ticks())
    xen.time.passes(MINUTE)
    after, more = p_states(xen, cpu.id)
    ticks = xen.world.clock.ticks()
    busy = MINUTE * 10**9 - (cpu.idle(ticks) - idle)
    assert 0 < busy < MINUTE * 10**9
    gained = [new[1] - old[1] for new, old in zip(after, before, strict=True)]
    assert sum(gained) == pytest.approx(busy, abs=2048)
    assert gained[0] > 0
    assert sum(more) > sum(changes)
    assert [count for _, _, count in after] == [sum(more[column::3]) for column in range(3)], "entered from somewhere"


def test_a_governor_shows_in_the_p_states() -> None:
    xen = Caller("processor=intel")
    set_governor(xen, "powersave")
    before = p_states(xen, total=8)[0]
    xen.time.passes(MINUTE)
    after = p_states(xen, total=8)[0]
    gained = [new[1] - old[1] for new, old in zip(after, before, strict=True)]
    assert gained[-1] > 0
    assert not any(gained[:-1])
    assert stat(xen, "reset_pxstat")[0] == 0
    states, changes = p_states(xen, total=8)
    assert not any(ns or count for _, ns, count in states)
    assert not any(changes)


@pytest.mark.parametrize(
    ("release", "honoured"),
    [("4.14", 0), ("4.17", 0), ("4.19.2", 0), ("4.19.3", 1), ("4.20.0", 0), ("4.20.1", 1), ("4.21", 1), ("4.22", 1)],
)
def test_room_for_p_states(release: str, honoured: int) -> None:
    """With too little room, late Xens leave the table alone and cut the list; older ones write all of it."""
    xen = Caller(f"xen={release}")
    xen.time.passes(MINUTE)
    states, changes = p_states(xen, total=2)
    assert (states[2][0], any(changes)) == ((0, False) if honoured else (1500, True))
    assert len(states) == 3, "how many there are is said all the same"


def test_c_states_fill_idle_time(xen: Caller) -> None:
    if not xen.x86:
        return
    cpu = xen.world.host.cpus[1]
    xen.time.passes(MINUTE)
    counts, times, package, sizes = c_states(xen)
    assert sizes == (3, 0, 0)
    assert package[1:3] == [0, 0]
    assert package[0] == package[4] == package[11] == 2**64 - 1, "there is no PC1, PC5 or PC12"
    ticks = xen.world.clock.ticks()
    assert sum(times) == ticks << 10
    assert sum(times[1:]) == cpu.idle(ticks)
    assert counts[0] == sum(counts[1:])
    xen.time.passes(MINUTE)
    later = c_states(xen)[0]
    assert all(new > old for new, old in zip(later, counts, strict=True))
    assert stat(xen, "reset_cxstat")[0] == 0
    assert c_states(xen)[0] == later, "which resets nothing"


def test_limits_of_c_states() -> None:
    xen = Caller("processor=intel")

    def slept(limit: int, sub: int = 0xFFFFFFFF) -> list[bool]:
        pm(xen, "set_max_cstate", 0, limit.to_bytes(4, "little"))
        pm(xen, "set_max_cstate", 1, sub.to_bytes(4, "little"))
        before = c_states(xen)[1]
        xen.time.passes(MINUTE)
        return [new > old for new, old in zip(c_states(xen)[1], before, strict=True)]

    assert slept(0xFFFFFFFF) == [True, True, True, True]
    assert slept(3, 0) == [True, True, True, True]
    assert slept(2) == [True, True, True, False], "C6 is of ACPI's type 3"
    assert slept(1, 0) == [True, True, False, False], "C1E is a sub-state of C1"
    assert slept(0) == [True, False, False, False]
    assert [bytes(pm(xen, "get_max_cstate", which)[1][:4]) for which in (0, 1)] == [bytes(4), b"\xff" * 4]


def test_package_states_are_intels() -> None:
    intel = Caller("processor=intel")
    assert c_states(intel, 1)[3] == (4, 0, 0), "Xen does not read the counters of this model"
    intel.world.power.counted = True
    assert c_states(intel, 2)[3] == (4, 6, 6)
    assert c_states(Caller("cpufreq=emulated"))[3] == (2, 0, 0)
    assert c_states(Caller("cpufreq=emulated"))[0] == [1, 1]


def test_average_is_since_the_last_time(xen: Caller) -> None:
    if not xen.x86:
        return

    def average() -> int:
        return int.from_bytes(pm(xen, "GET_CPUFREQ_AVGFREQ")[1][:8], "little")

    set_governor(xen, "powersave")
    average()
    xen.time.passes(MINUTE)
    assert average() == 1_500_000
    set_governor(xen, "performance")
    xen.time.passes(MINUTE)
    assert average() == 3_000_000 * 113 // 100, "with turbo above the fastest P-state"
    assert average() == 3_000_000, "nothing counted since: what is set"
    set_governor(xen, "powersave")
    xen.time.passes(MINUTE)
    set_governor(xen, "performance")
    pm(xen, "disable_turbo")
    xen.time.passes(MINUTE)
    assert 1_500_000 < average() < 3_000_000, "half of the time at each"


def test_a_cpu_that_comes_back_begins_anew(xen: Caller) -> None:
    if not xen.x86:
        return
    set_para(xen, "SCALING_MAX_FREQ", 2_200_000)
    set_governor(xen, "performance")
    for op in ("OFFLINE", "ONLINE"):
        assert xen.sysctl("cpu_hotplug", cpu=1, op=xen.constant(f"XEN_SYSCTL_CPU_HOTPLUG_{op}"))[0] == 0
        xen.time.passes(1)
    union = para(xen)[1]
    assert governed(xen, union, "scaling_governor", "scaling_max_freq") == [b"ondemand".ljust(16, b"\0"), 3_000_000]
    assert sum(ns for _, ns, _ in p_states(xen)[0]) <= 10**9


def test_a_cpu_that_is_down_has_no_place_but_where_it_is_parked() -> None:
    for settings, place in (("cpufreq=acpi", (0xFFFFFFFF, 0xFFFFFFFF, 0)), ("processor=intel", (0, 0, 0))):
        xen = Caller(settings)
        xen.sysctl("cpu_hotplug", cpu=1, op=xen.constant("XEN_SYSCTL_CPU_HOTPLUG_OFFLINE"))
        size = xen.layouts.size("xen_sysctl_cputopo")
        address, memory = xen.arena.take(size * 8)
        xen.sysctl("cputopoinfo", num_cpus=8, cputopo=address)
        assert xen.read(memory[size:], "xen_sysctl_cputopo", "core", "socket", "node") == place


def test_smt_off_keeps_second_threads_down() -> None:
    xen = Caller("cpus=4,domains=1,nodes=1")
    for pool in xen.world.pools.by_id.values():
        if pool.id:
            xen.world.pools.free |= pool.cpus
            pool.cpus = 0
    op = {name: xen.constant(f"XEN_SYSCTL_CPU_HOTPLUG_{name}") for name in ("ONLINE", "SMT_ENABLE", "SMT_DISABLE")}
    assert xen.sysctl("cpu_hotplug", op=op["SMT_DISABLE"])[0] == 0
    assert xen.world.host.online == 0b0101
    assert xen.sysctl("cpu_hotplug", cpu=1, op=op["ONLINE"])[0] == -EPERM
    assert xen.world.host.online == 0b0101
    assert xen.sysctl("cpu_hotplug", op=op["SMT_ENABLE"])[0] == 0
    assert xen.world.host.online == 0b1111


def test_core_parking() -> None:
    xen = Caller("cpus=4,domains=1,nodes=1")
    xen.world.pools.by_id[1].cpus, xen.world.pools.free = 0, 0b1100
    put, get = xen.constant("XEN_CORE_PARKING_SET"), xen.constant("XEN_CORE_PARKING_GET")

    def parking(kind: int, count: int = 0) -> tuple[int, int]:
        address, memory = xen.struct(
            "xen_platform_op",
            cmd=xen.constant("XENPF_core_parking"), interface_version=xen.layouts.interfaces["platform"],
        )  # fmt: skip
        body = memory[xen.layouts.offset("xen_platform_op", "u") :]
        xen.layouts.put(body, "xenpf_core_parking", type=kind, idle_nums=count)
        return xen.call("platform_op", address), xen.read(body, "xenpf_core_parking", "idle_nums")

    assert parking(get) == (0, 0)
    assert parking(3)[0] == -EINVAL
    assert parking(put, 1)[0] == 0
    assert parking(get) == (0, 1)
    assert xen.world.host.online == 0b1101, "the first of those in the smallest core"
    assert parking(put, 99)[0] == 0
    assert (parking(get), xen.world.host.online) == ((0, 3), 0b0001)
    assert parking(put, 1)[0] == 0
    up = xen.sysctl("cpu_hotplug", cpu=1, op=xen.constant("XEN_SYSCTL_CPU_HOTPLUG_ONLINE"))[0]
    assert (up, parking(get)) == (0, (0, 1)), "what is brought up otherwise still counts"
    assert parking(put, 0)[0] == -EEXIST
    assert parking(get) == (0, 1)


def test_sched_smt_says_what_it_was(xen: Caller) -> None:
    if not xen.x86:
        return
    said = [pm(xen, "set_sched_opt_smt", 0, word.to_bytes(4, "little"))[1][0] for word in (1, 1, 0, 7, 0)]
    assert said == [0, 1, 1, 0, 1]


def test_unknown_operations() -> None:
    xen = Caller("xen=4.17")
    for cmd in (21, 22, 36, 99):  # CPPC is new in 4.18 and 4.21, and 36 has long been without a meaning
        assert xen.sysctl("pm_op", cmd=cmd, cpuid=1)[0] == -ENOSYS
    for kind, answer in ((16, -ENOSYS), (36, -ENOSYS), (48, -ENODEV), (0, -ENODEV)):
        assert xen.sysctl("get_pmstat", type=kind, cpuid=1)[0] == answer
