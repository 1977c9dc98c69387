"""Whatever is asked of it, the simulator answers with a result or an errno, and touches no byte that is not lent."""

from __future__ import annotations

import errno
from contextlib import suppress
from threading import Thread

import pytest
from caller import COMBINATIONS, Caller
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from patience import PATIENCE_S
from worlds import Host

from xenfs.calls import many, sysctl
from xenfs.pool import Pool
from xenfs.simulator import Simulator
from xenfs.simulator.answers.pci_op import HostIsDown

OUTER = {"sysctl": "xen_sysctl", "domctl": "xen_domctl", "platform_op": "xen_platform_op"}
words = st.one_of(
    st.sampled_from([0, 1, 2, 3, 8, 0x7FF0, 0xFFFFFFFF, (1 << 64) - 1]),
    st.integers(0, 255),
    st.integers(0, (1 << 64) - 1),
)


def is_answer(result: int) -> bool:
    return result >= 0 or -result in errno.errorcode


@pytest.mark.parametrize("pair", COMBINATIONS, ids=lambda pair: "-".join(pair))
@pytest.mark.parametrize("hypercall", list(OUTER))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_get_an_answer(pair: tuple[str, str], hypercall: str, data: st.DataObject) -> None:
    release, arch = pair
    xen = Caller(f"xen={release},arch={arch},domains=11")
    address, memory = xen.arena.take(xen.layouts.size(OUTER[hypercall]))
    lent, _ = xen.arena.take(4096)
    for at in range(16, len(memory) - 8, 8):
        word = data.draw(st.one_of(words, st.just(lent)))
        memory[at : at + 8] = word.to_bytes(8, "little")
    interface = xen.layouts.interfaces[hypercall.removesuffix("_op")]
    cmd = data.draw(st.integers(0, 100))
    xen.layouts.put(memory, OUTER[hypercall], cmd=cmd, interface_version=interface)
    if hypercall == "domctl":
        xen.layouts.put(memory, "xen_domctl", domain=data.draw(st.sampled_from([0, 1, 3, 6, 9, 10, 15, 999, 0x7FF4])))
    before = {start: len(piece) for start, piece in xen.arena.pieces.items()}
    with suppress(HostIsDown):  # which takes a Xen that test_assign_device of no domain takes down
        assert is_answer(xen.call(hypercall, address))
    assert {start: len(piece) for start, piece in xen.arena.pieces.items()} == before


@settings(max_examples=300, deadline=None)
@given(number=st.integers(0, 60), args=st.lists(words, max_size=5))
def test_any_arguments_get_an_answer(number: int, args: list[int]) -> None:
    xen = Caller("cpus=2,domains=3")
    assert is_answer(xen.sim.hypercall(number, tuple(args)))


def test_without_memory_everything_that_needs_some_faults() -> None:
    sim = Simulator()
    assert sim.hypercall(35, (0x1000,)) == -errno.EFAULT
    assert sim.hypercall(17, (0, 0)) == 4 << 16 | 17


def test_pointers_out_of_live_pieces_fault(xen: Caller) -> None:
    size = xen.layouts.size("xen_sysctl")
    address, memory = xen.arena.take(size)
    fields = {"cmd": xen.constant("XEN_SYSCTL_sched_id"), "interface_version": xen.layouts.interfaces["sysctl"]}
    xen.layouts.put(memory, "xen_sysctl", **fields)
    assert xen.call("sysctl", address) == 0
    assert xen.call("sysctl", address + 1) == -errno.EFAULT
    assert xen.call("sysctl", address - 1) == -errno.EFAULT
    assert xen.call("sysctl", address + size) == -errno.EFAULT
    del xen.arena.pieces[address]
    assert xen.call("sysctl", address) == -errno.EFAULT


def test_it_works_behind_the_real_pool() -> None:
    sim = Simulator()
    pool = Pool(sim.pages, check=True)
    try:
        sim.attach(pool)
        layouts = sim.layouts
        with pool.take(layouts.size("xen_sysctl")) as buffer:
            layouts.put(
                buffer.memory,
                "xen_sysctl",
                cmd=layouts.constant("XEN_SYSCTL_sched_id"),
                interface_version=layouts.interfaces["sysctl"],
            )
            address = int(buffer.address)
            assert sim.hypercall(35, (address,)) == 0
            assert layouts.get(buffer.memory[8:], "xen_sysctl_sched_id", "sched_id") == (6,)
        assert sim.hypercall(35, (address,)) == -errno.EFAULT
    finally:
        pool.close()


def test_other_calls_come_between_those_of_a_multicall() -> None:
    """As in Xen, which makes one after the other: who asks for one thing does not wait for five hundred."""
    with Host() as host:
        sim = host.xen.backend
        assert isinstance(sim, Simulator)
        member, answered = sim.machine.dispatch, list[int]()

        def with_a_neighbour(number: int, args: tuple[int, ...]) -> int:
            neighbour = Thread(target=lambda: answered.append(sysctl.physinfo(host.xen).nr_cpus))
            neighbour.start()
            neighbour.join(PATIENCE_S)
            return member(number, args)

        sim.machine.dispatch = with_a_neighbour
        assert None not in many.vcpu_times(host.xen, [(0, 0), (0, 1)])
        assert answered == [8, 8]
