"""A guest from nothing but files: made by templates/, filled, started, looked into and ended, by contrib/boot-guest."""

from __future__ import annotations

import errno
import os
import platform
import select
import signal
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyfuse3
import pytest
import xen_raw
import xen_seen
from test_xen_memory import found_at
from xen_guests import eventually
from xen_kernels import PV_LEFT, PV_PAGES, WORDS, archive, debians, pv, tiny
from xen_mount import CHECKOUT, XENFS, Mount, a_cpu_leaves, environment, failure

SCRIPT = CHECKOUT / "contrib" / "boot-guest"
SOON_S, BOOT_S = 120.0, 500.0
X86 = platform.machine() == "x86_64"

pytestmark = pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="Xen runs on two architectures")

Booter = Callable[..., str]


@pytest.fixture
def boot(mount: Mount) -> Iterator[Booter]:
    """Runs the script; the path of the new domain. What is left of it in the end is ended."""
    made: list[str] = []

    def run(*words: str | Path) -> str:
        said = subprocess.run(
            [SCRIPT, *words, mount.root], capture_output=True, text=True, timeout=BOOT_S, stdin=subprocess.DEVNULL
        )
        assert said.returncode == 0, said.stderr
        made.append(f"domains/{said.stdout.strip()}")
        for node in ("templates/t/max_mem_kb", "templates/t/commit"):
            xen_seen.note("w", node)
        for node in ("memory/populate", "memory/physical", "hvm/start/entry" if X86 else "vcpus/0/regs", "freeze"):
            xen_seen.note("w", f"{made[-1]}/{node}")
        return made[-1]

    yield run
    for domain in made:
        if os.path.exists(mount.path(domain)) and mount.value(f"{domain}/state") != "dying":
            mount.write(f"{domain}/kill", "1")


def listed(domain: str, peers: bool) -> None:
    """xl agrees that there is such a domain."""
    if peers:
        said = subprocess.run(["xl", "list", domain.split("/")[1]], capture_output=True, text=True, timeout=60)
        assert said.returncode == 0, said.stderr


def xl_says(*words: str) -> str:
    """What xl prints; empty where it fails."""
    return subprocess.run(["xl", *words], capture_output=True, text=True, timeout=60).stdout.strip()


def told(*words: str) -> str:
    """What xenstore has below some node; empty where it has none."""
    return subprocess.run(["xenstore-ls", *words], capture_output=True, text=True, timeout=60).stdout


@pytest.fixture
def template(mount: Mount) -> Iterator[str]:
    """One that is gone in the end."""
    mount.mkdir("templates/named")
    yield "templates/named"
    mount.rmdir("templates/named")


def test_a_domain_with_a_name_is_one_of_xls(mount: Mount, template: str, peers: None) -> None:
    """xl lists it by its name, xenstored and xenconsoled serve it, and nothing of it is left when it is killed."""
    mount.write(f"{template}/name", "from files")
    domid = mount.ask(f"{template}/commit", "any")
    domain = f"domains/{domid}"
    uuid = mount.value(f"{domain}/uuid")
    try:
        assert xl_says("domid", "from files") == domid
        assert "from files" in xl_says("list", domid)
        assert mount.value(f"{domain}/name") == "from files"
        print(told("-p", f"/local/domain/{domid}"), mount.value(f"{domain}/evtchn/ports"))
        eventually(lambda: 'tty = "/dev' in told(f"/local/domain/{domid}/console"), SOON_S, "xenconsoled serves it")
        assert mount.value(f"{domain}/evtchn/ports").count("interdomain") == 2
        with pytest.raises(OSError, match="File exists"):
            mount.ask(f"{template}/commit", "any")
    finally:
        mount.write(f"{domain}/kill", "1")
    eventually(lambda: not os.path.exists(mount.path(domain)), SOON_S, "nobody holds its pages any more")
    assert xl_says("domid", "from files") == ""
    for path in (f"/local/domain/{domid}", f"/vm/{uuid}", f"/libxl/{domid}"):
        assert told(path) == ""


