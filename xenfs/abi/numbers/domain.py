"""What domctl says of a domain and sets in it.

Each docstring starts with the pattern of the names in Xen's headers. "4.18+" and the like: only there.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class DomInf(IntFlag):
    """XEN_DOMINF_*: flags of getdomaininfo. Bits 16 to 23 hold the shutdown reason."""

    dying = 0x1
    hvm_guest = 0x2
    shutdown = 0x4
    paused = 0x8
    blocked = 0x10
    running = 0x20
    debugged = 0x40
    xs_domain = 0x80
    hap = 0x100


class CreateFlag(IntFlag):
    """XEN_DOMCTL_CDF_*: flags of createdomain; unknown ones are refused."""

    hvm = 0x1
    hap = 0x2
    s3_integrity = 0x4
    oos_off = 0x8
    xs_domain = 0x10
    iommu = 0x20
    nested_virt = 0x40  # 4.15+
    vpmu = 0x80  # 4.16+
    trap_unmapped_accesses = 0x100  # 4.21+


class IommuOpt(IntFlag):
    """XEN_DOMCTL_IOMMU_*: iommu_opts of createdomain."""

    no_sharept = 0x1


class Altp2mMode(IntEnum):
    """XEN_DOMCTL_ALTP2M_*: altp2m mode of createdomain, from Xen 4.19 on."""

    mixed = 1  # 4.19+
    external = 2  # 4.19+
    limited = 3  # 4.19+


class X86Emulation(IntFlag):
    """XEN_X86_EMU_*: emulation_flags of an x86 domain: a PVH guest has LAPIC alone, a PV guest none."""

    LAPIC = 0x1
    HPET = 0x2
    PM = 0x4
    RTC = 0x8
    IOAPIC = 0x10
    PIC = 0x20
    VGA = 0x40
    IOMMU = 0x80
    PIT = 0x100
    USE_PIRQ = 0x200
    VPCI = 0x400


class GicVersion(IntEnum):
    """XEN_DOMCTL_CONFIG_GIC_*: gic_version of an Arm domain."""

    NATIVE = 0
    V2 = 1
    V3 = 2


class TeeType(IntEnum):
    """XEN_DOMCTL_CONFIG_TEE_*: tee_type of an Arm domain."""

    NONE = 0
    OPTEE = 1
    FFA = 2  # 4.18+


class SciType(IntEnum):
    """XEN_DOMCTL_CONFIG_ARM_SCI_*: arm_sci_type of an Arm domain. Xen 4.21 and later."""

    NONE = 0  # 4.21+
    SCMI_SMC = 1  # 4.21+


class El1Msa(IntEnum):
    """XEN_DOMCTL_CONFIG_ARM_V8R_EL1_MSA_*: v8r_el1_msa of an Arm domain. Xen 4.22."""

    NONE = 0  # 4.22+
    PMSA = 1  # 4.22+
    VMSA = 2  # 4.22+


class DomainState(IntFlag):
    """XEN_DOMCTL_GETDOMSTATE_STATE_*: state of get_domain_state. Xen 4.21 and later."""

    EXIST = 0x1  # 4.21+
    SHUTDOWN = 0x2  # 4.21+
    DYING = 0x4  # 4.21+
    DEAD = 0x8  # 4.21+


class DomainCap(IntFlag):
    """XEN_DOMCTL_GETDOMSTATE_CAP_*: caps of get_domain_state. Xen 4.21 and later."""

    CONTROL = 0x1  # 4.21+
    HARDWARE = 0x2  # 4.21+
    XENSTORE = 0x4  # 4.21+


class Trigger(IntEnum):
    """XEN_DOMCTL_SENDTRIGGER_*: triggers. RESET and INIT are not implemented."""

    NMI = 0
    RESET = 1
    INIT = 2
    POWER = 3
    SLEEP = 4


class DeviceKind(IntEnum):
    """XEN_DOMCTL_DEV_*: what is assigned."""

    PCI = 0
    DT = 1


class DeviceFlag(IntFlag):
    """XEN_DOMCTL_DEV_*: flags of assign_device."""

    RDM_RELAXED = 0x1


class GsiFlag(IntFlag):
    """XEN_DOMCTL_GSI_*: flags of gsi_permission. Xen 4.20 and later."""

    GRANT = 0x1  # 4.20+
