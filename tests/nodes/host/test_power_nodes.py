"""host/power, host/smt and what each CPU's cpufreq/, pstates/ and cstates/ say and take, with every driver."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import EVERYTHING, Between, Clock, Host

from xenfs.calls import cpufreq, pmstat
from xenfs.errors import BadInput, HypercallError, NotThere, XenfsError
from xenfs.filesystem.inodes import Inodes
from xenfs.filesystem.opening import open_file
from xenfs.nodes.host.cpufreq import window, window_us
from xenfs.nodes.tables.base import File
from xenfs.options import Options
from xenfs.simulator import Simulator

CPU = "host/cpus/3"
FREQ = f"{CPU}/cpufreq"


@pytest.fixture
def acpi() -> Iterator[Host]:
    with Host("processor=intel") as host:
        yield host


def refused(host: Host, path: str, data: str) -> int:
    with pytest.raises(XenfsError) as caught:
        host.write(path, data)
    return caught.value.errno


def average(host: Host, cpu: int = 3) -> str:
    return host.put(host.at(f"host/cpus/{cpu}/cpufreq/avg_freq"), b"1\n").decode().removesuffix("\n")


# What is there


@pytest.mark.parametrize(
    ("settings", "there", "absent", "missing"),
    [
        ("processor=intel", "cpufreq/ondemand cpufreq/scaling_governor pstates cstates", "cpufreq/cppc cpufreq/policy",
         ""),
        ("xen=4.22,cpufreq=hwp", "cpufreq/cppc cstates", "cpufreq/scaling_governor cpufreq/scaling_max_freq "
         "cpufreq/scaling_cur_freq cpufreq/ondemand pstates", "sysctl get_pmstat get_max_px EOPNOTSUPP"),
        ("xen=4.19,cpufreq=hwp", "cpufreq/cppc cstates", "cpufreq/scaling_governor cpufreq/ondemand pstates",
         "sysctl get_pmstat get_max_px EOPNOTSUPP"),
        ("xen=4.17,cpufreq=hwp", "cpufreq/ondemand pstates", "cpufreq/cppc", ""),
        ("xen=4.21,cpufreq=amd-cppc", "cpufreq/ondemand cpufreq/scaling_max_freq cstates",
         "cpufreq/cppc cpufreq/scaling_available_frequencies pstates", "sysctl get_pmstat get_max_px ENODEV"),
        ("xen=4.21,cpufreq=amd-cppc-epp", "cpufreq/policy cpufreq/turbo cstates",
         "cpufreq/scaling_governor cpufreq/cppc", "sysctl get_pmstat get_max_px ENODEV"),
        ("cpufreq=none", "cstates", "cpufreq pstates", "sysctl pm_op GET_CPUFREQ_PARA ENODEV"),
        ("cpufreq=emulated", "cstates", "cpufreq pstates", "sysctl pm_op GET_CPUFREQ_PARA EINVAL"),
        ("xen=4.22,cpufreq=emulated", "cstates", "cpufreq pstates", "sysctl pm_op GET_CPUFREQ_PARA ENODEV"),
        ("xen=4.22,pm=off", "version", "cpufreq pstates cstates", "sysctl pm_op get_max_cstate ENOSYS"),
        ("arch=arm64", "topology", "cpufreq pstates cstates version", "sysctl get_pmstat get_max_cx ENOSYS"),
    ],
)  # fmt: skip
def test_what_each_driver_has(settings: str, there: str, absent: str, missing: str) -> None:
    with Host(settings) as host:
        assert missing in host.value("xenfs/missing"), "from the start"
        assert [name for name in there.split() if not host.has(f"{CPU}/{name}")] == []
        assert [name for name in absent.split() if host.has(f"{CPU}/{name}")] == []


def test_what_an_offline_cpu_has(host: Host) -> None:
    host.write("host/cpus/3/online", "0")
    assert host.names("host/cpus/3") == ["online", "apic_id", "acpi_id", "idle_ns"]
    assert "3" in host.names("host/cpus"), "or it could not be brought back"
    assert host.value("host/cpus/present") == "0-7"
    assert host.value("host/cpus/online") == "0-2,4-7"
    assert host.value("host/nodes/0/cpulist") == "0-3"
    host.write("host/cpus/3/online", "1")
    assert {"version", "topology", "cpufreq", "pstates", "cstates"} <= set(host.names("host/cpus/3"))


def test_version(host: Host, acpi: Host) -> None:
    assert host.flat("host/cpus/3/version") == {
        "vendor_id": "AuthenticAMD", "family": "25", "model": "1", "stepping": "1",
    }  # fmt: skip
    assert acpi.flat("host/cpus/3/version")["vendor_id"] == "GenuineIntel"


# Frequencies


def test_frequencies_as_linux_has_them(acpi: Host) -> None:
    assert acpi.value(f"{FREQ}/scaling_driver") == "acpi-cpufreq"
    assert acpi.value(f"{FREQ}/scaling_available_governors") == "userspace performance powersave ondemand"
    assert acpi.value(f"{FREQ}/scaling_available_frequencies").split()[:2] == ["3001000", "3000000"]
    assert acpi.value(f"{FREQ}/affected_cpus") == "3"
    assert acpi.value(f"{FREQ}/cpuinfo_max_freq") == acpi.value(f"{FREQ}/scaling_max_freq") == "3001000"
    assert acpi.value(f"{FREQ}/cpuinfo_min_freq") == acpi.value(f"{FREQ}/scaling_min_freq") == "1200000"
    assert acpi.value(f"{FREQ}/cpuinfo_cur_freq") == acpi.value(f"{FREQ}/scaling_cur_freq")


def test_a_governor_brings_its_files(acpi: Host) -> None:
    assert not acpi.has(f"{FREQ}/scaling_setspeed")
    sampling = acpi.at(f"{FREQ}/ondemand/sampling_rate")
    acpi.write(f"{FREQ}/scaling_governor", "userspace")
    assert not acpi.has(f"{FREQ}/ondemand")
    acpi.write(f"{FREQ}/scaling_setspeed", "2000000")
    assert acpi.value(f"{FREQ}/scaling_setspeed") == acpi.value(f"{FREQ}/scaling_cur_freq") == "2100000"
    assert acpi.has("host/cpus/2/cpufreq/ondemand"), "another CPU keeps its own"
    # Found while it was there: what Xen has in its place now is another governor's.
    with pytest.raises(NotThere):
        acpi.put(sampling, b"20000")
    assert isinstance(sampling.node, File)
    with pytest.raises(NotThere):
        sampling.node.produce(acpi.xen, sampling.ids)


def test_limits(acpi: Host) -> None:
    acpi.write(f"{FREQ}/scaling_governor", "performance")
    acpi.write(f"{FREQ}/scaling_max_freq", "2100000")
    assert acpi.value(f"{FREQ}/scaling_cur_freq") == "2100000"
    assert refused(acpi, f"{FREQ}/scaling_max_freq", "3001001") == errno.ERANGE
    assert acpi.value("xenfs/error_log").splitlines()[-1] == "  ^"
    assert refused(acpi, f"{FREQ}/scaling_min_freq", "2400000") == errno.EINVAL, "Xen's: above the highest"
    acpi.write(f"{FREQ}/scaling_min_freq", "2100000")
    assert acpi.value(f"{FREQ}/scaling_min_freq") == "2100000"


def test_an_unknown_governor_is_told_the_known_ones(acpi: Host) -> None:
    assert refused(acpi, f"{FREQ}/scaling_governor", "schedutil") == errno.EINVAL
    assert "must be one of: userspace performance powersave ondemand" in acpi.value("xenfs/error_log")
    assert acpi.value(f"{FREQ}/scaling_governor") == "ondemand"


def test_ondemand_is_one_for_all_cpus(acpi: Host) -> None:
    acpi.write(f"{FREQ}/ondemand/up_threshold", "95")
    acpi.write(f"{FREQ}/ondemand/sampling_rate", "50000")
    assert acpi.value("host/cpus/0/cpufreq/ondemand/up_threshold") == "95"
    assert acpi.value("host/cpus/0/cpufreq/ondemand/sampling_rate") == "50000"
    for name, value in (("sampling_rate", "9999"), ("sampling_rate", "10000001"), ("up_threshold", "101")):
        assert refused(acpi, f"{FREQ}/ondemand/{name}", value) == errno.ERANGE


def test_turbo_shows_in_the_average(acpi: Host) -> None:
    acpi.write(f"{FREQ}/scaling_governor", "performance")
    average(acpi)
    acpi.advance(10)
    assert int(average(acpi)) > 3_001_000
    acpi.write(f"{FREQ}/turbo", "0")
    assert acpi.value(f"{FREQ}/turbo") == "0"
    average(acpi)
    acpi.write(f"{FREQ}/scaling_governor", "powersave")
    acpi.write(f"{FREQ}/scaling_governor", "performance")
    acpi.advance(10)
    assert int(average(acpi)) <= 3_001_000


def test_the_average_is_not_read_by_chance(acpi: Host) -> None:
    """`grep -r` finds nothing in it, and changes nothing; a 1 first, and the same open file has the answer."""
    place = acpi.at(f"{FREQ}/avg_freq")
    inode = Inodes(acpi.root).enter(Inodes(acpi.root)[1], "avg_freq", place.node, place.ids)
    before = acpi.counts.copy()
    assert open_file(inode).read(acpi.xen, 0, 4096) == b""
    assert acpi.asked(before) == {}
    handle = open_file(inode)
    handle.write(acpi.xen, b"1\n", 0)
    assert acpi.asked(before) == {"sysctl pm_op GET_CPUFREQ_AVGFREQ": 1}
    assert int(handle.read(acpi.xen, 2, 4096)) > 0, "where a shell's position is"
    handle.write(acpi.xen, b"1\n", 0)  # the answer was read to its end
    with pytest.raises(XenfsError) as caught:
        handle.write(acpi.xen, b"1\n", 0)
    assert caught.value.errno == errno.EBUSY
    assert place.node.mode & 0o777 == 0o600
    with Host("processor=intel", Options(ro=True)) as read_only:
        assert not read_only.has(f"{FREQ}/avg_freq")


# CPPC, on all releases that have it in one way or another


@pytest.fixture(params=["4.18", "4.19", "4.20", "4.21", "4.22"])
def hwp(request: pytest.FixtureRequest) -> Iterator[Host]:
    with Host(f"xen={request.param},cpufreq=hwp") as host:
        yield host


def test_cppc(hwp: Host) -> None:
    at = f"{FREQ}/cppc"
    names = ("lowest", "lowest_nonlinear", "nominal", "highest", "minimum", "maximum", "desired", "energy_perf")
    assert [hwp.value(f"{at}/{name}") for name in names] == ["8", "12", "30", "38", "8", "38", "0", "128"]
    for name, value in (("minimum", "10"), ("maximum", "35"), ("desired", "20"), ("energy_perf", "64")):
        hwp.write(f"{at}/{name}", value)
        assert hwp.value(f"{at}/{name}") == value
    assert hwp.value("host/cpus/2/cpufreq/cppc/minimum") == "8", "each CPU for itself"
    hwp.write(f"{at}/activity_window", "90000")
    assert hwp.value(f"{at}/activity_window") == "90000"
    hwp.write(f"{at}/preset", "performance")
    assert [hwp.value(f"{at}/{name}") for name in (*names[4:], "activity_window")] == ["38", "38", "0", "0", "0"]
    hwp.write(f"{at}/preset", "ondemand")
    assert hwp.value(f"{at}/energy_perf") == "128"


def test_cppc_is_never_taken_for_a_governor(hwp: Host) -> None:
    """From 4.18 to 4.20 its numbers lie where a governor's name and frequencies were."""
    found = cpufreq.para(hwp.xen, 3)
    assert (found.driver, found.governed) == ("hwp", None)
    assert (found.cppc is not None) == (hwp.xen.abi.release < (4, 21))
    assert "scaling_governor" not in hwp.names(FREQ)


