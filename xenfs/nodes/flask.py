"""flask/: the security policy in force, where Xen has FLASK: its mode, its contexts, its booleans."""

from __future__ import annotations

import errno
import re

from xenfs.calls import domains, flask
from xenfs.calls.domains import DomainInfo
from xenfs.errors import BadInput, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, Exchange, File
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.forms import formed

_present = answers(flask.enforcing)
_MOST_SIDS = 2**32 - 1


@formed("security context, such as system_u:system_r:domU_t")
def _context(text: str) -> str:
    """A security context: what it means is for the policy to say, but it is one word of printable characters."""
    word = text.strip(" \t")
    odd = re.search(r"[^!-~]", word)
    if not word or odd:
        raise BadInput("not a security context such as system_u:system_r:domU_t", at=odd.start() if odd else 0)
    return word


def _sid(xen: Hypervisor, context: str) -> int:
    """The SID of a context. Without a policy Xen knows every context, but most of them as its own: look back."""
    sid = flask.context_to_sid(xen, context)
    known = flask.sid_to_context(xen, sid)
    if ":" not in known and known != context:
        raise BadInput(
            "no policy is loaded: only the names of initial SIDs, such as dom0, mean something", word=context
        )
    return sid


@formed("0 or 1, or both values")
def _switch_or_both(text: str) -> tuple[bool | None, bool]:
    """The new pending value; or both values, as the file shows them."""
    words = text.split(" ")
    if len(words) == 2:
        return parse.switch(words[0]), parse.switch(words[1])
    return None, parse.switch(text)


def _values(xen: Hypervisor, name: str) -> str:
    found = flask.boolean(xen, name)
    return f"{show.flag(found.current)} {show.flag(found.pending)}"


def _set_value(xen: Hypervisor, name: str, values: tuple[bool | None, bool]) -> None:
    current, pending = values
    if current is not None and current != flask.boolean(xen, name).current:
        raise BadInput("the first value is the one in force, which commit_pending_bools changes", at=0)
    flask.set_boolean(xen, name, pending)


def _booleans(xen: Hypervisor) -> list[tuple[str, str]]:
    return [(found.name, found.name) for found in flask.booleans(xen) if "/" not in found.name]


def _boolean(xen: Hypervisor, name: str) -> str | None:
    with answered_by(errno.ENOENT, errno.ENOBUFS):
        return flask.boolean(xen, name).name
    return None


BOOLEAN = File(
    "<name>", "A boolean of the policy: the value in force, and the one pending; write the pending one, 0 or 1",
    read=_values, format="two of 0 or 1", write=_set_value, parse=_switch_or_both, call="xsm_op GETBOOL, SETBOOL",
    tier="B",
)  # fmt: skip

FLASK = Dir(
    "flask",
    "FLASK, Xen's security policy",
    (
        File(
            "enforce", "Whether what the policy denies is refused (1) or only logged (0)",
            read=flask.enforcing, show=show.flag, write=flask.set_enforcing, parse=parse.switch, write_option="debug",
            call="xsm_op GETENFORCE, SETENFORCE", tier="B",
        ),
        File(
            "policyvers", "Highest version of binary policies that Xen takes", read=flask.policyvers, show=show.dec,
            call=flask.POLICYVERS.name, tier="B",
        ),
        File(
            "mls", "Whether the policy has multi-level security", read=flask.mls, show=show.flag,
            call=flask.MLS.name, tier="C",
        ),
        Exchange(
            "context", "Ask with a security context for its SID", write=_sid, parse=_context, show=show.dec,
            call=flask.CONTEXT_TO_SID.name, tier="B",
        ),
        Exchange(
            "sid", "Ask with a SID for its security context; a number that stands for nothing is unlabeled",
            write=flask.sid_to_context, parse=parse.integer(0, _MOST_SIDS, "SID"),
            call=flask.SID_TO_CONTEXT.name, tier="B",
        ),
        Dir(
            "booleans", "Booleans of the policy",
            (Each(label="<name>", list=_booleans, find=_boolean, node=BOOLEAN),),
            volatile=True,
        ),
        File(
            "commit_pending_bools", "Write 1 to bring all pending values of booleans into force",
            write=lambda xen, _: flask.commit_booleans(xen), parse=parse.one_of(("1",)), option="debug",
            call=flask.COMMITBOOLS.name, tier="C",
        ),
    ),
    when=_present,
)  # fmt: skip


def _domain_context(xen: Hypervisor, domain: Domain) -> str:
    return flask.sid_to_context(xen, domains.info(xen, domain).ssidref)


def _relabel(xen: Hypervisor, domain: Domain, context: str, known: DomainInfo) -> None:
    if context != flask.sid_to_context(xen, known.ssidref):
        flask.relabel(xen, domain.domid, _sid(xen, context))


CONTEXT = File(
    "context", "Security context; write another one, if the policy lets a domain go there", read=_domain_context,
    format="security context",
    write=_relabel, knowing=True, parse=_context, write_option="debug", checked=True, when=_present, tier="B",
    call="domctl getdomaininfo, xsm_op SID_TO_CONTEXT, RELABEL_DOMAIN",
)  # fmt: skip
