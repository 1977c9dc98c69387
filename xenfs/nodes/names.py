"""Names of domains: xenstore's, by name and by UUID. Whatever a guest or a toolstack wrote there is only text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xenfs.calls import domains
from xenfs.connect import sanity
from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes import show

_LONGEST = 255  # bytes of a file name


def name(xen: Hypervisor, domain: Domain) -> str:
    """The name that xenstore has for a domain, on one line; empty where it has none, or there is no xenstore."""
    if xen.store is None:
        return ""
    return _one_line(xen.names.read(xen.store, [domain.domid])[0] or b"")


def of_all(xen: Hypervisor, domids: Sequence[int]) -> dict[int, bytes]:
    """The names of many domains as xenstore has them, where it has one."""
    if xen.store is None:
        return {}
    xen.names.only(domids)
    return {domid: name for domid, name in zip(domids, xen.names.read(xen.store, domids), strict=True) if name}


def listing(xen: Hypervisor) -> str:
    """A line for each domain that has a name: its id, a blank, and all the rest of the line is the name."""
    domids = [info.domain for info in domains.infos(xen)]
    return show.lines(f"{domid} {_one_line(name)}" for domid, name in of_all(xen, domids).items())


def _one_line(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape").replace("\n", "\\n").replace("\r", "\\r")


def file_name(raw: bytes) -> str:
    """A domain's name as the name of a file: "/" becomes %2F, and what would disturb who reads a listing likewise.

    The two names that mean something are kept apart. Empty for what is longer than a file name can be.
    """
    text = raw.decode("utf-8", "surrogateescape").replace("/", "%2F")
    if not text.isprintable():
        text = "".join(f"%{ord(char):02X}" if char < " " or char == "\x7f" else char for char in text)
    if text in (".", ".."):
        text = text.replace(".", "%2E")
    return text if len(text.encode("utf-8", "surrogateescape")) <= _LONGEST else ""


def by_name(xen: Hypervisor) -> list[tuple[str, Domain]]:
    """(file name, domain) of every domain that has a name; of equal names the lowest id."""
    if xen.store is None:
        return []
    changes = xen.names.changes
    living = [domain for domain, _ in domains.living(xen)]
    domids = [domain.domid for domain in living]
    xen.names.only(domids)
    found: dict[str, Domain] = {}
    for domain, value in zip(living, xen.names.read(xen.store, domids), strict=True):
        text = file_name(value or b"")
        if text:
            found.setdefault(text, domain)
    if xen.names.keeps_all(domids):
        xen.names.keep_index("name", changes, found)
    return list(found.items())


def find_name(xen: Hypervisor, wanted: str) -> Domain | None:
    """The domain behind a file name."""
    return _still(xen, "name", wanted) or _listed(xen, by_name, wanted)


def by_uuid(xen: Hypervisor) -> list[tuple[str, Domain]]:
    """(UUID, domain) of every domain; of equal UUIDs the lowest id."""
    changes = xen.names.changes
    found: dict[str, Domain] = {}
    for domain, info in domains.living(xen):
        found.setdefault(show.handle(info.handle), domain)
    xen.names.keep_index("uuid", changes, found)
    return list(found.items())


def find_uuid(xen: Hypervisor, wanted: str) -> Domain | None:
    """The domain behind a UUID."""
    domain = _still(xen, "uuid", wanted)
    sight = xen.lives.seen(domain) if domain else None
    if sight is not None and show.handle(sight.uuid) == wanted:  # xenfs itself can give a domain another
        return domain
    return _listed(xen, by_uuid, wanted)


def _still(xen: Hypervisor, what: str, wanted: str) -> Domain | None:
    """What the last listing found, where xenstore's watches would have told of a change: no list of all domains."""
    domain: Domain | None = xen.names.indexed(what, wanted)
    return domain if domain is not None and domains.find(xen, domain.domid) == domain else None


def _listed(xen: Hypervisor, listing: Callable[[Hypervisor], list[tuple[str, Domain]]], wanted: str) -> Domain | None:
    """What a listing of a moment ago has; what that has not is looked for anew."""
    domain = xen.glances.recall(listing, lambda: dict(listing(xen))).get(wanted)
    if domain is not None and not xen.lives.ended(domain):
        return domain
    return dict(listing(xen)).get(wanted)


def own_domid(xen: Hypervisor) -> int:
    """The id of the domain that xenfs runs in, from xenstore; 0, the usual control domain, where it does not say."""
    known = xen.own_domid
    if known is None:
        try:
            raw = xen.store.read("domid") if xen.store is not None else None
        except XenfsError:
            return _own_by_uuid(xen)  # xenstore is away for now: it is asked again the next time
        known = xen.own_domid = int(raw) if raw and raw.isdigit() else 0
    return known


def _own_by_uuid(xen: Hypervisor) -> int:
    """The id of the domain with the UUID that Xen says the caller has; 0 where there is none."""
    own = sanity.own(xen)
    return int(own.domain) if own is not None else 0
