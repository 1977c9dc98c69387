"""The README's examples, typed into a shell on a mounted simulator: they print what the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from patience import PATIENCE_S

README = Path(__file__).resolve().parents[2] / "README.md"


def examples() -> list[tuple[str, list[str]]]:
    """(command, the lines that it prints) of every indented block with a prompt."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"(?:^ {4}.*\n)+", README.read_text("utf-8"), re.MULTILINE):
        lines = [line[4:] for line in block.splitlines()]
        if lines[0].startswith("$ "):
            for line in lines:
                if line.startswith("$ "):
                    found.append((line[2:], []))
                else:
                    found[-1][1].append(line)
    return found


@pytest.fixture
def mountpoint(tmp_path: Path) -> Iterator[Path]:
    """A mounted simulator, served by a process of its own."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/fuse")
    where = tmp_path / "xenfs"
    where.mkdir()
    ready, its_ready = os.pipe()
    words = ["-m", "xenfs", "mount", str(where), "--hypervisor", "simulator", "--ready-fd", str(its_ready)]
    server = subprocess.Popen([sys.executable, *words], pass_fds=(its_ready,), stdout=subprocess.DEVNULL)
    os.close(its_ready)
    try:
        assert os.read(ready, 6) == b"READY\n"
        yield where
    finally:
        os.close(ready)
        server.terminate()
        try:
            assert server.wait(PATIENCE_S) == 0
        finally:
            subprocess.run(["umount", "-l", where], stderr=subprocess.DEVNULL, check=False)
            server.kill()
            server.wait()


def test_examples(mountpoint: Path) -> None:
    given = [(command, printed) for command, printed in examples() if not command.startswith("cd ")]
    assert len(given) >= 3
    for command, printed in given:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=mountpoint, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            timeout=PATIENCE_S,
        )  # fmt: skip
        assert done.stdout.replace("bash: line 1:", "bash:").splitlines() == printed, command


def test_options_are_in_the_table() -> None:
    from xenfs.options import Options

    table = set(re.findall(r"`([a-z_]+)=?`", "".join(re.findall(r"^\| `.*$", README.read_text("utf-8"), re.MULTILINE))))
    assert set(Options.__dataclass_fields__) <= table
