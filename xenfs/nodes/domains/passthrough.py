"""domains/<d>/passthrough/: which devices of the machine a domain could be given."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from xenfs.calls import pci, rights
from xenfs.calls.domains import DomainInfo
from xenfs.calls.neighbours import together
from xenfs.calls.pci import Address
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_other
from xenfs.nodes.host.pci import has_iommu
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Exchange, File
from xenfs.nodes.tables.conditions import answers, every
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed


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


_RDM_RELAXED = 1  # XEN_DOMCTL_DEV_RDM_RELAXED


@formed('"+" and a PCI device such as 0000:00:1f.2, with rdm_relaxed or without, or "-" and a device')
def assignment(text: str) -> tuple[bool, Address, int]:
    """Whether it is given, which device, and flags."""
    words = text.strip(" \t").split(" ")
    if words[0][:1] not in ("+", "-") or len(words) > 2:
        raise BadInput('must be "+" or "-" and a PCI device such as 0000:00:1f.2', at=0)
    given = words[0][0] == "+"
    if len(words) == 2 and not (given and words[1] == "rdm_relaxed"):
        raise BadInput("only rdm_relaxed may stand behind a device that is given", word=words[1] or None, at=0)
    return given, device(words[0][1:]), _RDM_RELAXED if len(words) == 2 else 0


def _assign(xen: Hypervisor, domain: Domain, wanted: tuple[bool, Address, int]) -> None:
    given, which, flags = wanted
    if which not in pci.nodes(xen, [which]):
        raise BadInput("Xen knows no such device", errno.ERANGE, at=1)
    if not given:
        rights.deassign(xen, domain.domid, which)
    elif not pci.assignable(xen, which, domain.domid):
        raise BadInput("a guest, or Xen itself, has this device", errno.EBUSY, at=1)
    else:
        rights.assign(xen, domain.domid, which, flags)


PASSTHROUGH = Dir(
    "passthrough",
    "Devices of the machine for this domain",
    (
        Exchange(
            "test", "Write a PCI device, read whether it could be given to this domain: 0 where another has it",
            write=_test, parse=device, show=show.flag, tier="B",
            call=f"{pci.PCITOPOINFO.name}, {pci.TEST_ASSIGN_DEVICE.name}",
        ),
        File(
            "pci", 'Write "+0000:00:1f.2" to give it a device, "-0000:00:1f.2" to take it back. A device that '
            "is in use, or misbehaves, can end the host",
            tier="C", option="debug", write=_assign, parse=assignment, write_grows=Cost.WAITS, errnos="ERANGE EBUSY",
            call=f"{pci.PCITOPOINFO.name}, {pci.TEST_ASSIGN_DEVICE.name}, {rights.ASSIGN_PCI.name}, "
            f"{rights.DEASSIGN_PCI.name}",
        ),
    ),
    when=every(answers(pci.require_pci), has_iommu),
    only=_takes_devices,
)  # fmt: skip
