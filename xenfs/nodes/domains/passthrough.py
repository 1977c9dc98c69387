"""domains/<d>/passthrough/: which devices of the machine a domain could be given."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from xenfs.calls import pci
from xenfs.calls.domains import DomainInfo
from xenfs.calls.neighbours import together
from xenfs.calls.pci import Address
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_other
from xenfs.nodes.host.pci import has_iommu
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Exchange
from xenfs.nodes.tables.conditions import answers, every


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
    when=every(answers(pci.require_pci), has_iommu),
    only=_takes_devices,
)  # fmt: skip
