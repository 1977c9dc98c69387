"""`xenfs watch` when the daemon is killed and another one comes: what happened meanwhile is not lost."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest
from children import mortal
from mounting import REPOSITORY, Mount, Mounter, serving
from patience import PATIENCE_S

FIRST = "domains=6"
LATER = "speed=1000"  # the same host: processor time goes on


def watching(mount: Mount, *words: str) -> subprocess.Popen[str]:
    """A watch that is under way: it has shown what is in a file that it opened last."""
    process = mortal(
        subprocess.Popen(
            [sys.executable, "-m", "xenfs", "watch", "--reconnect", "60", *words, f"{mount.where}/version/major"],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY,
        )
    )  # fmt: skip
    until(process, "4")
    return process


def domains(mount: Mount) -> dict[int, str]:
    rows = [line.split() for line in mount.read("domains/stat").splitlines()]
    return {int(row[0]): row[3].removeprefix("uuid=") for row in rows}


def until(process: subprocess.Popen[str], word: str) -> list[str]:
    """The lines up to one that has this word, without what they are of."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or word not in lines[-1].split(" "):
        line = process.stdout.readline()
        assert line, (lines, process.stderr.read() if process.stderr else "")
        lines.append(line.rstrip("\n").rpartition(":")[2])
    return lines


@pytest.mark.parametrize("seed", [1, 2])
def test_what_happened_meanwhile_comes_first(mounter: Mounter, seed: int) -> None:
    first = mounter(FIRST, options="lifecycle")
    process = watching(first, f"{first.where}/domains/events")
    first.write(f"domains/{max(domains(first))}/kill", "1")
    until(process, "gone")
    before = domains(first)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(PATIENCE_S)
    with serving(first.where, f"domains=8,{LATER},seed={seed}", "lifecycle") as second:
        after = domains(second)
        same = before.items() & after.items()
        assert bool(same) == (seed == 1) or len(same) == 1, "two seeds are two hosts, but for the control domain"
        victim = max(after)
        lines = until(process, "created")
        second.write(f"domains/{victim}/kill", "1")
        while not lines[-1].startswith(("1 ", "2 ", "3 ")):
            lines += until(process, str(victim))
        lines = [line for line in lines if " " in line]
        found = {tuple(line.split(" ")[1:]) for line in lines if line.startswith("0 ")}
        assert found == {
            *((kind, str(domid), uuid, "-") for domid, uuid in before.items() - same for kind in ("dying", "gone")),
            *(("created", str(domid), uuid, "-") for domid, uuid in after.items() - same),
        }
        numbered = [line for line in lines if not line.startswith("0 ")]
        assert [line.split(" ")[1:3] for line in numbered][-1] == ["dying", str(victim)]
        process.terminate()
        _, said = process.communicate(timeout=PATIENCE_S)
        assert said == "xenfs: the daemon has ended: waiting for another\n"


@pytest.mark.parametrize("same", [True, False])
def test_a_domain_goes_on_or_is_gone(mounter: Mounter, same: bool) -> None:
    first = mounter(FIRST)
    process = watching(first, f"{first.where}/domains/1")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait(PATIENCE_S)
    with serving(first.where, f"domains=4,{LATER},seed={1 if same else 2}") as second:
        if same:
            time.sleep(0.5)
            second.write("domains/1/freeze", "1")
        lines = until(process, "paused" if same else "gone")
        assert ("gone" in lines) != same
        process.kill()


def test_nobody_comes(mounter: Mounter) -> None:
    mount = mounter("domains=2")
    process = watching(mount, "--reconnect", "0.5", f"{mount.where}/domains/events")
    mount.stop()
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert "waiting for another" in said
    assert "Traceback" not in said