def test_who_waits_hears_what_a_guest_says(mount: Mount, template: str, real: bool, no_peers: str) -> None:
    """What is put into the ring of its console wakes who polls, and is read on the open file."""
    if real and no_peers:
        pytest.skip("no xenstored of this Xen's")
    mount.write(f"{template}/name", "talker")
    domain = f"domains/{mount.ask(f'{template}/commit', 'any')}"
    ring = 4096 * int(mount.value(f"{domain}/hvm/params/console_pfn"), 0)
    memory = os.open(mount.path(f"{domain}/memory/physical"), os.O_RDWR)
    console = os.open(mount.path(f"{domain}/console"), os.O_RDONLY)
    try:
        assert os.read(console, 4096) == b""
        poll = select.poll()
        poll.register(console, select.POLLIN)
        if hasattr(pyfuse3, "PollHandle"):
            assert poll.poll(0) == [], "nothing was said"
        os.pwrite(memory, b"hello", ring + 1024)
        os.pwrite(memory, b"\5\0\0\0", ring + 3084)
        assert poll.poll(1000 * SOON_S)
        assert os.read(console, 4096) == b"hello"
        assert os.read(console, 4096) == b""
        xen_seen.note("r", f"{domain}/console")
    finally:
        os.close(console)
        os.close(memory)
        mount.write(f"{domain}/kill", "1")


def test_what_a_domain_is_to_believe(mount: Mount, template: str) -> None:
    """Xen takes virtual nodes and gives them back, and refuses colours that it was not booted
    with: nothing is left of that."""
    nodes = "vnode0 distance=10,20 vcpus=0\nvnode1 distance=20,10 vcpus=1\n"
    nodes += "range0 vnode=0 start=0x0 end=0x2000000 flags=0x0\nrange1 vnode=1 start=0x2000000 end=0x4000000 flags=0x0"
    mount.write(f"{template}/max_vcpus", "2")
    mount.write(f"{template}/vnuma", nodes)
    domain = f"domains/{mount.ask(f'{template}/commit', 'any')}"
    assert mount.value(f"{domain}/memory/vnuma") == nodes
    mount.write(f"{domain}/kill", "1")
    if mount.has(f"{template}/llc_colors"):
        before = set(mount.names("domains"))
        mount.write(f"{template}/llc_colors", "0-3")
        with pytest.raises(OSError, match="not supported"):
            mount.ask(f"{template}/commit", "any")
        eventually(lambda: set(mount.names("domains")) <= before, SOON_S, "what was begun is gone")
    mount.write(f"{template}/llc_colors" if mount.has(f"{template}/llc_colors") else f"{template}/vnuma", "none")


def test_every_setting_is_one_that_xen_takes(mount: Mount, template: str) -> None:
    handle = str(uuid4())
    settings = {
        "uuid": handle, "max_vcpus": "3", "max_mem_kb": "64M", "paging_pool_bytes": "8M", "ssid": "0",
        "grant_frames": "7", "maptrack_frames": "9", "grant_version": "1", "evtchn_ports": "200", "cpupool": "0",
        "iommu": "off", "altp2m": "off", "altp2m_views": "4", "vmtrace_size": "0", "address_size": "64",
        "arch/msr_relaxed": "1", "arch/gic_version": "native", "arch/nr_spis": "32",
    }  # fmt: skip
    for name, value in settings.items():
        if mount.has(f"{template}/{name}"):
            mount.write(f"{template}/{name}", value)
    domain = f"domains/{mount.ask(f'{template}/commit', 'any')}"
    try:
        found = [mount.value(f"{domain}/{name}") for name in ("uuid", "max_vcpu_id", "memory/max", "cpupool")]
        assert found == [handle, "2", str(64 << 10), "0"]
        if mount.has(f"{domain}/memory/paging_pool_bytes"):
            assert mount.value(f"{domain}/memory/paging_pool_bytes") == str(8 << 20)
    finally:
        mount.write(f"{domain}/kill", "1")


