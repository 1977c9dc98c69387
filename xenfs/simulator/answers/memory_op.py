"""memory_op: how much memory there is, how it is laid out, and how much of it a domain has."""

from __future__ import annotations

from errno import EINVAL, ENOBUFS, ENOSYS, ESRCH

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.refused import Refused

E820_MOST = 1024
E820_BYTES = 20  # a packed struct: start, bytes, type


def maximum_ram_page(xen: Machine, address: int) -> int:
    """The number of the frame after the last."""
    return xen.world.host.max_mfn + 1


def current_reservation(xen: Machine, address: int) -> int:
    """Pages that a domain has."""
    return _domain_at(xen, address).tot_pages


def maximum_reservation(xen: Machine, address: int) -> int:
    """Pages that a domain may have; cut as a signed long would be."""
    return _domain_at(xen, address).max_pages


def maximum_gpfn(xen: Machine, address: int) -> int:
    """The highest guest frame; of a PV domain, the length of its own table less one."""
    return _domain_at(xen, address).physmap.top


def frames_of(domain: Domain) -> int:
    """The number after the last guest frame; 0 without memory."""
    return domain.physmap.top + 1 if domain.tot_pages else 0


def is_gone(domain: Domain, frame: int) -> bool:
    """Whether there is no memory behind a frame that is not beyond the last."""
    return not domain.physmap.has(frame)


def _domain_at(xen: Machine, address: int) -> Domain:
    # Older headers have no struct here, only a bare domid: the same two bytes.
    domid = int.from_bytes(xen.at(address, 2), "little")
    domain = xen.world.any_domain(domid)
    if domain is None:
        raise Refused(ESRCH)
    return domain


def claim_pages(xen: Machine, address: int) -> int:
    """Promise a domain memory that it does not have yet; zero pages end the promise."""
    struct = "xen_memory_reservation"
    extents, pages, order, flags, domid = xen.get(
        xen.struct(address, struct),
        struct,
        "extent_start",
        "nr_extents",
        "extent_order",
        "mem_flags",
        "domid",
    )
    domain = xen.world.domain(domid)
    if extents or order or flags or domain is None:
        return -EINVAL
    xen.world.claim(domain, pages)
    return 0


def machine_memory_map(xen: Machine, address: int) -> int:
    """The firmware's map of memory; only the number of its entries without a buffer."""
    op = xen.struct(address, "xen_memory_map")
    room, buffer = xen.get(op, "xen_memory_map", "nr_entries", "buffer")
    entries = xen.world.host.memory_map()
    if buffer:
        if room < len(entries) + 1:
            return -EINVAL
        packed = [_e820(*entry) for entry in entries]
        xen.at(buffer, room * E820_BYTES)[: len(packed) * E820_BYTES] = b"".join(packed)
    xen.put(op, "xen_memory_map", nr_entries=len(entries))
    return 0


def memory_map(xen: Machine, address: int) -> int:
    """The caller's own map, as much as there is room for; ENOSYS where it was given none."""
    op = xen.struct(address, "xen_memory_map")
    room, buffer = xen.get(op, "xen_memory_map", "nr_entries", "buffer")
    entries = xen.world.domains[0].kept.get("e820", [])
    if not entries and xen.settings.dom0 == "pvh":
        entries = [_e820(*entry) for entry in xen.world.host.memory_map()]
    if not entries:
        return -ENOSYS
    xen.copy_out(buffer, b"".join(entries[:room]))
    xen.put(op, "xen_memory_map", nr_entries=min(room, len(entries)))
    return 0


def set_memory_map(xen: Machine, address: int) -> int:
    """A domain's map, whatever it says."""
    op, struct = xen.struct(address, "xen_foreign_memory_map"), "xen_foreign_memory_map"
    (domid,) = xen.get(op, struct, "domid")
    count, buffer = xen.get(op[xen.layouts.offset(struct, "map") :], "xen_memory_map", "nr_entries", "buffer")
    if count > E820_MOST:
        return -EINVAL
    domain = xen.world.domain(domid)
    if domain is None:
        return -ESRCH
    given = bytes(xen.at(buffer, count * E820_BYTES))
    domain.kept["e820"] = [given[at : at + E820_BYTES] for at in range(0, len(given), E820_BYTES)]
    return 0


def _e820(start: int, nbytes: int, kind: int) -> bytes:
    return start.to_bytes(8, "little") + nbytes.to_bytes(8, "little") + kind.to_bytes(4, "little")


def reserved_device_memory_map(xen: Machine, address: int) -> int:
    """Regions that devices need mapped one to one: of all devices or of one. ENOBUFS says how many there are."""
    struct = "xen_reserved_device_memory_map"
    op = xen.struct(address, struct)
    flags, room, buffer = xen.get(op, struct, "flags", "nr_entries", "buffer")
    every = xen.constant("XENMEM_RDM_ALL")
    if flags & ~every:
        return -EINVAL
    device = int.from_bytes(op[xen.layouts.offset(struct, "dev") :][:4], "little")
    sbdf = (device & 0xFFFF) << 16 | (device >> 16 & 0xFF) << 8 | device >> 24  # struct {u16 seg; u8 bus; u8 devfn}
    found = [
        region
        for number, regions in sorted(xen.world.host.device_memory().items())
        for region in regions
        if xen.settings.iommu and (flags & every or number == sbdf)
    ]
    packer = xen.layouts.array("xen_reserved_device_memory", "start_pfn", "nr_pages")
    xen.copy_out(buffer, b"".join(packer.pack(*region) for region in found[:room]))
    xen.put(op, struct, nr_entries=len(found))
    return -ENOBUFS if room < len(found) else 0


def get_sharing_freed_pages(xen: Machine, address: int) -> int:
    """Pages that sharing saves; none where nothing is shared, or nothing can be."""
    return xen.world.shared_pages if xen.x86 and xen.settings.sharing else 0


def get_sharing_shared_pages(xen: Machine, address: int) -> int:
    """Pages that stand for more than one."""
    return get_sharing_freed_pages(xen, address) // 2


OPERATIONS: Answers = {
    "XENMEM_maximum_ram_page": maximum_ram_page,
    "XENMEM_current_reservation": current_reservation,
    "XENMEM_maximum_reservation": maximum_reservation,
    "XENMEM_maximum_gpfn": maximum_gpfn,
    "XENMEM_claim_pages": claim_pages,
    "XENMEM_get_sharing_freed_pages": get_sharing_freed_pages,
    "XENMEM_get_sharing_shared_pages": get_sharing_shared_pages,
}
OPERATIONS_X86: Answers = {
    "XENMEM_machine_memory_map": machine_memory_map,
    "XENMEM_memory_map": memory_map,
    "XENMEM_set_memory_map": set_memory_map,
    "XENMEM_reserved_device_memory_map": reserved_device_memory_map,
}
