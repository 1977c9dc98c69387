"""docs/from-xl.md beside dom0's own tools: it has a row for all that they do, and the everyday rows say the same."""

from __future__ import annotations

import contextlib
import platform
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import xen_peers
from xen_guests import Guest, eventually
from xen_mount import CHECKOUT, Mount, a_cpu_leaves
from xen_peers import Comparison, columns, in_short, said

sys.path.insert(0, str(CHECKOUT / "scripts" / "reference.d"))
from from_xl import twins

pytestmark = [
    pytest.mark.once_a_dom0("what dom0's tools can do is not of the hypervisor"),
    pytest.mark.usefixtures("peers"),
]
LATER = {"suspend", "resume", "dt-overlay"}  # the two since 4.20; the last on arm64 alone, since 4.18
PLUG_S, SOON_S = 5.0, 120.0
COLUMNS = 19  # of xentop, in 4.17 as in 4.20


def test_every_command_of_xl_has_a_row() -> None:
    theirs = set(re.findall(r"^ ([a-z][a-z0-9-]+) ", said("xl help"), re.M))
    rows = {name for twin in twins() for name in re.findall(r"\bxl ([a-z0-9-]+)", twin.command)}
    assert len(theirs) > 70
    assert sorted(theirs - rows) == []
    if platform.machine() == "x86_64":  # elsewhere xl lacks what the machine does
        assert sorted(rows - theirs - LATER) == []


def test_every_column_of_xentop_has_a_row() -> None:
    head = next(line for line in said("xentop -b -f -i 1").splitlines() if "CPU(sec)" in line).split()
    assert len(head) == COLUMNS
    rows = {name for twin in twins() if twin.tool == "xentop" for name in twin.command.split(", ")}
    assert [name for name in head if name not in rows] == []


def note(compared: list[Comparison], node: str, command: str, mine: dict[str, str], theirs: dict[str, str]) -> None:
    compared.append(Comparison(node, command, in_short(mine), in_short(theirs), mine == theirs))
    assert mine == theirs, command


def test_guests_and_their_names(mount: Mount, guest: Guest, compared: list[Comparison]) -> None:
    rows = [line.split(maxsplit=2) for line in said("xl vm-list").splitlines()[1:]]
    theirs = {domid: f"{uuid} {name.strip()}" for uuid, domid, name in rows}
    mine = {
        domid: f"{mount.value(f'domains/{domid}/uuid')} {mount.value(f'domains/{domid}/name')}"
        for domid in mount.numbers("domains")
    }
    note(compared, "domains/names", "xl vm-list", mine, theirs)
    link = mount.path(f"domains/by-name/{guest.name}").readlink()
    note(compared, "domains/by-name", "xl domid", {"": link.name}, {"": said(f"xl domid {guest.name}").strip()})
    name = mount.value(guest.node("name"))
    note(compared, "domains/*/name", "xl domname", {"": name}, {"": said(f"xl domname {guest.domid}").strip()})


