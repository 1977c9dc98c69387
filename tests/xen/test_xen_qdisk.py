"""Disks that a QEMU in dom0 serves: what a guest reads and writes there, beside QEMU's own word and xentop.

For a dom0 that has a QEMU: scripts/on-xen --qemu. QEMU 7.2 serves none that are read-only ("Block node is read-only").
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import KINDS, REAL
from xen_guests import Guest, created_by_xl, eventually
from xen_mount import Mount, failure, without_rights
from xen_plugged import guest_kernel, initramfs

from xenfs.hypervisor.qemu.disks import KEPT_S

QEMU = Path("/usr/libexec/xen-qemu-system-i386")
pytestmark = [
    pytest.mark.once_a_dom0("what QEMU serves, Xen does not see"),
    pytest.mark.skipif(not REAL, reason="needs a guest whose disks a real QEMU serves"),
    pytest.mark.skipif(REAL and not QEMU.exists(), reason="this dom0 has no QEMU (scripts/on-xen --qemu)"),
    pytest.mark.usefixtures("peers"),
]
KIND = os.environ.get("XENFS_PLUGGED") or next((kind for kind in KINDS if os.path.exists(f"/guest/{kind}.cfg")), "pv")
NAMES = ["rd_req", "wr_req", "rd_sect", "wr_sect"]
READ, WRITTEN, MORE = "51712", "51728", "51744"
BLOCKS_READ, BLOCKS_WRITTEN, BLOCK_BYTES, SECTOR = 64, 32, 4096, 512
GUEST_S = 400.0
XENTOP_TRIES = 10
_INIT = f"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
for module in /modules/*; do $b insmod $module; done
until [ -e /dev/xvda ] && [ -e /dev/xvdb ]; do $b sleep 1; done
$b dd if=/dev/xvda of=/dev/null bs={BLOCK_BYTES} count={BLOCKS_READ}
$b dd if=/dev/zero of=/dev/xvdb bs={BLOCK_BYTES} count={BLOCKS_WRITTEN} conv=fsync
$b echo GUEST-UP
while :; do $b sleep 5; done
"""


