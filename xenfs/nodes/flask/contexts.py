"""Security contexts as text, and questions about them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from xenfs.abi.operations import Operation
from xenfs.calls import flask, flask_rules
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Exchange
from xenfs.nodes.tables.forms import formed

MOST_SIDS = 2**32 - 1
_MOST_PORT = (1 << 17) - 1
_EXAMPLE = "system_u:system_r:domU_t"


@formed(f"security context, such as {_EXAMPLE}")
def context(text: str) -> str:
    """A security context: what it means is for the policy to say, but it is one word of printable characters."""
    word = text.strip(" \t")
    odd = re.search(r"[^!-~]", word)
    if not word or odd:
        raise BadInput(f"not a security context such as {_EXAMPLE}", at=odd.start() if odd else 0)
    return word


def sid_of(xen: Hypervisor, word: str) -> int:
    """The SID of a context. Without a policy Xen knows every context, but most of them as its own: look back."""
    sid = flask.context_to_sid(xen, word)
    known = flask.sid_to_context(xen, sid)
    if ":" not in known and known != word:
        raise BadInput("no policy is loaded: only the names of initial SIDs, such as dom0, mean something", word=word)
    return sid


class Asked(NamedTuple):
    """Who does something, to what, of which class, and which permissions are asked for."""

    source: str
    target: str
    kind: int
    wanted: int


_number = parse.integer(1, 0xFFFF, "class")
_bits = parse.integer(0, 2**32 - 1, "permission mask")


def _class(word: str) -> int:
    """A class of objects, by its name or number."""
    if word in flask_rules.CLASSES:
        return flask_rules.CLASSES.index(word) + 1
    if word[:1].isdecimal():
        return _number(word)
    raise BadInput(f"no class: {' '.join(flask_rules.CLASSES)}, or a number", word=word)


def asked(*, wanted: bool) -> Callable[[str], Asked]:
    """ "SOURCE TARGET CLASS", and with `wanted` a mask of permissions may follow."""
    more = ", then a mask of permissions or nothing" if wanted else ""

    @formed(f"context of who does it, context of what it is done to, class such as domain{more}", ranged=True)
    def read(text: str) -> Asked:
        words = text.strip(" \t").split(" ")
        if len(words) not in ((3, 4) if wanted else (3,)):
            raise BadInput(f"wants two contexts and a class, such as {_EXAMPLE} {_EXAMPLE} domain", at=0)
        mask = _bits(words[3]) if len(words) > 3 else 0xFFFFFFFF
        return Asked(context(words[0]), context(words[1]), _class(words[2]), mask)

    return read


def _access(xen: Hypervisor, question: Asked) -> flask_rules.Decision:
    source, target = sid_of(xen, question.source), sid_of(xen, question.target)
    return flask_rules.access(xen, source, target, question.kind, question.wanted)


@formed('"key value" lines')
def decision(found: flask_rules.Decision) -> str:
    """The masks, in hexadecimal, and the number of the policy."""
    masks = {name: show.hexa(value) for name, value in found._asdict().items() if name != "seqno"}
    return show.flat({**masks, "seqno": found.seqno})


def _labelled(name: str, help: str, op: Operation) -> Exchange:
    def ask(xen: Hypervisor, question: Asked) -> str:
        source, target = sid_of(xen, question.source), sid_of(xen, question.target)
        return flask.sid_to_context(xen, flask_rules.labelled(xen, op, source, target, question.kind))

    return Exchange(
        name, help, write=ask, parse=asked(wanted=False), format="security context", tier="C",
        call=f"{flask.CONTEXT_TO_SID.name}, {op.name}, {flask.SID_TO_CONTEXT.name}", errnos="EACCES",
    )  # fmt: skip


QUESTIONS = (
    Exchange(
        "context", "Ask with a security context for its SID", write=sid_of, parse=context, show=show.dec,
        call=flask.CONTEXT_TO_SID.name, tier="B",
    ),
    Exchange(
        "sid", "Ask with a SID for its security context; a number that stands for nothing is unlabeled",
        write=flask.sid_to_context, parse=parse.integer(0, MOST_SIDS, "SID"), call=flask.SID_TO_CONTEXT.name,
        tier="B",
    ),
    Exchange(
        "access", 'Ask "SOURCE TARGET CLASS" for what the policy allows: masks of permissions', write=_access,
        parse=asked(wanted=True), show=decision, call=f"{flask.CONTEXT_TO_SID.name}, {flask_rules.ACCESS.name}",
        tier="C",
    ),
    _labelled("create", 'Ask "SOURCE TARGET CLASS" for the context of a new object', flask_rules.CREATE),
    _labelled("relabel", 'Ask "SOURCE TARGET CLASS" for the context of an object that is relabelled',
              flask_rules.RELABEL),
    _labelled("member", 'Ask "SOURCE TARGET CLASS" for the context of one of several objects', flask_rules.MEMBER),
    Exchange(
        "peersid", "Ask with an event channel of this domain's for the SID of the domain at its other end",
        write=flask_rules.peer_sid, parse=parse.integer(0, _MOST_PORT, "port"), show=show.dec,
        call=flask_rules.GET_PEER_SID.name, tier="C",
    ),
)  # fmt: skip
