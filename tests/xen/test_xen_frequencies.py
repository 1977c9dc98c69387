"""Frequencies beside xenpm, where a processor has some: scripts/on-xen --cpu Nehalem.

No emulated machine has firmware that knows any. Of a processor of Intel's, Xen believes what dom0's kernel says, and
here the test says it: three P-states, chosen by a byte of the serial port that keeps what is written to it.
"""

from __future__ import annotations

import platform
import re
from typing import NamedTuple

import pytest
import xen_seen
from conftest import REAL
from test_xen_power import by_cpu, cpufreq_lines, note, tried
from xen_guests import eventually
from xen_mount import Mount, failure
from xen_peers import Comparison, said
from xen_raw import ask, words

pytestmark = [
    pytest.mark.skipif(not REAL or platform.machine() != "x86_64", reason="what a real Xen on x86 makes of it"),
    pytest.mark.usefixtures("peers"),
]
SOON_S = 60.0
SCRATCH = 0x3FF
FAST, MIDDLE, SLOW = "2000000", "1500000", "1000000"
_STATES = ((2000, 10), (1500, 11), (1000, 12))  # MHz, and what the port is to have
_EVERYTHING = 15  # XEN_PX_PCT, PSS, PPC and PSD
_PORTS, _OF_ALL = 1, 2  # ACPI's SystemIO; XEN_CPUPERF_SHARED_TYPE_ALL, of a domain of its own
GOVERNORS = ("performance", "powersave", "userspace", "ondemand")


def _tell(raw: Mount, cpu: int) -> None:
    """As dom0's kernel would, had it read it from ACPI."""
    port = {"space_id": _PORTS, "bit_width": 8, "address": SCRATCH}
    about = {
        "flags": _EVERYTHING, "state_count": len(_STATES), "shared_type": _OF_ALL, "domain_info.num_entries": 5,
        "domain_info.domain": cpu, "domain_info.coord_type": 0xFC, "domain_info.num_processors": 1,
        "states": "in:" + "".join(words(mhz, 1000, 10, 10, value, value) for mhz, value in _STATES),
        **{f"{which}_register.{name}": value for which in ("control", "status") for name, value in port.items()},
    }  # fmt: skip
    told = " ".join(f"u.perf.{name}={value}" for name, value in about.items())
    ask(raw, "platform_op/set_processor_pminfo:PX", f"id={raw.value(f'host/cpus/{cpu}/acpi_id')} {told}")


@pytest.fixture(scope="module", autouse=True)
def fast(mount: Mount, raw: Mount) -> Mount:
    """Where they come to be known as long as it is mounted."""
    if not mount.has("host/cpus/0/cpufreq"):
        if mount.flat("host/cpus/0/version")["vendor_id"] != "GenuineIntel":
            pytest.skip("it takes a processor of Intel's: scripts/on-xen --cpu Nehalem")
        for cpu in mount.numbers("host/cpus"):
            _tell(raw, int(cpu))
    for cpu in mount.numbers("host/cpus"):
        for name in ("cpufreq", "pstates"):
            there = f"host/cpus/{cpu}/{name}"
            eventually(lambda there=there: mount.has(there), SOON_S, there)  # type: ignore[misc]
    return mount


def governed(mount: Mount, cpu: str, governor: str) -> None:
    mount.write(f"host/cpus/{cpu}/cpufreq/scaling_governor", governor)


def theirs_of(cpu: str) -> str:
    return by_cpu(said(f"xenpm get-cpufreq-para {cpu}"))[cpu]


