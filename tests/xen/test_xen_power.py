"""Saving power, on hardware or what emulates it: beside xenpm and xen-hptool, both ways; and CPUs that go and come.

QEMU's emulated CPUs have no P-states, no HWP, no threads, and halt as their only idle state: what they lack is
compared where there is a machine that has it, and is seen to be absent where not.
"""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from xen_mount import Mount, failure
from xen_peers import TIMEOUT_S, Comparison, colon, in_short, said, settled

from xenfs.calls import power
from xenfs.hypervisor.base import Hypervisor

CPU = "1"  # CPU 0 cannot go down, and scripts/on-xen's machine has two


@pytest.fixture
def two_cpus(mount: Mount) -> Iterator[None]:
    """All CPUs online again in the end, and no limit on idle states."""
    if CPU not in mount.numbers("host/cpus") or not mount.has(f"host/cpus/{CPU}/online"):
        pytest.skip("CPUs cannot be taken down here")
    yield
    if mount.value(f"host/cpus/{CPU}/online") == "0":
        mount.write(f"host/cpus/{CPU}/online", "1")


@pytest.fixture
def limits(mount: Mount) -> Iterator[None]:
    """The limits of idle states as they were."""
    if not mount.has("host/power/max_cstate"):
        pytest.skip("no power management in this Xen")
    before = {name: mount.value(f"host/power/{name}") for name in ("max_cstate", "max_csubstate")}
    yield
    for name, value in before.items():
        mount.write(f"host/power/{name}", value)


def note(node: str, command: str, compared: list[Comparison], mine: dict[str, str], theirs: dict[str, str]) -> None:
    compared.append(Comparison(node, command, in_short(mine), in_short(theirs), mine == theirs))
    assert mine == theirs


def tried(command: str) -> subprocess.CompletedProcess[str]:
    """A tool's run that may fail."""
    return subprocess.run(command.split(), capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)


