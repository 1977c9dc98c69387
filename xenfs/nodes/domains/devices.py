"""domains/<d>/devices/: a domain's networks and disks, who serves them, and what has gone through them.

Who serves a device is in xenstore, written by the toolstack; what has gone through it dom0's kernel counts, where it is
the one that serves, and QEMU where that does (qdisks.py). A guest may write below its own device/, so what is there is
believed only where it names a backend of this very device.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from xenfs.calls import domains
from xenfs.calls.rows import freed
from xenfs.connect.own import own_domid
from xenfs.errors import XenfsError
from xenfs.hypervisor import devices
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.devices import BLOCK, NETWORK
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.qemu.qmp import Disk
from xenfs.nodes.domains import qdisks
from xenfs.nodes.domains.asking import has_store, number, store, word
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.cost import Cost
from xenfs.politely import politely

_BACKEND = re.compile(rb"/local/domain/(\d{1,5})/backend/([a-z0-9_]{1,16})/(\d{1,5})/(\d{1,10})")
_NUMBER = re.compile(rb"0|[1-9]\d{0,9}")
_MOST = 1024  # devices of a class: a guest that says that it has more is not believed
_STATES = ("unknown", "initialising", "init_wait", "initialised", "connected", "closing", "closed", "reconfiguring",
           "reconfigured")  # fmt: skip


class Plugged(NamedTuple):
    """A device of a domain: its class and number there, the domain that serves it, the kind of its backend, and whether
    that is a QEMU that can be asked."""

    kind: str
    number: int
    backend: int
    by: str
    by_qemu: bool = False

    def node(self, domain: Domain, name: str) -> str:
        """The path of a node that the toolstack and the backend keep of it."""
        return f"/local/domain/{self.backend}/backend/{self.by}/{domain.domid}/{self.number}/{name}"


def _plugged(xen: Hypervisor, domain: Domain, kind: str) -> list[tuple[str, Plugged]]:
    """Those of a class, by number. Not every toolstack keeps a list that the guest cannot write."""
    for home in (f"/libxl/{domain.domid}/device/{kind}", f"/local/domain/{domain.domid}/device/{kind}"):
        names = store(xen).directory(home)
        if names is not None:
            break
    numbers = sorted(int(name) for name in names or [] if _NUMBER.fullmatch(name))[:_MOST]
    served = store(xen).read_many([f"{home}/{number}/backend" for number in numbers])
    found = (_believed(domain, kind, number, raw or b"") for number, raw in zip(numbers, served, strict=True))
    listed = [each for each in found if each is not None]
    if any(qdisks.may_be_asked(xen, each.backend, each.by) for each in listed) and qdisks.there(xen, domain):
        listed = [each._replace(by_qemu=qdisks.may_be_asked(xen, each.backend, each.by)) for each in listed]
    return [(str(each.number), each) for each in listed]


def _believed(domain: Domain, kind: str, number: int, path: bytes) -> Plugged | None:
    match = _BACKEND.fullmatch(path)
    if match is None or (int(match[3]), int(match[4])) != (domain.domid, number):
        return None
    return Plugged(kind, number, int(match[1]), match[2].decode())


_THINGS = {
    "vif": ("Networks", "; without counters where another domain serves it"),
    "vbd": ("Disks", "; without counters where another domain serves it"),
}


def _each(kind: str, files: Sequence[File]) -> Dir:
    def listed(xen: Hypervisor, domain: Domain) -> Sequence[tuple[str, Plugged]]:
        return xen.names.listed(lambda: _plugged(xen, domain, kind), [])

    def find(xen: Hypervisor, domain: Domain, name: str) -> Plugged | None:
        return dict(_plugged(xen, domain, kind)).get(name)

    things, uncounted = _THINGS[kind]
    node = Dir("<n>", f"One of its {things.lower()}, by its number{uncounted}", files)
    return Dir(
        kind, f"{things} of the domain", (Each(label="<n>", list=listed, find=find, node=node),), volatile=True,
        grows=Cost.WAITS, find_grows=Cost.WAITS,
    )  # fmt: skip


def _said(node: str) -> Callable[[Hypervisor, Domain, Plugged], str]:
    def read(xen: Hypervisor, domain: Domain, plugged: Plugged) -> str:
        return word(store(xen).read(plugged.node(domain, node)))

    return read


def _text(name: str, help: str, node: str) -> File:
    """What xenstore has of it, as a line."""
    return File(name, help, read=_said(node), format="text, or empty", grows=Cost.WAITS, call="(xenstore)")


def _state(xen: Hypervisor, domain: Domain, plugged: Plugged) -> str:
    found = number(store(xen).read(plugged.node(domain, "state")))
    return "" if found is None else _STATES[found] if found < len(_STATES) else str(found)


def _device(domain: Domain, plugged: Plugged) -> devices.Device:
    return devices.Device(plugged.kind, domain.domid, plugged.number)


def _is_counted(xen: Hypervisor, domain: Domain, plugged: Plugged) -> bool:
    """Whether this domain's own kernel serves it: of what another domain or QEMU serves, it knows nothing."""
    counters = xen.backend.counters()
    if counters is None or plugged.backend != own_domid(xen) or plugged.by != plugged.kind:
        return False
    return counters.serves(_device(domain, plugged))


