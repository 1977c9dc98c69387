"""Grant tables of pretended domains: a page of entries, of the first version, made when it is first asked for."""

from __future__ import annotations

from struct import Struct

from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.physmap import PAGE

STORE_GRANT = 1  # the entry by which xenstored maps a domain's ring
_ENTRY, _PERMIT_ACCESS = Struct("<HHI"), 1
_KEPT = "grant_table"


def table(domain: Domain) -> bytearray:
    """The first page of its grant table."""
    page: bytearray = domain.kept.setdefault(_KEPT, bytearray(PAGE))
    return page


def granted_to_control(domain: Domain, entry: int) -> int | None:
    """The frame that an entry lets the control domain map; None where it lets nobody, or somebody else."""
    flags, domid, frame = _ENTRY.unpack_from(table(domain), entry * _ENTRY.size)
    return frame if (flags, domid) == (_PERMIT_ACCESS, 0) else None
