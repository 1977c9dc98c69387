"""Numbers of the memory_op and hypfs_op hypercalls.

Each docstring starts with the pattern of the names in Xen's headers. "4.18+" and the like: only there.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Memory(IntEnum):
    """XENMEM_*: sub-operations of memory_op."""

    increase_reservation = 0
    decrease_reservation = 1
    maximum_ram_page = 2
    current_reservation = 3
    maximum_reservation = 4
    machphys_mfn_list = 5
    populate_physmap = 6
    add_to_physmap = 7
    memory_map = 9
    machine_memory_map = 10
    exchange = 11
    machphys_mapping = 12
    set_memory_map = 13
    maximum_gpfn = 14
    remove_from_physmap = 15
    set_pod_target = 16
    get_pod_target = 17
    get_sharing_freed_pages = 18
    get_sharing_shared_pages = 19
    paging_op = 20
    access_op = 21
    sharing_op = 22
    add_to_physmap_batch = 23
    claim_pages = 24
    machphys_compat_mfn_list = 25
    get_vnumainfo = 26
    reserved_device_memory_map = 27
    acquire_resource = 28


class MemAccess(IntEnum):
    """XENMEM_access_*: access rights. For "default", 10 or 11, see access_default."""

    n = 0
    r = 1
    w = 2
    rw = 3
    x = 4
    rx = 5
    wx = 6
    rwx = 7
    rx2rw = 8
    n2rwx = 9
    r_pw = 10  # 4.20+


class AccessOp(IntEnum):
    """XENMEM_access_op_*: access_op operations."""

    set_access = 0
    get_access = 1
    set_access_multi = 4


class SharingOp(IntEnum):
    """XENMEM_sharing_op_*: sharing_op operations."""

    nominate_gfn = 0
    nominate_gref = 1
    share = 2
    debug_gfn = 3
    debug_mfn = 4
    debug_gref = 5
    add_physmap = 6
    audit = 7
    range_share = 8
    fork = 9
    fork_reset = 10


class PagingOp(IntEnum):
    """XENMEM_paging_op_*: paging_op operations."""

    nominate = 0
    evict = 1
    prep = 2


class ForkFlag(IntFlag):
    """XENMEM_FORK_*: flags of sharing_op fork and fork_reset."""

    WITH_IOMMU_ALLOWED = 0x1
    BLOCK_INTERRUPTS = 0x2
    RESET_STATE = 0x4  # 4.17+
    RESET_MEMORY = 0x8  # 4.17+


class MapSpace(IntEnum):
    """XENMAPSPACE_*: what add_to_physmap puts into a domain's memory."""

    shared_info = 0
    grant_table = 1
    gmfn_foreign = 4
    dev_mmio = 5  # Arm


class Resource(IntEnum):
    """XENMEM_resource_*: types of acquire_resource."""

    ioreq_server = 0
    grant_table = 1
    vmtrace_buf = 2  # 4.15+


class RdmFlag(IntFlag):
    """XENMEM_RDM_*: flags of reserved_device_memory_map."""

    ALL = 0x1


class HypfsOp(IntEnum):
    """XEN_HYPFS_OP_*: sub-operations of hypfs_op."""

    get_version = 0
    read = 1
    write_contents = 2


class HypfsType(IntEnum):
    """XEN_HYPFS_TYPE_*: types of a hypfs entry."""

    DIR = 0
    BLOB = 1
    STRING = 2
    UINT = 3
    INT = 4
    BOOL = 5


class HypfsEncoding(IntEnum):
    """XEN_HYPFS_ENC_*: encodings of a hypfs entry."""

    PLAIN = 0
    GZIP = 1


def access_default(release: tuple[int, ...]) -> int:
    """The number of "default" access: r_pw took its old value in 4.20, and nothing tells them apart."""
    return 11 if release >= (4, 20) else 10
