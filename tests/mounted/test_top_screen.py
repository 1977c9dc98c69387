"""`xenfs top` on a mounted simulator: at a terminal that is looked at and typed into, and in print."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mounting import REPOSITORY, Mount, Mounter
from terminal import Terminal

Opener = Callable[..., Terminal]


@pytest.fixture
def open_top() -> Iterator[Opener]:
    """Starts `xenfs top` at a terminal of its own."""
    made: list[Terminal] = []

    def start(mount: Mount | Path, *words: str, **more: Any) -> Terminal:
        where = mount.where if isinstance(mount, Mount) else mount
        made.append(Terminal("top", str(where), "--delay", "0.3", *words, **more))
        return made[-1]

    yield start
    for each in made:
        each.close()


def printed(mount: Mount, *words: str) -> str:
    """What it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "xenfs", "top", str(mount.where), *words],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


# In print


def test_json_says_what_the_files_say(mounted: Mount) -> None:
    found = json.loads(printed(mounted, "--once", "--json", "--vcpus", "--delay", "0.3"))
    assert found["xen_version"] == mounted.read("version/full").strip()
    assert found["host"]["memory_kb"] == int(mounted.read("host/memory/total_kb"))
    assert [each["cpu"] for each in found["cpus"]] == list(range(8))
    assert all(0 <= each["busy_percent"] <= 100 for each in found["cpus"])
    domains = {each["domid"]: each for each in found["domains"]}
    assert list(domains) == sorted(int(name) for name in os.listdir(mounted.where / "domains") if name.isdecimal())
    for domid, each in domains.items():

        def value(path: str, domid: int = domid) -> str:
            return mounted.read(f"domains/{domid}/{path}").strip()

        assert (each["name"] or "", each["uuid"], each["type"]) == (value("name"), value("uuid"), value("type"))
        assert (each["shutdown_reason"] or "") == value("shutdown_reason")
        assert each["memory_kb"] == int(value("memory/current_kb"))
        assert each["memory_max_kb"] == (None if value("memory/max") == "max" else int(value("memory/max")))
        assert 0 <= int(value("cpu_time_ns")) - each["cpu_time_ns"] < 600e9
        assert len(each["vcpu_stat"]) == each["vcpus"] == len(value("vcpu_stat").splitlines())
    assert domains[12]["state"] == "crashed"
    assert 200 < domains[3]["cpu_percent"] < 300
    assert sum(each["cpu_percent"] for each in domains[3]["vcpu_stat"]) == pytest.approx(250, abs=60)


def test_at_once_there_are_no_rates(mounted: Mount) -> None:
    found = json.loads(printed(mounted, "--json", "--delay", "0"))
    assert {each["cpu_percent"] for each in found["domains"]} == {None}


def test_the_table(mounted: Mount) -> None:
    lines = printed(mounted, "--once", "--delay", "0.2", "--sort", "memory", "--filter", "web").splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["1", "pv", *lines[1].split()[2:4]],
        ["2", *lines[2].split()[1:4]],
    ]
    assert [line.split()[-1] for line in lines[1:]] == ["web-1", "web-2"], "names come last"


def test_batches(mounted: Mount) -> None:
    lines = printed(mounted, "--batch", "-n", "3", "--json", "--delay", "0.2").splitlines()
    times = [json.loads(line)["domains"][0]["cpu_time_ns"] for line in lines]
    assert len(times) == 3
    assert times == sorted(set(times))
    assert printed(mounted, "--batch", "-n", "2", "--delay", "0.2").count("domid") == 2


def test_a_look_costs_a_handful_of_hypercalls(mounter: Mounter) -> None:
    """However many domains there are, and no more requests to xenstore once the names are watched."""
    mount = mounter("domains=500")
    printed(mount, "--once", "--delay", "0")
    before = _calls(mount)
    printed(mount, "--once", "--delay", "0")
    assert _calls(mount) - before <= 15


def _calls(mount: Mount) -> int:
    return sum(int(line.split()[1].partition("=")[2]) for line in mount.read("xenfs/calls/stat").splitlines())


def test_without_a_terminal_it_says_what_to_do(mounted: Mount) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "xenfs", "top", str(mounted.where)],
        cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "--once" in done.stderr


# At a terminal


def test_80_by_24(mounted: Mount, open_top: Opener) -> None:
    top = open_top(mounted)
    top.has("database", "crashed", "of 8 CPUs", "q quit")
    top.until(lambda: re.search(r"database +\w+ +2\d\d\.\d", top.shown), "its rate")

    def rows() -> list[list[str]]:
        lines = top.screen.display
        titles = next((at for at, line in enumerate(lines) if "NAME" in line), -1)
        return [line.split() for line in lines[titles + 1 : -1] if line.strip()]

    top.until(lambda: len(rows()) == 12 and [row[0] for row in rows()[:2]] == ["3", "6"], "all, the busiest first")
    lines = list(top.screen.display)
    assert lines[0].startswith(" Xen 4.17.7   /")
    assert all(re.search(rf"(^|\s){cpu} [━╸─]+ +\d+", "\n".join(lines[4:6])) for cpu in range(8))
    titles = next(at for at, line in enumerate(lines) if "NAME" in line)
    assert lines[titles].split() == [
        "ID", "NAME", "STATE", "CPU%▾", "HISTORY", "CPU", "s", "MEM", "MEM%", "MAX", "MAX%", "VCPUS",
    ]  # fmt: skip


