"""Who is taken for whom: identity at open, and what is not known of somebody."""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyfuse3
import pytest
import trio
from worlds import Host

from xenfs.errors import XenfsError
from xenfs.filesystem import callers
from xenfs.filesystem.callers import Caller, caller, who
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.record import Act, Record
from xenfs.filesystem.rights import PolicyRights
from xenfs.filesystem.sinks import Fields, Sink
from xenfs.nodes.policy import Policy, Rule
from xenfs.nodes.policy.globs import Glob
from xenfs.options import Options

ROOT = pyfuse3.ROOT_INODE


def status(proc: Path, pid: int, uid: int, gid: int, groups: str, command: str = "cat") -> None:
    """A process as /proc shows it."""
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "comm").write_text(f"{command}\n")
    ids = "\n".join(f"{name}:\t{n + 1}\t{n + 2}\t{n + 3}\t{n}" for name, n in (("Uid", uid), ("Gid", gid)))
    (proc / str(pid) / "status").write_text(f"Name:\tGroups:\t0 27\n{ids}\nGroups:\t{groups} \n")


def test_groups_come_from_the_process_that_asks(tmp_path: Path) -> None:
    status(tmp_path, 7, 1000, 1001, "4 27")
    found = who(Caller(1000, 1001, 7), groups=True, proc=tmp_path)
    assert (found.uid, found.groups, found.certain) == (1000, {1001, 4, 27}, True)
    assert who(Caller(1000, 1001, 7), groups=False, proc=tmp_path).groups == {1001}


def test_groups_are_those_of_now(tmp_path: Path) -> None:
    """A thread that has others than a moment ago, or whose number was used again, keeps and gets none by that."""
    for number, groups in enumerate(("4 27", "4", "", "4 27", "27")):
        proc = tmp_path / str(number)
        proc.mkdir()
        status(proc, 7, 1000, 1001, groups)
        found = who(Caller(1000, 1001, 7), groups=True, proc=proc)
        assert (found.groups, found.certain) == ({1001, *map(int, groups.split())}, True)


@pytest.mark.parametrize(
    ("asking", "why"),
    [
        (Caller(1000, 1001, 0), "in another PID namespace: no number"),
        (Caller(1000, 1001, 8), "gone"),
        (Caller(1002, 1001, 7), "the number is somebody else's by now"),
        (Caller(1000, 1002, 7), "it acts for another group: a server"),
        (Caller(1000, 1001, 9), "no such lines"),
        (Caller(1000, 1001, 10), "lines that make no sense"),
    ],
)
def test_groups_that_are_not_certain(tmp_path: Path, asking: Caller, why: str) -> None:
    status(tmp_path, 7, 1000, 1001, "4 27")
    for pid, text in ((9, "Name:\tx\n"), (10, "Uid:\t1 2\nGid:\tx\nGroups:\t1\n")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "status").write_text(text)
    found = who(asking, groups=True, proc=tmp_path)
    assert (found.groups, found.certain) == ({asking.gid}, False), why


