"""The nodes about the machine beside dom0's kernel and tools: live patches, PCI devices, clocks, symbols, counters."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import patch_file
import pytest
from xen_mount import Mount, failure
from xen_peers import Comparison, in_short, said

from xenfs.calls import version
from xenfs.hypervisor.base import Hypervisor

PATCH, OTHER = "xenfs-test", "xenfs-other"
LINUX_STARTS_S = 600  # after Xen, on an emulated machine beside others


@pytest.fixture
def patches(xen: Hypervisor, mount: Mount, peers: None, tmp_path: Path) -> Iterator[list[str]]:
    """Two live patches that change nothing, uploaded and not applied."""
    if not mount.has("host/livepatch"):
        pytest.skip("this Xen has no live patching")
    if xen.abi.arch != "x86_64":
        pytest.skip("the patch is made of x86-64's code")
    try:
        for number, name in enumerate((PATCH, OTHER), 1):
            built = tmp_path / f"{name}.o"
            about = (b"author=xenfs", b"number=%d" % number)
            built.write_bytes(patch_file.payload(version.build_id(xen), bytes([number]) * 20, *about))
            said(f"xen-livepatch upload {name} {built}")
        yield [PATCH, OTHER]
    finally:
        for command in ("revert", "unload"):
            for name in (PATCH, OTHER):
                subprocess.run(["xen-livepatch", command, name], capture_output=True, check=False)
    assert mount.names("host/livepatch") == []


def listed() -> dict[str, tuple[str, str]]:
    """What `xen-livepatch list` says: (state, metadata with semicolons) by name."""
    rows = (line.split("|") for line in said("xen-livepatch list").splitlines()[2:])
    return {row[0].strip(): (row[1].strip().lower(), row[2].strip()) for row in rows}


def of_xenfs(mount: Mount) -> dict[str, tuple[str, str]]:
    """The same as xenfs has it."""
    return {
        name: (
            mount.value(f"host/livepatch/{name}/state"),
            ";".join(mount.value(f"host/livepatch/{name}/metadata").split()),
        )
        for name in mount.names("host/livepatch")
    }


def test_live_patches_beside_xen_livepatch(mount: Mount, patches: list[str], compared: list[Comparison]) -> None:
    def compare(state: str) -> None:
        mine, theirs = of_xenfs(mount), listed()
        states, metadata = (
            [in_short({name: words[at] for name, words in each.items()}) for each in (mine, theirs)] for at in (0, 1)
        )
        compared.append(Comparison("host/livepatch/*/state", "xen-livepatch list", *states, mine == theirs))
        compared.append(Comparison("host/livepatch/*/metadata", "xen-livepatch list", *metadata, mine == theirs))
        assert mine == theirs
        assert mine[PATCH] == (state, "author=xenfs;number=1")
        assert mine[OTHER][0] == "checked"
        assert mount.value(f"host/livepatch/{PATCH}/rc") == "0"

    compare("checked")
    said(f"xen-livepatch apply {PATCH}")
    compare("applied")
    patch = mount.root / "host" / "livepatch" / PATCH
    assert failure(patch.rmdir) == errno.EBUSY
    compare("applied")
    said(f"xen-livepatch revert {PATCH}")
    compare("checked")
    mount.rmdir(f"host/livepatch/{PATCH}")
    assert list(of_xenfs(mount)) == list(listed()) == [OTHER]
    assert failure(lambda: mount.value("host/livepatch/nothing/state")) == errno.ENOENT


def test_nodes_of_devices_beside_xl(mount: Mount, peers: None, compared: list[Comparison]) -> None:
    if not mount.has("host/pci"):
        pytest.skip("this Xen knows nothing of PCI")
    table = said("xl info -n").partition("device topology")[2]
    theirs = dict(re.findall(r"^([0-9a-f:.]{12}) +(\d+)$", table, re.M))
    every = {name: mount.value(f"host/pci/{name}/numa_node") for name in mount.names("host/pci")}
    mine = {name: node for name, node in every.items() if node != "-1"}  # xl leaves out those of no node
    compared.append(Comparison("host/pci/*/numa_node", "xl info -n", in_short(mine), in_short(theirs), mine == theirs))
    assert mine == theirs
    assert set(every) <= set(os.listdir("/sys/bus/pci/devices"))
    assert every, "not one device"


def test_reserved_memory_of_devices_adds_up(mount: Mount) -> None:
    """What each device claims alone is what all claim together."""
    if not mount.has("host/pci") or not mount.has("host/memory/rmrr"):
        pytest.skip("this Xen knows nothing of PCI, or of what devices claim")
    each = [mount.value(f"host/pci/{name}/reserved_memory").splitlines() for name in mount.names("host/pci")]
    assert {line for lines in each for line in lines} <= set(mount.value("host/memory/rmrr").splitlines())


def test_xen_s_clock_beside_linux(mount: Mount, real: bool, compared: list[Comparison]) -> None:
    if not mount.has("host/time") or not real:
        pytest.skip("no such clock, or no Linux above it")
    before = int(mount.value("host/time/system_ns")) / 1e9
    linux = float(Path("/proc/uptime").read_text().split()[0])
    after = int(mount.value("host/time/system_ns")) / 1e9
    compared.append(Comparison("host/time/system_ns", "cat /proc/uptime", f"{before:.1f}", f"{linux:.1f}", True))
    assert linux < after, "Linux booted after Xen"
    assert before - linux < LINUX_STARTS_S, "and not much later"
    booted = re.findall(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.M)
    assert -2 <= int(booted[0]) - int(mount.value("host/time/boot_s")) < LINUX_STARTS_S


def test_own_uuid_beside_linux(mount: Mount, real: bool, compared: list[Comparison]) -> None:
    """Linux asks xen_version guest_handle, xenfs getdomaininfo."""
    if not real:
        pytest.skip("no Linux above it")
    theirs = Path("/sys/hypervisor/uuid").read_text().strip()
    mine = mount.value("domains/self/uuid")
    compared.append(Comparison("domains/self/uuid", "cat /sys/hypervisor/uuid", mine, theirs, mine == theirs))
    assert mine == theirs


def test_symbols_beside_linux(mount: Mount, real: bool, compared: list[Comparison]) -> None:
    """Linux has them in Xen's own filesystem, where it was built so."""
    if not mount.has("host/xensyms"):
        pytest.skip("this Xen does not tell its symbols")
    mine = mount.value("host/xensyms").splitlines()
    assert len(mine) > (5000 if real else 100)
    assert mine == mount.value("host/xensyms").splitlines()
    linux = Path("/proc/xen/xensyms")
    if not linux.exists():
        pytest.skip("this Linux has no /proc/xen/xensyms")
    theirs = [line.replace("\t", " ") for line in linux.read_text().splitlines()]
    alike = [line.split() for line in mine] == [line.split() for line in theirs]
    compared.append(
        Comparison("host/xensyms", "cat /proc/xen/xensyms", f"{len(mine)} lines", f"{len(theirs)} lines", alike)
    )
    assert alike


