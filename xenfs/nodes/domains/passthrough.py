"""domains/<d>/passthrough/: which devices of the machine a domain could be given."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from xenfs.abi.numbers import DeviceFlag
from xenfs.calls import domains, pci, rights
from xenfs.calls.domains import DomainInfo
from xenfs.calls.neighbours import together
from xenfs.calls.pci import Address
from xenfs.calls.sysctl import physinfo
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_other
from xenfs.nodes.host.pci import has_iommu
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Exchange, File
from xenfs.nodes.tables.conditions import answers, every, x86
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


@contextmanager
def _node_there(xen: Hypervisor, domain: Domain, path: str) -> Iterator[None]:
    """Xen has one answer for "no such domain" and "no such node": where the domain is there, the node is not."""
    try:
        yield
    except HypercallError as problem:
        if problem.errno == errno.ESRCH and domains.info_now(xen, domain.domid) is not None:
            raise BadInput("Xen knows no such node, or the domain has not got it", errno.ERANGE, word=path) from problem
        raise


@formed("PCI device such as 0000:00:1f.2, or on Arm the path of a node of the device tree", ranged=True)
def asked_device(text: str) -> Address | str:
    """A PCI device, or the path of a device in the device tree."""
    return parse.tree_path(text) if text.lstrip(" \t").startswith("/") else device(text)


def _test(xen: Hypervisor, domain: Domain, asked: Address | str) -> bool:
    if isinstance(asked, str):
        if x86(xen):
            raise BadInput("there is no device tree on x86", errno.ERANGE, at=0)
        with _node_there(xen, domain, asked):
            return rights.node_assignable(xen, domain.domid, asked)
    if not x86(xen) or asked not in pci.nodes(xen, [asked]):
        raise BadInput("Xen knows no such device", errno.ERANGE, at=0)
    return pci.assignable(xen, asked, domain.domid)


@formed('"+" and a PCI device such as 0000:00:1f.2, with rdm_relaxed or without, or "-" and a device')
def assignment(text: str) -> tuple[bool, Address, int]:
    """Whether it is given, which device, and flags."""
    words = text.strip(" \t").split(" ")
    if words[0][:1] not in ("+", "-") or len(words) > 2:
        raise BadInput('must be "+" or "-" and a PCI device such as 0000:00:1f.2', at=0)
    given = words[0][0] == "+"
    if len(words) == 2 and not (given and words[1] == "rdm_relaxed"):
        raise BadInput("only rdm_relaxed may stand behind a device that is given", word=words[1] or None, at=0)
    return given, device(words[0][1:]), DeviceFlag.RDM_RELAXED if len(words) == 2 else 0


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


@formed('"+" and the path of a node of the device tree, such as +/soc/ethernet@1, or "-" and a path')
def node_change(text: str) -> tuple[bool, str]:
    """Whether it is given, and the path of which node."""
    word = text.strip(" \t")
    if word[:2] not in ("+/", "-/"):
        raise BadInput('must be "+" or "-" and a path such as /soc/ethernet@1', at=0)
    return word[0] == "+", parse.tree_path(word[1:])


def _assign_node(xen: Hypervisor, domain: Domain, wanted: tuple[bool, str]) -> None:
    given, path = wanted
    with _node_there(xen, domain, path):
        (rights.assign_node if given else rights.deassign_node)(xen, domain.domid, path)


_PCI: dict[str, Any] = {"when": answers(pci.require_pci)}
_NODES: dict[str, Any] = {"when": lambda xen: not x86(xen)}

PASSTHROUGH = Dir(
    "passthrough",
    "Devices of the machine for this domain",
    (
        Exchange(
            "test", "Write a PCI device (on Arm the path of one in the device tree), read whether it could be given to "
            "this domain: 0 where another has it", write=_test, parse=asked_device, show=show.flag, tier="B",
            errnos="ERANGE",
            call=f"{pci.PCITOPOINFO.name}, {pci.TEST_ASSIGN_DEVICE.name}, {rights.TEST_ASSIGN_NODE.name}",
        ),
        File(
            "pci", 'Write "+0000:00:1f.2" to give it a device, "-0000:00:1f.2" to take it back. A device that '
            "is in use, or misbehaves, can end the host",
            tier="C", option="debug", write=_assign, parse=assignment, write_grows=Cost.WAITS, errnos="ERANGE EBUSY",
            call=f"{pci.PCITOPOINFO.name}, {pci.TEST_ASSIGN_DEVICE.name}, {rights.ASSIGN_PCI.name}, "
            f"{rights.DEASSIGN_PCI.name}", **_PCI,
        ),
        File(
            "dt", 'Write "+/soc/ethernet@1" to give it a device of the device tree, "-/soc/ethernet@1" to take it '
            "back. A device that is in use, or misbehaves, can end the host",
            tier="C", option="debug", write=_assign_node, parse=node_change, write_grows=Cost.WAITS, errnos="ERANGE",
            call=f"{rights.ASSIGN_NODE.name}, {rights.DEASSIGN_NODE.name}", **_NODES,
        ),
    ),
    when=every(answers(physinfo), has_iommu),
    only=_takes_devices,
)  # fmt: skip
