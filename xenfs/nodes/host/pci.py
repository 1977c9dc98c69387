"""host/pci/: the PCI devices that Xen knows."""

from __future__ import annotations

from xenfs.abi.numbers import PhysCap
from xenfs.calls import memory, pci
from xenfs.calls.pci import Address
from xenfs.calls.sysctl import physinfo
from xenfs.connect.own import own_domid
from xenfs.errors import there
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.conditions import answers, every, x86


def _listed(xen: Hypervisor) -> list[tuple[str, Address]]:
    return list(pci.known(xen, xen.backend.pci_devices()).items())


def _find(xen: Hypervisor, name: str) -> Address | None:
    return pci.known(xen, [name]).get(name) if name in xen.backend.pci_devices() else None


def _node(xen: Hypervisor, device: Address) -> int:
    return there(pci.nodes(xen, [device]).get(device), f"PCI device: {device}")


def _assigned(xen: Hypervisor, device: Address) -> bool:
    """Xen has one answer for "a guest has it" and "there is no such device": the second is looked for first."""
    _node(xen, device)
    return not pci.assignable(xen, device)


def _reserved(xen: Hypervisor, device: Address) -> str:
    return show.lines(f"{start:#x} {count}" for start, count in memory.reserved_device_memory(xen, device))


def _group(xen: Hypervisor, device: Address) -> str:
    return show.lines(sorted(map(str, pci.group(xen, device, own_domid(xen)))))


def has_iommu(xen: Hypervisor) -> bool:
    """Whether devices can be given to guests at all."""
    return bool(physinfo(xen).capabilities & PhysCap.directio)


def _groups(xen: Hypervisor) -> None:
    pci.group(xen, Address(0, 0, 0), own_domid(xen))


PCI = Dir(
    "pci",
    "PCI devices that Xen knows, by segment, bus, device and function",
    (
        Each(
            label="<sbdf>",
            list=_listed,
            find=_find,
            node=Dir(
                "<sbdf>",
                "A PCI device",
                (
                    File(
                        "numa_node", "NUMA node that it is on, -1 unknown", read=_node, show=show.dec,
                        call=pci.PCITOPOINFO.name, tier="B",
                    ),
                    File(
                        "assigned", "Whether a guest, or Xen itself, has it", read=_assigned, show=show.flag,
                        call=f"{pci.PCITOPOINFO.name}, {pci.TEST_ASSIGN_DEVICE.name}", tier="B",
                        when=every(has_iommu, pci.bears_no_domain),
                        since="4.15",
                    ),
                    File(
                        "iommu_group", "Other devices of this domain that the IOMMU cannot tell from it", read=_group,
                        format="one a line",
                        call=pci.GET_DEVICE_GROUP.name, tier="C", option="debug",
                        when=every(has_iommu, answers(_groups)),
                    ),
                    File(
                        "reserved_memory", "Ranges that it claims: first frame, number of frames", read=_reserved,
                        format='"start_pfn nr" lines',
                        call=memory.RESERVED_DEVICE_MEMORY_MAP.name, tier="B",
                        when=every(x86, answers(memory.reserved_device_memory)),
                    ),
                ),
            ),
        ),
    ),
    when=answers(pci.require_pci),
    volatile=True,
)  # fmt: skip