@a_cpu_leaves
def test_it_begins_in_another_pool(mount: Mount, template: str) -> None:
    if mount.value("cpupools/0/cpus") in ("", "0"):
        pytest.skip("this machine has one CPU")
    mount.mkdir("cpupools/7")
    try:
        with pytest.raises(OSError, match="out of range"):
            mount.write(f"{template}/cpupool", "7")
        assert "there is no cpupool 7 that has CPUs" in mount.value("xenfs/error_log")
        mount.write("cpupools/7/scheduler", "credit2")
        mount.write("cpupools/0/cpus", "-1")
        mount.write("cpupools/7/cpus", "+1")
        mount.write(f"{template}/cpupool", "7")
        domain = f"domains/{mount.ask(f'{template}/commit', 'any')}"
        assert (mount.value(f"{domain}/cpupool"), mount.value("cpupools/7/nr_domains")) == ("7", "1")
        mount.write(f"{domain}/kill", "1")
        eventually(lambda: not mount.has(domain), SOON_S, "it has left its pool")
        mount.write("cpupools/7/cpus", "-1")
    finally:
        mount.rmdir("cpupools/7")
        mount.write("cpupools/0/cpus", "all")


@pytest.mark.parametrize(
    ("setting", "value", "needs"),
    [("iommu", "on", "directio"), ("iommu", "no_sharept", "directio"), ("vmtrace_size", "4096", "vmtrace")],
)
def test_what_the_host_cannot_is_refused_where_it_is_written(
    mount: Mount, template: str, setting: str, value: str, needs: str
) -> None:
    """And what it can is taken by Xen."""
    if not mount.has(f"{template}/{setting}"):
        pytest.skip("not of this Xen")
    if needs in mount.value("host/virt_caps").split():
        mount.write(f"{template}/{setting}", value)
        mount.write(f"domains/{mount.ask(f'{template}/commit', 'any')}/kill", "1")
        return
    assert failure(lambda: mount.write(f"{template}/{setting}", value)) == errno.EINVAL
    assert f"host/virt_caps has no {needs}" in mount.value("xenfs/error_log")


@pytest.mark.parametrize(
    ("lacks", "old", "new"), [("directio", "flags=3", "flags=35"), ("vmtrace", "", "vmtrace_size=4096")]
)
def test_it_is_refused_as_xen_says_no(raw: Mount, lacks: str, old: str, new: str) -> None:
    """EINVAL and no word more, of what the test before this one is told: without it such a domain is made."""
    if lacks in raw.value("host/virt_caps").split():
        pytest.skip("this host can")
    kind = "pvh" if X86 else "arm"
    with xen_raw.created(raw, kind):
        asked = xen_raw.wanted(raw, kind)
    asked = asked.replace(f"{old} ", f"{new} ", 1) if old else f"{asked} {new}"
    assert xen_raw.refused(raw, "domctl/createdomain", asked) == errno.EINVAL


@pytest.mark.skipif(not X86, reason="Arm has no other views of memory")
def test_other_views_are_of_the_processor(mount: Mount, template: str, real: bool) -> None:
    """Xen takes the setting where no domain can have any view: an AMD processor. Then there are no files of them."""
    mount.write(f"{template}/altp2m", "external")
    domain = f"domains/{mount.ask(f'{template}/commit', 'any')}"
    try:
        assert mount.value(f"{domain}/hvm/params/altp2m") == "2"
        if "AuthenticAMD" in Path("/proc/cpuinfo").read_text() and real:
            assert not mount.has(f"{domain}/hvm/altp2m")
        if mount.has(f"{domain}/hvm/altp2m"):
            mount.write(f"{domain}/hvm/altp2m/enabled", "1")
            assert mount.value(f"{domain}/hvm/altp2m/enabled") == "1"
    finally:
        mount.write(f"{domain}/kill", "1")


@pytest.mark.parametrize("flags", ["none", "hvm", "hvm hap oos_off", "hvm hap vpmu", "hvm hap nested_virt"])
def test_flags_are_taken_or_refused_and_nothing_is_left(mount: Mount, template: str, flags: str) -> None:
    """At once, or when Xen is asked: which host can do it is not known to a test."""
    before = set(mount.names("domains"))
    if failure(lambda: mount.write(f"{template}/flags", flags)):
        assert f"{template}/flags: EINVAL" in mount.value("xenfs/error_log")
        return
    made: list[str] = []
    if failure(lambda: made.append(mount.ask(f"{template}/commit", "any"))):
        assert "EINVAL: nothing was made: createdomain failed" in mount.value("xenfs/error_log")
    for domid in made:
        assert mount.value(f"domains/{domid}/type") == ("pv" if flags == "none" else "pvh")
        mount.write(f"domains/{domid}/kill", "1")
    eventually(lambda: set(mount.names("domains")) <= before, SOON_S, "nothing of it is left")


