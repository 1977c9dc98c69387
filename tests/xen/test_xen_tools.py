"""What dom0's rarer tools say, beside the same files: xen-diag, xen-mfndump, xen-hptool of memory, xen-vmtrace."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from collections.abc import Iterator

import pytest
from xen_guests import Guest
from xen_mount import CHECKOUT, Mount, failure
from xen_peers import TIMEOUT_S, Comparison, in_short, said
from xen_raw import ask, frames_of_pv, made

pytestmark = pytest.mark.usefixtures("peers")
PAGE = 4096
TYPES = {0x0: "notab", 0xD: "broken", 0xE: "xalloc", 0xF: "xtab"}
PINNED = 8
FRAME = (1 << 40) - 1


@pytest.fixture(autouse=True)
def _tools_of_this_xen(mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian has some of them beside Xen's libraries, a folder for each release."""
    release = f"{mount.value('version/major')}.{mount.value('version/minor')}"
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/lib/xen-{release}/bin")


def tool(*words: str) -> subprocess.CompletedProcess[str]:
    """What a tool says; some exit with 1 when all is well."""
    return subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)


def test_grant_tables_beside_xen_diag(mount: Mount, guest: Guest, compared: list[Comparison]) -> None:
    for domid in mount.numbers("domains"):
        theirs = re.findall(r"(nr_frames|max_nr_frames)=(\d+)", said(f"xen-diag gnttab_query_size {domid}"))
        found = {name.replace("nr_", ""): value for name, value in theirs}
        mine = {name: mount.value(f"domains/{domid}/grants/{name}") for name in ("frames", "max_frames")}
        compared.append(
            Comparison("domains/*/grants/*frames", "xen-diag", in_short(mine), in_short(found), mine == found)
        )
        assert mine == found


@pytest.fixture
def frozen(mount: Mount, guest: Guest) -> Iterator[Guest]:
    """A PV guest whose page tables nothing changes."""
    if mount.value(guest.node("type")) != "pv":
        pytest.skip("xen-mfndump looks into PV guests")
    mount.write(guest.node("freeze"), "1")
    try:
        yield guest
    finally:
        mount.write(guest.node("freeze"), "0")


def named(number: int) -> str:
    """A type of xen-mfndump's, as pfn_types has it."""
    if number in TYPES:
        return TYPES[number]
    return f"l{number & ~PINNED}tab" + (",pinned" if number & PINNED else "")


def page(mount: Mount, guest: Guest, frame: int) -> list[int]:
    """The words of a page of a PV guest's."""
    machine = os.open(mount.path(guest.node("memory/machine")), os.O_RDONLY)
    try:
        data = os.pread(machine, PAGE, frame * PAGE)
    finally:
        os.close(machine)
    return memoryview(data).cast("Q").tolist()


def types(mount: Mount, guest: Guest, count: int) -> list[str]:
    """The type of each of its first frames."""
    found: list[str] = []
    for first in range(0, count, 1024):
        text = mount.ask(guest.node("memory/pfn_types"), f"{first}-{min(count, first + 1024) - 1}")
        found += [line.split()[1] for line in text.splitlines()]
    return found


def test_memory_beside_xen_mfndump(mount: Mount, frozen: Guest, compared: list[Comparison]) -> None:
    """Types of frames, what page tables hold, and who refers to a frame: of a PV guest that stands still."""

    def check(node: str, command: str, mine: object, theirs: object) -> None:
        row = in_short({"": str(mine)}), in_short({"": str(theirs)})
        compared.append(Comparison(f"domains/*/memory/{node}", f"xen-mfndump {command}", *row, mine == theirs))
        assert mine == theirs

    domid = str(frozen.domid)
    rows = re.findall(r"pfn=0x\w+ ==> mfn=0x(\w+) \(type 0x(\w+)\)", said(f"xen-mfndump dump-p2m {domid}"))
    frames, theirs = [int(frame, 16) for frame, _ in rows], [named(int(kind, 16)) for _, kind in rows]
    assert sum(kind[0] == "l" for kind in theirs) > 20
    check("pfn_types", "dump-p2m", types(mount, frozen, len(theirs)), theirs)

    top = next(frame for frame, kind in zip(frames, theirs, strict=True) if kind.startswith("l4tab"))
    words = page(mount, frozen, top)
    dumped = re.findall(r"pte\[\d+\]: 0x(\w+)", tool("xen-mfndump", "dump-ptes", domid, f"{top:x}").stdout)
    check("machine", "dump-ptes", words, [int(word, 16) for word in dumped])

    at, below = next(
        (at, word >> 12 & FRAME) for at, word in enumerate(words) if word & 1 and word >> 12 & FRAME in frames
    )
    found = re.findall(
        r"<-- \[0x(\w+)\]\[(\d+)\]: 0x(\w+)", tool("xen-mfndump", "lookup-pte", domid, f"{below:x}").stdout
    )
    places = {(int(holder, 16), int(index)): int(word, 16) for holder, index, word in found}
    assert (top, at) in places
    mine = {(holder, index): page(mount, frozen, holder)[index] for holder, index in places}
    check("machine", "lookup-pte", mine, places)