def _of_kernel(xen: Hypervisor, domain: Domain, plugged: Plugged) -> dict[str, int] | None:
    counters = xen.backend.counters()
    return None if counters is None else counters.one(_device(domain, plugged))


def _counter(name: str, help: str) -> File:
    def read(xen: Hypervisor, domain: Domain, plugged: Plugged) -> int:
        found = qdisks.one(xen, domain, plugged.number) if plugged.by_qemu else _of_kernel(xen, domain, plugged)
        if not found or name not in found:
            raise XenfsError("nobody counts this for the device (any more)", errno.ENODATA)
        return found[name]

    if name not in Disk._fields:
        return File(name, help, read=read, show=show.dec, only=_is_counted, call="(sysfs)")
    return File(name, help, read=read, show=show.dec, call="(sysfs), (QEMU)", grows=Cost.WAITS,
                only=lambda xen, domain, plugged: plugged.by_qemu or _is_counted(xen, domain, plugged))  # fmt: skip


_WORDS = {
    "bytes": "Bytes", "packets": "Packets", "errors": "Packets with errors", "dropped": "Packets that were dropped",
}  # fmt: skip
_HELP = {
    "rd_req": "Reads that the guest has asked for", "wr_req": "Writes that it has asked for",
    "oo_req": "Times that dom0 had no room for one of its requests", "f_req": "Flushes that it has asked for",
    "ds_req": "Discards that it has asked for", "rd_sect": "Sectors of 512 bytes that it has read",
    "wr_sect": "Sectors of 512 bytes that it has written",
}  # fmt: skip
_BOTH = (
    File("backend", "The domain that serves it", read=lambda xen, domain, plugged: plugged.backend, show=show.dec,
         call="(xenstore)"),
    File("backend_type", "By what it is served: vif, vbd, qdisk (QEMU) and others", format="one word",
         call="(xenstore)", read=lambda xen, domain, plugged: plugged.by),
    File("state", f"Of the backend: {' '.join(_STATES)}", read=_state, format="one word, or empty", grows=Cost.WAITS,
         call="(xenstore)"),
)  # fmt: skip


def _network_counters() -> Iterator[File]:
    for name in NETWORK:
        way, what = name.split("_")
        done = "received" if way == "rx" else "sent"
        yield _counter(name, f"{_WORDS[what]}, {done} by the guest: as it sees them, and not as dom0's interface does")


DEVICES = Dir(
    "devices",
    "Networks and disks, and what has gone through them",
    (
        _each("vif", (
            *_BOTH,
            _text("mac", "Its MAC address", "mac"),
            _text("bridge", "The bridge that it is connected to", "bridge"),
            _text("script", "What the toolstack runs to connect it", "script"),
            *_network_counters(),
        )),
        _each("vbd", (
            *_BOTH,
            _text("source", "The device or file behind it, as its configuration has it", "params"),
            _text("physical_device", "The device behind it, major:minor in hexadecimal", "physical-device"),
            _text("vdev", "Its name for the guest", "dev"),
            _text("mode", "w where the guest may write, r where not", "mode"),
            *(_counter(name, _HELP[name]) for name in BLOCK),
        )),
    ),
    when=has_store,
)  # fmt: skip


def counted(xen: Hypervisor) -> dict[devices.Device, dict[str, int]]:
    """What has gone through each device that this domain's own kernel serves."""
    counters = xen.backend.counters()
    return {} if counters is None else counters.everything()


def device_stat(xen: Hypervisor) -> Iterator[tuple[str, dict[str, int]]]:
    """Each of them, and of those of QEMU, by class, domain and number: what it is called, and its counters."""
    living = {info.domain for info in freed(domains.infos(xen))}
    found = counted(xen)
    found.update(qdisks.counted(xen))
    sorts: dict[str, dict[int, list[devices.Device]]] = {}  # few at a time, as sorting gives the interpreter to nobody
    for device in politely(found):
        if device.domid in living:
            sorts.setdefault(device.kind, {}).setdefault(device.domid, []).append(device)
    for _, of_kind in sorted(sorts.items()):
        for domid in sorted(of_kind):
            for device in sorted(of_kind.pop(domid)):
                yield f"{domid} {device.kind}/{device.number}", found.pop(device)


DEVICE_STAT = File(
    "device_stat",
    "A line for each network and disk that dom0 or a QEMU there serves: what has gone through it, as its guest sees it",
    read=device_stat, show=show.many_nested, format='"d vif/n key=value ..." and "d vbd/n key=value ..." lines',
    when=has_store,
    grows=Cost.DOMAINS | Cost.WAITS, call="sysctl getdomaininfolist, (sysfs), (QEMU)",
)  # fmt: skip
