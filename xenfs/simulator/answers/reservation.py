"""memory_op: giving a domain memory, and taking it back. The result is how many extents were done, not an errno."""

from __future__ import annotations

from errno import EINVAL, ENOENT, ENOSYS
from typing import NamedTuple

from xenfs.simulator.answers.foreign import pv_frames
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world import grants
from xenfs.simulator.world.domains import Domain

STRUCT = "xen_memory_reservation"
_LARGEST_ORDER = 18  # 1 GiB: what the control domain may ask for


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
    domain = xen.world.any_domain(domid)
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
    given = frames[: 8 * done].cast("Q")
    for index, frame in enumerate(given):
        domain.physmap.add(range(frame, frame + pages))
        if not domain.hvm:
            given[index] = pv_frames(domain).mfn(frame)
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


def add_to_physmap(xen: Machine, address: int) -> int:
    """Of what can be put into a domain's memory only the first page of its grant table."""
    struct = "xen_add_to_physmap"
    domid, space, index, frame = xen.get(xen.struct(address, struct), struct, "domid", "space", "idx", "gpfn")
    domain = xen.world.remote(domid)
    if space != xen.constant("XENMAPSPACE_grant_table"):
        return -ENOSYS
    if not domain.hvm or index:
        return -EINVAL
    domain.physmap.place(frame, grants.table(domain))
    return 0


def remove_from_physmap(xen: Machine, address: int) -> int:
    """Take a page out of a domain's memory, wherever else it lies; ENOENT where there is none."""
    struct = "xen_remove_from_physmap"
    domid, frame = xen.get(xen.struct(address, struct), struct, "domid", "gpfn")
    return 0 if xen.world.remote(domid).physmap.drop(frame) else -ENOENT


OPERATIONS: Answers = {
    "XENMEM_add_to_physmap": add_to_physmap,
    "XENMEM_remove_from_physmap": remove_from_physmap,
    "XENMEM_populate_physmap": populate_physmap,
    "XENMEM_decrease_reservation": decrease_reservation,
}
