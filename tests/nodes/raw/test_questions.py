"""raw/<hypercall>/<operation>: questions from text to answer, on the simulator of every release."""

from __future__ import annotations

import errno
import gc
import os
import stat
import sys
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio
from worlds import COMBINATIONS, EVERYTHING, Between, Host, ask

from xenfs.abi import load
from xenfs.abi.operations import Operation
from xenfs.errors import BadInput, HypercallError, Stale, XenfsError
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.record import Record
from xenfs.filesystem.sinks import Sink
from xenfs.nodes.policy import Policy, Rule, Who
from xenfs.nodes.policy.globs import Glob
from xenfs.nodes.raw.form import form
from xenfs.nodes.raw.leaves import Kind
from xenfs.nodes.raw.operations import by_path, reachable
from xenfs.nodes.raw.posed import Posed
from xenfs.nodes.raw.question import Question
from xenfs.nodes.tables.asking import asking
from xenfs.nodes.tables.base import Exchange
from xenfs.options import Options


def refused(host: Host, path: str, text: str) -> XenfsError:
    """Refused, with nothing asked of Xen and nothing left behind."""
    before = host.counts.copy()
    with pytest.raises(XenfsError) as caught:
        ask(host, path, text)
    assert not host.asked(before), text
    return caught.value


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def each(request: pytest.FixtureRequest) -> Any:
    release, arch = request.param
    with Host(f"xen={release},arch={arch},domains=4,cpus=4") as host:
        yield host


def test_every_operation_of_every_release_says_its_form(each: Host) -> None:
    seen = 0
    for path, op in by_path().items():
        assert each.has(f"raw/{path}") == op.exists(each.xen.abi.target), path
        if each.has(f"raw/{path}"):
            text = each.read(f"raw/{path}")
            found = form(each.xen.abi, op)
            assert text.startswith(f"# {op.name}: ")
            assert all(leaf.padding or f"\n{name} " in text for name, leaf in found.leaves.items()), path
            seen += 1
    assert seen > (200 if each.xen.abi.arch == "x86_64" else 100)


def test_nonsense_is_refused_before_any_hypercall(each: Host) -> None:
    """By every operation: words that are none, members that are none, numbers and buffers that do not fit."""
    for path, op in by_path().items():
        if not op.exists(each.xen.abi.target):
            continue
        node, found = each.at(f"raw/{path}"), form(each.xen.abi, op)
        questions = ["x", "nosuch=1", "%nosuch" if found.nbytes else "x", "bytes=00" if found.nbytes != 1 else "x"]
        for leaf in list(found.leaves.values())[:3]:
            if leaf.kind is Kind.HANDLE:
                questions += [f"{leaf.name}=0x7f0000000000", f"{leaf.name}=out:0", f"{leaf.name}=%nosuch"]
            elif leaf.kind is not Kind.TAIL:
                questions += [f"{leaf.name}=99999999999999999999999", f"{leaf.name}=1 {leaf.name}=1", f"{leaf.name}="]
        before = each.counts.copy()
        for question in questions:
            with pytest.raises(BadInput) as caught:
                each.put(node, question.encode())
            assert caught.value.errno in (errno.EINVAL, errno.ENOENT), (path, question)
            assert caught.value.at is not None
        assert not each.asked(before), path
    assert each.xen.pool.stat()["in_use"] == 0


def test_an_answer_is_what_the_node_shows(each: Host) -> None:
    shown = each.flat("host/info")
    answer = ask(each, "sysctl/physinfo")
    assert answer["result"] == "0"
    for name in ("nr_cpus", "max_cpu_id", "total_pages", "free_pages", "cpu_khz"):
        assert answer[name] == shown[name], name
    assert ask(each, "domctl/getvcpuinfo", "domain=1 vcpu=0")["online"] == each.value("domains/1/vcpus/0/online")
    found = ask(each, "domctl/getdomaininfo", "domain=1")
    assert found["handle"] == each.value("domains/1/uuid").replace("-", "")
    assert int(found["tot_pages"]) * 4 == int(each.value("domains/1/memory/current_kb"))