def test_governors_both_ways(fast: Mount, compared: list[Comparison]) -> None:
    """And all else that xenpm says of a frequency, when it stands still."""
    for cpu in fast.numbers("host/cpus"):
        at = f"host/cpus/{cpu}/cpufreq"
        for governor in GOVERNORS:
            governed(fast, cpu, governor)
            text = theirs_of(cpu)
            theirs = cpufreq_lines(text)
            assert theirs["scaling_governor"] == governor
            if governor in ("performance", "powersave"):
                theirs["cpuinfo_cur_freq"], theirs["scaling_cur_freq"] = re.findall(r"cur \[(\d+)\]", text)
                assert set(re.findall(r"cur \[(\d+)\]", text)) == {FAST if governor == "performance" else SLOW}
            mine = {name: fast.value(f"{at}/{name}") for name in theirs}
            note(at, f"xenpm get-cpufreq-para ({governor})", compared, mine, theirs)
        for governor in GOVERNORS:
            said(f"xenpm set-scaling-governor {cpu} {governor}")
            mine = {"": fast.value(f"{at}/scaling_governor")}
            note(f"{at}/scaling_governor", "xenpm set-scaling-governor", compared, mine, {"": governor})


def test_bounds_and_a_speed_both_ways(fast: Mount, compared: list[Comparison]) -> None:
    at = "host/cpus/0/cpufreq"
    governed(fast, "0", "userspace")
    try:
        for name, option, value, other in (
            ("scaling_max_freq", "maxfreq", MIDDLE, FAST), ("scaling_min_freq", "minfreq", MIDDLE, SLOW),
            ("scaling_setspeed", "speed", MIDDLE, SLOW),
        ):  # fmt: skip
            fast.write(f"{at}/{name}", value)
            text = theirs_of("0")
            found = re.search(r"scaling_setspeed : (\d+)", text)
            theirs = {**cpufreq_lines(text), "scaling_setspeed": found[1] if found else ""}
            note(f"{at}/{name}", "xenpm get-cpufreq-para", compared, {name: value}, {name: theirs[name]})
            said(f"xenpm set-scaling-{option} 0 {other}")
            note(
                f"{at}/{name}",
                f"xenpm set-scaling-{option}",
                compared,
                {name: fast.value(f"{at}/{name}")},
                {name: other},
            )
        assert fast.value(f"{at}/scaling_cur_freq") == SLOW
    finally:
        governed(fast, "0", "performance")


def test_what_ondemand_goes_by_both_ways(fast: Mount, compared: list[Comparison]) -> None:
    governed(fast, "0", "ondemand")
    at = "host/cpus/0/cpufreq/ondemand"
    before = {name: fast.value(f"{at}/{name}") for name in ("sampling_rate", "up_threshold")}
    most, least = (fast.value(f"{at}/sampling_rate_{end}") for end in ("max", "min"))
    for name, option, values in (
        ("sampling_rate", "sampling-rate", (least, most)), ("up_threshold", "up-threshold", ("50", "60")),
    ):  # fmt: skip
        fast.write(f"{at}/{name}", values[0])
        text = theirs_of("0")
        rates = re.search(r"sampling_rate +: max \[(\d+)\] min \[(\d+)\] cur \[(\d+)\]", text)
        threshold = re.search(r"up_threshold +: (\d+)", text)
        assert rates
        assert threshold
        theirs = {"max": rates[1], "min": rates[2], "sampling_rate": rates[3], "up_threshold": threshold[1]}
        mine = {"max": most, "min": least, **{each: fast.value(f"{at}/{each}") for each in before}}
        assert mine[name] == values[0]
        note(at, "xenpm get-cpufreq-para", compared, mine, theirs)
        said(f"xenpm set-{option} 0 {values[1]}")
        note(f"{at}/{name}", f"xenpm set-{option}", compared, {"": fast.value(f"{at}/{name}")}, {"": values[1]})
        fast.write(f"{at}/{name}", before[name])


class Seen(NamedTuple):
    """A P-state: its frequency, and how often and how long it was that."""

    mhz: int
    count: int
    ms: int


