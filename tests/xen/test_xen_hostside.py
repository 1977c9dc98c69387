"""What -o debug shows of the machine, on a real Xen: machine checks, I/O APICs, images to boot, watchdog, traces."""

from __future__ import annotations

import errno
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import xen_seen
from trace_stream import GUEST, LOST, SCHED, WRAP, records
from xen_mount import Mount, failure
from xen_peers import Comparison


def test_machine_checks_feigned_and_read(mount: Mount) -> None:
    if not mount.has("host/mce"):
        pytest.skip("no machine checks for this control domain")
    assert mount.read("host/mce/log") == b""
    mount.ask("host/mce/log", "1")  # whatever there was
    for text in ("0 0x10 1", "mce 4000", "lmce 4000"):
        outcome = failure(lambda text=text: mount.write("host/mce/inject", text))  # type: ignore[misc]
        assert outcome in (errno.EINVAL, errno.ERANGE, errno.ENODEV, errno.ENOENT)
    outcome = failure(lambda: mount.write("host/mce/inject", "0 0x401 0"))  # a register that says: nothing
    assert outcome in (0, errno.EINVAL, errno.ENODEV, errno.ENOENT)
    outcome = failure(lambda: mount.write("host/mce/inject", "cmci 0"))  # Xen looks at its banks, and finds nothing
    assert outcome in (0, errno.EINVAL, errno.ENODEV, errno.EOPNOTSUPP)
    mount.ask("host/mce/log", "1")


def test_io_apics(mount: Mount) -> None:
    if not mount.has("host/ioapic"):
        pytest.skip("no I/O APICs for this control domain")
    found = mount.names("host/ioapic")
    assert "0xfec00000" in found
    lines = (int(mount.value("host/ioapic/0xfec00000/0x01"), 16) >> 16 & 0xFF) + 1
    assert len(mount.names("host/ioapic/0xfec00000")) == 3 + 2 * lines
    assert int(mount.value("host/ioapic/0xfec00000/0x10"), 16) >= 0


def image(start: int, code: bytes) -> bytes:
    """An ELF file for x86-64 that lies at one place of the machine's memory."""
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 120, start, start, len(code), 8192, 4096) + code


def load(mount: Mount, node: str, data: bytes) -> None:
    fd = os.open(mount.path(node), os.O_WRONLY)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    xen_seen.note("w", node)


def test_an_image_is_loaded_and_forgotten(mount: Mount) -> None:
    """It is never booted here: it does nothing but stop."""
    if not mount.has("host/kexec/load"):
        pytest.skip("no kexec for this control domain")
    assert mount.value("host/kexec/loaded") == "0"
    assert failure(lambda: mount.write("host/kexec/exec", "default")) == errno.ENOENT
    assert failure(lambda: load(mount, "host/kexec/load", b"\x7fELF")) == errno.EINVAL
    load(mount, "host/kexec/load", image(0x200000, b"\xfa\xf4\xeb\xfd"))
    assert mount.value("host/kexec/loaded") == "1"
    load(mount, "host/kexec/load", image(0x200000, b"\xfa\xf4\xeb\xfd"))  # another takes its place
    assert mount.value("host/kexec/loaded") == "1"
    for _ in range(2):
        mount.write("host/kexec/loaded", "0")
        assert mount.value("host/kexec/loaded") == "0"
    outcome = failure(lambda: load(mount, "host/kexec/crash_load", image(0x200000, b"\xf4")))
    assert outcome == errno.EADDRNOTAVAIL, "this is not kept for a crash"


def test_what_kexec_loads_is_loaded(mount: Mount, compared: list[Comparison]) -> None:
    """Debian's kexec-tools know Xen. They lay dom0's kernel out, and nobody boots it; and what a file has loaded they
    forget."""
    if not shutil.which("kexec") or not mount.has("host/kexec/load"):
        pytest.skip("no kexec here")
    kernel = next(Path("/boot").glob("vmlinuz-*"))

    def agree(*words: str) -> None:
        done = subprocess.run(["kexec", *words], capture_output=True, text=True, timeout=300, check=False)
        print(words, done)
        assert done.returncode == 0, done.stderr
        mine, theirs = mount.value("host/kexec/loaded"), "1" if "-l" in words else "0"
        compared.append(Comparison("host/kexec/loaded", f"kexec {words[0]}", mine, theirs, mine == theirs))
        assert mine == theirs

    try:
        agree("-l", str(kernel), "--append=panic=1")
        agree("-u")
        load(mount, "host/kexec/load", image(0x200000, b"\xfa\xf4\xeb\xfd"))
        agree("-u")
    finally:
        mount.write("host/kexec/loaded", "0")


def test_the_watchdog_is_set_and_ended(mount: Mount) -> None:
    node = "domains/self/watchdog"
    number = mount.ask(node, "0 86400")
    try:
        assert number in ("1", "2")
        assert mount.ask(node, f"{number} 90000") == number
    finally:
        assert mount.ask(node, f"{number} 0") == number
    assert failure(lambda: mount.ask(node, f"{number} 0")) == errno.EINVAL


def test_a_map_of_memory_for_a_domain_that_is_made(mount: Mount) -> None:
    """Xen tells nobody but the guest of it: it takes the one that the machine has."""
    if not mount.has("host/memory/e820"):
        pytest.skip("no such map on this architecture")
    text = mount.value("host/memory/e820")
    os.mkdir(mount.path("templates/mapped"))
    try:
        mount.write("templates/mapped/e820", text)
        assert mount.value("templates/mapped/e820") == text
        domid = mount.ask("templates/mapped/commit", "any")
        mount.write(f"domains/{domid}/kill", "1")
        assert failure(lambda: mount.write("templates/mapped/e820", "0x2000-0x1000 ram")) == errno.EINVAL
    finally:
        os.rmdir(mount.path("templates/mapped"))
    own = mount.has("domains/self/memory/e820")
    assert own == (mount.value("domains/self/type") != "pv"), "a PV dom0 has no map of its own"