@pytest.mark.parametrize(
    ("path", "text", "code", "why", "at"),
    [
        ("domctl/getvcpuinfo", "domain=1 vcpu=0 vpcu=1", errno.EINVAL, "no member vpcu", 16),
        ("domctl/getvcpuinfo", "domain=1 vcpu=0x100000000", errno.EINVAL, "vcpu is 0 to 4294967295", 14),
        ("domctl/getvcpuinfo", "domain=1\nvcpu=0 domain=2", errno.EINVAL, "domain is given twice", 16),
        ("domctl/getvcpuinfo", "domain=1 cmd=3", errno.EINVAL, "no member cmd", 9),
        ("sysctl/getdomaininfolist", "max_domains=2 buffer=out:223", errno.EINVAL, "promises Xen", 21),
        ("sysctl/getdomaininfolist", "max_domains=4294967295 buffer=out:8", errno.EINVAL, "promises Xen", 30),
        ("sysctl/getdomaininfolist", "max_domains=2 buffer=%none", errno.ENOENT, "no raw/buffers/none", 21),
        ("sysctl/getdomaininfolist", "max_domains=2", errno.EINVAL, "promises Xen 224 bytes, and is null", 0),
        ("sysctl/getdomaininfolist", "buffer=null max_domains=2", errno.EINVAL, "and is null", 7),
        ("sysctl/getdomaininfolist", "max_domains=4294967295 buffer.0.domain=0", errno.EINVAL, "1048576 bytes", 23),
        ("sysctl/readconsole", "count=1048577 buffer=out:1048577", errno.EINVAL, "1048576 bytes at most", 21),
        ("sysctl/readconsole", "count=1 buffer=out:1073741824", errno.EINVAL, "1048576 bytes at most", 15),
        ("console_io/write", 'count=4 buffer=text:"hello', errno.EINVAL, 'where its second "', 15),
        ("console_io/write", 'count=2 buffer=text:"he"llo', errno.EINVAL, 'where its second "', 15),
        ("sysctl/cputopoinfo", "num_cpus=8 cputopo=out:8", errno.EINVAL, "promises Xen", 19),
        ("domctl/getvcpucontext", "domain=1 vcpu=0", errno.EINVAL, "ctxt promises Xen", 0),
        ("memory_op/populate_physmap", "domid=1 nr_extents=1", errno.EINVAL, "extent_start promises", 8),
        ("xen_version/extraversion", "", errno.EINVAL, "text promises Xen 16 bytes", 0),
        ("xen_version/build_id", "len=2000000", errno.EINVAL, "at most 1048576", 0),
        ("sysctl/pm_op:get_max_cstate", "cmd=1", errno.EINVAL, "cmd is always", 4),
        ("sysctl/physinfo", "bytes=00", errno.EINVAL, "has 136 bytes", 6),
        (
            "sysctl/getdomaininfolist",
            "bytes=" + "00" * 16 + "00007fff00000000" + "00" * 112,
            errno.EINVAL,
            "is an address",
            6,
        ),
        ("multicall", "sysctl/physinfo\nsysctl/nosuch", errno.EINVAL, "no raw/sysctl/nosuch", 16),
        ("multicall", "sysctl/physinfo\n sysctl/sched_id x=1", errno.EINVAL, "no member x", 33),
        ("multicall", "sysctl/physinfo\n\tsysctl/sched_id\tx=1", errno.EINVAL, "no member x", 33),
        ("multicall", "", errno.EINVAL, "1 to 512 lines", 0),
        ("hypercall", "17 %none", errno.ENOENT, "no raw/buffers/none", 3),
        ("hypercall", "17 1 2 3 4 5 6", errno.EINVAL, "up to five", 0),
        ("hypercall", "17 x", errno.EINVAL, "argument is a number", 3),
        ("hypercall", "64", errno.EINVAL, "hypercall is 0 to 63", 0),
    ],
)
def test_the_caret_is_below_what_is_wrong(path: str, text: str, code: int, why: str, at: int) -> None:
    with Host("xen=4.17") as host:
        problem = refused(host, path, text)
        assert isinstance(problem, BadInput)
        assert (problem.errno, problem.at) == (code, at), problem
        assert why in str(problem)
        assert host.xen.pool.stat()["in_use"] == 0


