"""host/mce/: what Xen noted of machine checks, and how to feign them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from xenfs.abi.numbers import Limit, McaFetch, McaInject
from xenfs.calls import mca, sysctl
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File, consuming
from xenfs.nodes.tables.conditions import answers, every, x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed
from xenfs.nodes.tables.members import members

_MOST = 64  # of each kind: Xen keeps no more
_cpu = parse.integer(0, 4095, "CPU")
_register, _value = parse.integer(0, 2**32 - 1, "register"), parse.integer(0, 2**64 - 1, "value")
_cpus = parse.number_list()


def _log(xen: Hypervisor) -> Iterator[str]:
    """A line for each record, all of one machine check with its number before them."""
    number = 0
    for urgency in (McaFetch.URGENT, McaFetch.NONURGENT):
        for _ in range(_MOST):
            found = mca.take(xen, urgency)
            if found is None:
                break
            number += 1
            for kind, record in found.records:
                values = (
                    (name.removeprefix("mc_"), text) for name, text in members(xen.abi, record) if name != "common"
                )
                words = (f"{name}={text}" for name, text in values if not name.startswith("common."))
                yield show.words((number, str(urgency.name).lower(), kind.name.lower(), *words))


class Injected(NamedTuple):
    """What is to be feigned: registers of a CPU, or a machine check of a kind on some."""

    kind: str
    cpus: parse.Numbers | int
    registers: tuple[tuple[int, int], ...] = ()


_FORM = 'mce CPU; cmci CPUS; lmce CPUS; or CPU and up to eight pairs "REGISTER VALUE"'


@formed(_FORM, ranged=True)
def injected(text: str) -> Injected:
    """EINVAL for other text, ERANGE."""
    first, *more = re.findall(r"[^ \t]+", text) or [""]
    if first in ("cmci", "lmce"):
        if len(more) != 1:
            raise BadInput(f"{first} wants a list of CPUs", word=first)
        return Injected(first, _cpus(more[0]))
    if first == "mce":
        if len(more) != 1:
            raise BadInput("mce wants one CPU", word=first)
        return Injected(first, _cpu(more[0]))
    if not more or len(more) % 2 or len(more) > 2 * Limit.MC_MSRINJ_MAXMSRS:
        raise BadInput(f"wants: {_FORM}", at=0)
    pairs = zip(more[::2], more[1::2], strict=True)
    return Injected("msr", _cpu(first), tuple((_register(number), _value(value)) for number, value in pairs))


def _inject(xen: Hypervisor, wanted: Injected) -> None:
    topology = sysctl.cpu_topology(xen)
    if isinstance(wanted.cpus, int):
        if wanted.cpus not in topology:
            raise BadInput(f"there is no CPU {wanted.cpus}", at=0)
        if wanted.kind == "mce":
            mca.inject_check(xen, wanted.cpus)
        else:
            mca.inject_registers(xen, wanted.cpus, wanted.registers)
        return
    if wanted.cpus.change:
        raise BadInput("write the whole list", at=0)
    chosen = wanted.cpus.applied((), topology.keys(), "CPU", lambda: sysctl.cpus_of_nodes(topology))
    if not chosen:
        raise BadInput("no CPU is chosen", at=0)
    mca.inject_on(xen, McaInject[wanted.kind.upper()], chosen)


MCE = Dir(
    "mce",
    "Machine checks",
    (
        consuming(
            "log", "Write 1: what Xen noted of machine checks is given, and taken from dom0's kernel", read=_log,
            show=show.lines, tier="C", option="debug", grows=Cost.LENGTH, call=mca.FETCH.name,
            format="a line for each record: number, urgency, kind, name=value ...",
        ),
        File(
            "inject", "Feign a machine check, which may end the host; or what a CPU's registers say of it",
            write=_inject, parse=injected, tier="C", option="debug", write_grows=Cost.WAITS, errnos="ENODEV",
            call=f"{mca.MSRINJECT.name}, {mca.MCEINJECT.name}, {mca.INJECT_V2.name}, ({sysctl.CPUTOPOINFO.name})",
        ),
    ),
    when=every(x86, answers(mca.nr_online)),
)  # fmt: skip
