"""domains/<d>/: what a guest is asked for through xenstore. It may refuse, be slow, or not hear."""

from __future__ import annotations

import errno
from collections.abc import Callable

from xenfs.calls import domain_memory, domains, domctl
from xenfs.calls.domains import DomainInfo
from xenfs.connect.own import own_domid
from xenfs.errors import BadInput, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains import facts
from xenfs.nodes.domains.asking import SHUTDOWN_WORDS, at, has_store, number, require_listener, store, word
from xenfs.nodes.domains.memory import MOST_KIB
from xenfs.nodes.domains.own import require_other
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.conditions import x86
from xenfs.nodes.tables.cost import Cost

_SHUTDOWN = "control/shutdown"
_SLACK_KIB = 1024  # what a toolstack adds to a domain's limit, for what is not the guest's memory
_FLOOR_KIB, _OWN_FLOOR_KIB = 32 << 10, 128 << 10  # of a guest; of the control domain, as libxl has it
_WORDS = {b"online": "online", b"offline": "offline"}


def _request(xen: Hypervisor, domain: Domain) -> str:
    """What control/shutdown has is not taken up; a guest that takes it up empties the node."""
    waiting = word(store(xen).read(at(domain, _SHUTDOWN)))
    if waiting:
        return f"{waiting} asked"
    known = xen.requests.get(domain)
    return f"{known} taken up" if known else ""


def _ask(xen: Hypervisor, domain: Domain, wanted: str, known: DomainInfo) -> None:
    require_other(xen, domain)
    if domain.domid == 0:
        raise BadInput("with domain 0 the whole host would shut down", errno.EPERM)
    require_listener(xen, domain, known, wanted)
    store(xen).write(at(domain, _SHUTDOWN), wanted.encode())
    xen.requests[domain] = wanted
    if xen.lives.ended(domain):  # meanwhile: nobody else would forget it
        xen.requests.pop(domain, None)


REQUEST = File(
    "request", "Write poweroff, reboot or suspend: the guest is asked for it, and may take its time or refuse. What "
    "does not ask is shutdown",
    read=_request, write=_ask, knowing=True, parse=parse.one_of(SHUTDOWN_WORDS),
    format='empty, "WORD asked", or "WORD taken up"', grows=Cost.WAITS, write_grows=Cost.WAITS, when=has_store,
    option="lifecycle", tier="B", call="domctl getdomaininfo, hvm_op get_param, (xenstore)",
    errnos="EOPNOTSUPP EBUSY EPERM EINVAL ETIMEDOUT EACCES EROFS",
)  # fmt: skip


# Memory


def _kib(node: str) -> Callable[[Hypervisor, Domain], str]:
    def read(xen: Hypervisor, domain: Domain) -> str:
        found = number(store(xen).read(at(domain, f"memory/{node}")))
        return "" if found is None else show.dec(found)

    return read