def by_cpu(text: str) -> dict[str, str]:
    """What xenpm says of each CPU, by its number."""
    parts = re.split(r"^cpu id +: (\d+)\n", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


# Idle states


def their_states(text: str) -> dict[str, tuple[int, int]]:
    """Count and ms of each C-state of one CPU, as `xenpm get-cpuidle-states` has them."""
    rows = re.findall(r"^(C\d+) +: transition \[ *(\d+)\]\n +residency +\[ *(\d+) ms\]", text, re.M)
    return {name: (int(count), int(ms)) for name, count, ms in rows}


def our_states(mount: Mount, cpu: str) -> dict[str, tuple[int, int]]:
    rows = (line.split() for line in mount.value(f"host/cpus/{cpu}/cstates/stat").splitlines())
    return {row[0]: (int(row[1]), int(row[2]) // 10**6) for row in rows if len(row) == 3}


@pytest.mark.usefixtures("peers")
def test_idle_states_beside_xenpm(mount: Mount, compared: list[Comparison]) -> None:
    """The same states; counts and times are between what xenfs says before and after."""
    if not mount.has("host/cpus/0/cstates"):
        pytest.skip("no power management in this Xen")
    for cpu in mount.numbers("host/cpus"):
        before = our_states(mount, cpu)
        text = by_cpu(said(f"xenpm get-cpuidle-states {cpu}"))[cpu]
        theirs, after = their_states(text), our_states(mount, cpu)
        agree = before.keys() == theirs.keys() and all(
            before[name][at] - 1 <= theirs[name][at] <= after[name][at] + 1 for name in theirs for at in (0, 1)
        )
        compared.append(
            Comparison(
                "host/cpus/*/cstates/stat", "xenpm get-cpuidle-states", str(before)[:36], str(theirs)[:36], agree
            )
        )
        assert agree, (before, theirs, after)
        total = re.search(r"total C-states +: (\d+)", text)
        assert total
        note(
            "host/cpus/*/cstates/count", "xenpm get-cpuidle-states", compared,
            {"": mount.value(f"host/cpus/{cpu}/cstates/count")}, {"": total[1]},
        )  # fmt: skip


def their_limit() -> str:
    """What `xenpm get-cpuidle-states` says of the limit."""
    text = said("xenpm get-cpuidle-states 0")
    found = re.search(r"Max possible C-state: C(\d+)", text)
    return found[1] if found else "unlimited" if "All C-states allowed" in text else text


def their_sub_limit() -> str:
    found = re.search(r"Max possible substate: (\d+)", said("xenpm get-cpuidle-states 0"))
    return found[1] if found else "unlimited"


@pytest.mark.usefixtures("peers", "limits")
def test_limits_of_idle_states_both_ways(mount: Mount, compared: list[Comparison]) -> None:
    for value in ("2", "unlimited", "1"):
        mount.write("host/power/max_cstate", value)
        note("host/power/max_cstate", "xenpm get-cpuidle-states", compared, {"": value}, {"": their_limit()})
    mount.write("host/power/max_csubstate", "3")
    note("host/power/max_csubstate", "xenpm get-cpuidle-states", compared, {"": "3"}, {"": their_sub_limit()})
    for value, sub in (("3", "unlimited"), ("unlimited", "unlimited"), ("1", "0")):
        said(f"xenpm set-max-cstate {value} {sub}")
        mine = {name: mount.value(f"host/power/{name}") for name in ("max_cstate", "max_csubstate")}
        note(
            "host/power/max_c(sub)state", "xenpm set-max-cstate", compared, mine,
            {"max_cstate": value, "max_csubstate": sub},
        )  # fmt: skip


@pytest.mark.usefixtures("limits")
def test_limits_of_idle_states(mount: Mount) -> None:
    for value in ("0", "4294967294", "unlimited"):
        mount.write("host/power/max_cstate", value)
        assert mount.value("host/power/max_cstate") == value
    for value in ("4294967295", "-1", "C1", "\n"):
        assert failure(lambda value=value: mount.write("host/power/max_cstate", value)) in (errno.EINVAL, errno.ERANGE)  # type: ignore[misc]


def test_idle_states_are_not_reset(mount: Mount) -> None:
    """Xen takes the order and does nothing."""
    if not mount.has("host/cpus/0/cstates"):
        pytest.skip("no power management in this Xen")
    before = our_states(mount, "0")
    mount.write("host/cpus/0/cstates/reset", "1")
    assert all(our_states(mount, "0")[name][1] >= ms for name, (_, ms) in before.items())


def test_scheduling_for_power(mount: Mount, xen: Hypervisor) -> None:
    """It cannot be read back, but Xen says what it was when it is set again."""
    if not mount.has("host/power/sched_smt"):
        pytest.skip("no power management in this Xen")
    was = power.set_sched_smt(xen, False)
    for value in ("1", "0", "1"):
        mount.write("host/power/sched_smt", value)
        assert power.set_sched_smt(xen, value == "1") == (value == "1")
    power.set_sched_smt(xen, was)


# Frequencies


def cpufreq_lines(text: str) -> dict[str, str]:
    """What `xenpm get-cpufreq-para` says of one CPU, under Linux's names."""
    line = colon(text)
    speeds = re.findall(r"\[(\d+)\]", line["cpuinfo frequency"])
    found = {
        "scaling_driver": line["scaling_driver"],
        "affected_cpus": line["affected_cpus"],
        "cpuinfo_max_freq": speeds[0],
        "cpuinfo_min_freq": speeds[1],
        "turbo": str(int(line["turbo mode"] == "enabled")),
    }
    if "scaling_avail_gov" in line:
        scaling = re.findall(r"\[(\d+)\]", line["scaling frequency"])
        found |= {
            "scaling_available_governors": line["scaling_avail_gov"],
            "scaling_governor": line["current_governor"],
            "scaling_available_frequencies": line["scaling_avail_freq"].replace("*", ""),
            "scaling_max_freq": scaling[0],
            "scaling_min_freq": scaling[1],
        }
    return found


@pytest.mark.usefixtures("peers")
def test_frequencies_beside_xenpm(mount: Mount, compared: list[Comparison]) -> None:
    """Where xenpm says that there are none, cpufreq/ and pstates/ are not there, and xenfs/missing says why."""
    for cpu in mount.numbers("host/cpus"):
        at = f"host/cpus/{cpu}/cpufreq"
        text = by_cpu(tried(f"xenpm get-cpufreq-para {cpu}").stdout).get(cpu, "")
        if not text.strip():
            there = {name: str(mount.has(f"host/cpus/{cpu}/{name}")) for name in ("cpufreq", "pstates")}
            note(at, "xenpm get-cpufreq-para", compared, there, dict.fromkeys(there, "False"))
            missing = mount.value("xenfs/missing")
            assert re.search(r"^sysctl pm_op GET_CPUFREQ_PARA (EINVAL|ENODEV|ENOSYS)$", missing, re.M)
            assert re.search(r"^sysctl get_pmstat get_(max_px|pxstat) ", missing, re.M)
            continue
        theirs = cpufreq_lines(text)
        note(
            at, "xenpm get-cpufreq-para", compared,
            {name: mount.value(f"{at}/{name}") for name in theirs}, theirs,
        )  # fmt: skip


@pytest.mark.usefixtures("peers")
def test_averages_beside_xenpm(mount: Mount) -> None:
    """Where there is none, the file is not there either; xenpm then prints nothing."""
    for cpu in mount.numbers("host/cpus"):
        theirs = "average cpu frequency" in tried(f"xenpm get-cpufreq-average {cpu}").stdout
        assert mount.has(f"host/cpus/{cpu}/cpufreq/avg_freq") == theirs
        if theirs:
            assert mount.value(f"host/cpus/{cpu}/cpufreq/avg_freq") == ""
            assert int(mount.ask(f"host/cpus/{cpu}/cpufreq/avg_freq", "1")) > 0


# CPUs that go and come


def processors() -> dict[str, dict[str, str]]:
    """What dom0's Linux says of CPUs, which it sees as they are: the first stands for all."""
    with open("/proc/cpuinfo") as text:
        return {"0": colon(text.read().split("\n\n", 1)[0])}


@pytest.mark.usefixtures("peers")
def test_versions_beside_linux(mount: Mount, compared: list[Comparison]) -> None:
    if not mount.has("host/cpus/0/version"):
        pytest.skip("not on this architecture")
    seen = processors()["0"]
    names = {"vendor_id": "vendor_id", "family": "cpu family", "model": "model", "stepping": "stepping"}
    note(
        "host/cpus/0/version", "cat /proc/cpuinfo", compared,
        mount.flat("host/cpus/0/version"), {ours: seen[theirs] for ours, theirs in names.items()},
    )  # fmt: skip


def their_online() -> str:
    """How many CPUs `xl info` counts."""
    return colon(said("xl info"))["nr_cpus"]


@pytest.mark.usefixtures("peers", "two_cpus")
def test_hotplug_both_ways(mount: Mount, compared: list[Comparison]) -> None:
    """xenfs takes a CPU down and xen-hptool brings it back, and the other way round."""
    online, all_of_them = f"host/cpus/{CPU}/online", their_online()
    one_less = str(int(all_of_them) - 1)

    def agree(value: str, count: str, by: str) -> None:
        settled()
        note(
            online, by, compared, {"online": mount.value(online), "xl": their_online()}, {"online": value, "xl": count}
        )
        listed = mount.value("host/cpus/online").split(",")
        assert len([n for run in listed for n in range(int(run.split("-")[0]), int(run.split("-")[-1]) + 1)]) == int(
            count
        )

    mount.write(online, "0")
    agree("0", one_less, "echo 0 > online")
    assert f"CPU{CPU}\t" not in said("xenpm get-cpu-topology"), "xenpm has lost it"
    assert CPU in mount.numbers("host/cpus"), "and xenfs has not"
    assert not mount.has(f"host/cpus/{CPU}/cstates")
    assert not mount.has(f"host/cpus/{CPU}/version")
    said(f"xen-hptool cpu-online {CPU}")
    agree("1", all_of_them, "xen-hptool cpu-online")
    said(f"xen-hptool cpu-offline {CPU}")
    agree("0", one_less, "xen-hptool cpu-offline")
    mount.write(online, "1")
    agree("1", all_of_them, "echo 1 > online")
    assert mount.has(f"host/cpus/{CPU}/cstates") == mount.has("host/cpus/0/cstates")
    assert mount.value("cpupools/0/cpus") == mount.value("host/cpus/online"), "back in Pool-0"


@pytest.mark.usefixtures("two_cpus")
def test_a_cpu_that_is_down_keeps_its_place(mount: Mount) -> None:
    online = f"host/cpus/{CPU}/online"
    present = mount.value("host/cpus/present")
    mount.write(online, "0")
    mount.write(online, "0")  # as it is already
    assert mount.value("host/cpus/present") == present
    assert mount.value(f"host/cpus/{CPU}/idle_ns") == mount.value(f"host/cpus/{CPU}/idle_ns")
    mount.write(online, "1")
    settled()
    assert mount.has(f"host/cpus/{CPU}/topology/core_id")
    assert failure(lambda: mount.write("host/cpus/0/online", "0")) == errno.EINVAL


@pytest.mark.usefixtures("peers")
def test_smt_beside_xen_hptool(mount: Mount, compared: list[Comparison]) -> None:
    """Without threads it is not there, and the tool is refused."""
    if mount.has("host/smt"):
        pytest.skip("has SMT, which is not switched off for a test")
    if shutil.which("xen-hptool") is None:
        pytest.skip("no xen-hptool for this architecture")
    theirs = tried("xen-hptool smt-enable")
    refused = "not supported" in (theirs.stdout + theirs.stderr)
    compared.append(
        Comparison("host/smt", "xen-hptool smt-enable", "absent", "refused" if refused else "taken", refused)
    )
    assert refused


@pytest.mark.usefixtures("two_cpus")
def test_parking(mount: Mount) -> None:
    """Xen takes down as many as it is asked to, and brings them back."""
    if not mount.has("host/power/parked_cpus"):
        pytest.skip("not on this architecture")
    everything = mount.value("host/cpus/online")
    try:
        mount.write("host/power/parked_cpus", "1")
        assert mount.value("host/power/parked_cpus") == "1"
        assert mount.value("host/cpus/online") != everything
    finally:
        mount.write("host/power/parked_cpus", "0")
    settled()
    assert (mount.value("host/power/parked_cpus"), mount.value("host/cpus/online")) == ("0", everything)
    too_many = str(len(mount.numbers("host/cpus")))
    assert failure(lambda: mount.write("host/power/parked_cpus", too_many)) == errno.ERANGE