def test_counters_beside_linux(mount: Mount, real: bool, compared: list[Comparison]) -> None:
    if not mount.has("host/pmu") or not real:
        pytest.skip("Xen was not booted with vpmu")
    for node, file in (("mode", "pmu_mode"), ("features", "pmu_features")):
        theirs = Path(f"/sys/hypervisor/pmu/{file}").read_text().strip()
        mine = mount.value(f"host/pmu/{node}")
        compared.append(Comparison(f"host/pmu/{node}", f"cat /sys/hypervisor/pmu/{file}", mine, theirs, True))
        assert mine == theirs


def test_kexec_ranges_make_sense(mount: Mount) -> None:
    if not mount.has("host/kexec"):
        pytest.skip("this Xen has no kexec, or this is no PV dom0")
    assert {mount.value(f"host/kexec/{name}") for name in ("loaded", "crash_loaded")} <= {"0", "1"}
    rows = {line.split()[0]: line for line in mount.value("host/kexec/ranges").splitlines()}
    assert {"crash", "xen", "vmcoreinfo"} <= set(rows)
    assert int(rows["xen"].rpartition("=")[2]) > 1 << 20
    assert rows["vmcoreinfo"].endswith(" size=4096")


def test_text_reaches_the_console(mount: Mount) -> None:
    """Into the ring only where Xen was booted with console_to_ring; else what is connected to the console has it."""
    line = f"xenfs was here, process {os.getpid()}"
    mount.write("host/console/tty", f"{line}\n")
    assert failure(lambda: mount.write("host/console/tty", "\x1b[2J")) == errno.EINVAL
    in_ring = "console_to_ring" in mount.value("version/commandline") or mount.spec != "privcmd"
    assert (line in mount.value("host/console/log")) == in_ring


def test_run_states_are_one_s_own(mount: Mount) -> None:
    if not mount.has("domains/0/vcpus/0/runstate"):
        pytest.skip("Xen tells no run states on Arm")
    flat = mount.flat("domains/self/vcpus/0/runstate")
    assert flat["state"] in ("running", "runnable", "blocked", "offline")
    ran = int(flat["running_ns"])
    assert abs(ran - int(mount.value("domains/self/vcpus/0/cpu_time_ns"))) < 5e9
    others = [domid for domid in mount.numbers("domains") if domid != "0"]
    assert not any(mount.has(f"domains/{domid}/vcpus/0/runstate") for domid in others)
