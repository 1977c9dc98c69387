"""Names of domains: xenstore's, by name and by UUID. Whatever a guest or a toolstack wrote there is only text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from xenfs.abi.numbers import DomInf
from xenfs.calls import domains, neighbours
from xenfs.calls.rows import freed
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.tables import show
from xenfs.nodes.tables.harmless import file_name, harmless
from xenfs.politely import politely


def name(xen: Hypervisor, domain: Domain) -> str:
    """The name that xenstore has for a domain, on one line; empty where it has none, or there is no xenstore."""
    if xen.store is None:
        return ""
    return one_line(xen.names.read(xen.store, [domain.domid])[0] or b"")


def of_all(xen: Hypervisor, domids: Sequence[int]) -> dict[int, bytes]:
    """The names of many domains as xenstore has them, where it has one."""
    if xen.store is None:
        return {}
    xen.names.only(domids)
    return {domid: name for domid, name in zip(domids, xen.names.read(xen.store, domids), strict=True) if name}


def listing(xen: Hypervisor) -> Iterator[str]:
    """A line for each domain that has a name: its id, a blank, and all the rest of the line is the name."""
    domids = [domid for domid, *_ in freed(domains.rows(xen))]
    return (f"{domid} {one_line(name)}" for domid, name in of_all(xen, domids).items())


def one_line(raw: bytes) -> str:
    """A name as one line that a terminal can be shown; no other name looks the same, and `exact` gives it back."""
    return harmless(raw)


def _meant(named: Iterable[tuple[str, Domain, domains.DomainInfo]]) -> dict[str, Domain]:
    """By name, in the order of ids: of two with one name or UUID the one that lives is meant, then the last that came.

    For a moment a guest that restarts is two domains, one on its way out and one that begins.
    """
    meant: dict[str, Domain] = {}
    ending: dict[str, int] = {}  # where it is not 0
    for name, domain, info in politely(named):
        ends = 2 * bool(info.flags & DomInf.dying) + bool(info.flags & DomInf.shutdown)
        if name in meant:
            if (-ends, domain.life) <= (-ending.get(name, 0), meant[name].life):
                continue
            del meant[name]  # its place is behind, as this one's id is higher
            ending.pop(name, None)
        if name:
            meant[name] = domain
            if ends:
                ending[name] = ends
    return meant


def by_name(xen: Hypervisor) -> list[tuple[str, Domain]]:
    """(file name, domain) of every domain that has a name; of equal names who is meant.

    Nobody where xenstore does not answer.
    """
    if xen.store is None:
        return []
    changes = xen.names.changes
    living = neighbours.living(xen)
    domids = [domain.domid for domain, _ in living]
    xen.names.only(domids)
    store = xen.store
    values = xen.names.listed(lambda: xen.names.read(store, domids), [None] * len(domids))
    found = _meant((file_name(value or b""), *each) for each, value in zip(freed(living), values, strict=True))
    if xen.names.keeps_all(domids):
        xen.names.keep_index("name", changes, found)
    return list(politely(found.items()))


def find_name(xen: Hypervisor, wanted: str) -> Domain | None:
    """The domain behind a file name."""
    return _known(xen, "name", wanted) or _listed(xen, by_name, wanted)


def by_uuid(xen: Hypervisor) -> list[tuple[str, Domain]]:
    """(UUID, domain) of every domain; of equal UUIDs who is meant."""
    changes = xen.names.changes
    found = _meant((show.handle(info.handle), domain, info) for domain, info in freed(neighbours.living(xen)))
    xen.names.keep_index("uuid", changes, found)
    return list(politely(found.items()))


def find_uuid(xen: Hypervisor, wanted: str) -> Domain | None:
    """The domain behind a UUID."""
    domain = _known(xen, "uuid", wanted)
    sight = xen.lives.known(domain) if domain else None
    if sight is not None and show.handle(sight.uuid) == wanted:  # xenfs itself can give a domain another
        return domain
    return _listed(xen, by_uuid, wanted)


def _known(xen: Hypervisor, what: str, wanted: str) -> Domain | None:
    """What the last listing found, where xenstore's watches would have told of a change: no list of all domains."""
    domain: Domain | None = xen.names.indexed(what, wanted)
    return domain if domain is not None and domains.life_now(xen, domain.domid) == domain else None


def _listed(xen: Hypervisor, listing: Callable[[Hypervisor], list[tuple[str, Domain]]], wanted: str) -> Domain | None:
    """What a listing of a moment ago has. A name that it has not is not there, and costs nobody another listing."""
    domain = xen.listings.recent(listing, lambda: dict(politely(freed(listing(xen))))).get(wanted)
    return None if domain is None or xen.lives.ended(domain) else domain