def test_a_name_that_cannot_be_had_leaves_nothing(mount: Mount, template: str, peers: None) -> None:
    """There is no memory for its rings; and the id of a domain that is there is not touched."""
    before = set(mount.names("domains"))
    mount.write(f"{template}/name", "from files")
    mount.write(f"{template}/max_mem_kb", "4")
    with pytest.raises(OSError, match="Cannot allocate"):
        mount.ask(f"{template}/commit", "any")
    assert xl_says("domid", "from files") == ""
    eventually(lambda: set(mount.names("domains")) <= before, SOON_S, "what was begun is gone")


def all_of_guests_is_logged(mount: Mount) -> None:
    """What a guest writes to the debug port is of the least weight, and dropped by default."""
    if os.path.exists(mount.path("host/params/guest_loglvl")):
        mount.write("host/params/guest_loglvl", "all")


def test_a_kernel_of_ones_own_boots_by_files_alone(
    mount: Mount, boot: Booter, real: bool, no_peers: str, tmp_path: Path
) -> None:
    """It says its line and ends; on the simulator it is as far as a pretended CPU goes."""
    all_of_guests_is_logged(mount)
    ring = not X86 and not no_peers
    domain = boot("-m", "32", "-p", *(("-n", "tiny") if ring else ()), tiny(tmp_path / "tiny", ring=ring))
    assert (mount.value(f"{domain}/state"), mount.value(f"{domain}/type")) == ("paused", "pvh")
    listed(domain, real and not no_peers)
    assert found_at(mount, f"{domain}/memory/physical", WORDS) > 0
    mount.write(f"{domain}/vcpus/0/affinity_hard", "1")
    if os.path.exists(mount.path(f"{domain}/sched/weight")):
        mount.write(f"{domain}/sched/weight", "512")
    words = ("watch", "--until", "shutdown", "--timeout", str(SOON_S), mount.path(domain))
    with subprocess.Popen([*XENFS, *words], env=environment(), stdout=subprocess.PIPE, text=True) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "paused\n"
        mount.write(f"{domain}/freeze", "0")
        if not real:
            mount.write(f"{domain}/shutdown", "poweroff")
        assert watch.stdout.read().splitlines()[-2:] == ["shutdown", "reason poweroff"]
    assert watch.returncode == 0
    assert mount.value(f"{domain}/state") == "shutdown"
    assert mount.value(f"{domain}/shutdown_reason") == "poweroff"
    assert mount.value(f"{domain}/vcpus/0/affinity_hard") == "1"
    listed(domain, real and not no_peers)
    if real and (ring or (X86 and os.path.exists(mount.path("host/params/guest_loglvl")))):
        assert WORDS.decode().strip() in mount.value(f"{domain}/console")
    mount.rmdir(domain)
    eventually(lambda: not os.path.exists(mount.path(domain)), SOON_S, "it is gone")
    assert mount.names("templates") == []


@pytest.mark.skipif(not X86, reason="the tables are a PVH guest's")
def test_the_script_tells_the_guest_which_processors_it_has(mount: Mount, boot: Booter, tmp_path: Path) -> None:
    """By tables of ACPI, to which struct hvm_start_info leads: the bytes of each add up to 0."""
    domain = boot("-m", "32", "-v", "3", "-c", r"quiet \0 root", "-p", tiny(tmp_path / "tiny"))
    with open(mount.path(f"{domain}/memory/physical"), "rb") as memory:

        def at(address: int, form: str) -> tuple[Any, ...]:
            memory.seek(address)
            return struct.unpack(form, memory.read(struct.calcsize(form)))

        def table(address: int) -> bytes:
            signature, length = at(address, "<4sI")
            (whole,) = at(address, f"{length}s")
            assert sum(whole) % 256 == 0, signature
            return bytes(whole)

        info = int(mount.value(f"{domain}/hvm/start/start_info"), 0)
        magic, words, pointer, ranges, count = at(info, "<I20xQQQI")
        assert (magic, *at(words, "14s")) == (0x336EC578, rb"quiet \0 root" + b"\0")
        usable, tables = (at(ranges + 24 * each, "<QQI") for each in range(count))
        assert usable == (0, tables[0], 1)
        assert (sum(tables[:2]), tables[2]) == (32 << 20, 3)
        (root,) = at(pointer, "36s")
        assert (root[:8], sum(root) % 256, sum(root[:20]) % 256) == (b"RSD PTR ", 0, 0)
        found = {each[:4]: each for each in map(table, struct.unpack("<2Q", table(*at(pointer + 24, "<Q"))[36:]))}
        assert table(*struct.unpack_from("<Q", found[b"FACP"], 140))[:4] == b"DSDT"
        assert struct.unpack_from("<I", found[b"FACP"], 112) == (1 << 20,), "reduced hardware"
        assert found[b"APIC"][44:] == b"".join(struct.pack("<4BI", 0, 8, vcpu, 2 * vcpu, 1) for vcpu in range(3))


