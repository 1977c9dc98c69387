"""Other users in a mounted tree: what the policy lets them do, as the kernel and xenfs together decide it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from mounting import REPOSITORY, Mount, Mounter, lasting, open_up
from patience import PATIENCE_S, until

EXAMPLE = REPOSITORY / "contrib" / "policy.example.toml"
ADM, OPERATOR = 4, 37  # Debian's numbers, the same everywhere
MONITOR, OPS, STRANGER, WRITER = 60001, 60002, 60003, 60004

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be others")


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """A mount with everything in it, under the shipped example policy."""
    folder = tmp_path_factory.mktemp("guarded")
    open_up(folder)
    policy = folder / "policy.toml"
    policy.write_text(EXAMPLE.read_text())
    policy.chmod(0o600)
    options = f"lifecycle,debug,raw,policy={policy},record=file:{folder}/record"
    with lasting(folder, options=options) as mount:
        yield mount


def as_user(
    mount: Mount, uid: int, command: str, *, gid: int | None = None, groups: Sequence[int] = ()
) -> tuple[int, str, str]:
    """(status, stdout, stderr) of a shell command of another user in the mount."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=mount.where, user=uid, group=gid or uid, extra_groups=groups,
        capture_output=True, text=True, timeout=5 * PATIENCE_S, check=False,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def modes(mount: Mount) -> dict[str, tuple[str, bool]]:
    """(tier, whether it is shown only to root) by the pattern of each path, as xenfs/nodes has it."""
    rows = (line.split(" ", 3) for line in mount.read("xenfs/nodes").splitlines())
    return {path: (tier, not int(mode, 8) & 0o004) for path, mode, tier, _ in rows}


PRINT_READABLE = 'find . -type f | while read -r f; do cat "$f" >/dev/null 2>&1 && printf "%s\\n" "${f#./}"; done; true'


def pattern(path: str, known: Sequence[str]) -> str:
    """The pattern in the reference that stands for a path."""
    names = path.split("/")
    if names[0] == "hypfs":
        return "hypfs/<name>"
    fitting = [
        one for one in known
        if len(one.split("/")) == len(names)
        and all("<" in ours or ours == theirs for ours, theirs in zip(one.split("/"), names, strict=True))
    ]  # fmt: skip
    return min(fitting, key=lambda one: one.count("<"))


def test_a_monitoring_user_reads_tier_a_and_nothing_else(guarded: Mount) -> None:
    """Every file that there is, each opened by that user for real."""
    known = modes(guarded)
    everything = guarded.out("find . -type f").split()
    wanted = set()
    for path in (each.removeprefix("./") for each in everything):
        tier, private = known[pattern(path, list(known))]
        if tier == "A" and not private and path not in ("xenfs/error_log", "xenfs/calls/log"):
            wanted.add(path)
    status, out, err = as_user(guarded, MONITOR, PRINT_READABLE, groups=[ADM])
    assert status == 0, err
    assert len(wanted) > 300
    assert set(out.splitlines()) == wanted


def test_a_monitoring_user_writes_nothing(guarded: Mount) -> None:
    write_all = 'find . -type f | while read -r f; do (: >>"$f") 2>/dev/null && printf "%s\\n" "$f"; done; true'
    assert as_user(guarded, MONITOR, write_all, groups=[ADM])[:2] == (0, "")
    assert as_user(guarded, MONITOR, "rmdir domains/3", groups=[ADM])[0] == 1
    assert (guarded.where / "domains/3").is_dir()


@pytest.mark.parametrize(("gid", "groups"), [(60001, [ADM]), (ADM, []), (60001, [100, 5, ADM, 9])])
def test_by_any_of_the_groups(guarded: Mount, gid: int, groups: list[int]) -> None:
    assert as_user(guarded, MONITOR, "cat domains/1/name", gid=gid, groups=groups)[:2] == (0, "web-1\n")