@pytest.mark.parametrize(("command", "node"), [("xl claims", "claim"), ("xl sharing", "shared_kb")])
def test_claims_and_sharing(mount: Mount, guest: Guest, compared: list[Comparison], command: str, node: str) -> None:
    """Both in MiB; nothing is claimed or shared here."""
    theirs = columns(said(command), 1, -1)
    mine = {domid: mount.value(f"domains/{domid}/memory/{node}") for domid in mount.numbers("domains")}
    mine = {domid: str(int(value) // 1024) for domid, value in mine.items()}
    note(compared, f"domains/*/memory/{node}", command, mine, theirs)


def test_all_vcpus_are_pinned(mount: Mount, guest: Guest, compared: list[Comparison]) -> None:
    before = mount.value(guest.node("vcpus/0/affinity_hard"))
    mount.write(guest.node("affinity_hard"), "1")
    try:
        rows = [row for row in xen_peers.vcpus(said(f"xl vcpu-list {guest.name}"))]
        mine = {
            name: mount.value(guest.node(f"vcpus/{name}/affinity_hard")) for name in mount.numbers(guest.node("vcpus"))
        }
        assert set(mine.values()) == {"1"}
        note(compared, "domains/*/affinity_hard", "xl vcpu-list", mine, {row.vcpu: row.hard for row in rows})
    finally:
        mount.write(guest.node("affinity_hard"), before)


def test_a_pool_comes_and_goes(mount: Mount, compared: list[Comparison]) -> None:
    """xl lists those that have a name. Without a CPU, as emulated machines stand still when one leaves its pool."""
    mount.mkdir("cpupools/5")
    try:
        mount.write("cpupools/5/scheduler", "credit")
        said("xenstore-write /local/pool/5/name made")
        rows = [line.split() for line in said("xl cpupool-list").splitlines()[1:]]
        theirs = {row[0]: " ".join([row[2], row[1], row[4]]) for row in rows}
        mine = f"{mount.value('cpupools/5/scheduler')} 0 {mount.value('cpupools/5/nr_domains')}"
        assert mount.value("cpupools/5/cpus") == ""
        note(compared, "cpupools/5", "xl cpupool-list", {"": mine}, {"": theirs.get("made", "not listed")})
    finally:
        mount.rmdir("cpupools/5")
        said("xenstore-rm /local/pool/5")
    assert len(said("xl cpupool-list").splitlines()) == 1 + len(mount.numbers("cpupools"))


@a_cpu_leaves
def test_a_cpu_and_a_guest_go_to_another_pool(mount: Mount, guest: Guest, compared: list[Comparison]) -> None:
    """There by xl and back by files, and the other way round. Of credit2: see docs/compatibility.md for credit."""
    mount.mkdir("cpupools/5")
    home = guest.node("cpupool")
    try:
        mount.write("cpupools/5/scheduler", "credit2")
        said("xenstore-write /local/pool/5/name made")
        mount.write("cpupools/0/cpus", "-1")
        pools_agree(mount, compared, "cpupools/0/cpus -1")
        said("xl cpupool-cpu-add Pool-0 1")
        pools_agree(mount, compared, "xl cpupool-cpu-add")
        said("xl cpupool-cpu-remove Pool-0 1")
        pools_agree(mount, compared, "xl cpupool-cpu-remove")
        mount.write("cpupools/5/cpus", "+1")
        pools_agree(mount, compared, "cpupools/5/cpus +1")
        said(f"xl cpupool-migrate {guest.name} made")
        assert mount.value(home) == "5"
        mount.write(home, "0")
        pools_agree(mount, compared, "domains/*/cpupool 0")
        mount.write(home, "5")
        pools_agree(mount, compared, "domains/*/cpupool 5")
        said(f"xl cpupool-migrate {guest.name} Pool-0")
        assert mount.value(home) == "0"
    finally:
        mount.write(home, "0")
        mount.write("cpupools/5/cpus", "\n")
        mount.rmdir("cpupools/5")
        mount.write("cpupools/0/cpus", "all")
        said("xenstore-rm /local/pool/5")


def pools_agree(mount: Mount, compared: list[Comparison], after: str) -> None:
    """By name: which CPUs each has, and how many domains."""
    rows = (line.split() for line in said("xl cpupool-list -c").splitlines()[1:])
    cpus = {row[0]: row[1] if row[1:] else "" for row in rows}
    counts = {row[0]: row[4] for row in (line.split() for line in said("xl cpupool-list").splitlines()[1:])}
    theirs = {name: f"{cpus[name]} {count}" for name, count in counts.items()}
    mine = {
        mount.value(f"cpupools/{pool}/name"): f"{mount.value(f'cpupools/{pool}/cpus')} "
        + mount.value(f"cpupools/{pool}/nr_domains")
        for pool in mount.numbers("cpupools")
    }
    mine = {name: text.replace("0-1", "0,1") for name, text in mine.items()}
    theirs = {name: text.replace("0-1", "0,1") for name, text in theirs.items()}
    note(compared, "cpupools", after, mine, theirs)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Arm has no triggers")
@pytest.mark.parametrize(("button", "bit"), [("power", 1 << 8), ("sleep", 1 << 9)])
def test_a_button_is_pressed(mount: Mount, compared: list[Comparison], button: str, bit: int) -> None:
    """Of an HVM domain, whose state in hvm/context has the register where its firmware would see that."""
    pressed = {}
    mount.mkdir("templates/board")
    try:
        mount.write("templates/board/arch/emulation", "lapic hpet pm rtc ioapic pic vga iommu pit use_pirq")
        for who in ("xenfs", "xl trigger", "xl button-press"):
            domid = mount.ask("templates/board/commit", "any")
            try:
                assert status_of_buttons(mount, domid) == 0
                if who == "xenfs":
                    mount.write(f"domains/{domid}/trigger", button)
                else:
                    said(f"{who} {domid} {button}")
                pressed[who] = status_of_buttons(mount, domid)
            finally:
                mount.write(f"domains/{domid}/kill", "1")
    finally:
        mount.rmdir("templates/board")
    mine = hex(pressed.pop("xenfs"))
    assert mine == hex(bit)
    for who, theirs in pressed.items():
        note(compared, "domains/*/trigger", f"{who} {button}", {"": mine}, {"": hex(theirs)})


def status_of_buttons(mount: Mount, domid: str) -> int:
    """PM1a_STS, in the record of the timer of power management: its number is 13."""
    data, at = mount.read(f"domains/{domid}/hvm/context"), 0
    while at < len(data):
        kind, _, length = struct.unpack_from("<HHI", data, at)
        if kind == 13:
            return int(struct.unpack_from("<IH", data, at + 8)[1])
        at += 8 + length
    raise AssertionError("no such record")


def plugged_by_udev() -> None:
    """Linux takes a CPU down by itself. One that comes udev switches on, which this dom0 has not."""
    time.sleep(PLUG_S)
    for cpu in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/online"):
        with contextlib.suppress(OSError):  # it is going
            if cpu.read_text() == "0\n":
                cpu.write_text("1")


@pytest.fixture
def unlimited(mount: Mount) -> Iterator[None]:
    """Domain 0 as it was: with all its vCPUs, its memory, and no limit."""
    vcpus, kib, most = (
        mount.value(f"domains/0/{name}") for name in ("nr_online_vcpus", "memory/current_kb", "memory/max")
    )
    yield
    mount.write("domains/0/nr_vcpus_target", vcpus)
    plugged_by_udev()
    mount.write("domains/0/memory/target_kb", kib)
    mount.write("domains/0/memory/max", most)


@pytest.mark.usefixtures("unlimited")
def test_dom0_is_asked_for_memory_and_vcpus(mount: Mount, compared: list[Comparison]) -> None:
    """Of which xenstore may have heard nothing yet. It follows, whoever asks."""
    now, vcpus = int(mount.value("domains/0/memory/current_kb")), int(mount.value("domains/0/nr_online_vcpus"))
    for who, less_mib in (("xenfs", 64), ("xl", 32)):
        mib = now // 1024 - less_mib
        if who == "xenfs":
            mount.write("domains/0/memory/target_kb", f"{mib}M")
        else:
            said(f"xl mem-set 0 {mib}")
        asked = {"target": str(mib * 1024), "max": str(mib * 1024 + 1024)}
        target = said("xenstore-read /local/domain/0/memory/target").strip()
        found = {"target": mount.value("domains/0/memory/target_kb"), "max": mount.value("domains/0/memory/max")}
        assert target == asked["target"]
        note(compared, "domains/0/memory/target_kb", f"mem-set by {who}", found, asked)
        eventually(
            lambda mib=mib: abs(int(mount.value("domains/0/memory/current_kb")) // 1024 - mib) <= 2,
            SOON_S,
            "it follows",  # type: ignore[misc]
        )
    assert int(mount.value("domains/0/memory/static_max_kb")) >= now
    if vcpus < 2:
        return
    for who, count in (("xenfs", vcpus - 1), ("xl", vcpus), ("xl", vcpus - 1), ("xenfs", vcpus)):
        if who == "xenfs":
            mount.write("domains/0/nr_vcpus_target", str(count))
        else:
            said(f"xl vcpu-set --ignore-host 0 {count}")
        plugged_by_udev()
        eventually(lambda count=count: mount.value("domains/0/nr_online_vcpus") == str(count), SOON_S, "it follows")  # type: ignore[misc]
        listed = [row for row in xen_peers.vcpus(said("xl vcpu-list 0")) if row.cpu != "-"]
        mine = {"": mount.value("domains/0/nr_vcpus_target")}
        note(compared, "domains/0/nr_vcpus_target", f"vcpu-set by {who}", mine, {"": str(len(listed))})


ABSENT = {  # what no emulated CPU has, or Debian's Xen; the node, and what its tool says then
    "xl psr-hwinfo": "host/psr",
    "xl psr-cat-show": "host/psr",
    "xl psr-mba-show": "host/psr",
    "xl psr-cat-set -s 0 0 0xff": "domains/0/psr",
    "xl psr-mba-set -s 0 0 10": "domains/0/psr",
    "xl psr-cmt-attach 0": "domains/0/psr",
    "xl psr-cmt-show cache-occupancy 0": "domains/0/psr",
    "xl psr-cmt-detach 0": "domains/0/psr",
    "xencov read": "host/coverage",
    "xen-memshare enable 0": "domains/0/memory/sharing_enabled",
    "xenpm get-cpufreq-states 0": "host/cpus/0/pstates",
    "xenpm set-scaling-governor 0 performance": "host/cpus/0/cpufreq",
    "xenpm enable-turbo-mode 0": "host/cpus/0/cpufreq",
    "xenperf": "host/perfc",
    "xenlockprof": "host/lockprof",
}


@pytest.mark.parametrize("command", ABSENT)
def test_what_is_not_here_is_not_there(mount: Mount, command: str) -> None:
    """Where the tool finds nothing, there is no file; and the other way round, for what changes nothing."""
    first, *rest = command.split()
    if mount.has(ABSENT[command]) and re.search("set|attach|enable", command):
        pytest.skip("it is here, and would be changed")
    release = f"{mount.value('version/major')}.{mount.value('version/minor')}"
    found = shutil.which(first) or shutil.which(f"/usr/lib/xen-{release}/bin/{first}")
    if not found:
        pytest.skip(f"no {first} here")
    done = subprocess.run([found, *rest], capture_output=True, text=True, timeout=60)
    text = done.stdout + done.stderr
    print(done.returncode, text)
    nothing = done.returncode != 0 or re.search(r"(?i)fail|error|not |no valid|invalid", text) or not text.strip()
    assert bool(nothing) == (not mount.has(ABSENT[command])), text


@pytest.mark.skipif(platform.machine() != "x86_64", reason="xenctx names Arm's registers in another way")
def test_registers_beside_xenctx(mount: Mount, guest: Guest, compared: list[Comparison]) -> None:
    release = f"{mount.value('version/major')}.{mount.value('version/minor')}"
    found = shutil.which(f"/usr/lib/xen-{release}/bin/xenctx")
    if not found:
        pytest.skip("no xenctx here")
    mount.write(guest.node("freeze"), "1")
    try:
        text = subprocess.run([found, str(guest.domid), "0"], capture_output=True, text=True, timeout=60).stdout
        mine = mount.flat(guest.node("vcpus/0/regs"))
    finally:
        mount.write(guest.node("freeze"), "0")
    if not text:
        pytest.skip("this dom0's xenctx says nothing here")
    theirs = {name: int(value, 16) for name, value in re.findall(r"\b([a-z0-9]+): ([0-9a-f]{16})\b", text)}
    known = sorted(theirs.keys() & mine.keys())
    assert len(known) >= 10, text
    note(
        compared, "domains/*/vcpus/*/regs", "xenctx", {name: hex(int(mine[name], 0)) for name in known},
        {name: hex(theirs[name]) for name in known},
    )  # fmt: skip