def test_cppc_steers(hwp: Host) -> None:
    hwp.write(f"{FREQ}/cppc/preset", "powersave")
    average(hwp)
    hwp.advance(10)
    assert average(hwp) == "798000", "8 levels of 100 MHz, in whole per cent of the highest"


def test_a_window_that_the_hardware_lacks() -> None:
    """Xen leaves it out and says so only in what it did; without the feature the file is not there."""
    sim = Simulator.from_settings("xen=4.22,cpufreq=hwp", Clock())
    with Host(backend=sim) as host:
        assert host.has(f"{FREQ}/cppc/activity_window")
        constant = sim.machine.constant
        sim.machine.constant = lambda name: 0 if name == "XEN_SYSCTL_CPPC_FEAT_ACT_WINDOW" else constant(name)
        assert not host.has(f"{FREQ}/cppc/activity_window")


@given(st.integers(0, 0x3FF))
def test_windows_come_back(encoded: int) -> None:
    assert window_us(window(window_us(encoded))) == window_us(encoded)


@pytest.mark.parametrize("us", [128, 1001, 1281, 1_270_000_001])
def test_windows_between(us: int) -> None:
    with pytest.raises(BadInput):
        window(us)


def test_policy_of_a_driver_without_governors() -> None:
    with Host("xen=4.22,cpufreq=amd-cppc-epp") as host:
        average(host)
        for name, khz in (("performance", "3700000"), ("powersave", "370000")):
            host.write(f"{FREQ}/policy", name)
            average(host)
            host.advance(10)
            assert average(host) == khz
        assert refused(host, f"{FREQ}/policy", "userspace") == errno.EINVAL


