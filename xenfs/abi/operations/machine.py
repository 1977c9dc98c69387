"""What a control domain asks of the machine beside platform_op: machine checks, kexec, counters, interrupts."""

from __future__ import annotations

from xenfs.abi.numbers import (
    DebugPort,
    Hypercall,
    Interface,
    KexecOp,
    Limit,
    McaOp,
    PhysdevOp,
    PmuOp,
)
from xenfs.abi.operations.grammar import OWN_VCPU, Family, changes, looks, one_of
from xenfs.abi.operations.model import CMD, STRUCT, X86

_MCA = Family(
    Hypercall.mca, struct="struct xen_mc", union="u", cmd="cmd", version="interface_version",
    speaks=Interface.XEN_MCA_INTERFACE_VERSION, when=X86, dom0="PV",
    simulated="fetch physcpuinfo msrinject mceinject inject_v2",
)  # fmt: skip
_KEXEC = Family(
    Hypercall.kexec_op,
    arguments=(CMD, STRUCT),
    when=X86,
    dom0="PV",
    simulated="kexec kexec_get_range kexec_load kexec_unload kexec_status",
)
_PMU = Family(
    Hypercall.xenpmu_op, struct="struct xen_pmu_params", arguments=(CMD, STRUCT), when=X86,
    simulated="mode_get mode_set feature_get feature_set",
)  # fmt: skip
_PHYSDEV = Family(Hypercall.physdev_op, arguments=(CMD, STRUCT), simulated="apic_read")

_DEVICE = "struct physdev_pci_device"
_MSIX = "of a device without MSI-X Xen follows a null pointer"

MCA = _MCA.operations(
    looks(
        McaOp.fetch, arm="mc_fetch", gives="fetch_id data", both="flags", repeatable=False,
        why="dom0's kernel reads the same records, and who acknowledges one takes it from the other",
    ),
    looks(
        McaOp.physcpuinfo, arm="mc_physcpuinfo", gives="info", both="ncpus", room="ncpus", cpus="ncpus",
        why="each online CPU writes into an array that Xen makes for ncpus of them: with fewer Xen ends",
    ),
    changes(
        McaOp.msrinject, arm="mc_msrinject", dangerous=True, at_most={"mcinj_count": int(Limit.MC_MSRINJ_MAXMSRS)}
    ),
    changes(McaOp.mceinject, arm="mc_mceinject", dangerous=True),
    changes(McaOp.inject_v2, arm="mc_inject_v2", dangerous=True),
)  # fmt: skip

KEXEC = _KEXEC.operations(
    changes(KexecOp.kexec, struct="struct xen_kexec_exec", dangerous=True, why="starts the loaded kernel at once"),
    changes(KexecOp.kexec_load_v1, struct="struct xen_kexec_load_v1", dangerous=True),
    changes(KexecOp.kexec_unload_v1, struct="struct xen_kexec_load_v1", dangerous=True),
    looks(KexecOp.kexec_get_range, struct="struct xen_kexec_range", takes="range nr", gives="*"),
    changes(KexecOp.kexec_load, struct="struct xen_kexec_load", dangerous=True, slow=True),
    changes(KexecOp.kexec_unload, struct="struct xen_kexec_unload", repeatable=True),
    looks(KexecOp.kexec_status, struct="struct xen_kexec_status", why="the result is 1 where an image is loaded"),
)  # fmt: skip

PMU = _PMU.operations(
    looks(PmuOp.mode_get, gives="version val"),
    changes(PmuOp.mode_set, slow=True),
    looks(PmuOp.feature_get, gives="version val"),
    changes(PmuOp.feature_set, slow=True),
    changes(PmuOp.init, bare=OWN_VCPU),
    changes(PmuOp.finish, bare=OWN_VCPU),
    changes(PmuOp.lvtpc_set, struct="", bare=OWN_VCPU),
    changes(PmuOp.flush, struct="", bare=OWN_VCPU),
)  # fmt: skip

PHYSDEV = _PHYSDEV.operations(
    looks(PhysdevOp.irq_status_query, struct="struct physdev_irq_status_query", gives="flags", when=X86),
    changes(PhysdevOp.set_iopl, struct="struct physdev_set_iopl", when=X86, dom0="PV", bare=OWN_VCPU),
    changes(PhysdevOp.set_iobitmap, struct="struct physdev_set_iobitmap", when=X86, dom0="PV", bare=OWN_VCPU),
    looks(PhysdevOp.apic_read, struct="struct physdev_apic", gives="value", when=X86, dom0="PV"),
    changes(PhysdevOp.apic_write, struct="struct physdev_apic", when=X86, dom0="PV", dangerous=True),
    changes(PhysdevOp.alloc_irq_vector, struct="struct physdev_irq", gives="vector", when=X86, dom0="PV"),
    changes(PhysdevOp.eoi, struct="struct physdev_eoi", when=X86, repeatable=True),
    changes(
        PhysdevOp.map_pirq, struct="struct physdev_map_pirq", both="pirq entry_nr", domain="domid", when=X86,
    ),
    changes(PhysdevOp.unmap_pirq, struct="struct physdev_unmap_pirq", domain="domid", when=X86),
    changes(PhysdevOp.manage_pci_add, struct="struct physdev_manage_pci", when=X86, dom0="PV", dangerous=True),
    changes(PhysdevOp.manage_pci_remove, struct="struct physdev_manage_pci", when=X86, dom0="PV", dangerous=True),
    changes(
        PhysdevOp.pirq_eoi_gmfn_v1, struct="struct physdev_pirq_eoi_gmfn", when=X86, dom0="PV",
        bare="Xen writes to that page of the caller's kernel from then on",
    ),
    changes(PhysdevOp.restore_msi, struct="struct physdev_restore_msi", when=X86, dom0="PV", repeatable=True),
    changes(
        PhysdevOp.manage_pci_add_ext, struct="struct physdev_manage_pci_ext", when=X86, dom0="PV", dangerous=True
    ),
    changes(PhysdevOp.setup_gsi, struct="struct physdev_setup_gsi", when=X86, repeatable=True),
    changes(
        PhysdevOp.get_free_pirq, struct="struct physdev_get_free_pirq", gives="pirq", when=X86,
        why="what comes back is taken from then on",
    ),
    changes(
        PhysdevOp.pci_mmcfg_reserved, struct="struct physdev_pci_mmcfg_reserved", when=X86, repeatable=True
    ),
    changes(PhysdevOp.pci_device_add, struct="struct physdev_pci_device_add", dangerous=True),
    changes(PhysdevOp.pci_device_remove, struct=_DEVICE, dangerous=True),
    changes(PhysdevOp.restore_msi_ext, struct=_DEVICE, when=X86, dom0="PV", repeatable=True),
    changes(
        PhysdevOp.pirq_eoi_gmfn_v2, struct="struct physdev_pirq_eoi_gmfn", when=X86, dom0="PV",
        bare="Xen writes to that page of the caller's kernel from then on",
    ),
    one_of(
        PhysdevOp.dbgp_op, "op",
        changes(DebugPort.RESET_PREPARE),
        changes(DebugPort.RESET_DONE),
        struct="struct physdev_dbgp_op", when=X86,
    ),
    changes(PhysdevOp.prepare_msix, struct=_DEVICE, when=X86, dangerous=True, why=_MSIX),
    changes(PhysdevOp.release_msix, struct=_DEVICE, when=X86, dangerous=True, why=_MSIX),
    changes(PhysdevOp.pci_device_reset, struct="struct pci_device_reset", when="xen >= 4.20"),
)  # fmt: skip

OPERATIONS = MCA + KEXEC + PMU + PHYSDEV
