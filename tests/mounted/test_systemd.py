"""contrib/xenfs.service under a real systemd, on the simulator."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import under_systemd

SECONDS = 300
pytestmark = pytest.mark.timeout(SECONDS + 60)  # the first test waits for all


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What came of each section of the script."""
    if os.path.exists("/dev/xen/privcmd"):
        pytest.skip("the unit would be mounted on this Xen")
    # Each time that the simulator starts it has fewer domains. The others may be the same as before.
    return under_systemd.said(1, SECONDS, "1 gone 16", "1 gone 12")


@pytest.mark.parametrize("holds", under_systemd.CLAIMS, ids=lambda claim: claim.__name__)
def test_unit(said: dict[str, str], holds: Callable[[dict[str, str]], None]) -> None:
    holds(said)


def test_who_watches_is_told_what_happened_meanwhile(said: dict[str, str]) -> None:
    for domid in (16, 12):
        ends = [said["both"].count(f"0 {kind} {domid} ") for kind in ("dying", "gone", "created")]
        assert ends == [1, 1, 0], said["both"]


def test_it_is_the_unit_that_is_shipped() -> None:
    unit = (under_systemd.REPOSITORY / "contrib" / "xenfs.service").read_text()
    assert "/usr/local/bin/xenfs mount /run/xenfs" in unit


def test_the_unit_of_at_start_says_what_the_script_takes_for_granted() -> None:
    contrib = under_systemd.REPOSITORY / "contrib"
    unit = (contrib / "xenfs-at-start.service").read_text()
    script = (contrib / "at-start").read_text()
    [command] = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    program, *places = command.split()
    assert Path(program).name == "at-start"
    assert os.access(contrib / "at-start", os.X_OK)
    assert places == re.findall(r"=\$\{[12]:-([^}]*)\}", script)
    assert program in (under_systemd.REPOSITORY / "docs/waiting.md").read_text()
    for word in re.findall(r"^(?:After|Requires)=(\S+)$", unit, re.MULTILINE):
        assert (contrib / word).exists()


def test_each_option_that_cannot_be_had_is_on_the_page() -> None:
    """What systemd counts against the unit, and no more than the page says; as the version counts that it names."""
    analyze = shutil.which("systemd-analyze")
    version = (
        subprocess.run([analyze, "--version"], capture_output=True, text=True, check=True).stdout if analyze else ""
    )
    if not version.startswith("systemd 252"):
        pytest.skip("another systemd counts in another way")
    unit = under_systemd.REPOSITORY / "contrib" / "xenfs.service"
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", unit], capture_output=True, text=True,
        timeout=60, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"},
    ).stdout  # fmt: skip
    page = (under_systemd.REPOSITORY / "SECURITY.md").read_text()
    missing = re.findall(r"^\S? *✗ (\w+=)", said, re.MULTILINE)
    assert len(missing) > 10, said
    assert [option for option in missing if f"`{option}" not in page] == []
    [overall] = re.findall(r"Overall exposure level for xenfs.service: (\S+) ", said)
    assert f"Overall exposure level for xenfs.service: {overall} OK" in page