def said(*words: str) -> str:
    return subprocess.run(words, check=True, timeout=120, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def guest(no_peers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """With a disk that it has read from, and one that it has written to."""
    if no_peers:
        pytest.skip(no_peers)
    folder = tmp_path_factory.mktemp("qdisk")
    for name in ("read", "written", "more"):
        (folder / name).write_bytes(bytes(1 << 20))
    kernel = guest_kernel()
    config = folder / "qdisk.cfg"
    config.write_text(f"""
type = "{KIND}"
kernel = "{kernel}"
ramdisk = "{initramfs(kernel, folder, _INIT, "xen-blkfront")}"
extra = "console=hvc0 quiet"
memory = 160
vcpus = 1
disk = ["format=raw,vdev=xvda,access=rw,backendtype=qdisk,target={folder}/read",
        "format=raw,vdev=xvdb,access=rw,backendtype=qdisk,target={folder}/written"]
""")
    with telling():
        made = created_by_xl(f"qdisk-{KIND}", str(config), booted=True)
    yield made
    made.destroy()


@contextmanager
def telling() -> Iterator[None]:
    """What QEMU and xl have written, where something fails."""
    try:
        yield
    except BaseException:
        for log in Path("/var/log/xen").glob("*qdisk*"):
            print(log, log.read_text(errors="replace")[-3000:], sep="\n")
        raise


@contextmanager
def monitor(guest: Guest) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(f"/run/xen/qmp-libxenstat-{guest.domid}")
        assert b"QMP" in connection.recv(65536)
        yield connection


def asked_of_qemu(guest: Guest) -> dict[str, dict[str, int]]:
    """The test's own question, and what is in the answer, by the image's name."""
    with monitor(guest) as connection, connection.makefile("rw") as lines:
        for number, word in enumerate(("qmp_capabilities", "query-blockstats")):
            lines.write(json.dumps({"execute": word, "id": number}) + "\n")
            lines.flush()
            while (answer := json.loads(lines.readline())).get("id") != number:
                pass
        return {row["device"] or row["node-name"]: row["stats"] for row in answer["return"] if "node-name" in row}


def ours(mount: Mount, guest: Guest, number: str) -> list[int]:
    return [int(mount.value(guest.node(f"devices/vbd/{number}/{name}"))) for name in NAMES]


def theirs(stats: dict[str, int]) -> list[int]:
    bytes_ = [stats["rd_bytes"] // SECTOR, stats["wr_bytes"] // SECTOR]
    return [stats["rd_operations"], stats["wr_operations"], *bytes_]


def test_what_the_guest_has_done(mount: Mount, guest: Guest) -> None:
    assert sorted(mount.names(guest.node("devices/vbd"))) == [READ, WRITTEN]
    home = guest.node(f"devices/vbd/{WRITTEN}")
    assert (mount.value(f"{home}/backend_type"), mount.value(f"{home}/vdev")) == ("qdisk", "xvdb")
    assert set(mount.names(home)) & {"oo_req", "f_req", "ds_req", *NAMES} == set(NAMES), "what QEMU does not count"
    counted = dict(zip(NAMES, ours(mount, guest, WRITTEN), strict=True))
    assert counted["wr_sect"] == BLOCKS_WRITTEN * BLOCK_BYTES // SECTOR
    assert 1 <= counted["wr_req"] <= BLOCKS_WRITTEN
    counted = dict(zip(NAMES, ours(mount, guest, READ), strict=True))
    assert counted["rd_sect"] >= BLOCKS_READ * BLOCK_BYTES // SECTOR
    assert (counted["wr_req"], counted["wr_sect"]) == (0, 0)


def test_beside_qemu_itself(mount: Mount, guest: Guest) -> None:
    """Nothing happens meanwhile: the numbers are the same."""
    stats = asked_of_qemu(guest)
    assert {"xvda-raw", "xvdb-raw"} <= stats.keys()
    assert ours(mount, guest, READ) == theirs(stats["xvda-raw"])
    assert ours(mount, guest, WRITTEN) == theirs(stats["xvdb-raw"])


COLUMNS = ["VBD_RD", "VBD_WR", "VBD_RSECT", "VBD_WSECT"]


def sums_of_xentop(guest: Guest) -> list[int]:
    lines = said("xentop", "-b", "-f", "-i", "1", "-x").replace("no limit", "-").replace("n/a", "-").splitlines()
    head = next(line.split() for line in lines if "CPU(sec)" in line)
    row = next(line.split() for line in lines if line.split()[:1] == [guest.name])
    return [int(row[head.index(column)]) for column in COLUMNS]


def test_beside_xentop(mount: Mount, guest: Guest) -> None:
    """Its sums over the guest's disks. It waits for 10 ms for QEMU, which may be too short in an emulated machine."""
    expected = [sum(both) for both in zip(ours(mount, guest, READ), ours(mount, guest, WRITTEN), strict=True)]
    found = (sums_of_xentop(guest) for _ in range(XENTOP_TRIES))
    seen = next((sums for sums in found if any(sums)), None)
    if seen is None:
        pytest.skip(f"in {XENTOP_TRIES} tries QEMU was too slow for xentop here")
    assert seen == expected


def test_files_of_all(mount: Mount, guest: Guest) -> None:
    eventually(lambda: in_metrics(mount, guest, WRITTEN), GUEST_S, "QEMU answers in time")
    lines = dict(re.findall(rf"^{guest.domid} vbd/(\d+) (.*)$", mount.value("domains/device_stat"), re.M))
    assert lines.keys() == {READ, WRITTEN}
    for number, line in lines.items():
        found = dict(word.split("=") for word in line.split())
        assert [int(found[name]) for name in NAMES] == ours(mount, guest, number)
    page = mount.value("metrics/xen.prom")
    found = re.findall(rf'^(xen_domain_block_\w+)\{{domid="{guest.domid}",.*vbd="{WRITTEN}"\}} (\d+)$', page, re.M)
    print(found)
    assert str(BLOCKS_WRITTEN * BLOCK_BYTES) in dict(found).values()


def test_a_daemon_without_rights_is_told_and_has_no_way_to_qemu(as_the_unit: Mount, mount: Mount, guest: Guest) -> None:
    without_rights(as_the_unit)
    assert ours(as_the_unit, guest, WRITTEN) == ours(mount, guest, WRITTEN)
    path = f"/run/xen/qmp-libxenstat-{guest.domid}"
    attempt = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "python3", "-c",
         f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    print(os.stat("/run/xen"), os.stat(path))
    assert "PermissionError" in attempt.stderr


def unanswered(mount: Mount, guest: Guest) -> int:
    return failure(lambda: mount.value(guest.node(f"devices/vbd/{WRITTEN}/wr_sect")))


def test_a_monitor_that_somebody_else_has(mount: Mount, guest: Guest) -> None:
    """It takes one at a time. The page of metrics is there without this domain's disks."""
    with monitor(guest):
        time.sleep(2 * KEPT_S)
        began = time.monotonic()
        assert unanswered(mount, guest) == errno.EBUSY
        print("busy after", time.monotonic() - began)
        page = mount.value("metrics/xen.prom")
        assert f'domid="{guest.domid}"' in page
        assert not re.search(rf'^xen_domain_block.*domid="{guest.domid}"', page, re.M)
    eventually(lambda: not unanswered(mount, guest), GUEST_S, "it answers again")


def qemu_of(guest: Guest) -> int:
    return int(said("xenstore-read", f"/local/domain/{guest.domid}/image/device-model-pid"))


def test_a_qemu_that_stands_still(mount: Mount, guest: Guest) -> None:
    """What does not ask it goes on, the rest of its domain's directory too; then it is asked again by itself."""
    pid = qemu_of(guest)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(2 * KEPT_S)
    try:
        assert unanswered(mount, guest) in (errno.EBUSY, errno.ETIMEDOUT)
        assert mount.value(guest.node(f"devices/vbd/{WRITTEN}/state")) == "connected"
        for _ in range(3):
            began = time.monotonic()
            assert not re.search(rf'^xen_domain_block.*domid="{guest.domid}"', mount.value("metrics/xen.prom"), re.M)
            print("a page beside a QEMU that stands still:", time.monotonic() - began)
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: in_metrics(mount, guest, WRITTEN), GUEST_S, "it is in the metrics again")


def in_metrics(mount: Mount, guest: Guest, number: str) -> bool:
    pattern = rf'^xen_domain_block.*domid="{guest.domid}".*vbd="{number}"'
    return re.search(pattern, mount.value("metrics/xen.prom"), re.M) is not None


def test_a_disk_is_plugged_in_and_out(mount: Mount, guest: Guest, tmp_path: Path) -> None:
    image = tmp_path / "more"
    image.write_bytes(bytes(1 << 20))
    said("xl", "block-attach", guest.name, f"format=raw,vdev=xvdc,access=rw,backendtype=qdisk,target={image}")
    home = guest.node(f"devices/vbd/{MORE}")
    eventually(
        lambda: mount.has(f"{home}/rd_req") and not failure(lambda: mount.value(f"{home}/rd_req")), GUEST_S, "in"
    )
    assert ours(mount, guest, MORE)[1::2] == [0, 0], "nothing is written to it"
    eventually(lambda: in_metrics(mount, guest, MORE), GUEST_S, "in the metrics")
    said("xl", "block-detach", guest.name, "xvdc")
    eventually(lambda: not mount.has(home) and not in_metrics(mount, guest, MORE), GUEST_S, "out")


# It reads the sectors behind it by the BIOS, and stays: xor ax,ax; mov ds,ax; mov es,ax; mov ss,ax; mov sp,0x7c00;
# mov ax,0x0208; mov bx,0x8000; mov cx,2; mov dx,0x80; int 0x13; sti; hlt; jmp to the hlt
_BOOT_SECTOR = (
    bytes.fromhex("31c08ed88ec08ed0bc007c b80802 bb0080 b90200 ba8000 cd13 fb f4 ebfd").ljust(510, b"\0") + b"\x55\xaa"
)
_SECTORS_READ = 1 + 8


def test_what_an_hvm_guest_does_with_its_emulated_disk(mount: Mount, peers: None, tmp_path: Path) -> None:
    """QEMU serves one image in two ways, and this guest has no driver for Xen's."""
    if not list(Path("/usr/lib").glob("xen-*/boot/hvmloader")):
        pytest.skip("no hvmloader")
    (tmp_path / "image").write_bytes(_BOOT_SECTOR.ljust(1 << 20, b"\0"))
    config = tmp_path / "hvm.cfg"
    config.write_text(f"""
type = "hvm"
memory = 64
vcpus = 1
boot = "c"
vnc = 0
vga = "none"
usb = 0
disk = ["format=raw,vdev=hda,access=rw,backendtype=qdisk,target={tmp_path}/image"]
""")
    with telling():
        made = created_by_xl("qdisk-hvm", str(config))
        try:
            assert asked_of_qemu(made).keys() >= {"ide0-hd0", "hda-raw"}
            assert ours(mount, made, "768") == [0, 0, 0, 0]
            said("xl", "unpause", made.name)

            def has_read() -> bool:
                time.sleep(15)  # asked all the time, no BIOS read anything: it takes emulated processors
                print(ours(mount, made, "768"), {name: theirs(each) for name, each in asked_of_qemu(made).items()})
                return ours(mount, made, "768")[2] == _SECTORS_READ

            eventually(has_read, GUEST_S, "it has read")
            stats = asked_of_qemu(made)
            assert ours(mount, made, "768") == theirs(stats["ide0-hd0"])
            assert not any(theirs(stats["hda-raw"]))
        finally:
            made.destroy()