def test_failures_have_xens_errno_and_name_the_operation(host: Host) -> None:
    with pytest.raises(XenfsError) as caught:
        ask(host, "domctl/getvcpuinfo", "domain=77 vcpu=0")
    assert caught.value.errno == errno.ESRCH
    assert "domctl getvcpuinfo: ESRCH" in host.refusals.text()


def test_the_way_through_a_held_buffer_copies_nothing(host: Host) -> None:
    held = host.xen.held.make("list", 0)
    held.resize(1 << 20)
    before = host.xen.pool.stat()
    answer = ask(host, "sysctl/getdomaininfolist", "max_domains=1024 buffer=%list")
    after = host.xen.pool.stat()
    assert answer["buffer"] == "%list"
    assert after["bytes_in"] - before["bytes_in"] <= 136, "the struct alone"
    assert after["bytes_out"] - before["bytes_out"] <= 136
    assert held.part(0, 1 << 20).count(0) < 1 << 20


def test_bytes_and_a_buffer_are_the_whole_struct(host: Host) -> None:
    size = host.xen.abi.sizeof("struct xen_domctl")
    by_member = ask(host, "domctl/getvcpuinfo", "domain=2 vcpu=1")
    image = bytearray(size)
    image[0:4] = b"\xff\xff\xff\xff"  # another operation's number: the file says which it is
    image[8], image[16] = 2, 1
    del by_member["cpu_time"]
    for question in (f"bytes={image.hex()}", f"bytes={bytes(size).hex()} domain=2 vcpu=1"):
        found = ask(host, "domctl/getvcpuinfo", question)
        assert {name: found[name] for name in by_member} == by_member
    held = host.xen.held.make("op", 0)
    held.fill(0, bytes(image))
    for question in ("%op", "\n%op", "%op\nvcpu=1", "%op\tvcpu=1 domain=+2"):
        found = ask(host, "domctl/getvcpuinfo", question)
        assert {name: found[name] for name in by_member} == by_member, question
    assert held.part(16, 4) == b"\1\0\0\0"
    held.resize(size - 1)
    assert "has" in str(refused(host, "domctl/getvcpuinfo", "%op"))


def test_arrays_behind_handles_element_by_element() -> None:
    """platform_op resource_op reads registers that an array names, and writes their values into it."""
    with Host("xen=4.22,profile=full") as host:
        by_hand = "1000000000000000000000000000000000000000"  # not the way to ask: too short for an entry
        assert "promises Xen" in str(
            refused(host, "platform_op/resource_op:MSR_READ", f"nr_entries=1 entries=in:{by_hand}")
        )
        assert "1 elements" in str(
            refused(host, "platform_op/resource_op:MSR_READ", "nr_entries=1 entries.1.idx=0x1b1")
        )
        assert "is 0 to" in str(refused(host, "platform_op/resource_op:MSR_READ", "nr_entries=1 entries.0.idx=-1"))
        answer = ask(host, "platform_op/resource_op:MSR_READ", "nr_entries=1 cpu=0 entries.0.idx=0x1b1")
        assert answer["entries.0.idx"] == str(0x1B1)
        assert int(answer["entries.0.val"]) > 0
        assert host.xen.pool.stat()["in_use"] == 0


def test_handles_inside_arrays_are_buffers_too(host: Host) -> None:
    held = host.xen.held.make("cpus", 0)
    path = "mmuext_op/TLB_FLUSH_MULTI"
    assert "is an address" in str(refused(host, path, "count=1 requests=in:" + "01" * 24))
    with pytest.raises(XenfsError) as caught:
        ask(host, path, "count=1 requests.0.arg2.vcpumask=%cpus")
    assert caught.value.errno == errno.EOPNOTSUPP, "it went all the way to Xen, which is not simulated there"
    host.xen.held.give_back(held)
    assert host.xen.pool.stat()["in_use"] == 0


def test_a_held_struct_does_not_go_on_pointing_to_what_was_given_back(host: Host) -> None:
    host.xen.held.make("op", 0)
    for _ in range(3):
        answer = ask(host, "sysctl/getdomaininfolist", "%op max_domains=2 buffer=out:300")
        assert answer["num_domains"] == "2"
    problem = refused(host, "sysctl/getdomaininfolist", "%op max_domains=1 buffer=%op")
    assert problem.errno == errno.EBUSY, "a struct that xenfs writes to is nothing else meanwhile"
    assert refused(host, "multicall", "sysctl/physinfo %op\nsysctl/sched_id %op").errno == errno.EBUSY


