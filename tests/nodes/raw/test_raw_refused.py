"""raw/: what no question may say, whatever its words: another operation, an address, two things of one place, and what
xenfs never asks."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from worlds import Host, ask

from xenfs.abi import load
from xenfs.abi.numbers import MonitorEvent
from xenfs.abi.operations import operations
from xenfs.calls import monitor
from xenfs.errors import BadInput, Stale, XenfsError
from xenfs.nodes.raw.form import form
from xenfs.nodes.raw.leaves import Kind
from xenfs.nodes.raw.operations import by_path
from xenfs.nodes.raw.question import Question
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.cost import NOTHING, Cost
from xenfs.options import Options

READ, WRITE = "platform_op/resource_op:MSR_READ", "platform_op/resource_op:MSR_WRITE"


def refused(host: Host, path: str, text: str, why: str) -> BadInput:
    """Refused before any hypercall, with nothing left on loan."""
    before = host.counts.copy()
    with pytest.raises(BadInput, match=why) as caught:
        ask(host, path, text)
    assert not host.asked(before), text
    assert host.xen.pool.stat()["in_use"] == len(host.xen.held)
    return caught.value


# --- never asked ---


@pytest.mark.parametrize("options", [Options(raw=True), Options(raw=True, debug=True)])
@pytest.mark.parametrize("way", ["ENABLE", "DISABLE"])
def test_an_event_behind_which_xen_has_nothing(way: str, options: Options) -> None:
    """A debug build of Xen ends at either: it stands behind no option, and not in a batch either."""
    path = f"domctl/monitor_op:{way}:INTERRUPT"
    with Host("xen=4.17", options=options) as host:
        assert "# never asked: Xen announces" in host.read(f"raw/{path}")
        assert refused(host, path, "domain=3", "never asked").errno == errno.EPERM
        size = host.xen.abi.sizeof("struct xen_domctl")
        assert refused(host, path, f"bytes={bytes(size).hex()} domain=3", "never asked").errno == errno.EPERM
        refused(host, "multicall", f"sysctl/sched_id\n{path} domain=3", "never asked")


def test_files_are_told_by_the_same_line() -> None:
    """No file enables it, and a domain's capabilities do not name it, though Xen does."""
    assert {event for event, op in monitor.ENABLE.items() if op.never} == {MonitorEvent.INTERRUPT}
    with Host("xen=4.17", options=Options(debug=True)) as host:
        guest = next(d for d in host.names("domains") if d.isdecimal() and host.has(f"domains/{d}/monitor/cpuid"))
        assert "interrupt" not in host.names(f"domains/{guest}/monitor")
        assert "interrupt" not in host.value(f"domains/{guest}/monitor/capabilities").split()
        assert monitor.capabilities(host.xen, int(guest)) >> MonitorEvent.INTERRUPT & 1, "Xen says that it could"


def test_news_of_domains_stay_xenstoreds() -> None:
    with Host("xen=4.22") as host:
        path = "domctl/get_domain_state"
        problem = refused(host, path, "domain=0x7ff4", "takes this news from xenstored")
        assert (problem.errno, problem.at) == (errno.EPERM, 0)
        refused(host, "multicall", f"{path} domain=32756", "never asked")
        held = host.xen.held.make("op", 0)
        held.fill(8, (0x7FF4).to_bytes(2, "little"))
        refused(host, path, "%op", "never asked")
        assert ask(host, path, "domain=1")["unique_id"]
        assert refused(host, "event_channel_op/bind_virq", "vcpu=0 virq=3", "xenstored's").at == len("vcpu=0 ")
        refused(host, "domctl/set_virq_handler", "domain=1 virq=3", "xenstored's")
    with Host("xen=4.22", options=Options(raw=True, ro=True)) as looking:
        assert ask(looking, path, "domain=1")["unique_id"], "of one domain it takes nothing away"
        assert not looking.has("raw/domctl/gdbsx_domstatus"), "which forgets the event that it tells"


