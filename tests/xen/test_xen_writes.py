"""What is seldom written, taken by a real Xen and read back: pools made by hand, and guests of the test's own."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from xen_guests import Guest, eventually
from xen_mount import Mount, a_cpu_leaves, failure

from xenfs.abi.numbers import Domctl
from xenfs.abi.operations import operation
from xenfs.calls.control import domctl
from xenfs.hypervisor.base import Hypervisor

Doomed = Callable[..., Guest]
SETVNUMAINFO = operation(Domctl.setvnumainfo)


@pytest.fixture
def pool(mount: Mount) -> Iterator[str]:
    """A pool with CPU 1, of the default scheduler, made and ended by hand."""
    if mount.value("cpupools/0/cpus") != "0-1":
        pytest.skip("needs CPUs 0 and 1 in the first pool")
    if mount.value("host/scheduler") == "rtds":
        pytest.skip("a CPU that leaves an rtds pool ends these Xens")
    number = str(int(mount.numbers("cpupools")[-1]) + 1)
    made = f"cpupools/{number}"
    mount.mkdir(made)
    try:
        mount.write("cpupools/0/cpus", "-1")
        mount.write(f"{made}/cpus", "+1")
        yield number
    finally:
        if mount.value(f"{made}/cpus") == "1":
            mount.write(f"{made}/cpus", "-1")
        mount.rmdir(made)
        mount.write("cpupools/0/cpus", "+1")
        eventually(lambda: not mount.has(made), 60.0, "the pool is gone")


@a_cpu_leaves
def test_a_pool_by_hand(mount: Mount, pool: str, guest: Guest) -> None:
    assert mount.value(f"cpupools/{pool}/cpus") == "1"
    assert mount.value("cpupools/0/cpus") == "0"
    if mount.has(f"cpupools/{pool}/sched/ratelimit_us"):
        mount.write(f"cpupools/{pool}/sched/ratelimit_us", "2000")
        assert mount.value(f"cpupools/{pool}/sched/ratelimit_us") == "2000"
    mount.write(guest.node("cpupool"), pool)
    try:
        assert mount.value(guest.node("cpupool")) == pool
        assert mount.value(f"cpupools/{pool}/nr_domains") == "1"
        assert failure(lambda: mount.write(f"cpupools/{pool}/cpus", "-1")) == errno.EBUSY
        assert failure(lambda: os.rmdir(mount.path(f"cpupools/{pool}"))) == errno.EBUSY
    finally:
        mount.write(guest.node("cpupool"), "0")
    assert mount.value(f"cpupools/{pool}/nr_domains") == "0"


def test_shut_down_and_resumed(mount: Mount, doomed: Doomed) -> None:
    guest = doomed()
    mount.write(guest.node("shutdown"), "suspend")
    assert mount.value(guest.node("state")) == "shutdown"
    assert mount.value(guest.node("shutdown_reason")) == "suspend"
    mount.write(guest.node("resume"), "1")
    assert mount.value(guest.node("shutdown_reason")) == ""
    assert mount.value(guest.node("state")) != "shutdown"


def test_triggers(mount: Mount, doomed: Doomed) -> None:
    guest = doomed()
    if not mount.has(guest.node("trigger")):
        pytest.skip("not on this architecture")
    mount.write(guest.node("trigger"), "nmi 0")
    assert failure(lambda: mount.write(guest.node("trigger"), "nmi 99")) == errno.ERANGE
    buttons = [domain for domain in mount.numbers("domains") if mount.value(f"domains/{domain}/type") == "pvh"]
    for domain in buttons[:1]:  # without an emulated board there is nothing behind the buttons
        mount.write(f"domains/{domain}/trigger", "power")
        mount.write(f"domains/{domain}/trigger", "sleep")


def test_claim(mount: Mount, doomed: Doomed) -> None:
    guest = doomed()
    most = int(mount.value(guest.node("memory/current_kb"))) + 16384
    mount.write(guest.node("memory/max"), str(most))
    mount.write(guest.node("memory/claim"), "8192")
    assert mount.value(guest.node("memory/claim")) == "8192"
    assert int(mount.value("host/memory/claimed_kb")) >= 8192
    mount.write(guest.node("memory/claim"), "0")
    assert mount.value(guest.node("memory/claim")) == "0"


def test_node_affinity(mount: Mount, guest: Guest) -> None:
    nodes = mount.value(guest.node("memory/node_affinity"))
    for value, then in (("0", "0"), ("all", nodes)):
        mount.write(guest.node("memory/node_affinity"), value)
        assert mount.value(guest.node("memory/node_affinity")) == then
    assert failure(lambda: mount.write(guest.node("memory/node_affinity"), "63")) == errno.ERANGE


@pytest.fixture
def hvm(mount: Mount) -> str:
    """A guest that is HVM or PVH and not xenfs's own domain."""
    own = os.readlink(mount.path("domains/self"))
    for domain in mount.numbers("domains"):
        if domain != own and mount.has(f"domains/{domain}/hvm"):
            return f"domains/{domain}"
    pytest.skip("no HVM or PVH guest here")


