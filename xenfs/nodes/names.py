"""Names of domains: xenstore's, by name and by UUID. Whatever a guest or a toolstack wrote there is only text."""

from __future__ import annotations

from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.calls import domains
from xenfs.hypervisor.lives import Domain
from xenfs.nodes import show

_LONGEST = 255  # bytes of a file name


def name(xen: Hypervisor, domain: Domain) -> str:
    """The name that xenstore has for a domain, on one line; empty where it has none, or there is no xenstore."""
    if xen.store is None:
        return ""
    return _one_line(xen.store.read(f"/local/domain/{domain.domid}/name") or b"")


def _one_line(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape").replace("\n", "\\n").replace("\r", "\\r")


def file_name(raw: bytes) -> str:
    """A domain's name as the name of a file: "/" becomes %2F, and the two names that mean something are kept apart."""
    text = raw.decode("utf-8", "surrogateescape").replace("/", "%2F").replace("\0", "%00")
    if text in (".", ".."):
        text = text.replace(".", "%2E")
    return text if len(text.encode("utf-8", "surrogateescape")) <= _LONGEST else ""


def by_name(xen: Hypervisor) -> list[tuple[str, Domain]]:
    """(file name, domain) of every domain that has a name; of equal names the lowest id."""
    if xen.store is None:
        return []
    living = [domain for domain, _ in domains.living(xen)]
    raw = xen.store.read_many([f"/local/domain/{domain.domid}/name" for domain in living])
    found: dict[str, Domain] = {}
    for domain, value in zip(living, raw, strict=True):
        text = file_name(value or b"")
        if text:
            found.setdefault(text, domain)
    return list(found.items())


def find_name(xen: Hypervisor, wanted: str) -> Domain | None:
    """The domain behind a file name."""
    return dict(by_name(xen)).get(wanted)


def by_uuid(xen: Hypervisor) -> list[tuple[str, Domain]]:
    """(UUID, domain) of every domain; of equal UUIDs the lowest id."""
    found: dict[str, Domain] = {}
    for domain, info in domains.living(xen):
        found.setdefault(show.handle(info.handle), domain)
    return list(found.items())


def find_uuid(xen: Hypervisor, wanted: str) -> Domain | None:
    """The domain behind a UUID."""
    return dict(by_uuid(xen)).get(wanted)


def own_domid(xen: Hypervisor) -> int:
    """The id of the domain that xenfs runs in, from xenstore; 0, the usual control domain, where it does not say."""
    known = xen.own_domid
    if known is None:
        raw = xen.store.read("domid") if xen.store is not None else None
        known = xen.own_domid = int(raw) if raw and raw.isdigit() else 0
    return known
