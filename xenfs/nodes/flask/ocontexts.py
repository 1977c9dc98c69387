"""flask/ocontexts: labels of what the machine has. Xen tells none of them: the file takes changes alone."""

from __future__ import annotations

import errno
from typing import NamedTuple

from xenfs.calls import flask, flask_rules
from xenfs.calls.pci import Address
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.flask.contexts import context, sid_of
from xenfs.nodes.tables import parse
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.conditions import x86
from xenfs.nodes.tables.forms import formed

_NODE = -1  # of the device tree, which has names instead of numbers
_KINDS = {
    "pirq": flask_rules.PIRQ, "ioport": flask_rules.IOPORT, "iomem": flask_rules.IOMEM, "pci": flask_rules.DEVICE,
    "dt": _NODE,
}  # fmt: skip
_NUMBERS = {
    flask_rules.PIRQ: parse.integer(0, 0xFFFF, "pirq"),
    flask_rules.IOPORT: parse.integer(0, 0xFFFF, "port"),
    flask_rules.IOMEM: parse.integer(0, 2**40 - 1, "machine frame"),
}


class Label(NamedTuple):
    """What is labelled: of which kind, numbers from the first to the last, or a path; and how, or "" for not at all."""

    kind: int
    first: int
    last: int
    path: str
    context: str


@formed(
    '"+" with pirq N, ioport A-B, iomem A-B, pci SBDF or dt /PATH and a context; or "-" with the same and without',
    ranged=True,
)
def label(text: str) -> Label:
    """ "+pirq 17 CONTEXT", "-iomem 0xfed40-0xfed44"."""
    words = text.strip(" \t").split(" ")
    sign, kind = words[0][:1], words[0][1:]
    if sign not in ("+", "-") or kind not in _KINDS:
        raise BadInput(f'must be "+" or "-" and one of: {" ".join(_KINDS)}', word=words[0] or None, at=0)
    if len(words) != (3 if sign == "+" else 2):
        raise BadInput("a new label has a context, such as +pirq 17 system_u:object_r:irq_t; -pirq 17 has none", at=0)
    return Label(_KINDS[kind], *_thing(_KINDS[kind], words[1]), context(words[2]) if sign == "+" else "")


def _thing(kind: int, word: str) -> tuple[int, int, str]:
    """Numbers from the first to the last, or a path."""
    if kind == _NODE:
        return 0, 0, parse.tree_path(word)
    if kind == flask_rules.DEVICE:
        found = Address.parse(word)
        if found is None:
            raise BadInput("not a PCI device such as 0000:00:1f.2", word=word or None, at=0)
        return found.sbdf, found.sbdf, ""
    if kind == flask_rules.PIRQ:
        number = _NUMBERS[kind](word)
        return number, number, ""
    return (*parse.span(word, _NUMBERS[kind]), "")


def _change(xen: Hypervisor, wanted: Label) -> None:
    if wanted.kind == _NODE and x86(xen):
        raise BadInput("there is no device tree on x86", errno.EOPNOTSUPP, at=0)
    sid = sid_of(xen, wanted.context) if wanted.context else 0
    if wanted.kind == _NODE:
        flask_rules.label_node(xen, wanted.path, sid)
    elif wanted.context:
        flask_rules.add_label(xen, wanted.kind, wanted.first, wanted.last, sid)
    else:
        flask_rules.remove_label(xen, wanted.kind, wanted.first, wanted.last)


OCONTEXTS = File(
    "ocontexts", 'Write "+pirq 17 CONTEXT", or ioport, iomem, pci, dt (Arm), to label what the machine has, '
    '"-pirq 17" to end that: until the next policy. A label of an interrupt or a device can be there twice',
    write=_change, parse=label, option="debug", tier="C", errnos="EOPNOTSUPP",
    call=f"{flask.CONTEXT_TO_SID.name}, {flask.SID_TO_CONTEXT.name}, {flask_rules.ADD_OCONTEXT.name}, "
    f"{flask_rules.DEL_OCONTEXT.name}, {flask_rules.DEVICETREE_LABEL.name}",
)  # fmt: skip