def test_paging_pool(mount: Mount, hvm: str) -> None:
    node = f"{hvm}/memory/paging_pool_bytes"
    if not mount.has(node):
        pytest.skip("not in this Xen")
    before = int(mount.value(node))
    mount.write(node, str(before + (1 << 20)))
    assert int(mount.value(node)) == before + (1 << 20)
    mount.write(node, str(before))
    assert int(mount.value(node)) == before


def test_target_of_a_domain_that_has_all_its_memory(mount: Mount, hvm: str) -> None:
    """Xen takes the target, and does nothing: nothing was populated on demand."""
    if not mount.has(f"{hvm}/memory/pod"):
        pytest.skip("not in this Xen")
    before = mount.value(f"{hvm}/memory/pod/target")
    mount.write(f"{hvm}/memory/pod/target", before)
    assert mount.value(f"{hvm}/memory/pod/target") == before
    assert mount.value(f"{hvm}/memory/pod/entries") == "0"


def test_parameter(mount: Mount, hvm: str) -> None:
    name = "timer_mode" if mount.has(f"{hvm}/hvm/params/timer_mode") else "console_evtchn"
    node = f"{hvm}/hvm/params/{name}"
    before = mount.value(node)
    other = "2" if before != "2" else "1"
    if name == "timer_mode":
        assert failure(lambda: mount.write(node, "77")) == errno.EINVAL
        mount.write(node, other)
        assert mount.value(node) == other
    mount.write(node, before)
    assert mount.value(node) == before


def test_virtual_nodes(mount: Mount, xen: Hypervisor, doomed: Doomed) -> None:
    """Given by the test's own hypercall: no xl so far makes a PV or PVH guest that has some."""
    if xen.abi.arch != "x86_64":
        pytest.skip("not on this architecture")
    guest = doomed(vcpus=2)
    assert not mount.has(guest.node("memory/vnuma"))
    numbers = {"vdistance": (10, 20, 20, 10), "vcpu_to_vnode": (0, 1), "vnode_to_pnode": (0, 0)}
    with ExitStack() as loans:
        words = {name: loans.enter_context(xen.pool.take(4 * len(values))) for name, values in numbers.items()}
        for name, values in numbers.items():
            words[name].fill(struct.pack(f"<{len(values)}I", *values))
        ranges = loans.enter_context(xen.pool.take(2 * xen.abi.sizeof("struct xen_vmemrange")))
        for node, view in enumerate(xen.abi.array("struct xen_vmemrange", 2, ranges)):
            view.start, view.end, view.nid = node << 27, (node + 1) << 27, node
        domctl(
            xen, SETVNUMAINFO, guest.domid, "vnuma", nr_vnodes=2, nr_vcpus=2, nr_vmemranges=2,
            **{name: (buf, buf.nbytes) for name, buf in words.items()}, vmemrange=(ranges, ranges.nbytes),
        )  # fmt: skip
    eventually(lambda: mount.has(guest.node("memory/vnuma")), 60.0, "it has them")
    assert mount.value(guest.node("memory/vnuma")).splitlines() == [
        "vnode0 distance=10,20 vcpus=0",
        "vnode1 distance=20,10 vcpus=1",
        "range0 vnode=0 start=0x0 end=0x8000000 flags=0x0",
        "range1 vnode=1 start=0x8000000 end=0x10000000 flags=0x0",
    ]


def test_runtime_parameter(mount: Mount) -> None:
    """By both of its names, and no other value than it has."""
    nodes = [node for node in ("host/params/gnttab_max_frames", "hypfs/params/gnttab_max_frames") if mount.has(node)]
    if not nodes:
        pytest.skip("no hypfs in this Xen")
    for node in nodes:
        before = mount.value(node)
        mount.write(node, before)
        assert mount.value(node) == before
