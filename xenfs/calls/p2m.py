"""Where a PV guest's memory is: the table that it keeps of its frames, for whoever saves it, read from its own pages.

64-bit guests only. The table's place is in the page that the guest shares with Xen: either the address of the table and
the page tables that lead there, or, older, a list of lists of its pages.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from struct import Struct

from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import PAGE

_ARCH = 0xC10  # of struct arch_shared_info in struct shared_info, x86_64, every release
_SHARED = Struct("<6Q")  # max_pfn pfn_to_mfn_frame_list_list nmi_reason p2m_cr3 p2m_vaddr p2m_generation
_ENTRIES = 512  # of eight bytes in a page
_FRAME = (1 << 52) - 1 >> 12  # of a page table's entry, in frames
_NO_MEMORY = 0b11 << 62  # what is not the guest's own, or nothing at all


class Table:
    """The table of one PV domain, as it is now."""

    def __init__(self, xen: Hypervisor, domid: int, shared_info_frame: int) -> None:
        self._xen, self._domid = xen, domid
        self._pages: dict[int, tuple[int, ...]] = {}
        shared = self._bytes(shared_info_frame)
        if shared is None:
            raise XenfsError(f"the page that domain {domid} shares with Xen is not there", errno.EOPNOTSUPP)
        self.nr_frames, self._lists, _, self._cr3, self._address, _ = _SHARED.unpack_from(shared, _ARCH)
        if not self.nr_frames or not (self._cr3 or self._lists not in (0, 2**64 - 1)):
            raise XenfsError("this guest has not said where its memory is", errno.EOPNOTSUPP)

    def frames(self, own: Sequence[int]) -> list[int | None]:
        """The machine frame behind each of the guest's own, None where there is none."""
        return [self._frame(frame) for frame in own]

    def _frame(self, frame: int) -> int | None:
        if frame >= self.nr_frames:
            return None
        place, at = divmod(frame, _ENTRIES)
        page = self._by_tables(place) if self._cr3 else self._by_lists(place)
        entry = None if page is None else page[at]
        return None if entry is None or entry & _NO_MEMORY else entry

    def _by_lists(self, place: int) -> tuple[int, ...] | None:
        outer, inner = divmod(place, _ENTRIES)
        lists = self._words(self._lists)
        within = None if lists is None or outer >= _ENTRIES else self._words(lists[outer])
        return None if within is None else self._words(within[inner])

    def _by_tables(self, place: int) -> tuple[int, ...] | None:
        """Down four levels of page tables; what is not present, or a larger page, is not there."""
        address = self._address + place * PAGE
        words = self._words(self._cr3 >> 12)
        for level in (3, 2, 1, 0):
            entry = 0 if words is None else words[address >> 12 + 9 * level & _ENTRIES - 1]
            if not entry & 1 or (level and entry & 0x80):
                return None
            words = self._words(entry >> 12 & _FRAME)
        return words

    def _words(self, frame: int) -> tuple[int, ...] | None:
        if frame not in self._pages:
            found = self._bytes(frame)
            if found is None:
                return None
            self._pages[frame] = tuple(memoryview(found).cast("Q"))
        return self._pages[frame]

    def _bytes(self, frame: int) -> bytes | None:
        with self._xen.foreign(self._domid, [frame]) as found:
            page = found.pages[0]
            return None if page is None else bytes(page)