def test_who_has_thousands_of_groups_is_not_asked_for_them_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel takes 30 ms and more to write them down. They are not certain, then, for a minute."""
    now = [1000.0]
    monkeypatch.setattr(callers, "monotonic", lambda: now[0])
    monkeypatch.setattr(callers, "_too_many", {})
    status(tmp_path, 7, 1000, 1001, " ".join(map(str, range(4097))))
    asking = Caller(1000, 1001, 7)
    assert not who(asking, groups=True, proc=tmp_path).certain
    (tmp_path / "7" / "comm").unlink()
    (tmp_path / "7" / "status").unlink()
    (tmp_path / "7").rmdir()
    status(tmp_path, 7, 1000, 1001, " ".join(map(str, range(4096))))
    assert not who(asking, groups=True, proc=tmp_path).certain, "it was not looked at"
    now[0] += 61
    found = who(asking, groups=True, proc=tmp_path)
    assert (found.certain, len(found.groups)) == (True, 4096)


def test_the_own_process_as_it_really_is() -> None:
    found = who(Caller(os.geteuid(), os.getegid(), os.getpid()), groups=True)
    assert found.certain
    assert found.groups == {*os.getgroups(), os.getegid()}


def test_commands(tmp_path: Path) -> None:
    status(tmp_path, 7, 1, 1, "", "a\nb\x1b[31m")
    asking = caller(SimpleNamespace(uid=1, gid=1, pid=7), named=True, proc=tmp_path)
    assert asking.command == "a\nb\x1b[31m"
    assert caller(SimpleNamespace(uid=1, gid=1, pid=8), named=True, proc=tmp_path).command == ""


class Kept(Sink):
    name = "kept"

    def __init__(self) -> None:
        self.lines: list[str] = []

    def send(self, message: str, priority: int, fields: Fields) -> None:
        self.lines.append(message)


def rule(glob: str, **more: Any) -> Rule:
    return Rule((Glob(glob),), **more)


def guarded(host: Host, *rules: Rule, uid: int = 0) -> tuple[Operations, Kept]:
    kept = Kept()
    options = Options(lifecycle=True, debug=True, allow_other=True, uid=uid)
    rights = PolicyRights(options, Policy(rules))
    return Operations(host.xen, host.root, options, host.refusals, rights, Record([kept])), kept


def ctx(uid: int, gid: int = 9999, pid: int = 0) -> Any:
    return SimpleNamespace(uid=uid, gid=gid, pid=pid, umask=0)


async def find(ops: Operations, path: str) -> Any:
    inode = ROOT
    for name in path.split("/"):
        inode = (await ops.lookup(inode, name.encode(), ctx(0))).st_ino
    return inode


async def denied(call: Awaitable[Any]) -> bool:
    try:
        await call
    except pyfuse3.FUSEError as problem:
        assert problem.errno == errno.EACCES  # noqa: PT017
        return True
    return False


def test_each_way_in_is_asked(host: Host) -> None:
    """open for reading, for writing and for both, opendir, readlink, mkdir, rmdir."""

    async def run() -> None:
        ops, _ = guarded(
            host,
            rule("domains/1/freeze", users=frozenset({7}), read=True),
            rule("domains/1/kill", users=frozenset({7}), write=True),
            rule("domains/by-name/*", users=frozenset({7}), read=True),
            rule("cpupools/5", users=frozenset({7}), write=True),
            rule("domains/3", users=frozenset({7}), write=True),
        )
        freeze, kill = await find(ops, "domains/1/freeze"), await find(ops, "domains/1/kill")
        seven, eight = ctx(7), ctx(8)
        assert not await denied(ops.open(freeze, os.O_RDONLY, seven))
        assert await denied(ops.open(freeze, os.O_RDONLY, eight))
        assert await denied(ops.open(freeze, os.O_WRONLY, seven))
        assert await denied(ops.open(freeze, os.O_RDWR, seven))
        assert not await denied(ops.open(kill, os.O_WRONLY | os.O_APPEND, seven))
        assert await denied(ops.open(kill, os.O_RDONLY, seven))
        domains, host_dir = await find(ops, "domains"), await find(ops, "host")
        assert not await denied(ops.opendir(domains, seven))
        assert await denied(ops.opendir(domains, eight))
        assert await denied(ops.opendir(host_dir, seven))
        by_name, own = await find(ops, "domains/by-name/web-1"), await find(ops, "domains/self")
        assert not await denied(ops.readlink(by_name, seven))
        assert await denied(ops.readlink(by_name, eight))
        assert await denied(ops.readlink(own, seven))
        assert await denied(ops.rmdir(domains, b"2", seven))
        assert await denied(ops.rmdir(domains, b"3", eight))
        assert host.has("domains/3")
        host.write("domains/3/shutdown", "poweroff")
        await ops.rmdir(domains, b"3", seven)
        assert host.flat("domains/3/info")["flags"] if host.has("domains/3") else True

    trio.run(run)


@pytest.mark.parametrize("uid", [0, 12])
def test_root_and_the_owner_are_above_the_policy(host: Host, uid: int) -> None:
    async def run() -> None:
        ops, _ = guarded(host, rule("**", everyone=True), uid=12)
        await ops.open(await find(ops, "domains/1/freeze"), os.O_RDWR, ctx(uid))
        await ops.opendir(await find(ops, "domains"), ctx(uid))
        assert await denied(ops.opendir(await find(ops, "domains"), ctx(13)))

    trio.run(run)


def test_a_listing_has_for_each_entry_its_own_mode(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Domains have the same shape, but a policy may speak of one of them."""

    async def run() -> None:
        found: dict[str, int] = {}
        monkeypatch.setattr(
            pyfuse3,
            "readdir_reply",
            lambda token, name, entry, at: bool(found.update({name.decode(): entry.st_mode})) or True,
        )
        ops, _ = guarded(host, rule("domains/3/**", users=frozenset({7}), read=True))
        fh = await ops.opendir(await find(ops, "domains"), ctx(7))
        await ops.readdir(fh, 0, None)
        assert found["3"] & 0o055 == 0o055
        assert {found[name] & 0o077 for name in found if name.isdigit() and name != "3"} == {0}

    trio.run(run)


