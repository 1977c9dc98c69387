"""raw/ on the Xen underneath: examples, a life from beginning to end, and answers beside the nodes' own."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from raw_beside import BESIDE, compare
from raw_examples import examples, life, run
from xen_guests import Guest, of_on_xen
from xen_mount import Mount, failure, mounted
from xen_raw import ask, created

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


@pytest.mark.once_a_dom0("what the page says")
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


class Asked:
    """The mount, as the table of raw_beside.py looks at it."""

    def __init__(self, raw: Mount) -> None:
        self.value, self.has, self.names, self._raw = raw.value, raw.has, raw.names, raw

    def answer(self, path: str, question: str) -> str:
        """What a question is answered."""
        return self._raw.ask(path, f"{question}\n")


def test_answers_are_those_of_the_nodes(raw: Mount, guest: Guest) -> None:
    """Each beside the node that shows the same: of a guest that is paused meanwhile, and of the host; of a PVH guest
    too, which has what a PV one has not."""
    ask(raw, "domctl/pausedomain", f"domain={guest.domid}")
    try:
        found = set(compare(Asked(raw), guest.domid))
    finally:
        ask(raw, "domctl/unpausedomain", f"domain={guest.domid}")
    if real(raw) and (other := of_on_xen("gpvh")) and other.domid != guest.domid:
        found |= set(compare(Asked(raw), other.domid, alone=True))
    print(f"compared {len(found)}: {' '.join(sorted(found))}")
    print(f"without a node here: {' '.join(sorted({line.path for line in BESIDE} - found))}")
    assert len(found) > (40 if raw.flat("xenfs/interface")["arch"] == "x86_64" else 20)


def test_one_of_each_family_changes_a_guest(raw: Mount, doomed: Callable[..., Guest]) -> None:
    """domctl, memory_op, event_channel_op, grant_table_op and sched_op on any domain; sysctl on the host."""
    one = doomed()
    d = one.domid
    has = int(ask(raw, "domctl/getdomaininfo", f"domain={d}")["tot_pages"])
    ask(raw, "domctl/max_mem", f"domain={d} max_memkb={4 * (has + 1024)}")
    assert ask(raw, "domctl/getdomaininfo", f"domain={d}")["max_pages"] == str(has + 1024)
    ask(raw, "memory_op/claim_pages", f"domid={d} nr_extents={has + 16}")  # what it is to have in all
    assert ask(raw, "domctl/getdomaininfo", f"domain={d}")["outstanding_pages"] == "16"
    ask(raw, "memory_op/claim_pages", f"domid={d}")
    assert ask(raw, "domctl/getdomaininfo", f"domain={d}")["outstanding_pages"] == "0"
    ask(raw, "sysctl/debug_keys", "keys=text:h nr_keys=1")
    if not real(raw):
        return  # what follows is not simulated
    port = int(ask(raw, "event_channel_op/alloc_unbound", f"dom={d}")["port"])
    assert ask(raw, "event_channel_op/status", f"dom={d} port={port}")["status"] == "1"
    frames = ask(raw, "grant_table_op/setup_table", f"dom={d} nr_frames=1 frame_list=out:8")
    assert frames["status"] == "0"
    uuid = raw.value(one.node("uuid"))
    ask(raw, "sched_op/remote_shutdown", f"domain_id={d} reason=3 uuid={uuid}")
    assert int(ask(raw, "domctl/getdomaininfo", f"domain={d}")["flags"]) & 1 << 3, "it shuts down"


UNUSED_LINE = 5  # of an emulated PC


@pytest.fixture
def pvh(raw: Mount) -> Iterator[int]:
    """The number of a bare PVH domain, without a vCPU."""
    if not real(raw) or raw.flat("xenfs/interface")["arch"] != "x86_64":
        pytest.skip("not simulated, and on Arm only in builds with virtio")
    with created(raw, "pvh") as domid:
        yield domid


def test_families_that_are_for_hvm_domains(raw: Mount, pvh: int) -> None:
    """hvm_op and dm_op; what would end Xen while a domain has no vCPU is refused before."""
    for path in ("domctl/gethvmcontext", "domctl/gethvmcontext_partial", "domctl/bind_pt_irq"):
        assert failure(lambda path=path: ask(raw, path, f"domain={pvh}")) == errno.EINVAL, path
        assert "has no vCPU" in raw.value("xenfs/error_log")
    assert not raw.has(f"domains/{pvh}/hvm/context")
    ask(raw, "domctl/max_vcpus", f"domain={pvh} max=1")
    assert int(ask(raw, "domctl/gethvmcontext", f"domain={pvh}")["size"]) > 0
    if raw.has("raw/dm_op/nr_vcpus"):
        assert ask(raw, "dm_op/nr_vcpus", f"domid={pvh}")["vcpus"] == "1"
    number = int(ask(raw, "dm_op/create_ioreq_server", f"domid={pvh}")["id"])
    ask(raw, "dm_op/set_ioreq_server_state", f"domid={pvh} id={number} enabled=0")
    ask(raw, "dm_op/destroy_ioreq_server", f"domid={pvh} id={number}")
    assert failure(lambda: ask(raw, "dm_op/destroy_ioreq_server", f"domid={pvh} id={number}")) == errno.ENOENT
    mode = int(ask(raw, "hvm_op/get_param", f"domid={pvh} index=10")["value"])  # of its timers
    ask(raw, "hvm_op/set_param", f"domid={pvh} index=10 value={mode ^ 1}")
    assert ask(raw, "hvm_op/get_param", f"domid={pvh} index=10")["value"] == str(mode ^ 1)
    if int(raw.value("version/minor")) < 18:
        path = "domctl/vm_event_op:DISABLE:MONITOR"
        assert failure(lambda: ask(raw, path, "domain=0x7ff4")) == errno.ESRCH, "here Xen would follow a null pointer"


def test_interrupts_of_a_domain(raw: Mount, doomed: Callable[..., Guest]) -> None:
    """physdev_op: a line of the host's that nobody uses becomes one of a PV domain's, and is taken back."""
    if not real(raw) or raw.flat("xenfs/interface")["arch"] != "x86_64":
        pytest.skip("not simulated, and an operation of x86")
    d = doomed().domid
    assert failure(lambda: ask(raw, "dm_op/create_ioreq_server", f"domid={d}")) == errno.EINVAL, "it is for others"
    pirq = int(ask(raw, "physdev_op/map_pirq", f"domid={d} type=1 index={UNUSED_LINE} pirq=-1")["pirq"])
    assert pirq >= 0
    ask(raw, "physdev_op/unmap_pirq", f"domid={d} pirq={pirq}")
    gone = failure(lambda: ask(raw, "physdev_op/unmap_pirq", f"domid={d} pirq={pirq}"))
    assert gone in (errno.EINVAL, errno.ENOENT), errno.errorcode.get(gone)


def test_page_tables_of_a_domain(raw: Mount) -> None:
    """mmuext_op and mmu_update, as who builds a PV domain makes them: a page is cleared, another copied, both named."""
    if not real(raw) or not raw.has("raw/mmuext_op/CLEAR_PAGE"):
        pytest.skip("not simulated, and for a PV control domain on x86")
    with created(raw, "pv") as d:
        ask(raw, "domctl/max_mem", f"domain={d} max_memkb=4096")
        start = "extent_start=inout:00000000000000000100000000000000"
        made = ask(raw, "memory_op/populate_physmap", f"domid={d} nr_extents=2 {start}")
        frames = bytes.fromhex(made["extent_start"])
        first, second = (int.from_bytes(frames[at : at + 8], "little") for at in (0, 8))
        on = f"foreigndom={d} count=1 requests.0"
        ask(raw, "mmuext_op/CLEAR_PAGE", f"{on}.cmd=16 requests.0.arg1.mfn={first}")
        copied = f"{on}.cmd=17 requests.0.arg1.mfn={second} requests.0.arg2.src_mfn={first}"
        assert ask(raw, "mmuext_op/COPY_PAGE", f"{copied} done=out:4")["done"] == "01000000"
        ask(raw, "mmu_update/MACHPHYS_UPDATE", f"{on}.ptr={first << 12 | 1} requests.0.val=1")
        refused = failure(lambda: ask(raw, "mmuext_op/UNPIN_TABLE", f"{on}.cmd=4 requests.0.arg1.mfn={first}"))
        assert refused == errno.EINVAL, "it is no page table"


def test_families_without_a_domain(raw: Mount) -> None:
    """kexec_op, console_io and vcpu_op: what they do to the host and the caller that harms nobody."""
    if not real(raw):
        pytest.skip("not simulated")
    ask(raw, "console_io/write", "count=6 buffer=text:xenfs!")
    if raw.has("raw/kexec_op/kexec_unload"):
        assert failure(lambda: ask(raw, "kexec_op/kexec_unload", "type=7")) == errno.EINVAL, "there is no such type"
        assert failure(lambda: ask(raw, "kexec_op/kexec_unload", "type=0")) in (0, errno.ENOENT, errno.EINVAL)


def real(raw: Mount) -> bool:
    """Whether there is a Xen beneath, and not the simulator."""
    return raw.flat("xenfs/interface")["backend"] != "simulator"


def test_a_domain_is_ended_as_itself(raw: Mount, doomed: Callable[..., Guest]) -> None:
    one = doomed()
    uuid = raw.value(one.node("uuid"))
    question = f"domain={one.domid} uuid={uuid}"
    assert failure(lambda: ask(raw, "domctl/destroydomain", question)) in (0, errno.EAGAIN)
    assert "domctl:destroydomain" in raw.value("xenfs/calls/log")
