"""domains/<d>/dm/: the device models of an HVM domain, and what one of them could do."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from xenfs.abi.numbers import DomInf
from xenfs.calls import dm
from xenfs.calls.domains import DomainInfo
from xenfs.calls.neighbours import together
from xenfs.connect.own import own_domid
from xenfs.errors import HypercallError, NotThere
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import has_paging, is_other_hvm
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.conditions import x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.members import members

_C: dict[str, Any] = {"tier": "C", "option": "debug"}
_NOT_THERE = (errno.ENOENT, errno.EPERM)  # EPERM: it is in a stub domain


@together
def _servers(xen: Hypervisor, infos: Sequence[DomainInfo]) -> list[list[tuple[str, int]]]:
    asked = [
        info.domain
        for info in infos
        if info.flags & DomInf.hvm_guest and info.domain != own_domid(xen) and not info.dying
    ]
    found = dict(zip(asked, dm.servers(xen, asked), strict=True))
    return [[(str(number), number) for number in found.get(info.domain, ())] for info in infos]


def _numbers(xen: Hypervisor, domain: Domain) -> list[tuple[str, int]]:
    return _servers(xen, domain)


def _find(xen: Hypervisor, domain: Domain, name: str) -> int | None:
    return dict(_numbers(xen, domain)).get(name)


def _info(xen: Hypervisor, domain: Domain, server: int) -> str:
    try:
        found = dm.server_info(xen, domain.domid, server)
    except HypercallError as problem:
        if problem.errno not in _NOT_THERE:
            raise
        raise NotThere(f"device model's requests: {server}") from problem
    shown = dict(members(xen.abi, found))
    return show.flat((name, shown[name]) for name in ("id", "bufioreq_port"))


def _inject(xen: Hypervisor, domain: Domain, message: tuple[int, int]) -> None:
    dm.inject_msi(xen, domain.domid, *message)


def _only(xen: Hypervisor, domain: Domain) -> bool:
    return is_other_hvm(xen, domain) and has_paging(xen, domain)


DM = Dir(
    "dm",
    "Its device models",
    (
        Dir(
            "ioreq_servers",
            "Those of this domain's: each gets requests for some devices",
            (
                Each(
                    label="<i>", list=_numbers, find=_find,
                    node=Dir(
                        "<i>", "One of them",
                        (
                            File("info", "Its number, and the port of what it is told without waiting", read=_info,
                                 format='"key value" lines', call=dm.INFO.name, **_C),
                        ),
                    ),
                ),
            ),
            volatile=True, grows=Cost.LENGTH, find_grows=Cost.LENGTH,
        ),
        File(
            "inject_msi", 'Write "addr data": an interrupt, as a device would send it. The guest may be surprised',
            write=_inject, call=dm.INJECT_MSI.name,
            parse=parse.fields(
                ("addr", parse.integer(0, 2**64 - 1, "address")), ("data", parse.integer(0, 2**32 - 1, "word")),
            ),
            **_C,
        ),
    ),
    option="debug",
    when=x86,
    only=_only,
)  # fmt: skip
