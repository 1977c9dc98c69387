"""templates/: domains that are not yet any. mkdir makes one, files say what it is to be, commit makes a domain of it.

settings.py has the files, commit.py what is done with them. Open this file first.
"""

from __future__ import annotations

from typing import Any

from xenfs.calls import create, domains, domctl, lifecycle, vnuma
from xenfs.calls.domain_memory import SET_POOL
from xenfs.calls.memory import SET_MEMORY_MAP
from xenfs.errors import Stale
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.templates import Template
from xenfs.nodes.domains import introduction
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Each, Exchange
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.guard import Guard
from xenfs.nodes.templates.commit import commit, name_orphans, wanted_domid
from xenfs.nodes.templates.settings import ARCH, SETTINGS

__all__ = ["TEMPLATES", "name_orphans"]


def _there(_xen: Hypervisor, template: Template, *_: Any) -> None:
    if not template.live:
        raise Stale(str(template))


def _fill(_xen: Hypervisor, template: Template) -> None:
    template.copy = True


_CALLS = ", ".join(
    each.name
    for each in (
        create.CREATE, create.SET_LLC_COLORS, create.MAX_VCPUS, create.SET_ADDRESS_SIZE, domctl.MAX_MEM,
        vnuma.SETVNUMAINFO, SET_MEMORY_MAP, SET_POOL, *introduction.CALLS, lifecycle.SETDOMAINHANDLE,
    )
)  # fmt: skip

TEMPLATES = Dir(
    "templates",
    "Domains that are not yet any: mkdir makes a template, rmdir forgets it",
    (
        Each(
            label="<t>",
            list=lambda xen: xen.templates.listed(),
            find=lambda xen, name: xen.templates.find(name),
            node=Dir(
                "<t>",
                "A template: what a domain is to be",
                (
                    *SETTINGS,
                    Dir("arch", "What only this architecture has", ARCH),
                    Exchange(
                        "commit", "Write an id, or any: a domain is made; read its id", write=commit,
                        parse=wanted_domid, show=show.dec, restricted=True, tier="C",
                        write_grows=Cost.MEMORY | Cost.WAITS, errnos="EEXIST ENOMEM ETIMEDOUT",
                        call=f"{_CALLS}, (xenstore)",
                    ),
                ),
                remove=lambda xen, template: xen.templates.remove(template),
                fill=_fill,
                tier="C",
            ),
            guard=Guard(now=_there, recent=_there),
        ),
    ),
    make=lambda xen, name: xen.templates.make(name),
    option="lifecycle",
    when=answers(lambda xen: domains.info_now(xen, 0)),
    volatile=True,
    tier="C",
)  # fmt: skip