def ours(mount: Mount, cpu: str) -> list[Seen]:
    rows = (line.split() for line in mount.value(f"host/cpus/{cpu}/pstates/stat").splitlines())
    return [Seen(int(khz) // 1000, int(count), int(ns) // 10**6) for khz, ns, count in rows]


def theirs(text: str) -> list[Seen]:
    """As `xenpm get-cpufreq-states` has them."""
    rows = re.findall(r"^\*?P\d+ *\[ *(\d+) MHz\]: transition \[ *(\d+)\]\n +residency +\[ *(\d+) ms\]", text, re.M)
    return [Seen(*map(int, row)) for row in rows]


def test_states_beside_xenpm(fast: Mount, compared: list[Comparison]) -> None:
    """Counts and times are between what xenfs says before and after."""
    governed(fast, "0", "userspace")
    at, speed = "host/cpus/0/pstates", "host/cpus/0/cpufreq/scaling_setspeed"
    for khz in (SLOW, FAST):
        fast.write(speed, khz)
    fast.write(f"{at}/reset", "1")
    assert [each.count for each in ours(fast, "0")] == [0, 0, 0]
    for khz in (MIDDLE, SLOW, MIDDLE, FAST):
        fast.write(speed, khz)
    before = ours(fast, "0")
    text = by_cpu(said("xenpm get-cpufreq-states 0"))["0"]
    xenpm, after = theirs(text), ours(fast, "0")
    agree = len(before) == len(xenpm) and all(
        low.mhz == each.mhz and low.count == each.count and low.ms - 1 <= each.ms <= high.ms + 1
        for low, each, high in zip(before, xenpm, after, strict=True)
    )
    compared.append(Comparison(f"{at}/stat", "xenpm get-cpufreq-states", str(before)[:36], str(xenpm)[:36], agree))
    assert agree, (before, xenpm, after)
    assert [each.count for each in xenpm] == [1, 2, 1]
    assert f"current frequency    : {int(FAST) // 1000} MHz" in text
    total = re.search(r"total P-states +: (\d+)", text)
    assert total
    note(f"{at}/count", "xenpm get-cpufreq-states", compared, {"": fast.value(f"{at}/count")}, {"": total[1]})
    table = [line.partition(":")[2].split() for line in fast.value(f"{at}/trans_table").splitlines()[2:]]
    assert table == [["0", "1", "0"], ["1", "0", "1"], ["0", "1", "0"]], "from each to each"
    governed(fast, "0", "performance")


def test_turbo_beside_xenpm(fast: Mount, compared: list[Comparison]) -> None:
    """QEMU's processors have none: what Xen says of that, both say."""
    for value, word in (("1", "enable"), ("0", "disable")):
        code = failure(lambda value=value: fast.write("host/cpus/0/cpufreq/turbo", value))  # type: ignore[misc]
        done = tried(f"xenpm {word}-turbo-mode 0")
        refused = re.search(r"failed to \w+ turbo mode \((\d+)", done.stdout + done.stderr)
        their_code = int(refused[1]) if refused else 0
        note("host/cpus/0/cpufreq/turbo", f"xenpm {word}-turbo-mode", compared, {"": str(code)}, {"": str(their_code)})
        mine = {"turbo": fast.value("host/cpus/0/cpufreq/turbo")}
        note(
            "host/cpus/0/cpufreq/turbo", "xenpm get-cpufreq-para", compared, mine,
            {"turbo": cpufreq_lines(theirs_of("0"))["turbo"]},
        )  # fmt: skip


def test_an_average_beside_xenpm(fast: Mount, compared: list[Comparison]) -> None:
    governed(fast, "0", "powersave")
    said_by_them = re.search(r"average cpu frequency: +(\d+)", said("xenpm get-cpufreq-average 0"))
    assert said_by_them
    mine = {"": fast.ask("host/cpus/0/cpufreq/avg_freq", "1")}
    xen_seen.note("r", "host/cpus/0/cpufreq/avg_freq")
    note("host/cpus/0/cpufreq/avg_freq", "xenpm get-cpufreq-average", compared, mine, {"": said_by_them[1]})
    governed(fast, "0", "performance")
