"""Disks that QEMU serves: whose they are says xenstore, what has gone through them QEMU.

A QEMU may be in its guest's hands. What it says counts for devices of its own domain, and of those only for such as the
toolstack has made.
"""

from __future__ import annotations

import re

from xenfs.connect.own import own_domid
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.devices import Device
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.asking import store
from xenfs.politely import politely

BACKEND = "qdisk"
"""What xenstore calls them."""
_NUMBER = re.compile(rb"0|[1-9]\d{0,9}")


def may_be_asked(xen: Hypervisor, backend: int, kind: str) -> bool:
    """Whether a device is one of those that QEMU serves in this domain, where somebody asks it for us."""
    return kind == BACKEND and xen.qemus is not None and backend == own_domid(xen)


def there(xen: Hypervisor, domain: Domain) -> bool:
    """Whether its QEMU can be asked, as of a moment ago."""
    qemus = xen.qemus
    return qemus is not None and xen.recent.answer((BACKEND, domain), lambda: qemus.there(domain.domid))


def one(xen: Hypervisor, domain: Domain, number: int) -> dict[str, int] | None:
    """The counters of one disk, as they were half a second ago at most."""
    found = None if xen.qemus is None else xen.qemus.of(domain.domid).get(number)
    return None if found is None else found._asdict()


def counted(xen: Hypervisor) -> dict[Device, dict[str, int]]:
    """Those of all disks, of QEMUs that answer in time."""
    if xen.qemus is None:
        return {}
    with xen.names.waiting():
        told, made = xen.qemus.of_all(), xen.qemus.made
    for gone in made.keys() - told.keys():
        made.pop(gone, None)
    for domid, disks in politely(told.items()):
        if not made.get(domid, frozenset()).issuperset(disks):
            made[domid] = _made(xen, domid)
    return {
        Device("vbd", domid, number): disk._asdict()
        for domid, disks in politely(told.items())
        for number, disk in disks.items()
        if number in made.get(domid, ())
    }


def _made(xen: Hypervisor, domid: int) -> frozenset[int]:
    """The disks that the toolstack has made for a domain: asked where QEMU tells of one that was not known."""
    home = f"/local/domain/{own_domid(xen)}/backend/{BACKEND}/{domid}"
    with xen.names.waiting():
        names = xen.names.listed(lambda: store(xen).directory(home) or [], list[bytes]())
    return frozenset(int(name) for name in names if _NUMBER.fullmatch(name))