def test_who_is_never_asked_says_so_on_the_page() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs/coverage.md").read_text(encoding="utf-8")
    for op in (op for whole in operations() for op in whole.leaves() if op.never and not op.never_if):
        assert f"| {op.hypercall.name} | {op.word} |" in page
        assert f"no: {op.never} |" in page


def test_xen_goes_on_behind_its_struct() -> None:
    """It looks at as many registers as it is told, and writes to them too: there is room for eight."""
    path = "mca/msrinject"
    with Host("xen=4.17,profile=full") as host:
        assert "# Xen does not look whether mcinj_count is more than the 8" in host.read(f"raw/{path}")
        assert refused(host, path, "mcinj_flags=2 mcinj_count=9", "at most 8").at == len("mcinj_flags=2 ")
        refused(host, path, f"bytes={'ff' * host.xen.abi.sizeof('struct xen_mc')}", "at most 8")
        assert (
            ask(host, path, "mcinj_count=8 " + " ".join(f"mcinj_msr.{n}.reg=0x17a" for n in range(8)))["result"] == "0"
        )


# --- an operation that another file is ---


def test_each_entry_is_what_the_file_is_for() -> None:
    """A file that only looks, such as -o ro leaves, writes no register, whatever its entries say."""
    with Host("xen=4.22,profile=full", options=Options(raw=True, ro=True)) as host:
        assert not host.has(f"raw/{WRITE}")
        assert "entries.N.u.cmd  in and out: number of 32 bits, always 0" in host.read(f"raw/{READ}")
        for text in (
            "nr_entries=1 entries.0.u.cmd=1 entries.0.idx=0x1b1",
            f"nr_entries=1 entries=inout:{'01' + '00' * 23}",
            f"nr_entries=2 entries=inout:{'00' * 24}{'01' + '00' * 23}",
        ):
            refused(host, READ, text, r"entries.[01].u.cmd is always 0 here")
        held = host.xen.held.make("entries", 0)
        held.fill(0, b"\1")
        refused(host, READ, "nr_entries=1 entries=%entries", "always 0 here")
        held.fill(0, b"\0\0\0\0\0\0\0\0\xb1\1")
        assert ask(host, READ, "nr_entries=1 entries=%entries")["result"] == "1"
        assert ask(host, READ, "nr_entries=1 entries.0.idx=0x1b1")["entries.0.u.ret"] == "0"


def test_requests_of_page_tables_are_what_the_file_is_for() -> None:
    """What is left out is filled in; each of several, and the two lowest bits of an address where these say it."""
    with Host("xen=4.17,profile=full") as host:
        path = "mmuext_op/CLEAR_PAGE"
        for text in ("count=1 requests.0.cmd=15", "count=2 requests.0.arg1.mfn=5 requests.1.cmd=15"):
            refused(host, path, text, "is always 16 here")
        refused(host, "mmu_update/MACHPHYS_UPDATE", "count=1 requests.0.ptr=0x1002", "is always 1 here")
        held = host.xen.held.make("r", 0)
        for text in ("count=3 requests=%r", "count=3 requests.0.arg1.mfn=7", "count=1 requests.0.cmd=16"):
            with pytest.raises(BadInput, match="not simulated"):
                ask(host, path, text)
        stride = host.xen.abi.sizeof("struct mmuext_op")
        assert [held.part(at * stride, 4)[0] for at in range(4)] == [16, 16, 16, 0]
        with pytest.raises(BadInput, match="not simulated"):
            ask(host, "mmu_update/MACHPHYS_UPDATE", "count=2 requests=%r")
        assert held.part(0, 17)[::16] == b"\x11\1", "what was 16 and 0"


# --- an address as a number ---


