"""memory_op: giving a domain memory, and taking it back. The result is how many extents were done, not an errno."""

from __future__ import annotations

from typing import NamedTuple

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain

STRUCT = "xen_memory_reservation"
_LARGEST_ORDER = 18  # 1 GiB: what the control domain may ask for
_SELF = 0x7FF0


class _Asked(NamedTuple):
    """What is asked for: where the frames are listed, how many extents of 2**order pages, and for whom."""

    frames: int
    extents: int
    order: int
    domain: Domain


def _asked(xen: Machine, address: int) -> _Asked | None:
    """None for what Xen does nothing about: a domain that there is not, extents that are too large."""
    members = ("extent_start", "nr_extents", "extent_order", "domid")
    frames, extents, order, domid = xen.get(xen.struct(address, STRUCT), STRUCT, *members)
    domain = xen.world.domain(0 if domid == _SELF else domid)
    if domain is None or domain.dying or order > _LARGEST_ORDER or not frames:
        return None
    return _Asked(frames, extents, order, domain)


def populate_physmap(xen: Machine, address: int) -> int:
    """As many extents as the domain may have, and the host has; a PV domain is told their machine frames."""
    asked = _asked(xen, address)
    if asked is None:
        return 0
    domain, pages = asked.domain, 1 << asked.order
    room = min(domain.max_pages - domain.tot_pages, xen.world.free_pages)
    done = max(0, min(asked.extents, room // pages))
    frames = xen.at(asked.frames, 8 * asked.extents)
    for frame in frames[: 8 * done].cast("Q"):
        domain.physmap.add(range(frame, frame + pages))
    if not domain.hvm:
        first = xen.world.host.max_mfn + 1 - xen.world.free_pages
        frames[: 8 * done] = b"".join((first + index * pages).to_bytes(8, "little") for index in range(done))
    xen.world.give_pages(domain, domain.tot_pages + done * pages)
    return done


def decrease_reservation(xen: Machine, address: int) -> int:
    """Extent by extent up to the first that is not all there; of a PV domain the frames are not looked at."""
    asked = _asked(xen, address)
    if asked is None:
        return 0
    domain, pages = asked.domain, 1 << asked.order
    frames = xen.at(asked.frames, 8 * asked.extents).cast("Q")
    done = min(asked.extents, domain.tot_pages // pages)
    if domain.hvm:
        dropped = (all([domain.physmap.drop(f) for f in range(frame, frame + pages)]) for frame in frames)
        done = next((at for at, whole in enumerate(dropped) if not whole), asked.extents)
    xen.world.give_pages(domain, domain.tot_pages - done * pages)
    return done


OPERATIONS: Answers = {
    "XENMEM_populate_physmap": populate_physmap,
    "XENMEM_decrease_reservation": decrease_reservation,
}