def test_pages_of_the_machine_beside_xen_hptool(raw: Mount, compared: list[Comparison]) -> None:
    """What files take offline is so by the tool, and what the tool brings back is so by the files.

    Of a page that a domain has, dom0's too, mem-offline suspends the domain: it is asked about one that is offline.
    """
    if not raw.has("raw/domctl/getpageframeinfo3"):
        pytest.skip("populate_physmap does not tell a page's number in the machine here")
    words = {"PAGE_ONLINED": "online", "PAGE_OFFLINED": "offlined"}

    def agree(frame: int, state: str) -> None:
        found = re.search(r"\[ (\w+) ", said(f"xen-hptool mem-status {frame:x}"))
        assert found
        mine = raw.ask("host/memory/page_status", f"{frame:#x}").split()[1].partition(",")[0]
        row = mine, words[found[1]]
        compared.append(Comparison("host/memory/page_status", "xen-hptool mem-status", *row, row[0] == row[1]))
        assert row == (state, state)

    with made(raw, "pv") as one:
        (free,) = frames_of_pv(one, 1)
        where = f"extent_start=in:{free.to_bytes(8, 'little').hex()}"
        assert ask(raw, "memory_op/decrease_reservation", f"domid={one.domid} nr_extents=1 {where}")["result"] == "1"
        agree(free, "online")
        assert raw.ask("host/memory/soft_offline_page", str(free)).split()[1].startswith("offlined")
        agree(free, "offlined")
        by_file = raw.ask("host/memory/soft_offline_page", str(free)).split()[1].partition(",")[0]
        by_tool = re.findall(r"PG_OFFLINE_(\w+)", said(f"xen-hptool mem-offline {free:x}"))
        row = by_file, " ".join(by_tool).lower()
        compared.append(Comparison("host/memory/soft_offline_page", "xen-hptool mem-offline", *row, row[0] == row[1]))
        assert row == ("offlined", "offlined")
        assert "onlin" in said(f"xen-hptool mem-online {free:x}")
        agree(free, "online")


def test_tracing_is_refused_as_xen_vmtrace_is(mount: Mount, compared: list[Comparison]) -> None:
    """An emulated processor has no Processor Trace: the tool fails, and the files are not there or say so."""
    guests = [domid for domid in mount.numbers("domains") if mount.value(f"domains/{domid}/type") == "pvh"]
    if not guests or not tool("sh", "-c", "command -v xen-vmtrace").stdout:
        pytest.skip("no guest, or no xen-vmtrace")
    done = tool("xen-vmtrace", guests[0], "0")
    node = f"domains/{guests[0]}/vcpus/0/vmtrace/enabled"
    outcome = failure(lambda: mount.write(node, "1")) if mount.has(node) else errno.ENOENT
    print(done.stdout, done.stderr)
    compared.append(Comparison(node, "xen-vmtrace", str(outcome), str(done.returncode), bool(outcome)))
    assert done.returncode != 0
    assert outcome in (errno.ENOENT, errno.EINVAL, errno.ENODEV, errno.EOPNOTSUPP)


def test_builds_that_reasons_name(mount: Mount) -> None:
    """What docs/coverage.md says that these Xens were not built with is not in the configuration that they tell."""
    if not mount.has("version/config"):
        pytest.skip("this Xen does not tell it")
    text = (CHECKOUT / "docs/coverage.md").read_text(encoding="utf-8")
    named = set(re.findall(r"no: it takes a Xen built with (CONFIG_\w+)", text))
    assert {"CONFIG_MEM_SHARING", "CONFIG_SCHED_ARINC653", "CONFIG_GDBSX", "CONFIG_DEBUG"} <= named
    built = set(re.findall(r"^(CONFIG_\w+)=", mount.value("version/config"), re.M))
    assert len(built) > 30
    assert sorted(named & built) == []
