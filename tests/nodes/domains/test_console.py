"""domains/<d>/console: what a guest has said."""

from __future__ import annotations

import struct
import threading

import pytest
from patience import PATIENCE_S
from pyfuse3 import InodeT
from worlds import Host

from xenfs.errors import Stale
from xenfs.filesystem.following import Follower
from xenfs.filesystem.inodes import Inode
from xenfs.nodes.tables.base import Stream
from xenfs.simulator.answers.foreign import pv_frames

FRAME = 0xFEFFF  # where the pretended toolstack has put the ring


def ring(host: Host, written: int, out: bytes) -> None:
    domain = host.world.domains[2]
    domain.physmap.add([FRAME])
    page = domain.physmap.page(FRAME)
    page[1024 : 1024 + len(out)] = out
    page[3080:3088] = struct.pack("<2I", 0, written)


def test_its_lines_in_xens_log(host: Host) -> None:
    host.world.console.print("(XEN) other", "(d2) first", "(XEN) [time] (d2) second", "(d22) another guest")
    assert host.read("domains/2/console") == "first\nsecond\n"
    assert host.read("domains/3/console") == ""
    assert not host.has("domains/0/console")


@pytest.mark.parametrize(
    ("written", "out", "said"),
    [
        (0, b"", ""), (12, b"hello\nagain\n", "hello\nagain\n"), (5, b"hello behind", "hello"),
        (2048 + 6, b"newest" + b"x" * 2036 + b"oldest", "x" * 2036 + "oldestnewest"),
    ],
)  # fmt: skip
def test_its_ring(host: Host, written: int, out: bytes, said: str) -> None:
    ring(host, written, out)
    assert host.read("domains/2/console") == said


def opened(host: Host, path: str) -> Follower:
    place = host.at(path)
    assert isinstance(place.node, Stream)
    found = Follower(Inode(InodeT(2), place.node, place.ids, "console", None), place.node)
    found.begin(host.xen)
    return found


def test_it_goes_on(host: Host) -> None:
    """Who keeps it open reads what is new, of the log whole lines, and is told so when there is something."""
    host.world.console.print("(d2) first")
    found = opened(host, "domains/2/console")
    assert found.ahead(host.xen), "nothing of it was read"
    assert found.read(host.xen, 0, 4096) == b"first\n"
    assert not found.ahead(host.xen)
    host.world.console.print("(d22) another guest", "(d3) a third")
    host.world.console.put(b"(XEN) (d2) half a li")
    assert not found.ahead(host.xen)
    assert found.read(host.xen, 6, 4096) == b""
    host.world.console.put(b"ne\n")
    assert found.ahead(host.xen)
    assert found.read(host.xen, 6, 4096) == b"half a line\n"
    ring(host, 3, b"abc")
    assert found.ahead(host.xen)
    assert found.read(host.xen, 18, 4096) == b"abc"
    ring(host, 2048 + 2, b"de" + b"x" * 2046)
    assert found.read(host.xen, 21, 4096) == b"x" * 2045 + b"de"
    ring(host, 4 * 2048 + 2, b"fg" + b"y" * 2046)
    assert found.read(host.xen, 21 + 2047, 4096) == b"y" * 2046 + b"fg", "what was overwritten is gone"
    assert not found.ahead(host.xen)


def test_who_asks_how_long_it_is_takes_nothing_from_who_reads(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another thread of the same process: he has seen that all was read, and goes on when it is no longer so."""
    looks, followed, over = threading.Event(), threading.Event(), threading.Event()
    end, follow = Follower._end.fget, Follower._follow  # type: ignore[attr-defined]

    def looked(self: Follower) -> int:
        there: int = end(self)
        if threading.current_thread() is other and not looks.is_set():
            looks.set()
            followed.wait(0.3)
        return there

    def followed_slowly(self: Follower, *args: object) -> None:
        follow(self, *args)
        if threading.current_thread() is not other:
            followed.set()
            over.wait(0.3)

    host.world.console.print("(d2) first")
    found = opened(host, "domains/2/console")
    assert found.read(host.xen, 0, 4096) == b"first\n"
    other = threading.Thread(target=lambda: [found.grown(host.xen), over.set()])
    host.world.console.print("(d2) second")
    monkeypatch.setattr(Follower, "_end", property(looked))
    monkeypatch.setattr(Follower, "_follow", followed_slowly)
    other.start()
    assert looks.wait(PATIENCE_S)
    assert found.read(host.xen, 6, 4096) == b"second\n"
    other.join()


def test_the_ring_of_a_pv_guest_is_where_xenstore_says(host: Host) -> None:
    host.mkdir("templates/t")
    for name, value in (("flags", "none"), ("name", "pv")):
        host.write(f"templates/t/{name}", value)
    domid = int(host.put(host.at("templates/t/commit"), b"any"))
    domain = host.world.domains[domid]
    assert host.read(f"domains/{domid}/console") == ""
    domain.physmap.add([5])
    assert host.xen.store is not None
    host.xen.store.write(f"/local/domain/{domid}/console/ring-ref", str(pv_frames(domain).mfn(5)).encode())
    page = domain.physmap.page(5)
    page[1024:1027], page[3080:3088] = b"abc", struct.pack("<2I", 0, 3)
    assert host.read(f"domains/{domid}/console") == "abc"
    host.xen.store.write(f"/local/domain/{domid}/console/ring-ref", b"nonsense")
    assert host.read(f"domains/{domid}/console") == ""


def test_what_a_reader_of_the_domain_before_has_open_is_stale(host: Host) -> None:
    found = opened(host, "domains/2/console")
    host.world.vanish(2)
    with pytest.raises(Stale):
        found.read(host.xen, 0, 4096)
