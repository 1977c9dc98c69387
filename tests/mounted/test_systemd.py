"""contrib/xenfs.service under a real systemd: start, status, death and restart, the journal, stop, rights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mounting import REPOSITORY

pytestmark = pytest.mark.timeout(330)  # the first test waits for all

UNDER = REPOSITORY / "scripts" / "under-systemd"

SCRIPT = r"""
cp "$CHECKOUT/contrib/xenfs.service" /etc/systemd/system/
cat >/usr/local/bin/xenfs <<END
#!$PYTHON
import sys
sys.path.insert(0, "$CHECKOUT")
from xenfs.cli import main
sys.exit(main())
END
chmod 755 /usr/local/bin/xenfs
if [ ! -e /dev/xen/privcmd ]; then
    mkdir /etc/systemd/system/xenfs.service.d
    cat >/etc/systemd/system/xenfs.service.d/simulator.conf <<END
[Unit]
ConditionPathExists=
[Service]
ExecStart=
ExecStart=/usr/local/bin/xenfs mount /run/xenfs --hypervisor simulator
END
fi
systemctl daemon-reload
show() { systemctl show xenfs --value --property="$1"; }
section() { echo "== $1"; }
mounted() { grep -c ' /run/xenfs fuse.xenfs ' /proc/mounts; }
restarted() {
    for i in $(seq 300); do
        [ "$(show NRestarts)" = "$1" ] && [ "$(show ActiveState)" = active ] && return
        sleep 0.1
    done
}

section start
systemctl start xenfs; echo "status $?"
systemctl --no-pager --lines=0 status xenfs
echo "mounted $(mounted) version $(cat /run/xenfs/version/major)"

section watch
xenfs watch --reconnect 120 /run/xenfs/domains/events >/watched 2>&1 &
watch=$!
sleep 1

section second
xenfs mount /run/xenfs --hypervisor simulator; echo "status $?"

section killed
kill -9 "$(show MainPID)"
restarted 1
echo "restarts $(show NRestarts) mounted $(mounted) version $(cat /run/xenfs/version/major)"

for i in $(seq 300); do [ "$(grep -c ' created 1 ' /watched)" = 1 ] && break; sleep 0.1; done # it watches this one

section both
old=$(show MainPID)
kill -9 $(cat "/proc/$old/task/$old/children") "$old"
restarted 2
echo "restarts $(show NRestarts) mounted $(mounted) version $(cat /run/xenfs/version/major)"
for i in $(seq 300); do [ "$(grep -c ' created 1 ' /watched)" = 2 ] && break; sleep 0.1; done
kill $watch && echo "watch goes on"
cat /watched

section journal
echo 1 >/run/xenfs/domains/1/freeze
echo no >/run/xenfs/domains/1/freeze
sleep 0.3
journalctl --sync
journalctl --no-pager --output=cat --output-fields=XENFS_PATH,XENFS_VALUE,XENFS_RESULT,XENFS_UID \
    _SYSTEMD_UNIT=xenfs.service XENFS_OPERATION=write

section rights
grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs|Seccomp):' "/proc/$(show MainPID)/status"

section term
kill "$(show MainPID)"
for i in $(seq 100); do [ "$(show ActiveState)" = inactive ] && break; sleep 0.1; done
echo "state $(show ActiveState) result $(show Result) restarts $(show NRestarts) mounted $(mounted)"

section stop
systemctl start xenfs
exec 5</run/xenfs/domains/1/state
begun=$(date +%s%N)
systemctl stop xenfs; echo "status $?"
echo "ms $((($(date +%s%N) - begun) / 1000000)) state $(show ActiveState) result $(show Result) mounted $(mounted)"
ls -d /run/xenfs 2>&1

section errors
journalctl --no-pager --output=cat _SYSTEMD_UNIT=xenfs.service |
    grep -E 'Traceback|Error' | grep -v 'XENFS_' || echo none

section security
systemd-analyze --no-pager security xenfs.service | tail -n 1
section end
"""


@pytest.fixture(scope="module")
def said() -> dict[str, str]:
    """What came of each section of the script."""
    env = {**os.environ, "CHECKOUT": str(REPOSITORY), "PYTHON": sys.executable}
    done = subprocess.run(
        [UNDER, "env", f"CHECKOUT={REPOSITORY}", f"PYTHON={sys.executable}", "bash", "-c", SCRIPT],
        env=env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode == 77 or not done.stdout:
        pytest.skip(f"no systemd can be run here: {done.stderr.strip()}")
    found = dict(re.findall(r"^== (\w+)\n(.*?)(?=^== )", done.stdout, re.MULTILINE | re.DOTALL))
    assert done.returncode == 0, done
    return found


def test_it_starts_and_is_ready_when_it_says_so(said: dict[str, str]) -> None:
    assert said["start"].startswith("status 0\n")
    assert "Active: active (running)" in said["start"]
    assert re.search(r'Status: "mounted on /run/xenfs \(Xen ', said["start"])
    assert "mounted 1 version 4" in said["start"]


def test_a_second_daemon_is_refused(said: dict[str, str]) -> None:
    assert "/run/xenfs is busy: a xenfs is mounted there already" in said["second"]
    assert said["second"].endswith("status 1\n")


def test_a_daemon_that_was_killed_is_started_again(said: dict[str, str]) -> None:
    assert said["killed"] == "restarts 1 mounted 1 version 4\n"
    assert said["both"].startswith("restarts 2 mounted 1 version 4\n"), "with the process that unmounts"
    assert "watch goes on" in said["both"]


def test_who_watches_is_told_what_happened_meanwhile(said: dict[str, str]) -> None:
    """A simulator that starts again is a host that was booted again: every domain is another life."""
    if not os.path.exists("/dev/xen/privcmd"):
        counts = {said["both"].count(f"0 {kind} 1 ") for kind in ("dying", "gone", "created")}
        assert counts in ({1}, {2}), said["both"]  # once where the machine is too busy to show the second time


def test_writes_are_in_the_journal_by_field(said: dict[str, str]) -> None:
    assert "domains/1/freeze" in said["journal"]
    assert "EINVAL" in said["journal"]


def test_it_has_no_rights_left(said: dict[str, str]) -> None:
    lines = dict(line.split(":\t") for line in said["rights"].splitlines())
    assert {name: int(value, 16) for name, value in lines.items()} == {
        "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "NoNewPrivs": 1, "Seccomp": 2,
    }  # fmt: skip


def test_it_ends_in_order(said: dict[str, str]) -> None:
    assert said["term"] == "state inactive result success restarts 0 mounted 0\n"
    stopped = re.match(r"status 0\nms (\d+) state inactive result success mounted 0\n", said["stop"])
    assert stopped, said["stop"]
    assert int(stopped[1]) < 5000
    assert said["errors"] == "none\n"


def test_what_systemd_thinks_of_it(said: dict[str, str]) -> None:
    [level] = re.findall(r"Overall exposure level for xenfs.service: ([0-9.]+) ", said["security"])
    assert float(level) <= 4.5


def test_it_is_the_unit_that_is_shipped() -> None:
    assert "/usr/local/bin/xenfs mount /run/xenfs" in (REPOSITORY / "contrib" / "xenfs.service").read_text()
    assert Path(UNDER).stat().st_mode & 0o111
