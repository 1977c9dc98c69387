"""domains/self/vcpus/<v>/runstate: what xenfs's own vCPUs do with their time."""

from __future__ import annotations

from xenfs.abi.numbers import RunState
from xenfs.calls import runstate
from xenfs.connect.own import own_domid
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.conditions import answers, every, x86

_NAMES = {int(state): str(state.name) for state in RunState}


def _own(xen: Hypervisor, domain: Domain, vcpu: int) -> bool:
    return domain.domid == own_domid(xen)


def _runstate(xen: Hypervisor, domain: Domain, vcpu: int) -> str:
    found = runstate.runstate(xen, vcpu)
    times = {f"{name}_ns": found.time[number] for number, name in _NAMES.items()}
    state = _NAMES.get(found.state, str(found.state))
    return show.flat({"state": state, "state_entry_time_ns": found.state_entry_time, **times})


RUNSTATE = File(
    "runstate", "What it does, since when, and how long it has done what, ns; of the domain that asks only",
    read=_runstate, format='"key value" lines', only=_own, call=runstate.GET_RUNSTATE_INFO.name, tier="B",
    when=every(x86, answers(lambda xen: runstate.runstate(xen, 0))),
)  # fmt: skip
