"""metrics/xen.prom on this Xen: the same as the files beside it and as xl, and nothing that promtool dislikes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from prom import Family, families
from xen_guests import Guest
from xen_mount import Mount, called

FILE = "metrics/xen.prom"


def scraped(mount: Mount) -> dict[str, Family]:
    return families(mount.value(FILE) + "\n")


def test_the_format(mount: Mount, guest: Guest) -> None:
    """As strict as promtool, which also looks at it where it is to be had; else it is kept for one that is outside."""
    text = mount.read(FILE)
    assert len(families(text.decode())) > 40
    if os.environ.get("XENFS_OUT"):
        Path(os.environ["XENFS_OUT"], "xen.prom").write_bytes(text)
    if promtool := shutil.which("promtool"):
        done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=120)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_everything_answers(mount: Mount) -> None:
    found = scraped(mount)
    assert {dict(at)["collector"]: v for at, v in found["xen_collector_success"].samples.items() if v != "1"} == {}
    assert found["xen_up"].value() == 1
    assert found["xen_build_info"].value(version=mount.value("version/full"))


@pytest.mark.once("how values become metrics is xenfs's")
@pytest.mark.usefixtures("at_home")
def test_the_values_are_those_of_the_other_files(mount: Mount, guest: Guest) -> None:
    domids = mount.numbers("domains")
    before = {domid: int(mount.value(f"domains/{domid}/cpu_time_ns")) for domid in domids}
    found = scraped(mount)
    after = {domid: int(mount.value(f"domains/{domid}/cpu_time_ns")) for domid in domids}
    assert {dict(at)["domid"] for at in found["xen_domain_info"].samples} == set(domids)
    clocks_differ = 0.5  # between CPUs, as seen on emulated machines
    for domid in domids:
        about = {"domid": domid, "uuid": mount.value(f"domains/{domid}/uuid")}
        cpu = found["xen_domain_cpu_seconds_total"].value(**about)
        assert before[domid] / 1e9 - clocks_differ <= cpu <= after[domid] / 1e9 + clocks_differ
        assert found["xen_domain_info"].value(**about, type=mount.value(f"domains/{domid}/type"))
        assert found["xen_domain_vcpus_online"].value(**about) == int(mount.value(f"domains/{domid}/nr_online_vcpus"))
        assert found["xen_domain_vcpus"].value(**about) == len(mount.numbers(f"domains/{domid}/vcpus"))
        limit = mount.value(f"domains/{domid}/memory/max")
        assert found["xen_domain_memory_max_bytes"].value(**about) == (
            float("inf") if limit == "max" else int(limit) * 1024
        )
        if mount.has(f"domains/{domid}/sched/weight"):
            weight = int(mount.value(f"domains/{domid}/sched/weight"))
            assert found["xen_domain_scheduler_weight"].value(**about) == weight
        vcpus = found["xen_vcpu_cpu_seconds_total"].sum(**about)
        assert vcpus == pytest.approx(cpu, abs=clocks_differ + 0.1 * cpu)
    assert found["xen_domain_memory_bytes"].value(domid=str(guest.domid)) > 0
    assert found["xen_host_memory_bytes"].value() == int(mount.value("host/memory/total_kb")) * 1024
    for cpu_number in mount.numbers("host/cpus"):
        assert found["xen_cpu_idle_seconds_total"].value(cpu=cpu_number) <= (
            int(mount.value(f"host/cpus/{cpu_number}/idle_ns")) / 1e9 + clocks_differ
        )


@pytest.mark.usefixtures("peers")
def test_the_same_as_xl(mount: Mount, guest: Guest) -> None:
    listed = json.loads(subprocess.run(["xl", "list", "-l"], capture_output=True, timeout=120, check=True).stdout)
    found = scraped(mount)
    names = {dict(at)["domid"]: dict(at)["name"] for at in found["xen_domain_info"].samples}
    assert names == {str(each["domid"]): each["config"]["c_info"]["name"] for each in listed}
    uuids = {dict(at)["domid"]: dict(at)["uuid"] for at in found["xen_domain_info"].samples}
    theirs = {str(each["domid"]): each["config"]["c_info"].get("uuid") for each in listed}
    assert {domid: uuid for domid, uuid in uuids.items() if theirs[domid]} == {d: u for d, u in theirs.items() if u}
    paused = [dict(at)["domid"] for at, value in found["xen_domain_paused"].samples.items() if value == "1"]
    short = subprocess.run(["xl", "list"], capture_output=True, text=True, timeout=120, check=True).stdout
    assert sorted(paused) == sorted(line.split()[1] for line in short.splitlines()[1:] if line.split()[4][2] == "p")


@pytest.mark.once("how values become metrics is xenfs's")
def test_a_change_is_seen(mount: Mount, guest: Guest) -> None:
    at = f"domains/{guest.domid}/freeze"
    about = {"domid": str(guest.domid)}
    assert scraped(mount)["xen_domain_paused"].value(**about) == 0
    mount.write(at, "1")
    try:
        first = scraped(mount)
        assert first["xen_domain_paused"].value(**about) == 1
        then = scraped(mount)["xen_domain_cpu_seconds_total"].value(**about)
        assert then == first["xen_domain_cpu_seconds_total"].value(**about)
    finally:
        mount.write(at, "0")


@pytest.mark.once("how values become metrics is xenfs's")
def test_a_domain_that_ends_is_gone(mount: Mount, doomed: Callable[..., Guest]) -> None:
    one = doomed()
    assert scraped(mount)["xen_domain_info"].value(domid=str(one.domid)) == 1
    mount.write(one.node("kill"), "1")
    left = {dict(at)["domid"] for at in scraped(mount)["xen_domain_info"].samples}
    assert str(one.domid) not in left or mount.value(f"domains/{one.domid}/state") == "dying"


def test_a_handful_of_hypercalls(mount: Mount) -> None:
    mount.read(FILE)
    before = mount.calls()
    found = scraped(mount)
    made = called(before, mount.calls())
    domains = len(found["xen_domain_info"].samples)
    took = found["xen_scrape_duration_seconds"].value()
    print(f"a scrape of {domains} domains: {sum(made.values())} hypercalls, {took} s")
    assert sum(made.values()) <= 20 + len(found["xen_cpupool_info"].samples) + len(found["xen_cpu_info"].samples), made