def test_a_stranger_gets_nothing(guarded: Mount) -> None:
    assert as_user(guarded, STRANGER, PRINT_READABLE.replace("find .", "find . 2>/dev/null"))[1] == ""
    for command in ("ls", "ls domains", "cat version/full", "readlink domains/self", "ls domains/by-name"):
        status, out, _ = as_user(guarded, STRANGER, command)
        assert (status != 0, out) == (True, ""), command
    assert "Permission denied" in as_user(guarded, STRANGER, "cat version/full")[2]


def test_operators(guarded: Mount) -> None:
    def operator(command: str) -> tuple[int, str, str]:
        return as_user(guarded, OPS, command, groups=[OPERATOR])

    assert operator("echo 1 > domains/2/freeze; cat domains/2/freeze; echo 0 > domains/2/freeze")[1] == "1\n"
    assert operator("echo 300 > domains/2/sched/weight && cat domains/2/sched/weight")[1] == "300\n"
    assert operator("echo 256 > domains/2/sched/weight")[0] == 0
    for path in ("domains/0/freeze", "domains/0/sched/weight", "domains/2/memory/max", "domains/2/kill"):
        status, _, err = operator(f"echo 1 > {path}")
        assert status != 0, path
        assert "Permission denied" in err
    assert operator("cat domains/2/memory/max")[0] == 0
    assert operator("cat host/info")[0] != 0
    assert operator("cat domains/2/vcpus/0/regs")[0] != 0, "a guest's inside is not granted along"
    assert operator("cd domains && ls | head -3")[0] == 0


def test_denied_to_everybody_is_denied_to_all_but_root(guarded: Mount) -> None:
    for uid, group in ((MONITOR, ADM), (OPS, OPERATOR)):
        assert as_user(guarded, uid, "cat xenfs/error_log", groups=[group])[0] != 0
    guarded.read("xenfs/error_log")


def test_what_was_opened_stays_open_and_is_the_openers(guarded: Mount) -> None:
    """Rights are decided at open: a descriptor that is handed on works, and its writes are the opener's."""
    fd = os.open(guarded.where / "domains/3/sched/weight", os.O_RDWR)
    try:
        done = subprocess.run(
            ["bash", "-c", f"echo 257 >&{fd}"],
            user=STRANGER,
            group=STRANGER,
            pass_fds=(fd,),
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0
    finally:
        os.close(fd)
    line = (guarded.where.parent / "record").read_text().splitlines()[-1]
    assert ' path="domains/3/sched/weight" value="257"' in line
    assert " uid=0 " in line
    guarded.write("domains/3/sched/weight", "256")


def test_the_record_says_who(guarded: Mount) -> None:
    done = as_user(guarded, OPS, "echo $$; echo 1 > domains/2/freeze; echo 0 > domains/2/freeze", groups=[OPERATOR])
    pid = done[1].strip()
    as_user(guarded, OPS, "echo x > domains/2/freeze", groups=[OPERATOR])
    as_user(guarded, MONITOR, "echo 1 > domains/2/freeze", groups=[ADM])
    lines = (guarded.where.parent / "record").read_text().splitlines()[-4:]
    assert all(f" uid={OPS} gid={OPS} " in line and 'command="bash"' in line for line in lines[:3])
    assert f" pid={pid} " in lines[0]
    assert ' path="domains/2/freeze" value="1" calls="domctl:getdomaininfo(2)=' in lines[0]
    assert "domctl:pausedomain(2)=0" in lines[0]
    assert " write result=0 " in lines[0]
    assert "domctl:unpausedomain(2)=0" in lines[1]
    assert 'value="x" calls=""' in lines[2]
    assert " write result=EINVAL " in lines[2]
    assert lines[3].split(" ", 1)[1].startswith("open result=EACCES ")
    assert ' path="domains/2/freeze" calls=""' in lines[3]
    assert f" uid={MONITOR} " in lines[3]


def test_why_is_in_the_error_log(guarded: Mount) -> None:
    guarded.write("xenfs/error_log", "\n")
    as_user(guarded, MONITOR, "echo 1 > domains/2/freeze", groups=[ADM])
    said = guarded.read("xenfs/error_log")
    assert f"domains/2/freeze: EACCES: the policy does not let user {MONITOR} write this" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[rule]]\nuser = "nobody"\npaths = ["**"]\nright = "read"\n', [":4:1: ", "'right'"]),
        ('[[rule]]\nuser = "nobody"\npaths = ["domain/**"]\nrights = "read"\n', [":3:10: ", "'domain/**'"]),
        ("[[rule]\n", [":1:"]),
    ],
)
def test_a_policy_that_is_wrong_mounts_nothing(tmp_path: Path, text: str, words: list[str]) -> None:
    policy = tmp_path / "p.toml"
    policy.write_text(text)
    policy.chmod(0o600)
    where = tmp_path / "x"
    where.mkdir()
    mount = Mount(where, "--hypervisor", "simulator", "-o", f"policy={policy}", ready=False)
    try:
        assert mount.process.wait(PATIENCE_S) == 1
        said = mount.errors()
        assert said.count("\n") == 1
        assert all(word in said for word in words), said
        assert not mount.mounted
    finally:
        mount.force()