def test_overlays_of_the_device_tree(mount: Mount) -> None:
    """Debian's builds have none, which the file of what is missing says; a build that has them refuses nonsense."""
    if mount.flat("xenfs/interface")["arch"] == "x86_64" or int(mount.value("version/minor")) < 18:
        assert not mount.has("host/dt_overlay")
    elif not mount.has("host/dt_overlay"):
        said = set(mount.value("xenfs/missing").splitlines())
        assert said & {f"sysctl dt_overlay ADD {code}" for code in ("EOPNOTSUPP", "EPERM")}, "EPERM is FLASK's"
    else:
        assert failure(lambda: load(mount, "host/dt_overlay/add", bytes(64))) == errno.EINVAL


def test_schedulers_that_this_xen_has_not(mount: Mount) -> None:
    """arinc653 is in few builds: then no pool takes it, and none shows its schedule."""
    os.mkdir(mount.path("cpupools/9"))
    try:
        outcome = failure(lambda: mount.write("cpupools/9/scheduler", "arinc653"))
        if not outcome:
            assert mount.value("cpupools/9/sched/arinc653_schedule") == "10000000"
            slot = "01234567-89ab-cdef-0123-456789abcdef 0 4000000"
            mount.write("cpupools/9/sched/arinc653_schedule", f"9000000\n{slot}")
            assert mount.value("cpupools/9/sched/arinc653_schedule") == f"9000000\n{slot}"
        else:
            assert outcome == errno.ENOENT
            assert not mount.has("cpupools/9/sched/arinc653_schedule")
    finally:
        os.rmdir(mount.path("cpupools/9"))


@pytest.fixture
def traced(mount: Mount) -> Iterator[Mount]:
    """Buffers, with events of the scheduler and of guests noted; nothing is afterwards."""
    if not mount.has("host/trace"):
        pytest.skip("this Xen has no trace buffers")
    mask = mount.value("host/trace/event_mask")
    mount.write("host/trace/event_mask", f"{GUEST | SCHED:#x}")
    mount.write("host/trace/cpu_mask", "all")
    if mount.flat("host/trace/info")["buffer_mfn"] == "0":
        mount.write("host/trace/size_pages", "2")
    mount.write("host/trace/enabled", "1")
    taken(mount, 1)  # what was noted by another mask, of whoever traced before
    try:
        yield mount
    finally:
        mount.write("host/trace/enabled", "0")
        mount.write("host/trace/event_mask", mask)


def taken(mount: Mount, turns: int) -> bytes:
    """What Xen noted, a marker at each turn where this Xen has them."""
    fd = os.open(mount.path("host/trace/records"), os.O_RDWR)
    found = b""
    try:
        os.write(fd, b"1")
        for turn in range(turns):
            mark(mount, turn)
            while part := os.read(fd, 1 << 20):
                found += part
                if len(found) > 1 << 20:
                    break
    finally:
        os.close(fd)
    xen_seen.note("r", "host/trace/records")
    return found


def mark(mount: Mount, number: int) -> None:
    if mount.has("host/trace/marker"):
        mount.write("host/trace/marker", f"0x123 {number} 7")


def test_a_trace_reader_accepts_the_records(traced: Mount) -> None:
    """What Xen noted meanwhile, by our reader of the format."""
    noted = list(records(taken(traced, 20)))
    assert noted
    own = {each.event for each in noted if not each.event >> 16 & (GUEST | SCHED) >> 16}
    assert own <= {LOST, WRAP}, [f"{event:#x}" for event in own]
    if traced.has("host/trace/marker"):
        traced.write("host/trace/event_mask", f"{GUEST:#x}")  # what the scheduler does may fill the buffers
        taken(traced, 1)
        noted = list(records(taken(traced, 20)))
        assert [each.words for each in noted if each.event == GUEST | 0x123] == [(turn, 7) for turn in range(20)]


@pytest.mark.usefixtures("peers")
def test_xentrace_reads_the_same(traced: Mount, compared: list[Comparison], tmp_path: Path) -> None:
    """Of buffers that stay as they are: nothing more is noted."""
    taken(traced, 1)
    for number in range(5):
        mark(traced, number)
    traced.write("host/trace/event_mask", "0")
    mine = traced.read("host/trace/records")
    theirs = tmp_path / "records"
    words = [tool(traced, "xentrace"), "-T", "1", "-s", "100", str(theirs)]
    done = subprocess.run(words, capture_output=True, timeout=120, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    by_cpu = [sorted(records(data), key=lambda each: each.cpu) for data in (mine, theirs.read_bytes())]
    compared.append(
        Comparison("host/trace/records", "xentrace", *(str(len(each)) for each in by_cpu), by_cpu[0] == by_cpu[1])
    )
    assert by_cpu[0] == by_cpu[1] != []
    assert traced.read("host/trace/records") == b"", "xentrace took them"


def tool(mount: Mount, name: str) -> str:
    """Where one of Xen's tools is, of the release that runs."""
    found = shutil.which(
        name,
        path=f"{os.environ['PATH']}:/usr/lib/xen-{mount.value('version/major')}.{mount.value('version/minor')}/bin",
    )
    if not found:
        pytest.skip(f"this dom0 has no {name}")
    return found
