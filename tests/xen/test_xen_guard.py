"""Who may do what, the record of it, and how little the daemon has left to do it with."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from xen_guests import Guest
from xen_mount import CHECKOUT, XENFS, Mount, environment, is_mounted, mounted

ADM, OPERATOR = 4, 37  # Debian's numbers
MONITOR, OPS, STRANGER = 60001, 60002, 60003

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be others"),
    pytest.mark.once_a_dom0("rights and records are xenfs's and Linux's"),
]


@pytest.fixture(scope="module")
def guarded(hypervisor: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Mount, Path]]:
    """A mount under the example policy, and the file that its record goes to."""
    folder = tmp_path_factory.mktemp("guarded")
    policy, record = folder / "policy.toml", folder / "record"
    policy.write_text((CHECKOUT / "contrib" / "policy.example.toml").read_text())
    policy.chmod(0o600)
    with mounted(hypervisor, "lifecycle", "debug", f"policy={policy}", f"record=file:{record}") as mount:
        mount.root.parent.chmod(0o711)
        yield mount, record


def as_user(mount: Mount, uid: int, group: int, command: str) -> tuple[int, str]:
    """(status, stdout) of another user's shell command in the mount."""
    done = subprocess.run(
        ["sh", "-c", command], cwd=mount.root, user=uid, group=uid, extra_groups=[group], capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def test_a_monitoring_user_reads_tier_a_and_nothing_else(guarded: tuple[Mount, Path]) -> None:
    mount, _ = guarded
    for path, may in (("host/info", True), ("domains/stat", True), ("host/hw_caps", False), ("xenfs/error_log", False)):
        status, out = as_user(mount, MONITOR, ADM, f"cat {path}")
        assert (status == 0) == may, path
        assert bool(out) == may
    tiers = {row.split()[0]: row.split()[2] for row in mount.value("xenfs/nodes").splitlines()}
    assert tiers["host/hw_caps"] == "B"
    assert as_user(mount, MONITOR, ADM, "LC_ALL=C ls domains")[1].split() == sorted(mount.names("domains"))
    assert as_user(mount, STRANGER, STRANGER, "cat version/full; ls domains")[1] == ""


def test_an_operator_pauses_a_guest_and_it_is_recorded(guarded: tuple[Mount, Path], guest: Guest) -> None:
    mount, record = guarded
    node = guest.node("freeze")
    before = mount.value(node)
    wanted = "0" if before == "1" else "1"
    assert as_user(mount, MONITOR, ADM, f"echo {wanted} > {node}")[0] != 0
    assert mount.value(node) == before
    assert as_user(mount, OPS, OPERATOR, f"echo {wanted} > {node}")[0] == 0
    assert mount.value(node) == wanted
    assert as_user(mount, OPS, OPERATOR, f"echo {before} > {node}")[0] == 0
    assert as_user(mount, OPS, OPERATOR, "echo 1 > domains/0/freeze")[0] != 0
    assert as_user(mount, OPS, OPERATOR, f"echo 1 > {guest.node('kill')}")[0] != 0
    refused, done, undone = record.read_text().splitlines()[-3:]
    assert f" open result=EACCES uid={MONITOR} " in refused
    assert f'path="{node}" calls=""' in refused
    call = "pausedomain" if wanted == "1" else "unpausedomain"
    assert f'path="{node}" value="{wanted}"' in done
    assert f"domctl:{call}({guest.domid})=0" in done
    assert f" write result=0 uid={OPS} gid={OPS} " in done
    assert " uid=" in undone


def test_a_refusal_of_the_hypervisor_is_recorded(guarded: tuple[Mount, Path], guest: Guest) -> None:
    mount, record = guarded
    node = guest.node("sched/weight")
    if not mount.has(node):
        pytest.skip("this scheduler has no weights")
    with pytest.raises(OSError, match="Invalid argument"):
        mount.write(node, 'x" result=0 uid=1\nwrite path="y')
    line = record.read_text().splitlines()[-1]
    assert " write result=EINVAL uid=0 " in line
    assert f'path="{node}" value="x\\" result=0 uid=1\\nwrite path=\\"y" calls=""' in line


@pytest.mark.usefixtures("at_home")
def test_hypercalls_take_no_capability_and_no_root(guarded: tuple[Mount, Path], real: bool) -> None:
    """Everything above was done by a process that has none, and a user of its own; its pool grows all the same."""
    mount, _ = guarded
    assert mount.process is not None
    mount.read("xenfs/nodes")
    for task in Path(f"/proc/{mount.process.pid}/task").iterdir():
        lines = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        assert {lines[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0" * 16}
        assert lines["NoNewPrivs"] == "1"
        assert {int(uid) for uid in lines["Uid"].split()}.isdisjoint((0, 65534))
        assert lines["Groups"].strip() == ""
    if real:
        devices = {os.readlink(each) for each in Path(f"/proc/{mount.process.pid}/fd").iterdir()}
        assert any(each.endswith("/privcmd") for each in devices), "open since before"
    names = [mount.value(f"domains/{domid}/name") for domid in mount.numbers("domains")]
    assert "Domain-0" in names, "xenstore, opened by the process that may"


CONFINED = """
import errno, os, sys
from xenfs.calls import domains
from xenfs.connect.opening import open_hypervisor
from xenfs.filesystem.confine import give_up_rights, identity
from xenfs.filesystem.confine.landlock import version
xen, folder, chosen = open_hypervisor(sys.argv[1]), sys.argv[2], identity("")
before = len(domains.infos(xen))
kept = open(f"{folder}/kept", "w")
if xen.store is not None:
    xen.store.settle()  # as the daemon does: rights are given up by one thread
give_up_rights((64 << 20) + (1 << 20) if xen.backend.pages.faults else 0, chosen)
assert os.getresuid() == (chosen.uid,) * 3, "another user"
assert len(domains.infos(xen)) == before, "a hypercall takes no right but the open device"
with xen.pool.take(4 << 20) as more:
    assert len(domains.infos(xen)) == before, "nor does it that the pool grows"
tried = [("/etc/shadow", os.O_RDONLY), (f"{folder}/new", os.O_WRONLY | os.O_CREAT)]
devices = [f"/dev/xen/{name}" for name in ("privcmd", "hypercall", "xenbus")]
tried += [(path, os.O_RDWR) for path in devices if os.path.exists(path)]
tried += [(f"{folder}/kept", os.O_WRONLY), ("/dev/null", os.O_WRONLY)] if version() else []
for path, flags in tried:
    try:
        os.open(path, flags)
    except OSError as problem:
        assert problem.errno in (errno.EACCES, errno.EPERM), (path, problem)
    else:
        raise AssertionError(f"{path} was opened")
kept.write("what is open stays open")
kept.close()
print("confined", "with Landlock" if version() else "without")
"""


def test_what_is_given_up_with_real_devices_open(hypervisor: str, real: bool, tmp_path: Path) -> None:
    """Another user, no capability, Landlock: hypercalls go on, and no device nor file can be opened any more."""
    tmp_path.chmod(0o777)
    for folder in list(tmp_path.parents)[:-1]:
        folder.chmod(folder.stat().st_mode | 0o011)
    done = subprocess.run(
        [XENFS[0], "-P", "-c", CONFINED, hypervisor, str(tmp_path)], env=environment(), capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.stdout[:8], done.stderr) == ("confined", ""), done
    assert (tmp_path / "kept").read_text() == "what is open stays open"
    assert not (tmp_path / "new").exists()


def test_no_dead_mount_after_a_kill(hypervisor: str, tmp_path: Path) -> None:
    reads, writes = os.pipe()
    process = subprocess.Popen(
        [*XENFS, "mount", str(tmp_path), "--hypervisor", hypervisor, "--ready-fd", str(writes)],
        pass_fds=(writes,), env=environment(), stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writes)
    try:
        assert os.read(reads, 10) == b"READY\n"
        assert is_mounted(tmp_path)
    finally:
        os.close(reads)
        process.kill()
        process.wait()
    end = time.monotonic() + 30
    while is_mounted(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_mounted(tmp_path)
    assert os.listdir(tmp_path) == []