@pytest.mark.skipif(not X86, reason="there are no PV domains on arm64")
def test_a_pv_kernel_of_ones_own_boots_by_files_alone(mount: Mount, template: str, real: bool) -> None:
    """Its page tables hold frames of the machine, which populate tells; Xen looks at them when CR3 is given."""
    mount.write(f"{template}/flags", "none")
    domain = f"domains/{mount.ask(f'{template}/commit', 'any')}"
    try:
        told = mount.ask(f"{domain}/memory/populate", f"0 {PV_PAGES}").splitlines()
        frames = [int(line.split()[1], 0) for line in told]
        pages, registers = pv(frames)
        machine = os.open(mount.path(f"{domain}/memory/machine"), os.O_RDWR)
        try:
            for frame, page in zip(frames, pages, strict=True):
                os.pwrite(machine, page, frame * 4096)
            with pytest.raises(OSError, match="No such device"):
                os.pwrite(machine, b"not its own", 0)
            mount.write(f"{domain}/vcpus/0/regs", "\n".join(f"{name} {value:#x}" for name, value in registers.items()))
            mount.write(f"{domain}/freeze", "0")
            if not real:
                mount.write(f"{domain}/shutdown", "poweroff")
            eventually(lambda: mount.value(f"{domain}/state") == "shutdown", SOON_S, "it has shut down")
            assert mount.value(f"{domain}/shutdown_reason") == "poweroff"
            if real:
                assert os.pread(machine, len(WORDS), frames[PV_LEFT] * 4096) == WORDS
        finally:
            os.close(machine)
    finally:
        mount.write(f"{domain}/kill", "1")
    for node in ("memory/populate", "memory/machine", "vcpus/0/regs"):
        xen_seen.note("w", f"{domain}/{node}")


@pytest.mark.skipif(not X86, reason="on arm64 a device tree would be needed, which a toolstack makes")
def test_debians_kernel_boots_by_files_alone(
    mount: Mount, boot: Booter, real: bool, no_peers: str, tmp_path: Path
) -> None:
    """To a line of the init in its initrd, which is seen in its console and in its memory. With xenstored there it has
    a name: it asks xenstore, says its lines to the ring of its console alone, and is woken when it sleeps."""
    if not real:
        pytest.skip("a pretended CPU runs no kernel")
    release = f"{mount.value('version/major')}.{mount.value('version/minor')}"
    if release != os.environ.get("XENFS_LINUX_ON", "4.17"):
        pytest.skip("it takes a minute, and each Xen sees the tiny kernel: XENFS_LINUX_ON=RELEASE asks for another")
    if no_peers:
        all_of_guests_is_logged(mount)
    script = b"#!/bin/busybox sh\n/bin/busybox mount -t devtmpfs dev /dev\necho GUEST-UP >/dev/kmsg\n"
    script += b"/bin/busybox sleep 1\necho GUEST-SLEPT >/dev/kmsg\nwhile :; do /bin/busybox sleep 5; done\n"
    initrd = tmp_path / "initrd"
    busybox = Path("/bin/busybox").read_bytes()
    initrd.write_bytes(archive({"bin": b"", "dev": b"", "bin/busybox": busybox, "init": script}))
    known = ("-c", "earlyprintk=xen,keep") if no_peers else ("-n", "linux of files", "-c", "console=hvc0")
    domain = boot("-m", "192", *known, "-i", initrd, debians(tmp_path / "vmlinux"))
    listed(domain, not no_peers)
    try:
        eventually(lambda: "GUEST-SLEPT" in mount.value(f"{domain}/console"), BOOT_S, "it is up, and its timer goes")
    finally:
        print(mount.value(f"{domain}/console")[-6000:])
    if not no_peers:
        assert xl_says("domid", "linux of files") == domain.split("/")[1]
    mount.write(f"{domain}/freeze", "1")
    assert found_at(mount, f"{domain}/memory/physical", b"GUEST-UP") > 0
    mount.write(f"{domain}/sched/weight", "512")
    mount.write(f"{domain}/vcpus/0/affinity_hard", "1")
    mount.write(f"{domain}/freeze", "0")
    listed(domain, not no_peers)
    assert (mount.value(f"{domain}/sched/weight"), mount.value(f"{domain}/vcpus/0/affinity_hard")) == ("512", "1")
    mount.write(f"{domain}/kill", "1")
    eventually(lambda: not os.path.exists(mount.path(domain)), SOON_S, "it is gone")
    assert no_peers or xl_says("domid", "linux of files") == ""


