"""`xenfs top` beside xentop: the same domains with the same figures, as far as both know them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from typing import Any

import pytest
from xen_guests import Guest
from xen_mount import Mount, xenfs

XENTOP = shutil.which("xentop") or "/usr/sbin/xentop"
LETTERS = {"running": "r", "blocked": "b", "paused": "p", "shutdown": "s", "crashed": "c", "dying": "d"}
CLOCKS_DIFFER_S = 2.0  # xentop says whole seconds; and clocks of emulated CPUs are not the same


def looked(mount: Mount, *words: str) -> dict[str, Any]:
    """What `xenfs top` says in JSON."""
    done = xenfs("top", str(mount.root), "--json", "--delay", "0", *words)
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def xentop(*words: str) -> dict[str, list[str]]:
    """What it prints in the end, by the full name: state, CPU seconds, CPU %, memory, its %, most, its %, vCPUs.

    "no limit" and "n/a" are its words for a control domain without a limit.
    """
    words = words or ("-i", "1")
    done = subprocess.run([XENTOP, "-b", "-f", *words], capture_output=True, text=True, timeout=120, check=True)
    if os.environ.get("XENFS_OUT"):
        with open(os.path.join(os.environ["XENFS_OUT"], "xentop.txt"), "w") as out:
            out.write(done.stdout)
    lines = [re.sub(r"no limit", "no-limit", line).split() for line in done.stdout.splitlines()]
    first = max(at for at, line in enumerate(lines) if line[:2] == ["NAME", "STATE"])
    return {line[0]: line[1:9] for line in lines[first + 1 :] if len(line) > 8}


@pytest.mark.once_a_dom0("its values are those of domains/, which test_xen_peers.py compares on each Xen")
@pytest.mark.usefixtures("peers")
def test_the_same_as_xentop(mount: Mount, guest: Guest) -> None:
    if not os.access(XENTOP, os.X_OK):
        pytest.skip("no xentop here")
    before, theirs, after = looked(mount), xentop(), looked(mount)
    assert {each["name"] for each in after["domains"]} == set(theirs)
    for was, now in zip(before["domains"], after["domains"], strict=True):
        state, cpu_s, _, memory_kb, memory_percent, max_kb, max_percent, vcpus = theirs[now["name"]]
        assert was["cpu_time_ns"] / 1e9 - CLOCKS_DIFFER_S <= float(cpu_s) <= now["cpu_time_ns"] / 1e9 + CLOCKS_DIFFER_S
        assert int(memory_kb) in (was["memory_kb"], now["memory_kb"])
        assert float(memory_percent) == pytest.approx(now["memory_percent"], abs=0.1)
        if now["memory_max_kb"] is None:
            assert (max_kb, max_percent) == ("no-limit", "n/a")
        else:
            assert int(max_kb) == now["memory_max_kb"]
            assert float(max_percent) == pytest.approx(now["memory_max_percent"], abs=0.1)
        assert int(vcpus) == now["vcpus"]
        calm = was["state"] == now["state"] and now["state"] in ("paused", "shutdown", "crashed", "dying")
        assert not calm or LETTERS[now["state"]] in state


@pytest.mark.once("its values are those of domains/")
@pytest.mark.usefixtures("at_home")
def test_a_paused_guest(mount: Mount, guest: Guest) -> None:
    mount.write(f"domains/{guest.domid}/freeze", "1")
    try:
        (found,) = (each for each in looked(mount)["domains"] if each["domid"] == guest.domid)
        assert (found["domid"], found["state"]) == (guest.domid, "paused")
        if os.access(XENTOP, os.X_OK) and found["name"] in (there := xentop()):
            assert "p" in there[found["name"]][0]
    finally:
        mount.write(f"domains/{guest.domid}/freeze", "0")


@pytest.mark.once("its values are those of domains/")
def test_rates_are_within_what_there_is(mount: Mount, guest: Guest) -> None:
    done = xenfs("top", str(mount.root), "--json", "--delay", "2", "--vcpus")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    if os.environ.get("XENFS_OUT"):
        with open(os.path.join(os.environ["XENFS_OUT"], "top.json"), "w") as out:
            out.write(done.stdout)
    assert found["xen_version"] == mount.value("version/full")
    assert all(each["busy_percent"] is None or 0 <= each["busy_percent"] <= 100 for each in found["cpus"])
    assert len(found["cpus"]) == found["host"]["cpus_online"] == len(mount.numbers("host/cpus"))
    for each in found["domains"]:
        assert 0 <= (each["cpu_percent"] or 0) <= 150 * each["vcpus_online"] + 50, "clocks of emulated CPUs differ"
        assert len(each["vcpu_stat"]) == each["vcpus"]
    assert len(looked(mount)["domains"]) == len(mount.numbers("domains"))


@pytest.mark.once_a_dom0("a rate is the same sum on each Xen")
@pytest.mark.usefixtures("peers")
def test_rates_beside_xentop(mount: Mount, guest: Guest) -> None:
    """Of seconds in which dom0 has something to do for each of its vCPUs, and a guest is paused: whose interval it is
    hardly matters then."""
    mount.write(f"domains/{guest.domid}/freeze", "1")
    name = mount.value(f"domains/{guest.domid}/name")
    vcpus = int(mount.value("domains/0/nr_online_vcpus"))
    busy = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(vcpus)]
    try:
        theirs = {each: float(row[2]) for each, row in xentop("-i", "2", "-d", "10").items()}
        done = xenfs("top", str(mount.root), "--json", "--delay", "10")
    finally:
        for each in busy:
            each.kill()
            each.wait()
        mount.write(f"domains/{guest.domid}/freeze", "0")
    assert (done.returncode, done.stderr) == (0, "")
    ours = {each["name"]: each["cpu_percent"] for each in json.loads(done.stdout)["domains"]}
    print(theirs, ours)
    dom0 = mount.value("domains/0/name")
    assert theirs[name] == ours[name] == 0
    for found in (theirs[dom0], ours[dom0]):
        assert found == pytest.approx(100 * vcpus, rel=0.25)
