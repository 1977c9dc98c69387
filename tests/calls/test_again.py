"""What Xen's own toolstack asks once more is asked once more, each operation of it; any other refusal is the answer."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial

import pytest
from worlds import Between, Host

from xenfs.abi.numbers import Sysctl
from xenfs.calls import again, pools, power, sysctl
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.simulator import Simulator

SYSCTL, HOTPLUG, CPUPOOL = 35, int(Sysctl.cpu_hotplug), int(Sysctl.cpupool_op)
TIMES = 3
REPEATED = {
    "CREATE": (CPUPOOL, errno.EAGAIN, partial(pools.create, pool=9, sched_id=6)),
    "DESTROY": (CPUPOOL, errno.EAGAIN, partial(pools.destroy, pool=2)),
    "ADDCPU": (CPUPOOL, errno.EAGAIN, partial(pools.add_cpu, pool=2, cpu=7)),
    "RMCPU": (CPUPOOL, errno.EAGAIN, partial(pools.remove_cpu, pool=1, cpu=6)),
    "RMCPU, somebody is pinned there": (CPUPOOL, errno.EADDRINUSE, partial(pools.remove_cpu, pool=1, cpu=6)),
    "MOVEDOMAIN": (CPUPOOL, errno.EAGAIN, partial(pools.move_domain, domid=1, pool=1)),
    "cpu_hotplug": (HOTPLUG, errno.EBUSY, partial(sysctl.hotplug, cpu=7, online=False)),
    "SMT": (HOTPLUG, errno.EBUSY, partial(power.set_smt, on=True)),
}


class Unready:
    """Refuses an operation so often before it is carried out."""

    def __init__(self, sim: Simulator) -> None:
        self.sim, self.cmd, self.code, self.left = sim, 0, 0, 0

    def __call__(self, number: int, args: tuple[int, ...]) -> int | None:
        if number != SYSCTL or int.from_bytes(self.sim.machine.at(args[0], 4), "little") != self.cmd or not self.left:
            return None
        self.left -= 1
        return -self.code


@pytest.mark.parametrize("name", REPEATED)
def test_it_is_asked_for_until_xen_can(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cmd, code, ask = REPEATED[name]
    sim = Simulator.from_settings("cpus=8")
    unready = Unready(sim)
    with Host(backend=Between(sim, unready)) as host:
        host.world.pools.create(5, 2)
        unready.cmd, unready.code, unready.left = cmd, code, TIMES
        ask(host.xen)
        assert unready.left == 0
        monkeypatch.setattr(again, "PATIENCE_S", 0.0)
        assert refusal(ask, host.xen, unready, errno.EXDEV) == (errno.EXDEV, 1), "that is no reason to ask again"


def refusal(ask: Callable[[Hypervisor], object], xen: Hypervisor, unready: Unready, code: int) -> tuple[int, int]:
    """(errno, how often it was asked) of an operation that Xen refuses for ever."""
    unready.code, unready.left = code, 10**6
    with pytest.raises(HypercallError) as caught:
        ask(xen)
    return caught.value.errno, 10**6 - unready.left