# Races and traps


def test_sizes_that_change_are_asked_for_again() -> None:
    """As when a CPU that shares the frequency goes: Xen says EAGAIN to the sizes of a moment ago."""
    sim = Simulator.from_settings("", Clock())
    answers: list[int] = []

    def meddle(number: int, args: tuple[int, ...]) -> int | None:
        result = sim.hypercall(number, args)
        if number == 35 and result == -errno.EAGAIN:
            answers.append(result)
            if len(answers) == 1:  # the sizes that came are not those of the next call
                body = sim.machine.at(args[0], 136)
                sim.layouts.put(body[16:], "xen_get_cpufreq_para", cpu_num=2)
        return result

    with Host(backend=Between(sim, meddle)) as host:
        answers.clear()
        assert cpufreq.para(host.xen, 3).affected_cpus == [3]
        assert len(answers) == 2


def test_sizes_that_never_rest_end_in_eagain() -> None:
    sim = Simulator.from_settings("", Clock())
    with Host(backend=Between(sim, lambda number, args: None)) as host:
        calm = host.xen.backend.answer  # type: ignore[attr-defined]
        host.xen.backend.answer = lambda number, args: -errno.EAGAIN if number == 35 else calm(number, args)  # type: ignore[attr-defined]
        with pytest.raises(XenfsError) as caught:
            cpufreq.para(host.xen, 3)
        assert caught.value.errno == errno.EAGAIN
        assert host.xen.pool.stat()["in_use"] == 0