def test_200_by_60(mounted: Mount, open_top: Opener) -> None:
    top = open_top(mounted, columns=200, lines=60)
    top.has("database", "UUID", "POOL", "TYPE", mounted.read("domains/3/uuid").strip())
    top.until(lambda: re.search(r"database.* 2\d\d\.\d .*[▁▂▃▄▅▆▇█]{2}", top.shown), "a history")
    assert sum(bool(re.match(r" +\d+  ", line)) for line in top.screen.display) >= 12
    top.press("v")
    top.until(lambda: len(re.findall(r"^ +0 [━╸─]+", top.shown, re.M)) >= 12, "bars of the vCPUs")
    top.press("v", "n", "down", "enter")
    top.has("── 6 build-farm ──", "of 400 %", "cpupool 1", "4 of 4 vCPUs online")


def test_sorting_and_filtering(mounted: Mount, open_top: Opener) -> None:
    top = open_top(mounted)
    top.has("database")
    top.press("i")
    top.has("ID▾")
    top.until(lambda: _ids(top)[:3] == ["0", "1", "2"], "the order")
    top.press("r")
    top.until(lambda: _ids(top)[:2] == ["16", "15"], "the other order")
    top.press("/", "web")
    top.until(lambda: _ids(top) == ["2", "1"], "the filter")
    top.has("Only with: web", "2 listed")
    top.press("enter", "esc")
    top.until(lambda: len(_ids(top)) == 12, "everybody")
    top.press("h")
    top.has("Any key: back")
    top.press(" ")
    top.has("database")


def _ids(top: Terminal) -> list[str]:
    return re.findall(r"^ +(\d+) \S+ .* \d\d?\.\d ", top.shown.partition("NAME")[2], re.M)


def test_pausing_asks_first(mounter: Mounter, open_top: Opener) -> None:
    mount = mounter()
    top = open_top(mount, "--sort", "domid")
    top.has("web-1", "p pause")
    top.press("p")
    top.has("Choose a domain first")
    top.press("down", "down", "p")
    top.has("Pause domain 1 (web-1)?")
    top.press("n")
    top.has("Nothing was done")
    assert mount.read("domains/1/freeze") == "0\n"
    top.press("p")
    top.has("Pause domain 1 (web-1)?")
    top.press("y")
    top.has("Domain 1 is paused")
    assert mount.read("domains/1/freeze") == "1\n"
    top.until(lambda: "paused" in top.line("web-1"), "the state")
    top.press("p")
    top.has("Unpause domain 1 (web-1)?")
    top.press("y")
    top.has("Domain 1 is unpaused")
    assert mount.read("domains/1/freeze") == "0\n"
    top.press("up", "p")
    top.has("cannot pause itself")


def test_the_answer_is_about_the_domain_that_was_asked_about(mounter: Mounter, open_top: Opener) -> None:
    mount = mounter(options="lifecycle")
    top = open_top(mount, "--sort", "domid")
    top.has("web-1")
    top.press("down", "down", "p")
    top.has("Pause domain 1 (web-1)?")
    mount.write("domains/1/kill", "1")
    top.until(lambda: not (mount.where / "domains/1").exists(), "its end")  # one that is dying can still be paused
    top.press("y")
    top.has("Domain 1 was not paused")


def test_where_nothing_can_be_written(mounter: Mounter, open_top: Opener) -> None:
    top = open_top(mounter(options="ro"), columns=120)
    top.has("web-1", "/ filter")
    assert "p pause" not in top.shown
    top.press("down", "p")
    top.has("You may not pause")


def test_the_size_changes(mounted: Mount, open_top: Opener) -> None:
    top = open_top(mounted)
    top.has("database", "VCPUS")
    top.resize(200, 60)
    top.has("UUID", "POOL", mounted.read("domains/3/uuid").strip())
    top.resize(30, 8)
    top.until(lambda: "database" in top.shown and "UUID" not in top.shown and "CPU%" in top.shown, "a small picture")
    for columns, lines in ((10, 3), (1, 1), (3, 60), (300, 2)):
        top.resize(columns, lines)
        top.quiet(0.5)
        assert top.status is None
    top.resize(80, 24)
    top.has("database", "VCPUS", "of 8 CPUs")


def test_it_leaves_the_terminal_as_it_was(mounted: Mount, open_top: Opener) -> None:
    for leave, status in (
        (lambda top: top.press("q"), 0), (lambda top: top.press("^C"), 0),
        (lambda top: os.kill(top.pid, signal.SIGTERM), 143),
    ):  # fmt: skip
        top = open_top(mounted)
        top.has("database")
        leave(top)
        assert top.ended() == status
        assert b"Traceback" not in top.sent
        assert top.restored()


