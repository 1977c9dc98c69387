"""From elsewhere: ssh, Ansible and sshfs, against an sshd of the test's own on the loopback address."""

from __future__ import annotations

import errno
import os
import pwd
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting import Mount, lasting, refused
from programs import Started, free_port, needs, run, until

SSHD_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {at}/host_key
PidFile none
AuthorizedKeysFile {at}/user_key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
Subsystem sftp internal-sftp
"""
CLIENT_CONFIG = """
Host xenhost
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {at}/user_key
  IdentitiesOnly yes
  UserKnownHostsFile {at}/known_hosts
  StrictHostKeyChecking accept-new
  BatchMode yes
  LogLevel ERROR
"""


@pytest.fixture
def ssh_config(mount: Mount, started: Started, tmp_path: Path) -> Path:
    """A client's configuration for the host "xenhost": an sshd that runs as this user, with a key of its own."""
    sshd, keygen = needs("sshd", "openssh-server"), needs("ssh-keygen", "openssh-client")
    for name in ("host_key", "user_key"):
        run(keygen, "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name)
    port, user = free_port(), pwd.getpwuid(os.geteuid()).pw_name
    (tmp_path / "sshd_config").write_text(SSHD_CONFIG.format(at=tmp_path, port=port))
    (tmp_path / "ssh_config").write_text(CLIENT_CONFIG.format(at=tmp_path, port=port, user=user))
    command = [sshd, "-D", "-e", "-f", str(tmp_path / "sshd_config")]
    if os.geteuid() == 0:  # as root it wants a directory in /run, which this machine need not know of
        inside = 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"'
        command = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", inside, "sh", *command]
    started.start(*command)
    until(lambda: "Server listening" in started.said(), f"sshd is up: {started.said()}")
    return tmp_path / "ssh_config"


def test_ssh_cat(mount: Mount, ssh_config: Path) -> None:
    def on_host(command: str) -> str:
        return run("ssh", "-F", ssh_config, "xenhost", command)

    assert on_host(f"cat {mount.where}/version/full") == mount.read("version/full")
    assert "xen_up 1\n" in on_host(f"cat {mount.where}/metrics/xen.prom")
    on_host(f"echo 300 > {mount.where}/domains/4/sched/weight")
    assert mount.read("domains/4/sched/weight") == "300\n"


def test_ansible_slurp(mount: Mount, ssh_config: Path) -> None:
    ansible = needs("ansible", "ansible-core")
    said = run(
        ansible, "all", "-i", "xenhost,", "--ssh-common-args", f"-F {ssh_config}", "-m", "slurp",
        "-a", f"src={mount.where}/domains/3/name", "-e", "ansible_python_interpreter=/usr/bin/python3",
        timeout=100, cwd=ssh_config.parent,
    )  # fmt: skip
    content = re.search(r'"content": "([^"]*)"', said)
    assert content, said
    assert content[1] == "ZGF0YWJhc2UK"  # "database" and a newline


@pytest.fixture
def fleet(ssh_config: Path, started: Started, tmp_path: Path) -> Iterator[Path]:
    """Where hosts are mounted by sshfs, each under its name."""
    where = tmp_path / "fleet"
    where.mkdir()
    yield where
    for host in where.iterdir():
        subprocess.run(["fusermount3", "-u", "-z", host], check=False, stderr=subprocess.DEVNULL)


def by_sshfs(fleet: Path, host: str, root: Path, ssh_config: Path) -> Path:
    sshfs = needs("sshfs", "sshfs")
    (fleet / host).mkdir()
    run(sshfs, "-F", ssh_config, "-o", "direct_io,sshfs_sync", f"xenhost:{root}", fleet / host)
    return fleet / host


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Mount]:
    """Another host; to be asked for before `ssh_config`, whose sshd sees what is mounted by then."""
    folder = tmp_path / "other"
    folder.mkdir()
    with lasting(folder, "xen=4.20,domains=5") as made:
        yield made


def test_a_fleet_in_one_tree(mount: Mount, other: Mount, ssh_config: Path, fleet: Path) -> None:
    one = by_sshfs(fleet, "alpha", mount.where, ssh_config)
    by_sshfs(fleet, "beta", other.where, ssh_config)
    versions = run("grep", "-H", ".", "alpha/version/minor", "beta/version/minor", cwd=fleet)
    assert versions.splitlines() == ["alpha/version/minor:17", "beta/version/minor:20"]
    assert (one / "metrics/xen.prom").read_text().startswith("# HELP xen_up ")
    first, then = ((one / "domains/3/cpu_time_ns").read_text() for _ in range(2))
    assert int(then) > int(first), "a value is read anew each time"
    assert len([name for name in os.listdir(fleet / "beta/domains") if name.isdecimal()]) == 5
    (one / "domains/3/sched/weight").write_text("512\n")
    assert mount.read("domains/3/sched/weight") == "512\n"
    with refused(errno.EPERM, errno.EIO):  # sftp has one word for nearly every error
        (one / "domains/3/sched/weight").write_text("heavy\n")
    assert "not a weight" in (one / "xenfs/error_log").read_text()
    by_a_shell = subprocess.run(
        ["bash", "-c", "echo heavier > domains/3/sched/weight"], cwd=one, check=False, capture_output=True, timeout=60
    )
    assert by_a_shell.returncode == 1, "without sshfs_sync it would be 0, and say nothing"
    assert "heavier" in (one / "xenfs/error_log").read_text()


def test_sshfs_without_direct_io_reads_no_long_files(mount: Mount, ssh_config: Path, fleet: Path) -> None:
    """Why the manual insists: by its own cache sshfs reads as many bytes as the size says, and that may be 0."""
    sshfs = needs("sshfs", "sshfs")
    (fleet / "plain").mkdir()
    run(sshfs, "-F", ssh_config, f"xenhost:{mount.where}", fleet / "plain")
    assert (fleet / "plain/version/full").read_text() == mount.read("version/full")
    assert (fleet / "plain/domains/stat").read_bytes() == b""
