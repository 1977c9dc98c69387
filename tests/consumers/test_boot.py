"""What systemd has of a mount before anything runs: x-systemd.automount in /etc/fstab, and conditions of units."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 200
pytestmark = pytest.mark.timeout(SECONDS + 60)

SCRIPT = r"""
cat >/usr/local/bin/xenfs <<END
#!$PYTHON
import sys
sys.path.insert(0, "$CHECKOUT")
from xenfs.cli import main
sys.exit(main())
END
chmod 755 /usr/local/bin/xenfs
ln -s "$CHECKOUT/contrib/mount.fuse.xenfs" /sbin/mount.fuse.xenfs
mkdir /mnt/xenfs
echo 'simulator /mnt/xenfs fuse.xenfs noauto,x-systemd.automount 0 0' >/etc/fstab
for path in version/full domains/stat; do
    cat >"/etc/systemd/system/${path%/*}.service" <<END
[Unit]
ConditionFileNotEmpty=/mnt/xenfs/$path
[Service]
Type=oneshot
ExecStart=touch /run/${path%/*}
END
done
systemctl daemon-reload
mounted() { grep -c " /mnt/xenfs $1 " /proc/mounts; }

echo '== waits'
systemctl start mnt-xenfs.automount || { echo none; exit 0; }
mounted autofs
mounted fuse.xenfs
echo '== wakes'
cat /mnt/xenfs/version/major
mounted fuse.xenfs
systemctl show mnt-xenfs.mount --value --property=ActiveState
echo '== remounts'
mount -o remount,ro /mnt/xenfs
findmnt -n -o VFS-OPTIONS --mountpoint /mnt/xenfs -t fuse.xenfs
mount -o remount,rw,noatime /mnt/xenfs
findmnt -n -o VFS-OPTIONS --mountpoint /mnt/xenfs -t fuse.xenfs
echo '== conditions'
systemctl start version domains
ls /run | grep -E '^(version|domains)$'
echo '== again'
systemctl stop mnt-xenfs.mount 2>/dev/null
mounted autofs
mounted fuse.xenfs
cat /mnt/xenfs/version/major
systemctl stop mnt-xenfs.automount mnt-xenfs.mount
grep -c xenfs /proc/mounts
echo '== end'
"""


def test_automount_and_conditions() -> None:
    """It is mounted when somebody comes, by mount(8) made read-only and not, and mounted again after it was unmounted.

    A value is not empty, a long file is.
    """
    done = subprocess.run(
        [REPOSITORY / "scripts" / "under-systemd", "env", f"CHECKOUT={REPOSITORY}", f"PYTHON={sys.executable}",
         "bash", "-c", SCRIPT],
        env={**os.environ, "SECONDS_AT_MOST": str(SECONDS)},
        capture_output=True, text=True, timeout=SECONDS + 30, check=False,
    )  # fmt: skip
    if done.returncode == 77 or not done.stdout:
        pytest.skip(f"no systemd can be run here: {done.stderr.strip()}")
    if "none" in done.stdout:
        pytest.skip("this kernel has no autofs")
    found = dict(re.findall(r"^== (\w+)\n(.*?)(?=^== )", done.stdout, re.MULTILINE | re.DOTALL))
    assert found == {
        "waits": "1\n0\n", "wakes": "4\n1\nactive\n", "conditions": "version\n", "again": "1\n0\n4\n0\n",
        "remounts": "ro,nosuid,nodev,noexec,relatime\nrw,nosuid,nodev,noexec,noatime\n",
    }, done.stdout + done.stderr  # fmt: skip
