"""What xenstore says of the simulated domains, as a mapping that is computed while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.world import World


class DomainNames(Mapping[str, bytes]):
    """Paths to values: /local/domain/<d>/..., /vm/<uuid>/..., /local/pool/<p>/name."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __getitem__(self, path: str) -> bytes:
        words = path.split("/")
        if len(words) >= 5 and words[1:3] == ["local", "domain"] and words[3].isdecimal():
            domain = self.world.domain(int(words[3]))
            if domain is not None:
                return _nodes(domain)[path]
        elif words[1:2] in (["vm"], ["local"]):
            return self._others()[path]
        raise KeyError(path)

    def __iter__(self) -> Iterator[str]:
        for domain in self.world.domains_from(0):
            yield from _nodes(domain)
        yield from self._others()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _others(self) -> dict[str, bytes]:
        nodes = {f"/local/pool/{number}/name": f"Pool-{number}".encode() for number in self.world.pools.by_id}
        for domain in self.world.domains_from(0):
            if domain.name is not None:
                vm = f"/vm/{UUID(bytes=domain.handle)}"
                nodes |= {f"{vm}/uuid": vm[4:].encode(), f"{vm}/name": domain.name.encode("utf-8", "surrogateescape")}
        return nodes


def _nodes(domain: Domain) -> dict[str, bytes]:
    if domain.name is None:
        return {}
    home = f"/local/domain/{domain.domid}"
    return {
        f"{home}/name": domain.name.encode("utf-8", "surrogateescape"),
        f"{home}/domid": str(domain.domid).encode(),
        f"{home}/vm": f"/vm/{UUID(bytes=domain.handle)}".encode(),
        f"{home}/memory/static-max": str(domain.max_pages * 4).encode(),
        f"{home}/memory/target": str(domain.tot_pages * 4).encode(),
    }