def test_a_question_is_recorded_with_its_arguments(host: Host) -> None:
    kept: list[dict[str, str]] = []

    class Kept(Sink):
        name = "kept"

        def send(self, message: str, priority: int, fields: Any) -> None:
            kept.append(dict(fields))

    ctx: Any = SimpleNamespace(uid=0, gid=0, pid=1, umask=0)

    async def run() -> None:
        ops = Operations(host.xen, host.root, host.options, host.refusals, record=Record([Kept()]))
        inode = pyfuse3.ROOT_INODE
        for name in ("raw", "domctl", "max_mem"):
            inode = (await ops.lookup(inode, name.encode(), ctx)).st_ino
        fh = (await ops.open(inode, os.O_RDWR, ctx)).fh
        await ops.write(fh, 0, b"domain=2 max_memkb=1048576\n")
        await ops.release(fh)

    trio.run(run)
    assert kept[0]["XENFS_VALUE"] == "domain=2 max_memkb=1048576"
    assert kept[0]["XENFS_CALLS"] == "domctl:max_mem(2)=0"


def test_another_users_buffer_cannot_be_named(host: Host) -> None:
    host.xen.held.make("theirs", 8)
    acting = asking.set(7)
    try:
        for path, text in (
            ("sysctl/getdomaininfolist", "max_domains=1 buffer=%theirs"),
            ("sysctl/physinfo", "%theirs"),
            ("hypercall", "17 1 %theirs"),
            ("multicall", "sysctl/physinfo %theirs"),
        ):
            assert refused(host, path, text).errno == errno.EACCES, path
    finally:
        asking.reset(acting)


def test_one_life_of_a_domain(host: Host) -> None:
    uuid = host.value("domains/3/uuid")
    other = host.value("domains/2/uuid")
    assert ask(host, "domctl/getvcpuinfo", f"domain=3 vcpu=0 uuid={uuid}")["result"] == "0"
    before = host.counts.copy()
    with pytest.raises(Stale):
        ask(host, "domctl/pausedomain", f"domain=3 uuid={other}")
    assert "domctl pausedomain" not in host.asked(before)
    assert ask(host, "domctl/destroydomain", f"domain=3 uuid={uuid}")["result"] == "0"
    assert "not a UUID" in str(refused(host, "domctl/pausedomain", "domain=3 uuid=3"))
    with Host("xen=4.22") as newer:
        number = newer.value("domains/3/unique_id")
        assert ask(newer, "domctl/pausedomain", f"domain=3 unique_id={int(number, 0)}")["result"] == "0"
        with pytest.raises(Stale):
            ask(newer, "domctl/pausedomain", "domain=3 unique_id=1")
    with pytest.raises(XenfsError) as caught:
        ask(host, "domctl/pausedomain", "domain=2 unique_id=1")
    assert caught.value.errno == errno.EOPNOTSUPP


def test_a_life_that_ends_during_the_call() -> None:
    """What came in between under the same number is told of: ESTALE, though the call was made."""
    state: dict[str, Any] = {}

    def wrap(sim: Any) -> Between:
        def answer(number: int, args: tuple[int, ...]) -> int | None:
            if state.get("armed") and number == 36 and sim.machine.at(args[0], 4)[0] == 3:  # pausedomain
                result = sim.hypercall(number, args)
                sim.world.domains[3].handle = bytes(16)
                sim.world.domains[3].info = None
                return int(result)
            return None

        return Between(sim, answer)

    with Host(wrap=wrap) as host:
        uuid = host.value("domains/3/uuid")
        state["armed"] = True
        with pytest.raises(Stale):
            ask(host, "domctl/pausedomain", f"domain=3 uuid={uuid}")


def test_a_batch(host: Host) -> None:
    lines = (
        "domctl/getvcpuinfo domain=1 vcpu=0\n\n  domctl/getvcpuinfo domain=77 vcpu=0\n"
        "memory_op/current_reservation domid=1"
    )
    before = host.counts.copy()
    answer = host.put(host.at("raw/multicall"), lines.encode()).decode().splitlines()
    assert host.asked(before)["multicall"] == 1
    assert answer[0] == "0 result 0"
    assert "1 result -3 ESRCH" in answer
    assert [line for line in answer if line.startswith("1 ")] == ["1 result -3 ESRCH"]
    assert answer[-1] == f"2 result {int(host.value('domains/1/memory/current_kb')) // 4}"


