"""domains/<d>/access/ and target: what of the machine, and of whom, a domain may use. Xen tells none of it."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from xenfs.calls import domains, rights
from xenfs.calls.domains import DomainInfo
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_other
from xenfs.nodes.tables import parse
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import since, x86
from xenfs.nodes.tables.forms import formed

_MOST_FRAME = 2**40 - 1  # what 52 bits of physical address can name
_MOST_PORT = 0xFFFF
_MOST_IRQ = 0xFFFF
_MOST_OLD_IRQ = 0xFF  # before Xen 4.16 the number is a byte
_MOST_DOMID = 0x7FEF


class Change(NamedTuple):
    """What is given or taken: numbers from the first to the last."""

    allow: bool
    first: int
    last: int


def change(what: str, high: int, *, ranges: bool = True) -> Callable[[str], Change]:
    """ "+5", "-0x3f8", or with `ranges` "+0x3f8-0x3ff"."""
    number = parse.integer(0, high, what)
    example = "+0x3f8-0x3ff" if ranges else "+5"

    @formed(f"+ or - and a {what}, 0 to {high}" + (", or first-last" if ranges else ""), ranged=True)
    def read(text: str) -> Change:
        words = re.fullmatch(r"([+-])([^\s+-]+(-[^\s+-]+)?)", text.strip(" \t"))
        if not words or (words[3] and not ranges):
            raise BadInput(f"not a change such as {example}", at=0)
        return Change(words[1] == "+", *parse.span(words[2], number))

    return read


def _irq(xen: Hypervisor, domain: Domain, wanted: Change) -> None:
    if not since(4, 16)(xen) and wanted.first > _MOST_OLD_IRQ:
        raise BadInput(f"before Xen 4.16 no pirq above {_MOST_OLD_IRQ} can be named", errno.ERANGE, at=1)
    rights.irq(xen, domain.domid, wanted.first, wanted.allow)


def _gsi(xen: Hypervisor, domain: Domain, wanted: Change) -> None:
    rights.gsi(xen, domain.domid, wanted.first, wanted.allow)


def _iomem(xen: Hypervisor, domain: Domain, wanted: Change) -> None:
    rights.iomem(xen, domain.domid, wanted.first, wanted.last, wanted.allow)


def _ioport(xen: Hypervisor, domain: Domain, wanted: Change) -> None:
    rights.ioport(xen, domain.domid, wanted.first, wanted.last, wanted.allow)


_C: dict[str, Any] = {"tier": "C", "option": "debug"}

ACCESS = Dir(
    "access",
    "What of the machine it may use. Xen does not tell: each file takes changes alone",
    (
        File(
            "pirq", 'Write "+17" to give it an interrupt of the control domain\'s, "-17" to take it', write=_irq,
            parse=change("pirq", _MOST_IRQ, ranges=False), call=rights.IRQ_PERMISSION.name, when=x86, **_C,
        ),
        File(
            "gsi", 'Write "+17" to give it a global interrupt, "-17" to take it', write=_gsi,
            parse=change("gsi", _MOST_IRQ, ranges=False), call=rights.GSI_PERMISSION.name, since="4.20",
            when=lambda xen: x86(xen) and since(4, 20)(xen), **_C,
        ),
        File(
            "iomem", 'Write "+0xfed40-0xfed44" to let it map machine frames, "-" to end that. The wrong ones can '
            "end the host", write=_iomem, parse=change("machine frame", _MOST_FRAME),
            call=rights.IOMEM_PERMISSION.name, **_C,
        ),
        File(
            "ioport", 'Write "+0x3f8-0x3ff" to let it use I/O ports, "-" to end that. The wrong ones can end the host',
            write=_ioport, parse=change("port", _MOST_PORT), call=rights.IOPORT_PERMISSION.name, when=x86, **_C,
        ),
    ),
    option="debug",
    only=is_other,
)  # fmt: skip


def _set_target(xen: Hypervisor, domain: Domain, target: int, known: DomainInfo) -> None:
    if target == known.domain:
        raise BadInput("a domain is not its own target", at=0)
    if domains.info_now(xen, target) is None:
        raise BadInput(f"there is no domain {target}", errno.ERANGE, word=str(target))
    rights.set_target(xen, domain.domid, target)


TARGET = File(
    "target", "Write a domain that this one may do to what a device model does: once, while it lives",
    write=_set_target, knowing=True, parse=parse.integer(0, _MOST_DOMID, "domain"), call=rights.SET_TARGET.name,
    only=is_other, errnos="ERANGE", **_C,
)  # fmt: skip
