"""host/pci/: the PCI devices that Xen knows, and domains/<d>/passthrough/, which of them a domain could be given."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from xenfs.abi.numbers import PhysCap
from xenfs.calls import memory, pci
from xenfs.calls.domains import DomainInfo
from xenfs.calls.neighbours import together
from xenfs.calls.pci import Address
from xenfs.calls.sysctl import physinfo
from xenfs.errors import BadInput, NotThere
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes import names, show
from xenfs.nodes.base import Dir, Each, Exchange, File
from xenfs.nodes.conditions import answers, every, x86
from xenfs.nodes.own import is_other


def _listed(xen: Hypervisor) -> list[tuple[str, Address]]:
    return list(pci.known(xen, xen.backend.pci_devices()).items())


def _find(xen: Hypervisor, name: str) -> Address | None:
    return pci.known(xen, [name]).get(name) if name in xen.backend.pci_devices() else None


def _node(xen: Hypervisor, device: Address) -> int:
    found = pci.nodes(xen, [device]).get(device)
    if found is None:
        raise NotThere(f"PCI device: {device}")
    return found


def _assigned(xen: Hypervisor, device: Address) -> bool:
    """Xen has one answer for "a guest has it" and "there is no such device": the second is looked for first."""
    _node(xen, device)
    return not pci.assignable(xen, device)


def _reserved(xen: Hypervisor, device: Address) -> str:
    return show.lines(f"{start:#x} {count}" for start, count in memory.reserved_device_memory(xen, device))


def _group(xen: Hypervisor, device: Address) -> str:
    return show.lines(sorted(map(str, pci.group(xen, device, names.own_domid(xen)))))


def _has_iommu(xen: Hypervisor) -> bool:
    return bool(physinfo(xen).capabilities & PhysCap.directio)


def _groups(xen: Hypervisor) -> None:
    pci.group(xen, Address(0, 0, 0), names.own_domid(xen))


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
                        when=every(_has_iommu, pci.bears_no_domain),
                        since="4.15",
                    ),
                    File(
                        "iommu_group", "Other devices of this domain that the IOMMU cannot tell from it", read=_group,
                        format="one a line",
                        call=pci.GET_DEVICE_GROUP.name, tier="C", option="debug",
                        when=every(_has_iommu, answers(_groups)),
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
    when=answers(pci.knows_devices),
    volatile=True,
)  # fmt: skip


def device(text: str) -> Address:
    """A device such as 0000:00:1f.2; the segment may be left out."""
    word = text.strip(" \t")
    found = Address.parse(word if word.count(":") > 1 else f"0000:{word}")
    if found is None:
        raise BadInput("not a PCI device such as 0000:00:1f.2", word=word or None, at=0)
    return found


@together
def _have_iommu(xen: Hypervisor, infos: Sequence[DomainInfo]) -> list[bool]:
    return pci.have_iommu(xen, [info.domain for info in infos])


def _takes_devices(xen: Hypervisor, domain: Domain) -> bool:
    return is_other(xen, domain) and _have_iommu(xen, domain)


def _test(xen: Hypervisor, domain: Domain, asked: Address) -> bool:
    if asked not in pci.nodes(xen, [asked]):
        raise BadInput("Xen knows no such device", errno.ERANGE, at=0)
    return pci.assignable(xen, asked, domain.domid)


PASSTHROUGH = Dir(
    "passthrough",
    "Devices of the machine for this domain",
    (
        Exchange(
            "test", "Write a PCI device, read whether it could be given to this domain: 0 where another has it",
            write=_test, parse=device, show=show.flag, tier="B",
            call=f"{pci.PCITOPOINFO.name}, {pci.TEST_ASSIGN_DEVICE.name}",
        ),
    ),
    when=every(answers(pci.knows_devices), _has_iommu),
    only=_takes_devices,
)  # fmt: skip
