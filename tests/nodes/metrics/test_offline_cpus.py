"""CPUs that are offline: no number of theirs is counted, no marker is shown, and each list has the same CPUs."""

from __future__ import annotations

import re

import pytest
from prom import families
from worlds import RELEASES, Host

from xenfs.simulator.world import hotplug

FILE = "metrics/xen.prom"
MARKERS = re.compile(r"\b(4294967295|0xffffffff|18446744073709551615|0xffffffffffffffff)\b")
# Members as Xen has them, whatever they mean; and numbers of which all bits are a value as any other.
RAW = re.compile(r".*/info|.*/regs|host/info|host/cpuid/.*|domains/\d+/(cpuid|hvm)/.*|.*/msrs?/.*")


@pytest.mark.parametrize("release", RELEASES)
def test_an_offline_cpu_is_no_busy_cpu(release: str) -> None:
    with Host(f"xen={release},cpus=8") as host:
        hotplug.set_online(host.world, 3, False)
        found = families(host.read(FILE))
        idle, online = (found[f"xen_cpu_{name}"] for name in ("idle_seconds_total", "online"))
        assert {dict(at)["cpu"] for at in idle.samples} == {str(cpu) for cpu in range(8) if cpu != 3}
        assert [online.value(cpu=str(cpu)) for cpu in range(8)] == [int(cpu != 3) for cpu in range(8)]
        listed = [cpu for cpu in host.names("host/cpus") if cpu.isdecimal()]
        assert [line.split()[0] for line in host.value("host/cpu_stat").splitlines()] == [f"cpu{cpu}" for cpu in listed]
        assert {dict(at)["cpu"] for at in online.samples} == set(listed)
        assert host.value("host/cpus/3/idle_ns") == "0"
        assert "cpu3 0" in host.value("host/cpu_stat").splitlines()
        before = idle.value(cpu="2")
        hotplug.set_online(host.world, 3, True)
        host.advance(1)
        again = families(host.read(FILE))["xen_cpu_idle_seconds_total"]
        assert again.value(cpu="2") - before <= 1
        assert again.value(cpu="3") > 0


@pytest.mark.parametrize("settings", ["cpus=8", "cpus=8,profile=full", "arch=arm64", "xen=4.14,cpus=8"])
def test_no_marker_of_xens_is_shown(settings: str) -> None:
    with Host(settings) as host:
        if host.world.host.x86:
            hotplug.set_online(host.world, 3, False)
        host.world.build(70, bytes(16), "pvh")  # nothing in it yet, and no vCPU
        for place in host.files():
            if not RAW.fullmatch(place.path):
                assert not MARKERS.search(place.node.produce(host.xen, place.ids).decode("latin-1")), place.path


def test_memory_adds_up() -> None:
    with Host("domains=20") as host:
        host.world.claimed_pages = 1000
        found = families(host.read(FILE))
        parts = [found[f"xen_host_memory_{name}_bytes"].value() for name in ("available", "claimed", "xen")]
        assert sum(parts) + found["xen_domain_memory_bytes"].sum() == found["xen_host_memory_bytes"].value()
        available = int(host.value("host/memory/available_kb"))
        assert available == int(host.value("host/memory/free_kb")) - int(host.value("host/memory/claimed_kb"))
        assert found["xen_host_memory_available_bytes"].value() == available * 1024


def test_shutdowns_are_counted_by_reason_and_grants_are_told_of() -> None:
    with Host() as host:
        before = families(host.read(FILE))["xen_shutdowns_total"]
        assert before.value(reason="crash") == before.value(reason="reboot") == 0
        for reason in (3, 3, 1):
            host.world.shutdown(host.world.create().domid, reason)
        found = families(host.read(FILE))
        assert found["xen_shutdowns_total"].value(reason="crash") == 2
        assert found["xen_shutdowns_total"].value(reason="reboot") == 1
        for domid in filter(str.isdecimal, host.names("domains")):
            frames, most = (found[f"xen_domain_grant_frames{end}"].value(domid=domid) for end in ("", "_max"))
            assert frames == int(host.value(f"domains/{domid}/grants/frames"))
            assert most == int(host.value(f"domains/{domid}/grants/max_frames"))
