"""flask/: the security policy in force, where Xen has FLASK: its mode, its contexts, its booleans.

Open this file first; contexts.py has the questions, ocontexts.py labels what the machine has."""

from __future__ import annotations

import errno

from xenfs.calls import domains, flask, flask_rules
from xenfs.calls.domains import DomainInfo
from xenfs.errors import BadInput, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.flask.contexts import QUESTIONS, context, sid_of
from xenfs.nodes.flask.ocontexts import OCONTEXTS
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed
from xenfs.nodes.tables.payload import Payload

_present = answers(flask.enforcing)
_LARGEST = 4 << 20  # bytes; Xen takes 64 MiB, and policies have less than one
_MOST_THRESHOLD = 2**31 - 1  # a result is a number with a sign


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


@formed('"key: value" lines')
def _hash_stats(found: flask_rules.HashStats) -> str:
    """The words of selinuxfs."""
    return show.lines((
        f"entries: {found.entries}",
        f"buckets used: {found.buckets_used}/{found.buckets_total}",
        f"longest chain: {found.max_chain_len}",
    ))  # fmt: skip


def _cache_stats(xen: Hypervisor) -> str:
    return show.nested((f"cpu{cpu}", found._asdict()) for cpu, found in flask_rules.all_cache_stats(xen))


AVC = Dir(
    "avc",
    "What Xen remembers of the policy's decisions",
    (
        File(
            "cache_threshold", "How many it remembers before it forgets old ones", read=flask_rules.avc_threshold,
            show=show.dec, write=flask_rules.set_avc_threshold, parse=parse.integer(0, _MOST_THRESHOLD, "threshold"),
            write_option="debug", call=f"{flask_rules.GETAVC_THRESHOLD.name}, {flask_rules.SETAVC_THRESHOLD.name}",
            tier="C",
        ),
        File(
            "hash_stats", "The table of what it remembers: how many, and how well spread",
            read=flask_rules.hash_stats, show=_hash_stats, tier="C",
        ),
        File(
            "cache_stats", "What each CPU that is online did with it", read=_cache_stats,
            call=flask_rules.AVC_CACHESTATS.name, format='"cpuN key=value ..." lines', grows=Cost.CPUS, tier="C",
            when=answers(lambda xen: flask_rules.cache_stats(xen, 0)),
        ),
    ),
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
        *QUESTIONS,
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
        AVC,
        OCONTEXTS,
        Payload(
            "load", "Write a binary policy, such as cat makes of a file: it is in force when the file is closed. One "
            "that denies the control domain its rights can end the host",
            write=flask_rules.load, most=_LARGEST, option="debug", write_grows=Cost.WAITS,
            call=flask_rules.LOAD.name, format="binary policy", tier="C",
        ),
    ),
    when=_present,
)  # fmt: skip


def _domain_context(xen: Hypervisor, domain: Domain) -> str:
    return flask.sid_to_context(xen, domains.info(xen, domain).ssidref)


def _relabel(xen: Hypervisor, domain: Domain, wanted: str, known: DomainInfo) -> None:
    if wanted != flask.sid_to_context(xen, known.ssidref):
        flask.relabel(xen, domain.domid, sid_of(xen, wanted))


CONTEXT = File(
    "context", "Security context; write another one, if the policy lets a domain go there", read=_domain_context,
    format="security context",
    write=_relabel, knowing=True, parse=context, write_option="debug", checked=True, when=_present, tier="B",
    call="domctl getdomaininfo, xsm_op SID_TO_CONTEXT, RELABEL_DOMAIN",
)  # fmt: skip