def test_any_hypercall(host: Host) -> None:
    assert ask(host, "hypercall", "17 0") == {"result": str(4 << 16 | int(host.value("version/minor")))}
    host.xen.held.make("extra", 0)
    ask(host, "hypercall", "0x11 1 %extra")
    held = host.xen.held.find("extra")
    assert held is not None
    assert held.part(0, 16).rstrip(b"\0").decode() == host.value("version/extra")
    with pytest.raises(XenfsError) as caught:
        ask(host, "hypercall", "49")
    assert caught.value.errno in (errno.ENOSYS, errno.EOPNOTSUPP)
    address = int(held.buffer.address)
    with pytest.raises(XenfsError) as caught:
        ask(host, "hypercall", f"17 1 {address}")
    assert caught.value.errno == errno.EINVAL, "an address of the daemon's memory is no number"


def test_options(host: Host) -> None:
    dangerous = [path for path, op in by_path().items() if op.dangerous and op.exists(host.xen.abi.target)]
    assert dangerous
    with Host(options=Options(raw=True)) as careful:
        assert not any(careful.has(f"raw/{path}") for path in dangerous)
        assert not careful.has("raw/hypercall")
        with pytest.raises(BadInput):
            careful.put(careful.at("raw/multicall"), dangerous[0].encode())
    with Host(options=Options(raw=True, debug=True, ro=True)) as looking:
        there = {path for path in by_path() if looking.has(f"raw/{path}")}
        assert there == {p for p, op in by_path().items() if op.only_looks and op.exists(looking.xen.abi.target)}
        assert not looking.has("raw/hypercall")
        assert not looking.has("raw/multicall")
        assert ask(looking, "sysctl/physinfo")["result"] == "0"
        assert looking.at("raw/buffers").node.make is not None  # type: ignore[attr-defined]


def test_modes_and_what_a_policy_can_open(host: Host) -> None:
    looks, changes = host.at("raw/sysctl/physinfo"), host.at("raw/domctl/pausedomain")
    assert all(
        stat.S_IMODE(place.node.mode) == 0o600
        for place in host.files()
        if isinstance(place.node, Exchange) and place.path.startswith("raw/")
    )
    everything = (Glob("**"),)
    who = Who(7, frozenset({7}))

    def may(place: Any, **rights: bool) -> tuple[bool, bool]:
        policy = Policy([Rule(paths=everything, users=frozenset({7}), **rights)])
        return tuple(policy.may(who, place.path, place.node, write=write) for write in (False, True))  # type: ignore[return-value]

    assert may(looks, read=True) == may(looks, read=True, write=True) == (False, False), "not in so many words"
    assert may(looks, read=True, private=True) == (True, True)
    assert may(changes, read=True, private=True) == (True, False)
    assert may(changes, read=True, write=True, private=True) == (True, True)
    for path in ("raw/hypercall", "raw/multicall"):
        assert may(host.at(path), read=True, write=True, private=True) == (False, False)


@pytest.mark.parametrize("dom0", ["pv", "pvh"])
@pytest.mark.parametrize(("release", "arch"), [("4.14", "x86_64"), ("4.22", "x86_64"), ("4.22", "arm64")])
def test_what_is_not_simulated_is_said_so_by_the_table(release: str, arch: str, dom0: str) -> None:
    """Where it says so nothing is asked, and the simulator would not have known better; elsewhere it answers."""
    settings = f"xen={release},arch={arch},cpus=4" + (f",profile=full,dom0={dom0}" if arch == "x86_64" else "")
    with Host(settings) as host:
        for path, op in by_path().items():
            if not op.exists(host.xen.abi.target):
                continue
            domain = f"{op.domain}=1" if op.domain else ""
            if op.simulated:
                assert "not simulated" not in _said(host, path, domain)
                continue
            before = host.counts.copy()
            said = _said(host, path, domain)
            assert said.startswith(f"{op.name}: not simulated") or "and is null" in said, (path, said)
            assert not host.asked(before), path
            assert _answer(host, op) < 0, path