# What truncates, what looks below private directories, and what a rule with `none` is about


def test_truncate_is_writing(guarded: Mount) -> None:
    """The kernel lets it through where anybody might write; who may not is refused and recorded."""
    record = guarded.where.parent / "record"
    status, _, err = as_user(guarded, WRITER, "truncate -s 0 domains/2/freeze", groups=[ADM])
    assert (status, "Permission denied" in err) == (1, True), err
    recorded(record, f"open result=EACCES uid={WRITER} ", ' path="domains/2/freeze"')
    path = guarded.where / "domains/2/freeze"
    assert truncated(path, WRITER, ADM) == errno.EACCES
    recorded(record, f" truncate result=EACCES uid={WRITER} ")
    assert truncated(path, OPS, OPERATOR) == 0


def recorded(record: Path, *words: str) -> None:
    """One of the last lines has these: a thread writes the record, and others may be in it meanwhile."""

    def last() -> list[str]:
        return record.read_text().splitlines()[-5:]

    try:
        until(lambda: any(all(word in line for word in words) for line in last()))
    except AssertionError:
        raise AssertionError(f"{words} is in none of {last()}") from None


def truncated(path: Path, uid: int, group: int) -> int:
    """The errno of truncate(2) by another user, in a process of his."""
    pid = os.fork()
    if not pid:
        code = 255
        try:
            os.setgroups([group])
            os.setgid(uid)
            os.setuid(uid)
            os.truncate(path, 0)
            code = 0
        except OSError as problem:
            code = problem.errno or 255
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def saved(mount: Mount) -> list[str]:
    """Operations for which a guest is saved, and paused meanwhile, as far as they were made."""
    rows = mount.read("xenfs/calls/stat").splitlines()
    return [row for row in rows if "hvmcontext" in row.split(" ")[0] or "hvmcontext" in row.split("=")[0]]


@pytest.mark.parametrize("policy", ["", "grants", "private"])
def test_nobody_has_a_guest_saved_by_looking(mounter: Mounter, tmp_path: Path, policy: str) -> None:
    rule = '[[rule]]\nuser = "*"\npaths = ["**"]\nrights = "read"\n' + (
        "private = true\n" if policy == "private" else ""
    )
    (tmp_path / "policy").write_text(rule)
    (tmp_path / "policy").chmod(0o600)
    mount = mounter("domains=12", options=f"policy={tmp_path}/policy" if policy else "allow_other")
    open_up(tmp_path)
    [guest, *_] = [name for name in mount.out("ls domains/*/hvm -d").split()]
    before = saved(mount)
    looked = (
        f"ls {guest}/context.d", f"stat {guest}/context.d/cpu.0", f"cat {guest}/context.d/cpu.0 >/dev/null",
        "find . -name 'cpu.*'", "ls -R domains",
    )  # fmt: skip
    for command in looked:
        as_user(mount, STRANGER, command)
    allowed = policy == "private"
    assert (saved(mount) != before) == allowed
    assert (as_user(mount, STRANGER, f"ls {guest}/context.d")[1] != "") == allowed
    assert mount.out(f"ls {guest}/context.d"), "root looks as ever"
    assert as_user(mount, STRANGER, f"stat {guest}/context.d/cpu.0")[0] == (0 if allowed else 1)
