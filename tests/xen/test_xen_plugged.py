"""A guest's network and disk beside xentop, xl network-list and xl block-list; and what it does when it is asked."""

from __future__ import annotations

import errno
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import KINDS, REAL
from xen_guests import Guest, eventually
from xen_mount import Mount, failure, without_rights
from xen_peers import vcpus, xl_state
from xen_plugged import BLOCK_BYTES, BLOCKS, BRIDGE, MAC, plugged

from xenfs.xenstore import Entry, XenstoreClient

pytestmark = [
    pytest.mark.once_a_dom0("what goes through xenstore and dom0's kernel, Xen does not see"),
    pytest.mark.skipif(not REAL, reason="needs guests with drivers"),
    pytest.mark.usefixtures("peers"),
]
KIND = os.environ.get("XENFS_PLUGGED") or next((kind for kind in KINDS if os.path.exists(f"/guest/{kind}.cfg")), "pv")
SECTOR = 512
ELSEWHERE, ELSEWHERES_MAC = 4242, "00:16:3e:44:55:66"  # no domain has this number
GUEST_S = 300.0  # what an emulated arm64's guest may take, beside other work


def said(*words: str) -> str:
    return subprocess.run(words, check=True, timeout=120, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def guest(no_peers: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """For all of these tests, in their order: the last one ends it."""
    if no_peers:
        pytest.skip(no_peers)
    with plugged(KIND, tmp_path_factory.mktemp("plugged")) as made:
        yield made


def numbers(mount: Mount, guest: Guest, home: str, names: str) -> list[int]:
    return [int(mount.value(guest.node(f"devices/{home}/{name}"))) for name in names.split()]


def test_network_beside_xentop_and_xl(mount: Mount, guest: Guest) -> None:
    home = guest.node("devices/vif/0")
    assert mount.names(guest.node("devices/vif")) == ["0"]
    idx, backend, mac, _, state, *_, path = said("xl", "network-list", guest.name).splitlines()[1].split()
    assert (idx, backend, mac) == ("0", mount.value(f"{home}/backend"), mount.value(f"{home}/mac"))
    assert (mac, state, path) == (MAC, "4", f"/local/domain/0/backend/vif/{guest.domid}/0")
    assert (mount.value(f"{home}/state"), mount.value(f"{home}/bridge")) == ("connected", BRIDGE)
    order = "tx_bytes tx_packets tx_errors tx_dropped rx_bytes rx_packets rx_errors rx_dropped"
    before = numbers(mount, guest, "vif/0", order)
    block = re.split(r"\n(?=\s{0,10}[\w-]+ [-a-z]{6} )", said("xentop", "-b", "-i", "1", "-n", "-f"))
    line = next(line for part in block if guest.name in part for line in part.splitlines() if line.startswith("Net0"))
    # xentop calls RX what dom0's interface receives: what the guest has sent.
    theirs = [int(number) for number in re.findall(r"(\d+)(?:bytes|pkts|err|drop)", line)]
    after = numbers(mount, guest, "vif/0", order)
    assert all(low <= each <= high for low, each, high in zip(before, theirs, after, strict=True)), (before, line)
    assert before[1] >= 3, "its pings"
    assert before[5] >= 3, "their answers"


def test_disk_beside_xentop_and_xl(mount: Mount, guest: Guest) -> None:
    [number] = mount.names(guest.node("devices/vbd"))
    vdev, backend, _, state, *_, path = said("xl", "block-list", guest.name).splitlines()[1].split()
    home = guest.node(f"devices/vbd/{number}")
    assert (vdev, backend, state) == (number, mount.value(f"{home}/backend"), "4")
    assert path == f"/local/domain/0/backend/vbd/{guest.domid}/{number}"
    assert [mount.value(f"{home}/{name}") for name in ("vdev", "mode", "backend_type")] == ["xvda", "r", "vbd"]
    assert mount.value(f"{home}/source").startswith("/dev/loop")
    order = "oo_req rd_req wr_req rd_sect wr_sect"
    before = numbers(mount, guest, f"vbd/{number}", order)
    text = said("xentop", "-b", "-i", "1", "-x", "-f")
    line = next(line for line in text.partition(guest.name)[2].splitlines() if line.startswith("VBD"))
    theirs = [int(each) for each in re.findall(r"(?:OO|RD|WR|RSECT|WSECT):\s*(\d+)", line)]
    after = numbers(mount, guest, f"vbd/{number}", order)
    assert all(low <= each <= high for low, each, high in zip(before, theirs, after, strict=True)), (before, theirs)
    assert before[3] >= BLOCKS * BLOCK_BYTES // SECTOR


def test_columns_of_xentop(mount: Mount, guest: Guest) -> None:
    """Its sums over a domain's devices: in kB what the networks did, from dom0's point of view."""
    columns = ["NETS", "NETTX(k)", "NETRX(k)", "VBDS", "VBD_OO", "VBD_RD", "VBD_WR", "VBD_RSECT", "VBD_WSECT"]

    def ours() -> list[int]:
        counted = {kind: numbers_of(mount, guest, kind) for kind in ("vif", "vbd")}
        nets, disks = counted["vif"], counted["vbd"]
        sums = [nets["rx_bytes"] // 1024, nets["tx_bytes"] // 1024]
        disk = [disks[name] for name in ["oo_req", "rd_req", "wr_req", "rd_sect", "wr_sect"]]
        return [len(mount.names(guest.node("devices/vif"))), *sums, len(mount.names(guest.node("devices/vbd"))), *disk]

    before = ours()
    lines = [
        line.replace("no limit", "-").replace("n/a", "-") for line in said("xentop", "-b", "-f", "-i", "1").splitlines()
    ]
    head = next(line.split() for line in lines if "CPU(sec)" in line)
    row = next(line.split() for line in lines if line.split()[:1] == [guest.name])
    theirs = [int(row[head.index(column)]) for column in columns]
    assert all(low <= each <= high for low, each, high in zip(before, theirs, ours(), strict=True)), (before, theirs)


def numbers_of(mount: Mount, guest: Guest, kind: str) -> dict[str, int]:
    """The counters of its only device of a class, from the file of all."""
    lines = mount.value("domains/device_stat").splitlines()
    words = next(line for line in lines if line.startswith(f"{guest.domid} {kind}/")).split()[2:]
    return {name: int(number) for name, number in (word.split("=") for word in words)}


def test_all_devices_in_one_file(mount: Mount, guest: Guest) -> None:
    found = dict(re.findall(rf"^{guest.domid} (v\w+)/\d+ (.*)$", mount.value("domains/device_stat"), re.M))
    assert found.keys() == {"vif", "vbd"}
    node = guest.node("devices/vbd/51712/rd_req")
    before = int(mount.value(node))
    assert before <= numbers_of(mount, guest, "vbd")["rd_req"] <= int(mount.value(node))
    eventually(
        lambda: numbers_of(mount, guest, "vbd")["rd_req"] > before, GUEST_S, "a file that stays open tells of more"
    )


@pytest.fixture
def elsewhere(guest: Guest) -> Iterator[str]:
    """A network of the guest's that another domain serves, as far as xenstore tells; with odd things in it."""
    served = f"/local/domain/{ELSEWHERE}/backend/vif/{guest.domid}/7"
    own = f"/libxl/{guest.domid}/device/vif/7"
    told = {
        f"{own}/backend": served.encode(), f"{own}/handle": b"7", f"{own}/mac": ELSEWHERES_MAC.encode(),
        f"/local/domain/{guest.domid}/device/vif/7/backend": served.encode(),
        **{f"{served}/{name}": value for name, value in {
            "frontend-id": str(guest.domid).encode(), "online": b"1", "handle": b"7", "state": b"4",
            "mac": ELSEWHERES_MAC.encode(), "bridge": b"\x1b[2Jroot\n\xff", "script": b"",
        }.items()},
    }  # fmt: skip
    store = XenstoreClient()
    try:
        store.make([Entry(path, value) for path, value in told.items()])
        yield served
    finally:
        for path in (f"/local/domain/{ELSEWHERE}", own, f"/local/domain/{guest.domid}/device/vif/7"):
            store.remove(path)
        store.close()


def test_a_network_that_another_domain_serves(mount: Mount, guest: Guest, elsewhere: str) -> None:
    """It is there, as it is to xl, and dom0 counts nothing of it."""
    home = guest.node("devices/vif/7")
    rows = [line.split() for line in said("xl", "network-list", guest.name).splitlines()[1:]]
    idx, backend, mac, *_, path = next(row for row in rows if row[0] == "7")
    assert (idx, backend, mac, path) == ("7", str(ELSEWHERE), ELSEWHERES_MAC, elsewhere)
    assert mount.names(guest.node("devices/vif")) == ["0", "7"]
    shown = [mount.value(f"{home}/{name}") for name in ("backend", "backend_type", "mac", "state", "bridge")]
    assert shown == [backend, "vif", mac, "connected", "\\x1b[2Jroot\\n\\xff"]
    assert not [name for name in mount.names(home) if name.endswith(("_bytes", "_packets", "_errors", "_dropped"))]
    assert f"{guest.domid} vif/7 " not in mount.value("domains/device_stat")
    scraped = mount.value("metrics/xen.prom").splitlines()
    received = [line for line in scraped if line.startswith("xen_domain_network_receive_bytes_total{")]
    assert len([line for line in received if f'domid="{guest.domid}"' in line]) == 1, received


def test_a_daemon_without_rights_counts_too(mount: Mount, as_the_unit: Mount, guest: Guest) -> None:
    """Which is not root, has no capability and cannot run anything: /sys and /proc let it read the counters."""
    pid = without_rights(as_the_unit)
    assert os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
    for kind in ("vif", "vbd"):
        before = numbers_of(mount, guest, kind)
        theirs = numbers_of(as_the_unit, guest, kind)
        after = numbers_of(mount, guest, kind)
        assert before.keys() == theirs.keys()
        assert all(before[name] <= theirs[name] <= after[name] for name in before), (before, theirs)
    for node in ("vif/0/rx_bytes", "vbd/51712/rd_req"):
        at = guest.node(f"devices/{node}")
        assert int(mount.value(at)) <= int(as_the_unit.value(at)) <= int(mount.value(at))


def test_since_when(mount: Mount, guest: Guest) -> None:
    before, after = (int(mount.value(guest.node("uptime_s"))) for _ in range(2))
    line = next(line for line in said("xl", "uptime").splitlines() if line.startswith(guest.name))
    hours, minutes, seconds = map(int, line.split()[-1].split(":"))
    assert before <= after
    assert abs(hours * 3600 + minutes * 60 + seconds - after) <= 30
    assert int(mount.value("domains/0/boot_s")) < int(mount.value(guest.node("boot_s")))


def test_a_vcpu_goes(mount: Mount, guest: Guest) -> None:
    assert mount.value(guest.node("nr_vcpus_target")) == "2"
    mount.write(guest.node("nr_vcpus_target"), "1")
    assert mount.value(guest.node("vcpus/1/availability")) == "offline"
    eventually(lambda: mount.value(guest.node("nr_online_vcpus")) == "1", GUEST_S, "the guest takes it down")
    assert [row.cpu for row in vcpus(said("xl", "vcpu-list", guest.name)) if row.vcpu == "1"] == ["-"]
    said("xl", "vcpu-set", guest.name, "2")
    assert mount.value(guest.node("nr_vcpus_target")) == "2"
    assert mount.value(guest.node("vcpus/1/availability")) == "online"


def test_memory_follows(mount: Mount, guest: Guest) -> None:
    assert mount.value(guest.node("memory/static_max_kb")) == str(160 << 10)
    assert failure(lambda: mount.write(guest.node("memory/target_kb"), "200M")) == errno.ERANGE
    found = []
    for ask in (
        lambda: mount.write(guest.node("memory/target_kb"), "144M"),
        lambda: said("xl", "mem-set", guest.name, "152m"),
        lambda: said("xl", "mem-set", guest.name, "144m"),
    ):
        ask()
        found.append([mount.value(guest.node(f"memory/{name}")) for name in ("target_kb", "max")])
    assert found[0] == found[2] != found[1]
    mount.write(guest.node("memory/target_kb"), "128M")
    assert said("xenstore-read", f"/local/domain/{guest.domid}/memory/target").strip() == str(128 << 10)
    assert mount.value(guest.node("memory/max")) == str((128 << 10) + 1024)
    eventually(
        lambda: int(mount.value(guest.node("memory/current_kb"))) <= (128 << 10) + 1024, GUEST_S, "it gives it back"
    )


def console(guest: Guest) -> str:
    return Path(f"/var/log/xen/console/guest-{guest.name}.log").read_text(errors="replace")


@pytest.mark.skipif(platform.machine() != "x86_64", reason="Arm has no triggers")
def test_a_trigger_is_heard(mount: Mount, guest: Guest) -> None:
    """Linux says a line of each NMI that it cannot explain."""

    def heard() -> int:
        return console(guest).count("Dazed and confused")

    before = heard()
    mount.write(guest.node("trigger"), "nmi")
    eventually(lambda: heard() == before + 1, GUEST_S, "ours")
    said("xl", "trigger", guest.name, "nmi", "0")
    eventually(lambda: heard() == before + 2, GUEST_S, "xl's")


def test_a_suspended_guest_is_one_to_xl(mount: Mount, guest: Guest) -> None:
    """Whoever has suspended it, and whoever resumes it: it reads its disk again."""
    if not {"suspend", "resume"} <= set(re.findall(r"^ ([a-z-]+) ", said("xl", "help"), re.M)):
        pytest.skip("this xl has no suspend and resume")

    def we_suspend() -> None:
        mount.write(guest.node("request"), "suspend")

    for suspend, resume in (
        (we_suspend, lambda: said("xl", "resume", guest.name)),
        (lambda: said("xl", "suspend", guest.name), lambda: resumed_by_files(mount, guest)),
    ):
        suspend()
        eventually(lambda: mount.value(guest.node("shutdown_reason")) == "suspend", GUEST_S, "it has suspended")
        assert mount.value(guest.node("state")) == "shutdown"
        resume()
        assert mount.value(guest.node("shutdown_reason")) == ""
        goes_on(mount, guest)


def resumed_by_files(mount: Mount, guest: Guest) -> None:
    """As xl does: on x86 the guest's question to Xen is answered by 1: it was not suspended after all."""
    mount.write(guest.node("freeze"), "1")
    if platform.machine() == "x86_64":
        mount.write(guest.node("vcpus/0/regs"), "rax 1")
    mount.write(guest.node("resume"), "1")
    mount.write(guest.node("freeze"), "0")


def goes_on(mount: Mount, guest: Guest) -> None:
    before = numbers_of(mount, guest, "vbd")["rd_req"]
    eventually(lambda: numbers_of(mount, guest, "vbd")["rd_req"] > before, GUEST_S, "it reads on")


def test_what_is_asked_is_what_xl_asks(mount: Mount, guest: Guest) -> None:
    """Of a guest that is paused, and takes nothing up: the last that it is asked for is what it hears."""
    mount.write(guest.node("freeze"), "1")
    for word, command, other in (("poweroff", "shutdown", "reboot"), ("reboot", "reboot", "poweroff")):
        mount.write(guest.node("request"), other)
        asked_by_xl(mount, guest, command, word)
        mount.write(guest.node("request"), word)
        assert said("xenstore-read", f"/local/domain/{guest.domid}/control/shutdown").strip() == word


def asked_by_xl(mount: Mount, guest: Guest, command: str, word: str) -> None:
    """It is ended before it has an answer: it would wait for a minute, and take its word back."""
    xl = subprocess.Popen(["xl", command, guest.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: mount.value(guest.node("request")) == f"{word} asked", GUEST_S, "xl has asked")
    finally:
        xl.kill()
        xl.wait()


def test_it_powers_off_when_it_is_asked(mount: Mount, guest: Guest) -> None:
    mount.write(guest.node("request"), "poweroff")
    mount.write(guest.node("freeze"), "0")
    try:
        eventually(lambda: mount.value(guest.node("state")) == "shutdown", GUEST_S, "it has powered off")
    except AssertionError:
        print(mount.value(guest.node("request")), console(guest)[-2000:])
        raise
    assert mount.value(guest.node("shutdown_reason")) == "poweroff"
    assert mount.value(guest.node("request")) == "poweroff taken up"
    assert "s" in xl_state(guest.name)