def test_the_record_of_directories_and_refusals(host: Host) -> None:
    async def run() -> None:
        ops, kept = guarded(host, rule("domains/4", users=frozenset({7}), write=True))
        domains = await find(ops, "domains")
        host.write("domains/4/shutdown", "poweroff")
        await ops.rmdir(domains, b"4", ctx(7))
        assert await denied(ops.rmdir(domains, b"2", ctx(7)))
        assert await denied(ops.open(await find(ops, "domains/2/freeze"), os.O_WRONLY, ctx(7)))
        assert await denied(ops.open(await find(ops, "domains/2/freeze"), os.O_RDONLY, ctx(7)))
        assert [(line.split(" uid")[0], line.split(" path=")[1]) for line in kept.lines[1:]] == [
            ("rmdir result=EACCES", '"domains/2" calls=""'),
            ("open result=EACCES", '"domains/2/freeze" calls=""'),
        ]
        assert kept.lines[0].startswith("rmdir result=0 uid=7 ")
        assert "domctl:destroydomain(4)=0" in kept.lines[0]
        assert " uid=7 gid=9999 pid=0 " in kept.lines[0]

    trio.run(run)


def test_the_calls_of_slow_work_are_its_own(host: Host) -> None:
    """In a thread, and with others at work: each record names the calls that this write made."""

    async def run() -> None:
        ops, kept = guarded(host)
        handles = []
        for domid in (1, 2, 3):
            for name in ("kill", "sched/weight"):
                inode = await find(ops, f"domains/{domid}/{name}")
                handles.append((domid, name, (await ops.open(inode, os.O_WRONLY, ctx(0))).fh))
        async with trio.open_nursery() as nursery:
            for _, name, fh in handles:
                nursery.start_soon(ops.write, fh, 0, b"1" if name == "kill" else b"77")
        assert len(kept.lines) == 6
        for domid, name, _ in handles:
            [line] = [each for each in kept.lines if f'"domains/{domid}/{name}"' in each]
            calls = line.split('calls="')[1].split('"')[0].split()
            assert calls
            assert all(f"({domid})" in call for call in calls if call.startswith("domctl:")), line
            assert any("destroydomain" in call for call in calls) == (name == "kill")

    trio.run(run)


class Broken(Record):
    """A record that fails in a way that nobody thought of."""

    def add(self, act: Act) -> None:
        raise MemoryError(act.what)


@pytest.mark.logs("is not in the record")
def test_what_was_carried_out_is_answered_so(host: Host) -> None:
    """Whatever becomes of the record, and of what is remembered of an answer."""

    async def run() -> None:
        options = Options(lifecycle=True, debug=True, allow_other=True)
        ops = Operations(host.xen, host.root, options, host.refusals, record=Broken([Kept()]))
        handle = (await ops.open(await find(ops, "domains/2/freeze"), os.O_WRONLY, ctx(0))).fh
        assert await ops.write(handle, 0, b"1") == 1
        assert host.value("domains/2/freeze") == "1"
        asking = (await ops.open(await find(ops, "host/memory/availheap"), os.O_RDWR, ctx(5))).fh
        share = ops.handles[asking].share

        def full(before: int, now: int) -> None:
            raise XenfsError("too much", errno.ENOMEM)

        ops.handles[asking].share = SimpleNamespace(weigh=full)  # type: ignore[assignment]
        assert await ops.write(asking, 0, b"0 0 64") == 6
        with pytest.raises(pyfuse3.FUSEError) as caught:
            await ops.read(asking, 0, 100)
        assert caught.value.errno == errno.ENOMEM, "its reader is told"
        ops.handles[asking].share = share

    trio.run(run)
