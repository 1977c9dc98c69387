"""What xenstore says of the simulated domains, as a mapping that is computed while it is read."""

from __future__ import annotations

import errno
from collections.abc import Iterator, MutableMapping
from uuid import UUID

from xenfs.errors import XenfsError
from xenfs.simulator.world import devices, evtchn
from xenfs.simulator.world.devices import Plugged
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.grants import STORE_GRANT, granted_to_control
from xenfs.simulator.world.guests import FEATURES
from xenfs.simulator.world.world import World


class DomainNodes(MutableMapping[str, bytes]):
    """Paths to values: /local/domain/<d>/..., /libxl/<d>/..., /vm/<uuid>/..., /local/pool/<p>/name.

    What is written reaches the guest. Only what a guest listens to can be written, and all about a domain that no
    toolstack has made: what is written of such a one stays until it is removed, whatever becomes of the domain.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._handles: dict[str, int] = {}
        self._told: dict[str, bytes] = {}

    def __getitem__(self, path: str) -> bytes:
        if path in self._told:
            return self._told[path]
        if not path.startswith("/"):
            raise KeyError(path)
        words = path.split("/")
        domain = self._domain(words)
        if domain is not None and words[1] == "local" and len(words) == 5:  # asked of thousands at once
            if words[4] == "name":
                return _raw(domain.name)
            if words[4] == "vm" and domain.name is not None:
                return b"/vm/" + str(UUID(bytes=domain.handle)).encode()
        return self.below(path)[path]

    def __setitem__(self, path: str, value: bytes) -> None:
        words = path.split("/")
        domain = self._domain(words)
        if path in self._told or (domain is None and words[1:2] == ["vm"]) or (domain and domain.name is None):
            self._told[path] = value
        elif domain is None or not self._written(domain, words[4:], value):
            raise XenfsError(f"xenstore: WRITE {path}: EACCES", errno.EACCES)

    def __delitem__(self, path: str) -> None:
        if self._told.pop(path, None) is None:
            raise XenfsError(f"xenstore: RM {path}: EACCES", errno.EACCES)

    def introduce(self, domid: int, frame: int, port: int) -> None:
        """Map the ring by the domain's first grants and bind its event channel, as xenstored does."""
        domain = self.world.domain(domid)
        granted = None if domain is None else granted_to_control(domain, STORE_GRANT)
        if domain is None or frame != granted or not domain.physmap.has(frame) or not evtchn.connect(domain, port):
            raise XenfsError(f"xenstore: INTRODUCE {domid}: EINVAL", errno.EINVAL)
        self.world.introduce(domain)

    def resume(self, domid: int) -> None:
        """Forget that the domain has shut down, as xenstored does when it is told so, and never of its own accord."""
        domain = self.world.domain(domid)
        if domain is not None:
            domain.shutdown_told = False

    def __iter__(self) -> Iterator[str]:
        return iter(self.below("/"))

    def __len__(self) -> int:
        return len(self.below("/"))

    def below(self, path: str) -> dict[str, bytes]:
        """All nodes that may be at or below a path, and others: of as few domains as it names."""
        words = path.split("/")
        found: dict[str, bytes] = {}
        if len(words) < 4 or (words[1] == "local" and words[2] != "domain"):
            found |= {f"/local/pool/{number}/name": b"Pool-%d" % number for number in self.world.pools.by_id}
        if words[1:3] == ["local", "domain"] and words[4:5] == ["backend"]:
            words = words[:3] + words[6:7]  # those are about the domain that is served
        named = self._domain(words)
        if named is not None:
            found |= self._nodes(named)
        elif words[1:3] != ["local", "pool"]:
            for domain in self.world.domains_from(0):
                found |= self._nodes(domain)
        return found | {node: value for node, value in self._told.items() if f"{node}/".startswith(path)}

    def plugged(self, domid: int | None = None) -> Iterator[tuple[Domain, Plugged]]:
        """Every device of every domain, or of one."""
        count = self.world.settings.devices
        one = None if domid is None else self.world.domain(domid)
        asked = self.world.domains_from(0) if domid is None else [one] if one else []
        return ((domain, each) for domain in asked for each in devices.of(domain, count))

    def _domain(self, words: list[str]) -> Domain | None:
        if words[1:2] == ["vm"] and len(words) > 2:
            return self._with_handle(words[2])
        at = 2 if words[1:2] == ["libxl"] else 3 if words[1:3] == ["local", "domain"] else 0
        number = "".join(words[at : at + 1])
        return self.world.domain(int(number)) if at and number.isdecimal() else None

    def _with_handle(self, text: str) -> Domain | None:
        """Whoever has this UUID, remembered from the last look at all of them."""
        for again in (False, True):
            if again:
                self._handles = {str(UUID(bytes=each.handle)): each.domid for each in self.world.domains_from(0)}
            domain = self.world.domain(self._handles.get(text, -1))
            if domain is not None and str(UUID(bytes=domain.handle)) == text:
                return domain
        return None

    def _nodes(self, domain: Domain) -> dict[str, bytes]:
        if domain.name is None:
            return {}
        home, vm = f"/local/domain/{domain.domid}", f"/vm/{UUID(bytes=domain.handle)}"
        guest, listening = self.world.guests.of(domain), domain.domid != 0
        nodes = {
            f"{home}/name": _raw(domain.name), f"{home}/domid": str(domain.domid).encode(), f"{home}/vm": vm.encode(),
            f"{home}/memory/static-max": str(guest.static_max_kb).encode(),
            f"{home}/memory/target": str(guest.target_kb).encode(),
            f"{vm}/uuid": vm[4:].encode(), f"{vm}/name": _raw(domain.name),
        }  # fmt: skip
        if listening:
            nodes[f"{vm}/start_time"] = f"{self.world.booted_s + domain.born_ns / 1e9:.2f}".encode()
            nodes[f"{home}/control/shutdown"] = guest.request.encode()
            for vcpu in domain.existing():
                online = guest.wanted.get(vcpu.id, True)
                nodes[f"{home}/cpu/{vcpu.id}/availability"] = b"online" if online else b"offline"
            said = b"1" if guest.drivers else b""  # the toolstack has made the nodes, and the guest fills them
            nodes |= {f"{home}/control/feature-{word}": said for word in FEATURES}
        else:  # what a control domain was asked for, and nothing before
            for number, online in guest.wanted.items():
                nodes[f"{home}/cpu/{number}/availability"] = b"online" if online else b"offline"
        told = devices.nodes(domain, self.world.settings.devices)
        return nodes | {path: value.encode() for path, value in told.items()}

    def _written(self, domain: Domain, words: list[str], value: bytes) -> bool:
        guests = self.world.guests
        if words == ["control", "shutdown"] and domain.domid:
            guests.request(domain, value.decode())
        elif words == ["memory", "target"]:
            guests.aim(domain, int(value))
        elif words[:1] == ["cpu"] and words[2:] == ["availability"] and domain.vcpu(int(words[1])) is not None:
            guests.plug(domain, int(words[1]), value == b"online")
        else:
            return False
        return True


def _raw(name: str | None) -> bytes:
    if name is None:
        raise KeyError("it has no name")
    return name.encode("utf-8", "surrogateescape")
