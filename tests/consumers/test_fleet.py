"""What is shipped for many hosts: Ansible's roles, and Prometheus with the targets that they write."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting import lasting
from patience import PATIENCE_S
from programs import needs, run

CONTRIB = Path(__file__).parents[2] / "contrib"
ANSIBLE = CONTRIB / "ansible"
INVENTORY = """
xen:
  hosts:
    alpha: {xenfs_labels: {site: north}}
    beta: {ansible_host: 192.0.2.2}
prometheus: {hosts: {watch: }}
all: {vars: {ansible_connection: local, ansible_python_interpreter: /usr/bin/python3, ansible_become: false}}
"""


class Play:
    """Ansible on this machine as every host, with all that it writes in a folder of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program = needs("ansible-playbook", "ansible-core")
        for name in ("etc", "textfiles"):
            (folder / name).mkdir()
        (folder / "hosts.yml").write_text(INVENTORY)
        self.settings = {
            "xenfs_etc": f"{folder}/etc",
            "xenfs_default_file": f"{folder}/default",
            "xenfs_textfiles": f"{folder}/textfiles",
            "xenfs_targets_file": f"{folder}/xen/hosts.json",
            "xenfs_monitoring_group": "nogroup",
        }

    def __call__(self, *words: str, **settings: str | bool) -> dict[str, dict[str, int]]:
        """Play it, and give the counts of its recap by host: ok, changed, failed, skipped ..."""
        said = run(
            self.program, "-i", self.folder / "hosts.yml", ANSIBLE / "site.yml", *words,
            "-e", json.dumps({**self.settings, **settings}), timeout=300, cwd=self.folder,
        )  # fmt: skip
        recap = re.findall(r"^(\w+) +: (ok=.*)", said, re.MULTILINE)
        return {host: {key: int(n) for key, n in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in recap}


@pytest.fixture
def play() -> Iterator[Play]:
    """In a folder that others can reach, as pytest's own cannot be."""
    with tempfile.TemporaryDirectory(prefix="xenfs-") as folder:
        Path(folder).chmod(0o755)
        yield Play(Path(folder))


def test_the_syntax(play: Play) -> None:
    run(play.program, "--syntax-check", "-i", ANSIBLE / "hosts.example.yml", ANSIBLE / "site.yml", timeout=100)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, as apt does")
def test_a_dry_run_with_a_package(play: Play) -> None:
    """--check asks apt and all others what would change, and changes nothing."""
    needs("prometheus-node-exporter", "prometheus-node-exporter")  # what is there is not looked for elsewhere
    if subprocess.run(["/usr/bin/python3", "-c", "import apt"], check=False, capture_output=True).returncode:
        pytest.skip("no python3-apt here, which Ansible asks on a dry run")
    control = play.folder / "xenfs" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        "Package: xenfs-not-really\nVersion: 1\nArchitecture: all\nMaintainer: nobody <root@localhost>\n"
        "Description: a package for a test\n"
    )
    run("dpkg-deb", "--build", play.folder / "xenfs", play.folder / "xenfs.deb")
    before = sorted(play.folder.rglob("*"))
    recap = play("--check", "--limit", "alpha,watch", xenfs_package=f"{play.folder}/xenfs.deb")
    assert recap["alpha"]["failed"] == recap["watch"]["failed"] == 0
    assert recap["alpha"]["changed"] >= 5
    assert sorted(play.folder.rglob("*")) == before


def test_what_it_writes_and_that_twice_is_once(play: Play) -> None:
    settings = {
        "xenfs_options": "lifecycle",
        "xenfs_policy": '[[rule]]\nuser = "nobody"\npaths = ["host/**"]\nrights = "read"',
    }
    words, never = ("--limit", "alpha,watch"), {"xenfs_exporter_package": "", "xenfs_start": False}
    first, again = (play(*words, **settings, **never) for _ in range(2))
    assert first["alpha"]["changed"] == 3
    assert first["watch"]["changed"] == 2
    assert [again[host]["changed"] for host in ("alpha", "watch")] == [0, 0]
    assert (play.folder / "default").read_text() == f"XENFS_OPTIONS=policy={play.folder}/etc/fleet.toml,lifecycle\n"
    assert os.readlink(play.folder / "textfiles" / "xen.prom") == "/run/xenfs/metrics/xen.prom"
    assert json.loads((play.folder / "xen" / "hosts.json").read_text()) == [
        {"targets": ["alpha:9100"], "labels": {"instance": "alpha", "site": "north"}},
        {"targets": ["192.0.2.2:9100"], "labels": {"instance": "beta"}},
    ]
    check_config(play.folder)
    if os.geteuid() == 0 and os.access("/dev/fuse", os.R_OK | os.W_OK):
        exporter_reads_metrics_alone(play.folder)


def check_config(folder: Path) -> None:
    """promtool on the configuration that is shipped, beside its rules and these targets."""
    promtool = needs("promtool", "prometheus")
    for name in ("fleet.yml", "xenfs.rules.yml"):
        (folder / name).write_text((CONTRIB / "prometheus" / name).read_text())
    said = run(promtool, "check", "config", "--lint=all", "--lint-fatal", folder / "fleet.yml")
    assert "SUCCESS: 1 rule files found" in said


def exporter_reads_metrics_alone(folder: Path) -> None:
    """The policy that it wrote, on a mount."""
    with lasting(folder, options=f"policy={folder}/etc/fleet.toml") as mount:

        def read(path: str) -> subprocess.CompletedProcess[str]:
            exporter = ("setpriv", "--reuid=65533", "--regid=65534", "--clear-groups", "cat", str(mount.where / path))
            return subprocess.run(exporter, check=False, capture_output=True, text=True, timeout=PATIENCE_S)

        assert "xen_up 1\n" in read("metrics/xen.prom").stdout
        assert "Permission denied" in read("domains/stat").stderr
