"""What a toolstack tells xenstore of a domain that it makes, so that others know it: told here, and taken back.

In the order of a toolstack: memory for two rings, their event channels, the grants by which xenstored and xenconsoled
map them, the nodes, and last xenstored is told to serve the domain.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from struct import Struct
from time import time
from typing import NamedTuple
from uuid import UUID

from xenfs.abi.numbers import HvmParam
from xenfs.calls import evtchn, guest_memory, hvm
from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import PAGE
from xenfs.nodes.domains.asking import number, store
from xenfs.nodes.tables.conditions import x86
from xenfs.xenstore import Entry

log = logging.getLogger(__name__)

CALLS = (
    guest_memory.POPULATE, guest_memory.ADD_TO_PHYSMAP, guest_memory.REMOVE_FROM_PHYSMAP, evtchn.ALLOC_UNBOUND,
    hvm.SET_PARAM,
)  # fmt: skip

Step = tuple[str, Callable[[], object]]

_MARK = "xenfs"  # below /vm/UUID: xenfs has made these nodes, and takes them back when it ends the domain
_GRANT, _PERMIT_ACCESS = Struct("<HHI"), 1
_CONSOLE_BYTES = b"1048576"  # how much xenconsoled keeps for whoever comes late
_GUESTS_OWN = (
    "control/shutdown", "control/feature-poweroff", "control/feature-reboot", "control/feature-suspend",
    "control/sysrq", "device/suspend/event-channel", "data", "drivers", "feature", "attr", "error",
)  # fmt: skip
_PROMISED = ("control/platform-feature-multiprocessor-suspend", "control/platform-feature-xs_reset_watches")


class About(NamedTuple):
    """What is told of a domain. `kind` is pv, hvm or pvh."""

    name: str
    handle: bytes
    kind: str
    vcpus: int
    memory_kb: int


class _Places(NamedTuple):
    """Frames where toolstacks put the rings, and one that is free, for the grant table."""

    console: int
    store: int
    free: int


_X86, _ARM = _Places(0xFEFFF, 0xFEFFC, 0xFF000), _Places(0x39000, 0x39001, 0x38000)


class Introduction:
    """One domain's: its `steps`, and `undo` for those that were begun."""

    def __init__(self, xen: Hypervisor, domid: int, about: About) -> None:
        self.xen, self.domid, self.about = xen, domid, about
        self._places = _X86 if x86(xen) else _ARM
        self._ports: tuple[int, int] | None = None  # console's, xenstore's
        self._told = False

    def steps(self) -> Iterator[Step]:
        """A PV domain has no rings as long as it has no memory: of it xenstore is told, and serves it not."""
        rings = self.about.kind != "pv"
        if rings:
            yield "name (memory for its rings)", self._give_memory
            yield "name (their event channels)", self._open_ports
            yield "name (their grants)", self._grant
        yield "name (nodes in xenstore)", self._tell
        if rings:
            yield "name (xenstored)", self._introduce

    def undo(self) -> None:
        """Take back what xenstore was told; what Xen was told ends with the domain."""
        if self._told:
            self.xen.introduced.discard(self.domid)
            with suppress(XenfsError):
                self._remove()

    def _give_memory(self) -> None:
        frames = (self._places.console, self._places.store)
        if len(guest_memory.populate(self.xen, self.domid, frames, 0)) < len(frames):
            raise XenfsError("no memory for them: they are part of max_mem_kb", errno.ENOMEM)
        for frame in frames:
            guest_memory.write(self.xen, self.domid, frame * PAGE, bytes(PAGE))

    def _open_ports(self) -> None:
        console, served = (evtchn.alloc_unbound(self.xen, self.domid, other) for other in (0, self._xenstored()))
        self._ports = console, served
        for param, value in (
            (HvmParam.CONSOLE_PFN, self._places.console), (HvmParam.STORE_PFN, self._places.store),
            (HvmParam.CONSOLE_EVTCHN, console), (HvmParam.STORE_EVTCHN, served),
        ):  # fmt: skip
            hvm.set_param(self.xen, self.domid, param, value)

    def _grant(self) -> None:
        """The first two entries, which are reserved for that."""
        entries = (
            _GRANT.pack(_PERMIT_ACCESS, domid, frame)
            for domid, frame in ((0, self._places.console), (self._xenstored(), self._places.store))
        )
        with guest_memory.grant_table_at(self.xen, self.domid, self._places.free):
            guest_memory.write(self.xen, self.domid, self._places.free * PAGE, b"".join(entries))

    def _xenstored(self) -> int:
        """The domain that xenstored runs in."""
        return number(store(self.xen).read("/tool/xenstored/domid")) or 0

    def _tell(self) -> None:
        self._told = True
        self.xen.introduced.add(self.domid)
        self._remove()  # what another domain of this id has left
        store(self.xen).make(self._entries())

    def _remove(self) -> None:
        for path in _roots(self.domid, self._vm):
            store(self.xen).remove(path)

    @property
    def _vm(self) -> str:
        return f"/vm/{UUID(bytes=self.about.handle)}"

    def _entries(self) -> list[Entry]:
        """Whose they are comes first, and its name last: then it is seen with all that there is."""
        home, libxl = f"/local/domain/{self.domid}", f"/libxl/{self.domid}"
        readable, name = ("n0", f"r{self.domid}"), self.about.name.encode()
        kib = str(self.about.memory_kb).encode()
        told = {
            "domid": str(self.domid).encode(), "memory/static-max": kib, "memory/target": kib,
            **{f"cpu/{vcpu}/availability": b"online" for vcpu in range(self.about.vcpus)},
            **dict.fromkeys(_PROMISED, b"1"), **self._rings(),
        }  # fmt: skip
        return [
            Entry(self._vm, b"", readable), Entry(f"{self._vm}/{_MARK}", b"1"),
            Entry(home, b"", readable), Entry(f"{home}/vm", self._vm.encode()),
            Entry(f"{self._vm}/uuid", self._vm[4:].encode()), Entry(f"{self._vm}/name", name),
            Entry(f"{self._vm}/start_time", f"{time():.2f}".encode()),
            Entry(libxl, b"", ("n0",)), Entry(f"{libxl}/type", self.about.kind.encode()), Entry(f"{libxl}/device"),
            *(Entry(f"{home}/{node}", value) for node, value in told.items()),
            *(Entry(f"{home}/{node}", b"", (f"n{self.domid}",)) for node in _GUESTS_OWN),
            Entry(f"{home}/name", name),
        ]  # fmt: skip

    def _rings(self) -> dict[str, bytes]:
        if self._ports is None:
            return {}
        console, served = (str(port).encode() for port in self._ports)
        return {
            "store/port": served, "store/ring-ref": str(self._places.store).encode(),
            "console/port": console, "console/ring-ref": str(self._places.console).encode(),
            "console/limit": _CONSOLE_BYTES, "console/type": b"xenconsoled",
        }  # fmt: skip

    def _introduce(self) -> None:
        assert self._ports is not None
        store(self.xen).introduce(self.domid, self._places.store, self._ports[1])


def _roots(domid: int, vm: str) -> tuple[str, str, str]:
    """All that a domain has: what says whose it is goes last."""
    return f"/libxl/{domid}", f"/local/domain/{domid}", vm


def forget(xen: Hypervisor, domid: int) -> None:
    """The domain is over: what xenfs has told xenstore of it goes too, and nothing that anybody else has."""
    if xen.store is None:
        return
    ours = domid in xen.introduced
    xen.introduced.discard(domid)
    try:
        vm = (xen.store.read(f"/local/domain/{domid}/vm") or b"").decode("ascii", "replace")
        if vm.startswith("/vm/") and xen.store.read(f"{vm}/{_MARK}") is not None:
            for path in _roots(domid, vm):
                xen.store.remove(path)
    except XenfsError as problem:
        level = logging.WARNING if ours else logging.DEBUG  # of others it is their toolstack's business
        log.log(level, "domain %d is over, and xenstore may have nodes of it still: %s", domid, problem)
