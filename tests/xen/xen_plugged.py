"""A guest with a network and a disk, whose kernel has the drivers, and that does what it is asked for.

The guest of on-xen has no modules. So this one gets an initramfs of its own, made of what dom0 has: busybox, the two
front ends, and a /sbin/poweroff. Its network is on a bridge that is there for it alone, its disk is a file.
"""

from __future__ import annotations

import lzma
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xen_guests import Guest, created_by_xl

BRIDGE, OURS, THEIRS = "xenfsbr", "10.77.0.1", "10.77.0.2"
MAC = "00:16:3e:11:22:33"
BLOCKS, BLOCK_BYTES = 64, 4096
_INIT = f"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for module in /modules/*; do $b insmod $module; done
until [ -e /dev/xvda ]; do $b sleep 1; done
$b ip link set eth0 up; $b ip addr add {THEIRS}/24 dev eth0
$b dd if=/dev/xvda of=/dev/null bs={BLOCK_BYTES} count={BLOCKS}
$b ping -c 3 {OURS}
$b echo GUEST-UP
while :; do
    $b blockdev --flushbufs /dev/xvda
    $b dd if=/dev/xvda of=/dev/null bs={BLOCK_BYTES} count=1
    $b sleep 5
done
"""
_POWEROFF = "#!/bin/busybox sh\n/bin/busybox poweroff -f\n"
# Xen's own scripts take longer on an emulated machine than xl lets them. All that these have to do is said to xenstore.
_DISK = """#!/bin/sh
[ "$1" = add ] || exit 0
node=$(stat -L -c %t:%T "$(xenstore-read "$XENBUS_PATH/params")")
xenstore-write "$XENBUS_PATH/physical-device" "$node" "$XENBUS_PATH/hotplug-status" connected
"""
_NETWORK = f"""#!/bin/sh
[ "$1" = online ] || exit 0
ip link set "$vif" master {BRIDGE}
ip link set "$vif" up
xenstore-write "$XENBUS_PATH/hotplug-status" connected
"""


def _run(*words: str, **more: object) -> str:
    return subprocess.run(words, check=True, timeout=120, capture_output=True, text=True, **more).stdout  # type: ignore[call-overload, no-any-return]


@contextmanager
def plugged(kind: str, folder: Path) -> Iterator[Guest]:
    """The guest, once it has read its disk and heard from dom0; all of it is gone afterwards."""
    _run("modprobe", "-a", "xen-netback", "xen-blkback", "bridge", "loop")
    _run("ip", "link", "add", "name", BRIDGE, "type", "bridge")
    loop = ""
    try:
        _run("ip", "addr", "add", f"{OURS}/24", "dev", BRIDGE)
        _run("ip", "link", "set", BRIDGE, "up")
        disk = folder / "disk"
        disk.write_bytes(b"disk" * (BLOCKS * BLOCK_BYTES // 2))
        loop = _run("losetup", "-f", "--show", str(disk)).strip()
        made = created_by_xl(f"plugged-{kind}", str(_config(kind, loop, folder)), booted=True)
        try:
            yield made
        finally:
            made.destroy()
    finally:
        if loop:
            _run("losetup", "-d", loop)
        _run("ip", "link", "del", BRIDGE)


def _config(kind: str, loop: str, folder: Path) -> Path:
    kernel = guest_kernel()
    scripts = {"disk-script": _DISK, "network-script": _NETWORK}
    for name, text in scripts.items():
        _executable(folder / name, text)
    config = folder / "plugged.cfg"
    config.write_text(f"""
type = "{kind}"
kernel = "{kernel}"
ramdisk = "{initramfs(kernel, folder, _INIT, "xen-netfront", "xen-blkfront")}"
extra = "console=hvc0 quiet"
memory = 160
vcpus = 2
on_poweroff = "preserve"
on_reboot = "destroy"
vif = ["bridge={BRIDGE},mac={MAC},script={folder}/network-script"]
disk = ["format=raw,vdev=xvda,access=ro,script={folder}/disk-script,target={loop}"]
""")
    return config


def guest_kernel() -> Path:
    """dom0's own."""
    return next(Path("/boot").glob("vmlinuz-*"))


def initramfs(kernel: Path, folder: Path, init: str, *modules: str) -> Path:
    """One with busybox, these modules of the kernel and what they need, and an /init."""
    release = kernel.name.removeprefix("vmlinuz-")
    root = folder / "initramfs.d"
    for name in ("bin", "sbin", "proc", "dev", "modules"):
        (root / name).mkdir(parents=True)
    _run("cp", "/bin/busybox", str(root / "bin"))
    _executable(root / "init", init)
    _executable(root / "sbin" / "poweroff", _POWEROFF)
    shown = "".join(_run("modprobe", "-S", release, "--show-depends", name) for name in modules)
    files = dict.fromkeys(line.split()[1] for line in shown.splitlines() if line.startswith("insmod"))
    for number, file in enumerate(files):
        data = Path(file).read_bytes()
        data = lzma.decompress(data) if file.endswith(".xz") else data
        (root / "modules" / f"{number}.ko").write_bytes(data)
    packed = folder / "initramfs"
    _run("sh", "-c", f"find . | cpio --create --format=newc --quiet | gzip -1 >{packed}", cwd=root)
    return packed


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    os.chmod(path, 0o755)