def _said(host: Host, path: str, text: str) -> str:
    try:
        ask(host, path, text)
    except XenfsError as problem:
        return str(problem)
    return ""


def _answer(host: Host, op: Operation) -> int:
    """What the simulator says for itself, asked as raw/ would."""
    with ExitStack() as loans, suppress(BadInput):
        call = Posed(host.xen, Question(form(host.xen.abi, op), ""), loans)
        try:
            return call.make()
        except HypercallError as problem:
            return -problem.errno
    return -errno.EINVAL


def test_an_unsimulated_hypercall_and_line_of_a_batch_too(host: Host) -> None:
    unknown = next(path for path, op in by_path().items() if not op.simulated and host.has(f"raw/{path}"))
    for path, text in (("hypercall", "49"), ("multicall", f"sysctl/physinfo\n{unknown}")):
        with pytest.raises(BadInput, match="not simulated") as caught:
            host.put(host.at(f"raw/{path}"), text.encode())
        assert caught.value.errno == errno.EOPNOTSUPP


def test_what_the_simulator_refuses_is_no_lack_of_it(host: Host) -> None:
    """EOPNOTSUPP is also what Xen says of a PVH domain's address size."""
    domain = next(name for name in host.names("domains") if name.isdecimal() and _is_pvh(host, name))
    with pytest.raises(HypercallError) as caught:
        ask(host, "domctl/get_address_size", f"domain={domain}")
    assert caught.value.errno == errno.EOPNOTSUPP
    assert "not simulated" not in str(caught.value)


def _is_pvh(host: Host, domain: str) -> bool:
    return host.value(f"domains/{domain}/type") == "pvh"


def test_a_held_struct_has_room_for_what_follows_it(host: Host) -> None:
    held = host.xen.held.make("id", 0)
    held.resize(32)
    held.fill(0, (400).to_bytes(4, "little"))
    assert "promises Xen behind it" in str(refused(host, "xen_version/build_id", "%id"))
    held.fill(0, (20).to_bytes(4, "little"))
    assert ask(host, "xen_version/build_id", "%id")["result"] == "20"


def test_a_thousand_questions_leave_no_memory_behind(host: Host) -> None:
    def round_() -> None:
        for _ in range(250):
            ask(host, "domctl/getvcpuinfo", "domain=1 vcpu=0")
            ask(host, "sysctl/getdomaininfolist", "max_domains=8 buffer=out:1024")
            ask(host, "multicall", "sysctl/physinfo\ndomctl/getdomaininfo domain=1")
            with pytest.raises(XenfsError):
                ask(host, "sysctl/getdomaininfolist", "max_domains=8 buffer=out:8")

    def blocks() -> int:
        gc.collect()
        return sys.getallocatedblocks()

    for _ in range(2):
        round_()  # until the rings of calls and of refusals are full
    mapped, before = host.xen.pool.stat()["bytes_mapped"], blocks()
    round_()
    assert blocks() - before < 500
    stat_ = host.xen.pool.stat()
    assert (stat_["bytes_mapped"], stat_["in_use"]) == (mapped, 0)


def test_every_leaf_lies_where_its_struct_says() -> None:
    """Set alone by name, each member changes the bytes that cffi says are its own, and no others."""
    for release, arch in (((4, 22), "x86_64"), ((4, 14), "arm64")):
        abi = load(release, arch)
        for op in reachable():
            if not op.exists(abi.target) or not op.struct:
                continue
            found = form(abi, op)
            for leaf in found.leaves.values():
                if leaf.offset >= 0 and leaf.steps and leaf.kind in (Kind.INT, Kind.HANDLE):
                    place = abi.ffi.addressof(abi.ffi.new(f"{op.struct} *"), *leaf.steps)
                    assert abi.ffi.sizeof(abi.ffi.typeof(place).item) == leaf.size, (op, leaf.name)
                    assert abi.ffi.offsetof(op.struct, *leaf.steps) == leaf.offset, (op, leaf.name)


def test_the_whole_tree_has_everything_raw_only_with_the_option() -> None:
    with Host(options=EVERYTHING) as host:
        assert {"buffers", "hypercall", "multicall", "domctl", "sysctl", "memory_op", "dm_op"} <= set(host.names("raw"))