@pytest.mark.parametrize("release", ["4.14", "4.17", "4.19.2", "4.19.3", "4.20.0", "4.20.1", "4.21", "4.22"])
def test_p_states_on_every_kind_of_xen(release: str) -> None:
    with Host(f"xen={release},processor=intel") as host:
        host.advance(60)
        lines = [tuple(map(int, line.split())) for line in host.value(f"{CPU}/pstates/stat").splitlines()]
        frequencies = list(map(int, host.value(f"{FREQ}/scaling_available_frequencies").split()))
        assert [khz for khz, _, _ in lines] == frequencies
        assert sum(ns for _, ns, _ in lines) > 0
        head, columns, *rows = host.value(f"{CPU}/pstates/trans_table").splitlines()
        assert head == "   From  :    To"
        assert list(map(int, columns.split()[1:])) == frequencies
        table = [list(map(int, re.split(r"[: ]+", row.strip()))) for row in rows]
        assert [row[0] for row in table] == frequencies
        assert [sum(row[1:][column] for row in table) for column in range(8)] == [count for _, _, count in lines]
        host.write(f"{CPU}/pstates/reset", "1")
        assert all(not ns and not count for _, ns, count in _p_lines(host))


def _p_lines(host: Host) -> list[tuple[int, ...]]:
    return [tuple(map(int, line.split())) for line in host.value(f"{CPU}/pstates/stat").splitlines()]


def test_p_states_with_too_little_room_are_not_asked_for(acpi: Host) -> None:
    found = pmstat.pxstat(acpi.xen, 3)
    assert len(found.states) == len(found.changes) == pmstat.max_px(acpi.xen, 3) == found.usable == 8
    assert found.cur in range(8)
    assert found.last in range(8)


def test_c_states(acpi: Host, host: Host) -> None:
    acpi.world.power.counted = True  # as of a model that Xen knows the counters of
    lines = dict(line.split(" ", 1) for line in acpi.value(f"{CPU}/cstates/stat").splitlines())
    assert list(lines)[:4] == ["C0", "C1", "C2", "C3"]
    assert list(lines)[4:] == ["PC2", "PC3", "PC4", "PC6", "CC1", "CC3", "CC6"], "none that Xen does not know: no PC5"
    assert int(lines["PC6"]) > 0
    assert acpi.value(f"{CPU}/cstates/count") == "4"
    assert [line.split()[0] for line in host.value(f"{CPU}/cstates/stat").splitlines()] == ["C0", "C1", "C2"]
    acpi.advance(60)
    acpi.write(f"{CPU}/cstates/reset", "1")
    later = dict(line.split(" ", 1) for line in acpi.value(f"{CPU}/cstates/stat").splitlines())
    assert all(int(later[name].split()[-1]) >= int(lines[name].split()[-1]) for name in lines)