def _set_target(xen: Hypervisor, domain: Domain, kib: int, info: DomainInfo) -> None:
    """As xl does: the limit first, so that the guest may grow. It is put back where xenstore refuses the target."""
    nodes = ("memory/target", "memory/static-max", "memory/videoram")
    target, most, video = map(number, store(xen).read_many([at(domain, node) for node in nodes]))
    if target == kib:
        return
    begins = target is None and domain.domid == own_domid(xen)  # of its own no toolstack has said anything yet
    told = most is not None
    if begins and not told:
        most = info.max_pages * 4
    _require_target(xen, domain, kib, info, None if target is None and not begins else most)
    pretends = _is_pod(xen, domain, info)
    if begins and not told:  # as the first toolstack that asks for a target would
        store(xen).write(at(domain, "memory/static-max"), str(most).encode())
    domctl.set_max_mem(xen, domain.domid, kib + (video or 0) + _SLACK_KIB)
    try:
        if pretends:
            domain_memory.set_pod_target(xen, domain.domid, (kib + _SLACK_KIB) // 4)
        store(xen).write(at(domain, "memory/target"), str(kib).encode())
    except (XenfsError, OSError):
        before = 2**64 - 1 if info.max_pages >= facts.NO_LIMIT_PAGES else info.max_pages * 4
        domctl.set_max_mem(xen, domain.domid, before)
        raise


def _require_target(xen: Hypervisor, domain: Domain, kib: int, info: DomainInfo, most: int | None) -> None:
    """See that it can be, before anything is done."""
    if most is None:
        raise BadInput("the toolstack has told xenstore of no target for this domain", errno.EOPNOTSUPP, at=0)
    floor = _OWN_FLOOR_KIB if domain.domid == own_domid(xen) else _FLOOR_KIB
    if not floor <= kib <= most:
        raise BadInput(f"it must be {floor} to memory/static_max_kb, which is {most}", errno.ERANGE, word=str(kib))
    if domain.domid != own_domid(xen):
        require_listener(xen, domain, info, "balloon")


def _is_pod(xen: Hypervisor, domain: Domain, info: DomainInfo) -> bool:
    """Whether it has memory that it believes to have and has not: Xen wants to hear of its target then."""
    if not x86(xen) or facts.kind(xen, info) == "pv" or domain.domid == own_domid(xen):
        return False
    return bool(domain_memory.pod(xen, domain.domid).pod_entries)


TARGET_KB = File(
    "target_kb", "Memory that the guest's balloon driver is asked to come to, kB; a write sets memory/max as well",
    read=_kib("target"), write=_set_target, knowing=True,
    parse=parse.size(4, MOST_KIB, "number of kB", unit=1024), format="decimal number, or empty",
    grows=Cost.WAITS, write_grows=Cost.WAITS, when=has_store,
    call="domctl getdomaininfo, max_mem, hvm_op get_param, memory_op get_pod_target, set_pod_target, (xenstore)",
    errnos="EOPNOTSUPP ERANGE EBUSY ETIMEDOUT EACCES EROFS",
)  # fmt: skip

STATIC_MAX_KB = File(
    "static_max_kb", "Most that it was created to have, kB", read=_kib("static-max"),
    format="decimal number, or empty", grows=Cost.WAITS, when=has_store, call="(xenstore)",
)  # fmt: skip


# vCPUs


def _availability_of(xen: Hypervisor, domain: Domain, vcpus: range) -> list[str]:
    found = store(xen).read_many([at(domain, f"cpu/{vcpu}/availability") for vcpu in vcpus])
    return [_WORDS.get(raw or b"", "") for raw in found]


def _availability(xen: Hypervisor, domain: Domain, vcpu: int) -> str:
    return _availability_of(xen, domain, range(vcpu, vcpu + 1))[0]


def _plug(xen: Hypervisor, domain: Domain, vcpu: int, wanted: str, info: DomainInfo) -> None:
    if vcpu == 0 and wanted == "offline":
        raise BadInput("a guest cannot be without its vCPU 0", errno.EINVAL, at=0)
    _plug_all(xen, domain, {vcpu: wanted}, info)


def _plug_all(xen: Hypervisor, domain: Domain, wanted: dict[int, str], info: DomainInfo) -> None:
    """Ask for what is not asked for yet, one after the other; refused where nobody would hear."""
    asked = _availability_of(xen, domain, range(facts.nr_vcpus(info)))
    changes = {vcpu: each for vcpu, each in wanted.items() if asked[vcpu] != each}
    if changes and domain.domid != own_domid(xen):  # of its own nobody says anything before it is asked for
        if not all(asked):
            raise BadInput("the toolstack has told xenstore of no vCPUs for this domain", errno.EOPNOTSUPP, at=0)
        require_listener(xen, domain, info, "vcpus")
    for vcpu, change in changes.items():
        store(xen).write(at(domain, f"cpu/{vcpu}/availability"), change.encode())


AVAILABILITY = File(
    "availability", "Whether the guest is asked to have this vCPU: write online or offline. What it has done is in "
    "online", read=_availability, write=_plug, knowing=True, parse=parse.one_of(tuple(_WORDS.values())),
    format="online or offline, or empty", grows=Cost.WAITS, write_grows=Cost.WAITS, when=has_store,
    call="domctl getdomaininfo, hvm_op get_param, (xenstore)",
    errnos="EOPNOTSUPP EBUSY EINVAL ETIMEDOUT EACCES EROFS",
)  # fmt: skip


def _nr_vcpus(xen: Hypervisor, domain: Domain) -> str:
    asked = _availability_of(xen, domain, range(facts.nr_vcpus(domains.info(xen, domain))))
    return str(len(asked) - asked.count("offline")) if any(asked) else ""


def _set_nr_vcpus(xen: Hypervisor, domain: Domain, count: int, info: DomainInfo) -> None:
    most = facts.nr_vcpus(info)
    if not 1 <= count <= most:
        raise BadInput(f"it must be 1 to {most}, what it was created with", errno.ERANGE, word=str(count))
    _plug_all(xen, domain, {vcpu: "online" if vcpu < count else "offline" for vcpu in range(most)}, info)


NR_VCPUS_TARGET = File(
    "nr_vcpus_target", "How many vCPUs the guest is asked to have: the first so many. What it has is in "
    "nr_online_vcpus", read=_nr_vcpus, write=_set_nr_vcpus, knowing=True,
    parse=parse.integer(1, 8192, "number of vCPUs"), format="decimal number, or empty",
    grows=Cost.WAITS | Cost.VCPUS, write_grows=Cost.WAITS | Cost.VCPUS, when=has_store,
    call="domctl getdomaininfo, hvm_op get_param, (xenstore)", errnos="EOPNOTSUPP ERANGE EBUSY ETIMEDOUT EACCES EROFS",
)  # fmt: skip
