"""dm_op: what a device model may do to an HVM or PVH domain. The struct is the first of its buffers."""

from __future__ import annotations

from xenfs.abi.numbers import DmOp, Hypercall
from xenfs.abi.operations.grammar import Family, Switch, changes, ends, looks, one_of
from xenfs.abi.operations.model import ARM, X86, Argument, Way, memory, plain

_TABLE = Family(
    Hypercall.dm_op, struct="struct xen_dm_op", union="u", cmd="op", domain="domid",
    arguments=(plain("domid", "domid_t"), Argument("nr_buffers"), Argument("buffers")),
    simulated="nr_vcpus get_ioreq_server_info inject_event inject_msi",
)  # fmt: skip

OPERATIONS = _TABLE.operations(
    changes(DmOp.create_ioreq_server, takes="handle_bufioreq", gives="id"),
    one_of(
        DmOp.get_ioreq_server_info, "flags",
        changes(Switch.off, word="", why="Xen maps the server's pages into the domain at the first question"),
        looks(Switch.on, word="no_gfns"),
        gives="bufioreq_port ioreq_gfn bufioreq_gfn",
    ),
    changes(DmOp.map_io_range_to_ioreq_server),
    changes(DmOp.unmap_io_range_from_ioreq_server),
    changes(DmOp.set_ioreq_server_state, repeatable=True),
    changes(DmOp.destroy_ioreq_server),
    changes(
        DmOp.track_dirty_vram, when=X86, guest="HVM", slow=True,
        further=(memory("dirty_bitmap", "bit[nr]", Way.OUT),),
        why="the bits of what was written since the last question; asking clears them",
    ),
    changes(DmOp.set_pci_intx_level, when=X86, guest="HVM", repeatable=True),
    changes(DmOp.set_isa_irq_level, when=X86, guest="HVM", repeatable=True),
    changes(DmOp.set_pci_link_route, when=X86, guest="HVM", repeatable=True),
    changes(
        DmOp.modified_memory, when=X86, guest="HVM", repeatable=True, slow=True,
        further=(memory("extents", "struct xen_dm_op_modified_memory_extent[nr_extents]", Way.IN),),
    ),
    changes(DmOp.set_mem_type, when=X86, guest="HVM", repeatable=True, slow=True),
    changes(DmOp.inject_event, when=X86, guest="HVM"),
    changes(DmOp.inject_msi, when=X86, guest="HVM"),
    changes(DmOp.map_mem_type_to_ioreq_server, when=X86, guest="HVM", slow=True),
    ends(DmOp.remote_shutdown, when=X86, guest="HVM"),
    changes(DmOp.relocate_memory, when=X86, guest="HVM", slow=True),
    changes(DmOp.pin_memory_cacheattr, when=X86, guest="HVM"),
    changes(DmOp.set_irq_level, when=f"{ARM} and xen >= 4.15", repeatable=True),
    looks(DmOp.nr_vcpus, gives="*", when="xen >= 4.15"),
)  # fmt: skip