def test_what_only_debugging_offers() -> None:
    with Host(options=Options()) as plain, Host(options=EVERYTHING) as whole:
        for path in (f"{CPU}/pstates/reset", f"{CPU}/cstates/reset"):
            assert whole.has(path)
            assert not plain.has(path)
        assert plain.at("host/power/parked_cpus").node.mode & 0o777 == 0o444
        assert whole.at("host/power/parked_cpus").node.mode & 0o777 == 0o644


# All CPUs


def test_limits_of_c_states(acpi: Host) -> None:
    assert acpi.value("host/power/max_cstate") == acpi.value("host/power/max_csubstate") == "unlimited"
    acpi.write("host/power/max_cstate", "1")
    acpi.write("host/power/max_csubstate", "0")
    assert (acpi.value("host/power/max_cstate"), acpi.value("host/power/max_csubstate")) == ("1", "0")
    before = acpi.value(f"{CPU}/cstates/stat").splitlines()
    acpi.advance(60)
    after = acpi.value(f"{CPU}/cstates/stat").splitlines()
    assert [old == new for old, new in zip(before, after, strict=True)][:4] == [False, False, True, True]
    acpi.write("host/power/max_cstate", "unlimited")
    assert acpi.value("host/power/max_cstate") == "unlimited"


def test_sched_smt_cannot_be_read_back(host: Host) -> None:
    assert host.at("host/power/sched_smt").node.mode & 0o777 == 0o200
    host.write("host/power/sched_smt", "1")
    assert host.world.power.sched_smt
    host.write("host/power/sched_smt", "0")
    assert not host.world.power.sched_smt


def test_smt() -> None:
    with Host("cpus=4,nodes=1,domains=2") as host:
        for pool in host.world.pools.by_id.values():
            if pool.id:
                host.world.pools.free |= pool.cpus
                pool.cpus = 0
        assert host.value("host/smt") == "on"
        host.write("host/smt", "off")
        assert (host.value("host/smt"), host.value("host/cpus/online")) == ("off", "0,2")
        assert refused(host, "host/cpus/1/online", "1") == errno.EPERM
        host.write("host/smt", "on")
        assert (host.value("host/smt"), host.value("host/cpus/online")) == ("on", "0-3")


def test_smt_where_a_pool_holds_on(host: Host) -> None:
    """Xen stops at the first thread that does not go down, and leaves down what it has taken down: it is put back."""
    assert refused(host, "host/smt", "off") == errno.ENODEV
    assert host.value("host/cpus/online") == "0-7"
    assert host.value("host/smt") == "on", "of the cores that are left"


def test_a_pool_that_would_end_the_host_keeps_its_cpus() -> None:
    with Host("cpus=8,domains=2") as host:
        host.world.pools.create(8, 5)
        host.world.pools.by_id[5].cpus, host.world.pools.free = 1 << 7, 0
        before = host.counts.copy()
        for path, value in (("host/smt", "off"), ("host/power/parked_cpus", "1")):
            assert refused(host, path, value) == errno.EPERM
        assert not {name for name in host.asked(before) if "cpu_hotplug" in name or "core_parking SET" in name}
        assert host.value("host/cpus/online") == "0-7"


def test_no_smt_without_threads() -> None:
    for settings in ("cpus=3,nodes=1", "cpus=1", "arch=arm64"):
        with Host(settings) as host:
            assert not host.has("host/smt"), settings


def test_parking() -> None:
    with Host("cpus=4,nodes=1,domains=2") as host:
        host.world.pools.by_id[1].cpus, host.world.pools.free = 0, 0b1100
        host.write("host/power/parked_cpus", "2")
        assert (host.value("host/power/parked_cpus"), host.value("host/cpus/online")) == ("2", "0,3")
        assert refused(host, "host/power/parked_cpus", "4") == errno.ERANGE
        host.write("host/power/parked_cpus", "0")
        assert host.value("host/cpus/online") == "0-3"


def test_absence_is_told_apart_from_other_errors() -> None:
    """An errno that is not absence is not swallowed: nothing is hidden for a passing trouble."""
    sim = Simulator.from_settings("", Clock())
    codes: list[int] = []

    def trouble(number: int, args: tuple[int, ...]) -> int | None:
        power = number == 35 and sim.machine.at(args[0], 4)[0] in (10, 12)  # get_pmstat, pm_op
        return codes[0] if codes and power else None

    with Host(backend=Between(sim, trouble)) as host:
        codes.append(-errno.EIO)
        for name in ("cpufreq", "pstates", "cstates"):
            with pytest.raises(HypercallError):
                host.has(f"{CPU}/{name}")