def test_a_dry_run_does_nothing(mount: Mount, tmp_path: Path) -> None:
    before = mount.calls()
    said = subprocess.run(
        [SCRIPT, "--dry-run", tiny(tmp_path / "tiny"), mount.root],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.splitlines()
    assert said[0].startswith("mkdir ")
    assert said[-1] == "ID"
    assert any("memory/populate" in line for line in said)
    assert not [name for name in mount.calls().keys() - before.keys() if "create" in name]
    assert mount.names("templates") == []


def test_what_is_no_kernel_leaves_nothing(mount: Mount, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.write_bytes(b"#!/bin/sh\n" + bytes(4096))
    before = set(mount.names("domains"))
    said = subprocess.run([SCRIPT, odd, mount.root], capture_output=True, text=True, timeout=60)
    assert said.returncode == 1
    assert "is no ELF" in said.stderr or "is no Image" in said.stderr
    assert mount.names("templates") == []
    eventually(lambda: set(mount.names("domains")) <= before, SOON_S, "what was begun is gone")


@pytest.mark.skipif(not X86, reason="the script takes an initrd on x86 alone")
def test_more_than_the_memory_has_room_for_leaves_nothing(mount: Mount, tmp_path: Path) -> None:
    initrd = tmp_path / "initrd"
    initrd.touch()
    os.truncate(initrd, 31 << 20)
    before = set(mount.names("domains"))
    words = ["-m", "32", "-i", initrd, tiny(tmp_path / "tiny"), mount.root]
    said = subprocess.run([SCRIPT, *words], capture_output=True, text=True, timeout=60)
    assert (said.returncode, "too little" in said.stderr) == (1, True)
    assert mount.names("templates") == []
    eventually(lambda: set(mount.names("domains")) <= before, SOON_S, "what was begun is gone")


@pytest.mark.skipif(not X86, reason="the script takes an initrd on x86 alone")
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_the_script_ends_what_it_has_begun(mount: Mount, tmp_path: Path, by: signal.Signals) -> None:
    """In the middle: the domain has its memory, and the script reads an initrd that never comes."""
    initrd = tmp_path / "initrd"
    os.mkfifo(initrd)
    before = set(mount.names("domains"))
    script = subprocess.Popen(
        [SCRIPT, "-m", "32", "-i", initrd, tiny(tmp_path / "tiny"), mount.root],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    held: list[int] = []
    try:
        eventually(
            lambda: not failure(lambda: held.append(os.open(initrd, os.O_WRONLY | os.O_NONBLOCK))), SOON_S, "it reads"
        )
        os.killpg(script.pid, by)
        assert script.wait(SOON_S)
    finally:
        for fd in held:
            os.close(fd)
        script.kill()
    assert mount.names("templates") == []
    eventually(lambda: set(mount.names("domains")) <= before, SOON_S, "what was begun is gone")
