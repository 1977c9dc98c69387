"""raw/ on the Xen underneath: examples, a life from beginning to end, and answers beside the nodes' own."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from raw_examples import examples, life, run
from xen_guests import Guest
from xen_mount import Mount, failure, mounted

from xenfs.abi.operations import Does
from xenfs.nodes.raw.operations import by_path

EXAMPLES = examples()
# What an operation that only looks may say where it is asked for nothing in particular.
SAID = frozenset({
    errno.ESRCH, errno.ENOENT, errno.EINVAL, errno.ENODEV, errno.EOPNOTSUPP, errno.EFAULT, errno.EPERM, errno.ERANGE,
    errno.ENODATA, errno.ENOBUFS, errno.ENOSPC, errno.EBUSY, errno.EACCES, errno.ENXIO, errno.EDOM, errno.EOVERFLOW,
    errno.E2BIG, errno.ENOMEM, errno.EAGAIN,
})  # fmt: skip


@pytest.fixture(scope="module")
def raw(hypervisor: str) -> Iterator[Mount]:
    """A mount with raw/ in it."""
    with mounted(hypervisor, "raw", "lifecycle", "debug") as found:
        yield found


def ask(raw: Mount, path: str, text: str = "") -> dict[str, str]:
    """The members of an answer."""
    return dict(line.split(" ", 1) for line in raw.ask(f"raw/{path}", f"{text}\n").splitlines())


def test_each_example_works(raw: Mount, guest: Guest) -> None:
    assert len(EXAMPLES) == 10
    for example in EXAMPLES:
        assert run(raw.root, example, guest.domid).strip(), example


def test_a_whole_life_with_raw_alone(raw: Mount) -> None:
    said = life(raw.root).splitlines()
    assert said[1:3] == ["gave it 16 pages", f"it has {said[2].split()[2]} pages"]


def test_every_operation_that_only_looks_can_be_asked(raw: Mount, guest: Guest) -> None:
    """With nothing but the domain said. Xen answers, or says why not: never that bytes or versions are wrong."""
    answered: set[str] = set()
    refused: dict[str, str] = {}
    for path, op in by_path().items():
        if op.does is not Does.LOOKS or not raw.has(f"raw/{path}"):
            continue
        code = failure(lambda path=path, op=op: ask(raw, path, f"{op.domain}={guest.domid}" if op.domain else ""))
        if code:
            assert code in SAID, (path, errno.errorcode.get(code), raw.value("xenfs/error_log")[-300:])
            refused[path] = errno.errorcode[code]
        else:
            answered.add(path)
    print(f"answered {len(answered)}: {' '.join(sorted(answered))}")
    print(f"refused {len(refused)}: {refused}")
    assert {"sysctl/physinfo", "sysctl/sched_id", "domctl/getdomaininfo", "memory_op/current_reservation"} <= answered


def _flat(node: str, members: str) -> Callable[[Mount, dict[str, str]], None]:
    def compare(raw: Mount, answer: dict[str, str]) -> None:
        shown = raw.flat(node)
        for name in members.split():
            assert answer[name] == shown[name], (node, name)

    return compare


def test_answers_are_those_of_the_nodes(raw: Mount, guest: Guest) -> None:
    """Each beside the node that shows the same; what moves by itself is left out."""
    d, node = guest.domid, guest.node
    _flat("host/info", "nr_cpus max_cpu_id nr_nodes max_node_id threads_per_core cores_per_socket total_pages")(
        raw, ask(raw, "sysctl/physinfo")
    )
    _flat(node("info"), "tot_pages max_pages shr_pages paged_pages max_vcpu_id nr_online_vcpus ssidref cpupool")(
        raw, ask(raw, "domctl/getdomaininfo", f"domain={d}")
    )
    _flat(node("vcpus/0/info"), "online")(raw, ask(raw, "domctl/getvcpuinfo", f"domain={d} vcpu=0"))
    pages = int(ask(raw, "memory_op/current_reservation", f"domid={d}")["result"])
    assert pages * 4 == int(raw.value(node("memory/current_kb")))
    gpfn = ask(raw, "memory_op/maximum_gpfn", f"domid={d}")["result"]
    assert gpfn == raw.value(node("memory/max_gpfn"))
    heap = ask(raw, "sysctl/availheap", "node=-1")["avail_bytes"]
    assert abs(int(heap) - int(raw.ask("host/memory/availheap", "-1 0 0"))) < 64 << 20
    info = ask(raw, "sysctl/cpupool_op:INFO", "cpupool_id=0 cpumap.nr_bits=8 cpumap.bitmap=out:1")
    assert info["n_dom"] == raw.value("cpupools/0/nr_domains")
    size = ask(raw, "domctl/get_address_size", f"domain={d}")["size"] if raw.has("raw/domctl/get_address_size") else ""
    assert not size or size == raw.value(node("address_size"))


def test_one_of_each_family_changes_a_guest(raw: Mount, doomed: Callable[..., Guest]) -> None:
    """domctl, memory_op and sysctl; and a device model's of a domain that has none, which says so."""
    one = doomed()
    d = one.domid
    ask(raw, "domctl/max_mem", f"domain={d} max_memkb=8192")
    assert ask(raw, "domctl/getdomaininfo", f"domain={d}")["max_pages"] == "2048"
    ask(raw, "memory_op/claim_pages", f"domid={d} nr_extents=16")
    assert ask(raw, "domctl/getdomaininfo", f"domain={d}")["outstanding_pages"] in ("16", "0")
    ask(raw, "memory_op/claim_pages", f"domid={d}")
    keys = "text:h"
    ask(raw, "sysctl/debug_keys", f"keys={keys} nr_keys=1")
    assert (
        failure(lambda: ask(raw, "dm_op/inject_msi", f"domid={d}")) in (errno.EINVAL, errno.EOPNOTSUPP, errno.ESRCH, 0)
        if raw.has("raw/dm_op/inject_msi")
        else True
    )
    uuid = raw.value(one.node("uuid"))
    assert failure(lambda: ask(raw, "domctl/destroydomain", f"domain={d} uuid={uuid}")) in (0, errno.EAGAIN)
    raw_log = raw.value("xenfs/calls/log")
    assert "domctl:destroydomain" in raw_log
