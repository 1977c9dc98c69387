"""contrib/xenfs.service under a real systemd, as a script: start, status, death and restart, journal, stop, rights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
UNDER = REPOSITORY / "scripts" / "under-systemd"

_SCRIPT = r"""
cp "$CHECKOUT/contrib/xenfs.service" /etc/systemd/system/
systemd-sysusers "$CHECKOUT/contrib/xenfs.sysusers.conf"
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
EnvironmentFile=/etc/default/simulated
ExecStart=
ExecStart=!/usr/local/bin/xenfs mount /run/xenfs --hypervisor simulator:domains=\${DOMAINS}
END
fi
there() { echo "DOMAINS=$1" >/etc/default/simulated; } # so many domains are there when the simulator starts next
there 12
systemctl daemon-reload
show() { systemctl show xenfs --value --property="$1"; }
section() { echo "== $1"; }
mounted() { grep -c ' /run/xenfs fuse.xenfs ' /proc/mounts; }
restarted() {
    for i in $(seq 600); do
        [ "$(show NRestarts)" = "$1" ] && [ "$(show ActiveState)" = active ] && return
        sleep 0.1
    done
}
told() { # [TIMES WHAT...]: until the watcher has been told of it so often
    for i in $(seq 300); do
        [ $# = 0 ] || [ "$(grep -c " ${*:2} " /watched)" = "$1" ] && break
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
for i in $(seq 600); do # on a busy machine Python takes its time, and what was never there is no life to wait for
    readlink "/proc/$watch/fd/"* 2>/dev/null | grep -q '^/run/xenfs/' && break
    sleep 0.1
done

section second
xenfs mount /run/xenfs --hypervisor simulator; echo "status $?"

section killed
there 11
kill -9 "$(show MainPID)"
restarted 1
echo "restarts $(show NRestarts) mounted $(mounted) version $(cat /run/xenfs/version/major)"

told $AFTER_KILL # it watches this one

section both
there 9
old=$(show MainPID)
kill -9 $(cat "/proc/$old/task/$old/children") "$old"
eval "$MEANWHILE"
restarted 2
echo "restarts $(show NRestarts) mounted $(mounted) version $(cat /run/xenfs/version/major)"
told $AFTER_BOTH
kill $watch && echo "watch goes on"
cat /watched

section journal
echo 1 >/run/xenfs/domains/$GUEST/freeze
echo no >/run/xenfs/domains/$GUEST/freeze
sleep 0.3
journalctl --sync
journalctl --no-pager --output=cat --output-fields=XENFS_PATH,XENFS_VALUE,XENFS_RESULT,XENFS_UID \
    _SYSTEMD_UNIT=xenfs.service XENFS_OPERATION=write

section rights
grep -E '^(Cap(Prm|Eff|Bnd)|NoNewPrivs|Seccomp):' "/proc/$(show MainPID)/status"

section identity
id -u xenfs
awk '/^(Uid|Gid):/ {print $2, $3, $4, $5} /^Groups:/ {print NF}' "/proc/$(show MainPID)/status"
for pid in $(cat "/proc/$(show MainPID)/task/$(show MainPID)/children"); do cat "/proc/$pid/comm"; done | sort
stat -c %u /run/xenfs/domains

section namespaces
for kind in mnt net; do
    ours=$(readlink /proc/self/ns/$kind) its=$(readlink "/proc/$(show MainPID)/ns/$kind")
    [ "$its" = "$ours" ] && echo "$kind shared" || echo "$kind own"
done

section term
kill "$(show MainPID)"
for i in $(seq 300); do [ "$(show ActiveState)" = inactive ] && break; sleep 0.1; done
echo "state $(show ActiveState) result $(show Result) restarts $(show NRestarts) mounted $(mounted)"

section stop
systemctl start xenfs
exec 5</run/xenfs/domains/$GUEST/state
daemon=$(show MainPID)
begun=$(date +%s%N)
systemctl stop xenfs &
while [ -e "/proc/$daemon" ]; do sleep 0.02; done # what comes after it starts Python once more
ms=$((($(date +%s%N) - begun) / 1000000))
wait $!; echo "status $?"
echo "ms $ms state $(show ActiveState) result $(show Result) mounted $(mounted)"
ls -d /run/xenfs 2>&1

section errors
journalctl --no-pager --output=cat _SYSTEMD_UNIT=xenfs.service |
    grep -E 'Traceback|Error' | grep -v 'XENFS_' || echo none

section security
systemd-analyze --no-pager security xenfs.service | tail -n 1
section end
"""


def said(guest: int, seconds: int, after_kill: str = "", after_both: str = "", meanwhile: str = "") -> dict[str, str]:
    """What came of each section of the script; `guest` is a domain that may be paused. `meanwhile` is done when both
    processes have been killed; what a watcher is told of each kill is waited for ("1 gone 7": once, of 7)."""
    settings = {
        "CHECKOUT": REPOSITORY, "PYTHON": sys.executable, "GUEST": guest, "MEANWHILE": meanwhile,
        "AFTER_KILL": after_kill, "AFTER_BOTH": after_both,
    }  # fmt: skip
    done = subprocess.run(
        [UNDER, "env", *(f"{name}={value}" for name, value in settings.items()), "bash", "-c", _SCRIPT],
        env={**os.environ, "SECONDS_AT_MOST": str(seconds)},
        capture_output=True, text=True, timeout=seconds + 30, check=False,
    )  # fmt: skip
    if done.returncode == 77 or not done.stdout:
        pytest.skip(f"no systemd can be run here: {done.stderr.strip()}")
    found = dict(re.findall(r"^== (\w+)\n(.*?)(?=^== )", done.stdout, re.MULTILINE | re.DOTALL))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return found


def starts(found: dict[str, str]) -> None:
    """It starts, and is ready when it says so."""
    assert found["start"].startswith("status 0\n")
    assert "Active: active (running)" in found["start"]
    assert re.search(r'Status: "mounted on /run/xenfs \(Xen ', found["start"])
    assert "mounted 1 version 4" in found["start"]


def refuses_a_second(found: dict[str, str]) -> None:
    """A second daemon is told why."""
    assert "/run/xenfs is busy: a xenfs is mounted there already" in found["second"]
    assert found["second"].endswith("status 1\n")


def is_started_again(found: dict[str, str]) -> None:
    """After a kill of the daemon, and of the process that unmounts as well."""
    assert found["killed"] == "restarts 1 mounted 1 version 4\n"
    assert found["both"].startswith("restarts 2 mounted 1 version 4\n")
    assert "watch goes on" in found["both"]


def has_no_rights(found: dict[str, str]) -> None:
    """No capability, no way to one, and a filter of system calls."""
    lines = dict(line.split(":\t") for line in found["rights"].splitlines())
    assert {name: int(value, 16) for name, value in lines.items()} == {
        "CapPrm": 0, "CapEff": 0, "CapBnd": 0, "NoNewPrivs": 1, "Seccomp": 2,
    }  # fmt: skip


def ends_in_order(found: dict[str, str]) -> None:
    """By a signal, and by systemctl with a file open, soon; nothing was wrong meanwhile. Four seconds are the grace of
    calls in flight, of which there are none; this machine may be busy, or emulated."""
    assert found["term"] == "state inactive result success restarts 0 mounted 0\n", found["term"]
    stopped = re.match(r"status 0\nms (\d+) state inactive result success mounted 0\n", found["stop"])
    assert stopped, found["stop"]
    assert int(stopped[1]) < 30_000, found["stop"]
    assert found["errors"] == "none\n", found["errors"]


def is_hardened(found: dict[str, str]) -> None:
    """What systemd thinks of it."""
    [level] = re.findall(r"Overall exposure level for xenfs.service: ([0-9.]+) ", found["security"])
    assert float(level) <= 3.0


def is_a_user_of_its_own(found: dict[str, str]) -> None:
    """User= of the unit, with no other group; the files are root's, and the mount is everybody's."""
    user, uids, gids, *rest = found["identity"].splitlines()
    assert uids == " ".join([user] * 4)
    assert "0" not in gids.split()
    assert rest[0] == "1", "no more than the word Groups:"
    assert rest[-1] == "0"
    assert "xenfs-unmount" in rest
    assert found["namespaces"] == "mnt shared\nnet own\n"


def keeps_a_journal(found: dict[str, str]) -> None:
    """Of each write, by field."""
    assert "/freeze" in found["journal"]
    assert "EINVAL" in found["journal"]


CLAIMS = (
    starts, refuses_a_second, is_started_again, keeps_a_journal, has_no_rights, is_a_user_of_its_own,
    ends_in_order, is_hardened,
)  # fmt: skip