def test_it_can_be_stopped_and_goes_on(mounted: Mount, open_top: Opener) -> None:
    top = open_top(mounted, shell='"$@"; echo status $?; stty -a; read -r line; fg; echo status $?')
    top.has("database")
    top.press("^Z")
    top.has("status 148", " echo ")
    top.resize(100, 30)
    top.press("\r")
    top.has("database", "of 8 CPUs", "q quit")
    top.lacks("status")
    top.until(lambda: top.line("q quit") == top.screen.display[-1].rstrip(), "the new size")
    top.press("q")
    top.until(lambda: b"status 0" in top.sent, "its end")


def test_the_terminal_goes_away(mounted: Mount, open_top: Opener) -> None:
    top = open_top(mounted)
    top.has("database")
    os.kill(top.pid, signal.SIGHUP)
    assert top.ended() in (-signal.SIGHUP, 128 + signal.SIGHUP)


def test_the_mount_goes_away_and_comes_back(mounter: Mounter, tmp_path: Path, open_top: Opener) -> None:
    first = mounter()
    top = open_top(first)
    top.has("database")
    first.stop()
    top.has("No such file or directory", "trying again", "database")
    second = Mount(first.where, "--hypervisor", "simulator:domains=3")
    try:
        top.lacks("trying again")
        top.until(lambda: "database" not in top.shown and "web-2" in top.shown, "the new host")
        second.process.kill()
        top.has("trying again")
        top.press("q")
        assert top.ended() == 0
    finally:
        second.force()


def test_a_daemon_that_hangs_does_not_hold_it_up(mounter: Mounter, open_top: Opener) -> None:
    mount = mounter()
    top = open_top(mount)
    top.has("database")
    os.kill(mount.process.pid, signal.SIGSTOP)
    try:
        top.has("No answer for")
        top.press("i")
        top.has("ID▾")
        top.press("q")
        assert top.ended() == 0
    finally:
        os.kill(mount.process.pid, signal.SIGCONT)


def test_domains_that_come_and_go(mounter: Mounter, open_top: Opener) -> None:
    top = open_top(mounter("churn=20,speed=3"), "--vcpus", "--sort", "name", columns=120, lines=50)
    top.has("passing-")
    for key in ("down",) * 15 + ("enter", "down", "down", "end", "up", "v", "v", "r"):
        top.press(key)
        top.quiet(0.2)
        assert top.status is None, top.shown
    top.has("q quit")


HOSTILE = """
import sys
from xenfs.simulator.world import population
names = iter(["\\x1b[2J\\x1b[31m\\x1b]0;x\\x07gone\\n", "数据库-一号", "e\\u0301\\u202egnp", "x" * 4096])
population.DOZEN = tuple(
    r if r.domid in (0, 3) else population.Resident(r.domid, next(names, r.name), *tuple(vars(r).values())[2:])
    for r in population.DOZEN
)
from xenfs.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_names_do_nothing_to_the_terminal(mounter: Mounter, open_top: Opener) -> None:
    mount = mounter(program=("-c", HOSTILE))
    top = open_top(mount, "--sort", "domid", columns=120)
    top.has("database", r"\x1b[2J\x1b[31m", "数", "xxxx")
    assert b"\x1b]0;" not in top.sent
    columns = {line.index("1.00G") for line in top.screen.display if "1.00G" in line and "\\" in line}
    plain = top.line("database")
    state = plain.index("running") if "running" in plain else plain.index("blocked")
    assert columns
    wide = top.line("数")
    assert re.search(r"\b(running|blocked)", wide[state - 8 : state + 16])


@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C"}, {"LC_ALL": "xx_YY.UTF-8", "LANG": "xx"}, {"TERM": "linux"}, {"TERM": "vt100"}]
)
def test_other_terminals(mounted: Mount, open_top: Opener, env: dict[str, str]) -> None:
    top = open_top(mounted, env=env)
    top.has("database", "crashed", "of 8 CPUs")
    if env != {"TERM": "vt100"}:
        top.until(lambda: re.search(r" 0 #+[=-]", top.shown), "bars of ASCII")
    top.press("q")
    assert top.ended() == 0


def test_a_terminal_that_cannot(mounted: Mount, open_top: Opener) -> None:
    for term in ("dumb", "no-such-terminal"):
        top = open_top(mounted, env={"TERM": term})
        assert top.ended() == 1
        assert b"--batch" in top.sent
        assert b"Traceback" not in top.sent


def test_no_mount(tmp_path: Path, open_top: Opener) -> None:
    top = open_top(tmp_path)
    assert top.ended() == 1
    assert b"domains/stat: No such file" in top.sent


def test_it_sends_and_asks_little(mounted: Mount, open_top: Opener) -> None:
    """At rest only what changed is drawn, and a look is a few reads."""
    top = open_top(mounted)
    top.has("database", "of 8 CPUs")
    top.quiet(2)
    sent = top.quiet(3)
    assert sent < 40_000, "a whole screen in colour is 5 kB"
