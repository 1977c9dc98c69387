"""What tests through raw/ have in common: questions, domains made by it, and pages of theirs."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import xen_seen
from xen_mount import Mount, failure

PAGE = 4096
FRAME = 0x100  # the first frame of each domain's memory
ANY_DOMAIN = 0x7FF5
KINDS = {
    "pv": "",
    "pvh": "flags=3 arch.emulation_flags=1",
    "hvm": "flags=3 arch.emulation_flags=0x3ff",
    "arm": "flags=3",
}
LIMITS = "max_vcpus=1 max_evtchn_port=1023 max_grant_frames=4 max_maptrack_frames=4"


def ask(mount: Mount, path: str, text: str = "") -> dict[str, str]:
    """The members of an answer of raw/."""
    return dict(line.split(" ", 1) for line in mount.ask(f"raw/{path}", f"{text}\n").splitlines())


def refused(mount: Mount, path: str, text: str = "") -> int:
    """The errno of a question; 0 where it was answered."""
    return failure(lambda: ask(mount, path, text))


def bare(mount: Mount, operation: str, words: str) -> int:
    """An operation that has no file, by its hypercall's number; noted under its own name where Xen did it."""
    result = int(mount.ask("raw/hypercall", f"{words}\n").split()[1])
    xen_seen.note_one(operation)
    return result


def words(*numbers: int, size: int = 8) -> str:
    """Numbers as the digits of a buffer."""
    return b"".join(number.to_bytes(size, "little") for number in numbers).hex()


def unpacked(digits: str, size: int = 8) -> list[int]:
    """A buffer's digits as numbers."""
    data = bytes.fromhex(digits)
    return [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]


@dataclass
class Made:
    """A domain of a test's own: paused, with one vCPU that has never run, and with pages where they were asked for."""

    mount: Mount
    domid: int

    def node(self, name: str) -> str:
        """The path of one of its nodes."""
        return f"domains/{self.domid}/{name}"

    def page(self, frame: int) -> bytes:
        """What one of its pages holds."""
        with open(self.mount.path(self.node("memory/physical")), "rb", buffering=0) as memory:
            memory.seek(frame * PAGE)
            return memory.read(PAGE)

    def fill(self, frame: int, data: bytes, offset: int = 0) -> None:
        """Write into one of its pages."""
        with open(self.mount.path(self.node("memory/physical")), "r+b", buffering=0) as memory:
            memory.seek(frame * PAGE + offset)
            assert memory.write(data) == len(data)

    def pages(self) -> int:
        """How many it has."""
        return int(ask(self.mount, "domctl/getdomaininfo", f"domain={self.domid}")["tot_pages"])


def wanted(mount: Mount, kind: str, more: str = "") -> str:
    """What is asked of createdomain for a bare domain of a kind."""
    granted = " grant_opts=1" if "\ngrant_opts " in mount.value("raw/domctl/createdomain") else ""
    return f"domain={ANY_DOMAIN} {KINDS[kind]} {LIMITS}{granted} {more}"


@contextmanager
def created(mount: Mount, kind: str, more: str = "") -> Iterator[int]:
    """The number of a bare domain of a kind, without a vCPU; it is destroyed in the end."""
    d = int(ask(mount, "domctl/createdomain", wanted(mount, kind, more))["domain"])
    try:
        yield d
    finally:
        while refused(mount, "domctl/destroydomain", f"domain={d}") == errno.EAGAIN:
            pass


@contextmanager
def made(mount: Mount, kind: str, pages: int = 0, more: str = "") -> Iterator[Made]:
    """A domain of a kind (see KINDS; on arm64 always that) with pages from FRAME on; a PV one is given none."""
    arm = "arm64" in mount.value("xenfs/interface")
    with created(mount, "arm" if arm else kind, more) as d:
        one = Made(mount, d)
        ask(mount, "domctl/max_vcpus", f"domain={d} max=1")
        if arm:
            ask(mount, "domctl/set_address_size", f"domain={d} size=64")
        ask(mount, "domctl/max_mem", f"domain={d} max_memkb=16384")
        if kind != "pv" and mount.has(one.node("memory/paging_pool_bytes")):
            mount.write(one.node("memory/paging_pool_bytes"), "4M")
        if pages:
            mount.write(one.node("memory/populate"), f"{FRAME:#x} {pages}")
        yield one


def frames_of_pv(one: Made, count: int) -> list[int]:
    """Pages for a PV domain: the machine's numbers of them."""
    start = f"extent_start=inout:{words(*range(FRAME, FRAME + count))}"
    found = ask(one.mount, "memory_op/populate_physmap", f"domid={one.domid} nr_extents={count} {start}")
    assert int(found["result"]) == count
    return unpacked(found["extent_start"])
