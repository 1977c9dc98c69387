"""What the nodes about a guest share: xenstore's words for it, and whether anybody in there listens.

The path of a node says which domain is meant by its number alone; who reads or writes sees afterwards, as everywhere,
whether that is still the same life.
"""

from __future__ import annotations

import errno

from xenfs.abi.numbers import DomInf, HvmParam
from xenfs.calls import hvm
from xenfs.calls.domains import DomainInfo
from xenfs.errors import BadInput, HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.tables.harmless import harmless
from xenfs.xenstore import Xenstore

SHUTDOWN_WORDS = ("poweroff", "reboot", "suspend")
"""What control/shutdown can have that a guest may be asked for here."""
_MOST_DIGITS = 19


def has_store(xen: Hypervisor) -> bool:
    """For `when=`: this host has a xenstore, or had one when xenfs began."""
    return xen.store is not None


def store(xen: Hypervisor) -> Xenstore:
    """The xenstore that `when=has_store` has promised."""
    if xen.store is None:
        raise XenfsError("there is no xenstore here", errno.EOPNOTSUPP)
    return xen.store


def at(domain: Domain, node: str) -> str:
    """The path of a node of a domain's own directory."""
    return f"/local/domain/{domain.domid}/{node}"


def word(raw: bytes | None) -> str:
    """What somebody wrote there, guests among them, as one line that a terminal can be shown; empty without a node."""
    return harmless(raw or b"")


def number(raw: bytes | None) -> int | None:
    """A decimal number; None for anything else that may have been written there."""
    text = (raw or b"").decode("ascii", "replace").strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS else None


def require_listener(xen: Hypervisor, domain: Domain, info: DomainInfo, feature: str) -> None:
    """EOPNOTSUPP, before anything is written, where nobody in the guest would read it.

    Linux since 4.14 and Windows's drivers say in control/feature-* what they listen to. A guest may say nothing of any:
    toolstacks make these nodes, and leave them empty. An HVM or PVH one must then at least have told Xen how to be
    interrupted; a PV one is asked.
    """
    if info.flags & (DomInf.dying | DomInf.shutdown):
        raise BadInput("this domain is over", errno.EBUSY, at=0)
    own, *others = store(xen).read_many([at(domain, f"control/feature-{word}") for word in (feature, *SHUTDOWN_WORDS)])
    if own:
        listens = own != b"0"
    elif any(others):
        listens = feature not in SHUTDOWN_WORDS  # Linux has balloons and plugs vCPUs, and does not say so
    else:
        listens = not info.flags & DomInf.hvm_guest or _can_be_interrupted(xen, domain)
    if not listens:
        raise BadInput(f"the guest has no driver for this ({feature}), or has not started it yet",
                       errno.EOPNOTSUPP, at=0)  # fmt: skip


def _can_be_interrupted(xen: Hypervisor, domain: Domain) -> bool:
    try:
        return bool(hvm.param(xen, domain.domid, HvmParam.CALLBACK_IRQ))
    except HypercallError as problem:
        if problem.errno in (errno.EINVAL, errno.EPERM):
            return True  # it cannot be told: the guest may be asked
        raise
