"""Pages of pretended domains, as privcmd would map them: of PV domains by frames of the machine.

What a PV guest keeps for whoever saves it is made up when it is asked for: every second guest has page tables that lead
to its table of frames, the others the older lists of lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import EFAULT, EINVAL
from struct import Struct

from xenfs.hypervisor.foreign import Foreign
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.physmap import PAGE
from xenfs.simulator.world.world import FIRST_RESERVED

_ARCH, _SHARED = 0xC10, Struct("<6Q")
_ENTRIES = PAGE // 8
_TABLE_AT = 0xFFFFC90000000000  # the guest's own address of its table
_PRESENT = 0x67
PRIVATE = "pv_frames"
DOMID_XEN = 0x7FF2
DIRECT_MAP = 0xFFFF888000000000  # where page tables have all of the memory


class PretendedPages(Foreign):
    """Pages of a pretended domain; the bytes of those that are written are the domain's own."""

    def __init__(self, pages: list[memoryview | None]) -> None:
        self.pages = pages

    def close(self) -> None:
        """Let go of them."""
        for page in self.pages:
            if page is not None:
                page.release()
        self.pages = []


def foreign(xen: Machine, domid: int, frames: Sequence[int], *, write: bool) -> PretendedPages:
    """Pages by their frames; None for one that is not the domain's, and of a domain that is going or gone."""
    if domid == DOMID_XEN:
        return PretendedPages([_of_xen(xen.world.host.tracing.memory.get(frame), write) for frame in frames])
    domain = xen.world.domain(domid) if domid < FIRST_RESERVED else None
    if domain is None or domain.dying:
        return PretendedPages([None] * len(frames))
    return PretendedPages([_page(domain, frame, write) for frame in frames])


def _of_xen(page: bytearray | None, write: bool) -> memoryview | None:
    """A page that Xen shares with the control domain."""
    return None if page is None else memoryview(page) if write else memoryview(page).toreadonly()


def _page(domain: Domain, frame: int, write: bool) -> memoryview | None:
    if domain.hvm:
        own: int | None = frame
    else:
        made = pv_frames(domain)
        if frame in made.own_pages:
            return memoryview(made.own_pages[frame]).toreadonly()
        own = made.pfn(frame)
    if own is None or not domain.physmap.has(own):
        return None
    page = memoryview(domain.physmap.page(own))
    return page if write else page.toreadonly()


class PvFrames:
    """The machine frames of a PV domain: its memory in a row, and behind that the pages that tell of it."""

    def __init__(self, domain: Domain) -> None:
        self._first = domain.domid + 1 << 24
        self._next = self._first + (1 << 23)
        self._domain = domain
        self.own_pages: dict[int, bytes] = {}
        count = domain.physmap.top + 1 if domain.physmap.built else 0
        table = self._filled([self.mfn(pfn) for pfn in range(count)])
        if domain.domid % 2:
            words = (count, self._tree(table, 0, levels=2) if count else 0, 0, 0, 0, 1)
        else:
            words = (count, 2**64 - 1, 0, self._tree(table, _PRESENT, levels=4) << 12 if count else 0, _TABLE_AT, 1)
        self.own_pages[domain.shared_info_frame] = (bytes(_ARCH) + _SHARED.pack(*words)).ljust(PAGE, b"\0")

    def mfn(self, pfn: int) -> int:
        """The machine frame of one of its own; all ones where it has none."""
        return self._first + pfn if self._domain.physmap.has(pfn) else 2**64 - 1

    def pfn(self, mfn: int) -> int | None:
        """The other way."""
        return mfn - self._first if self._first <= mfn < self._first + (1 << 23) else None

    def _filled(self, words: list[int], at: int = 0) -> list[int]:
        """Pages with these words, the first of them at that place; their frames."""
        words = [0] * at + words
        frames = []
        for first in range(0, len(words), _ENTRIES):
            part = words[first : first + _ENTRIES]
            self.own_pages[self._next] = b"".join(word.to_bytes(8, "little") for word in part).ljust(PAGE, b"\0")
            frames.append(self._next)
            self._next += 1
        return frames

    def _tree(self, frames: list[int], flags: int, levels: int) -> int:
        """The frame of the page that leads to all of these, so many levels above them."""
        for level in range(levels):
            at = (_TABLE_AT >> 12 + 9 * level) % _ENTRIES if flags else 0
            frames = self._filled([frame << 12 | flags if flags else frame for frame in frames], at)[at // _ENTRIES :]
        return frames[0]


def pv_frames(domain: Domain) -> PvFrames:
    """Those of this domain, made when they are first asked for."""
    if PRIVATE not in domain.kept:
        domain.kept[PRIVATE] = PvFrames(domain)
    made: PvFrames = domain.kept[PRIVATE]
    return made


def gdbsx_guestmemio(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Bytes by vCPU 0's page tables, which have all memory at one address and none elsewhere; EFAULT for a part."""
    struct = "xen_domctl_gdbsx_memio"
    address, caller, nbytes, write = xen.get(op, struct, "gva", "uva", "len", "gwr")
    memory = xen.at(caller, nbytes)
    for at in range(nbytes):
        frame, within = divmod(address + at - DIRECT_MAP, PAGE)
        if not domain.physmap.has(frame):
            return -EFAULT
        page = domain.physmap.page(frame)
        if write:
            page[within] = memory[at]
        else:
            memory[at] = page[within]
    xen.put(op, struct, remain=0)
    return 0


def cacheflush(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Nothing is cached here; EINVAL for a range that runs over, or is more than 1 GiB."""
    first, count = xen.get(op, "xen_domctl_cacheflush", "start_pfn", "nr_pfns")
    return -EINVAL if first + count >= 1 << 64 or count > 1 << 18 else 0


OPERATIONS_ARM: Answers = {"XEN_DOMCTL_cacheflush": cacheflush}
OPERATIONS_X86: Answers = {"XEN_DOMCTL_gdbsx_guestmemio": gdbsx_guestmemio}
