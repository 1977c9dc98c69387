"""Names of cpupools, which the toolstack keeps in xenstore: Xen itself knows them by number."""

from __future__ import annotations

from xenfs.calls import sysctl
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.domains.names import one_line
from xenfs.nodes.tables.harmless import file_name


def _path(pool: int) -> str:
    return f"/local/pool/{pool}/name"


def name(xen: Hypervisor, pool: int) -> str:
    """The name that xenstore has for a pool, on one line; empty where it has none, or there is no xenstore."""
    return one_line(xen.store.read(_path(pool)) or b"") if xen.store is not None else ""


def by_name(xen: Hypervisor) -> list[tuple[str, int]]:
    """(file name, pool) of every pool that has a name; of equal names the lowest id."""
    if xen.store is None:
        return []
    numbers = [pool.id for pool in sysctl.cpupools(xen)]
    found: dict[str, int] = {}
    store = xen.store
    with xen.names.waiting():
        values = xen.names.listed(lambda: store.read_many(list(map(_path, numbers))), [None] * len(numbers))
    for number, value in zip(numbers, values, strict=True):
        if text := file_name(value or b""):
            found.setdefault(text, number)
    return list(found.items())