@pytest.mark.parametrize(("release", "arch"), [((4, 14), "x86_64"), ((4, 22), "x86_64"), ((4, 22), "arm64")])
def test_no_number_lies_where_an_address_does(release: tuple[int, int], arch: str) -> None:
    abi = load(release, arch)
    arrays = 0
    for op in (op for op in by_path().values() if op.exists(abi.target)):
        found = form(abi, op)
        for members in (found.leaves, *(found.elements(handle) for handle in found.handles)):
            handles = [leaf for leaf in members.values() if leaf.kind is Kind.HANDLE]
            numbers = [leaf for leaf in members.values() if leaf.kind is not Kind.HANDLE]
            assert not any(number.overlaps(handle) for number in numbers for handle in handles), op
            arrays += bool(handles) and members is not found.leaves
    assert arrays or arch == "arm64"


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("memory_op/get_vnumainfo", "domid=1 vdistance.pad=0x7f0000000000", "no member vdistance.pad"),
        ("mmuext_op/TLB_FLUSH_MULTI", "count=1 requests.0.arg2.src_mfn=0x7f0000000000", "no member"),
        ("mmuext_op/TLB_FLUSH_MULTI", "count=1 requests.0.arg2.vcpumask=in:00", "promises Xen 8 bytes, and 1"),
        ("mmuext_op/TLB_FLUSH_MULTI", "count=1 requests.0.cmd=8", "vcpumask promises Xen 8 bytes, and is null"),
        ("argo_op/sendv", "niov=1 iovs.0.iov_hnd=in:00 iovs.0.iov_len=5", "promises Xen 5 bytes, and 1 are there"),
        ("argo_op/sendv", "niov=2 iovs.1.iov_len=5", "iovs.1.iov_hnd promises Xen 5 bytes, and is null"),
    ],
)
def test_buffers_inside_of_arrays_have_lengths_too(path: str, text: str, why: str) -> None:
    with Host("xen=4.17,profile=full") as host:
        refused(host, path, text, why)


def test_nobody_writes_to_what_was_looked_at() -> None:
    """An array with addresses in it, or one that says what is done, is used by one question at a time."""
    with Host("xen=4.17,profile=full") as host:
        host.xen.held.make("r", 0)
        with pytest.raises(XenfsError, match="in use") as caught:
            ask(host, "multicall", "xen_version/extraversion text=%r\nmmuext_op/CLEAR_PAGE count=1 requests=%r")
        assert caught.value.errno == errno.EBUSY


@pytest.mark.parametrize("low", [True, False])
def test_an_address_of_the_daemon_is_no_argument(low: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's Python has its own code and data below four gigabytes."""
    where = 0x400000 if low else 0x7F0000000000
    monkeypatch.setattr("xenfs.nodes.raw.bare.is_mapped", lambda address: address == where)
    with Host("xen=4.17") as host:
        problem = refused(host, "hypercall", f"17 0 {where:#x}", "is an address in the daemon")
        assert problem.at == 5
        assert ask(host, "hypercall", f"17 0 {where + 1:#x}")["result"]


# --- two things of one place, or none ---


@pytest.mark.parametrize(
    ("path", "text", "at"),
    [
        ("domctl/bind_pt_irq", "domain=1 u.pci.bus=1 u.isa.isa_irq=2", 21),
        ("event_channel_op/status", "dom=1 port=1 port=2", 13),
        (READ, "nr_entries=2 entries.0.idx=1 entries.00.idx=2", 29),
        (READ, "nr_entries=2 entries.0.idx=1 entries.0.idx=2", 29),
        (READ, "nr_entries=1 entries.0.u.cmd=0 entries.0.u.ret=1", 31),
        ("domctl/set_ext_vcpucontext", "domain=1 mcg_cap=2 vmce.caps=3", 19),
        (READ, "nr_entries=1 entries.-0.idx=1", 13),
        (READ, "nr_entries=1 entries.\u0661.idx=1", 13),
        ("domctl/bind_pt_irq", "domain=1 u.isa.isa_irq=2 u.pci.bus=1", 25),
        ("mmuext_op/SET_LDT", "count=1 requests.0.arg2.nr_ents=1 requests.0.arg2.src_mfn=1", 34),
    ],
)
def test_a_member_has_one_value(path: str, text: str, at: int) -> None:
    with Host("xen=4.17,profile=full") as host:
        problem = refused(host, path, text, "give|no member")
        assert (problem.errno, problem.at) == (errno.EINVAL, at)


def test_an_answer_can_be_given_back_as_it_is() -> None:
    """It shows all arms of a union: where they agree there is nothing to choose."""
    with Host("xen=4.17,profile=full") as host:
        told = ask(host, "domctl/get_ext_vcpucontext", "domain=1 vcpu=0")
        assert "vmce.caps" in told
        assert "mcg_cap" in told
        words = " ".join(f"{name}={value}" for name, value in told.items() if name != "result")
        with pytest.raises(BadInput, match="not simulated"):
            ask(host, "domctl/set_ext_vcpucontext", f"domain=1 vcpu=0 {words}")


def test_many_elements_take_no_more_than_each_its_time() -> None:
    """Twice as many are not four times the work: counted in how often one member is held against another."""
    with Host("xen=4.17,profile=full") as host:
        found = form(host.xen.abi, by_path()[READ])
        rivals = found.rivals_of(found.leaves["entries"])
        assert rivals == {"u.cmd": ["u.ret"], "u.ret": ["u.cmd"]}
        many = " ".join(f"entries.{number}.idx=0x10" for number in range(2000))
        assert len(Question(found, f"nr_entries=2000 {many}").elements["entries"]) == 2000
        assert not form(host.xen.abi, by_path()["sysctl/physinfo"]).rivals
        node = host.at("raw/domctl/getvcpuinfo").node
        assert isinstance(node, File)
        assert [node.write_cost(b" " * size) for size in (4096, 4097)] == [NOTHING, Cost.LENGTH], "in a thread"


def test_a_domain_that_is_renamed_is_the_same_one_afterwards() -> None:
    with Host("xen=4.17") as host:
        uuid, other = host.value("domains/3/uuid"), "00000000-0000-0000-0000-000000000001"
        assert ask(host, "domctl/setdomainhandle", f"domain=3 uuid={uuid} handle={other}")["result"] == "0"
        with pytest.raises(Stale):
            ask(host, "domctl/setdomainhandle", f"domain=3 uuid={uuid} handle={other}")
        assert host.value("domains/3/uuid") == other


def test_the_life_behind_a_number_that_has_more_in_it() -> None:
    """foreigndom is the domain in its lower half, and whose page tables they are in its upper one."""
    with Host("xen=4.17,profile=full") as host:
        question = f"foreigndom={3 << 16 | 1} count=1 requests.0.ptr=0x1000"
        with pytest.raises(BadInput, match="not simulated"):
            ask(host, "mmu_update/NORMAL_PT_UPDATE", f"{question} uuid={host.value('domains/1/uuid')}")
        with pytest.raises(Stale):
            ask(host, "mmu_update/NORMAL_PT_UPDATE", f"{question} uuid={host.value('domains/2/uuid')}")


@pytest.mark.parametrize("path", ["domctl/pausedomain", "multicall", "hypercall"])
def test_nothing_of_a_question_is_lost_behind_a_nul(path: str) -> None:
    """Elsewhere text ends at a NUL. Here that would take away the words that say which life it is for."""
    with Host("xen=4.17") as host:
        start = {"domctl/pausedomain": b"domain=1 ", "multicall": b"sysctl/sched_id", "hypercall": b"17 0"}[path]
        before = host.counts.copy()
        with pytest.raises(BadInput, match="behind a NUL") as caught:
            host.put(host.at(f"raw/{path}"), start + b"\0uuid=00000000-0000-0000-0000-000000000000\n")
        assert caught.value.at == len(start)
        assert not host.asked(before)
        assert host.put(host.at(f"raw/{path}"), start + b"\n\0\0")
