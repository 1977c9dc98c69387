"""The worked examples of docs/raw.md, as scripts."""

from __future__ import annotations

import re
import subprocess
import textwrap
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "raw.md"
LIFE = Path(__file__).with_name("raw_life.sh")
_BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def examples() -> list[str]:
    """Each example, with the page's own function before it."""
    function, *found = [textwrap.dedent(block) for _, block in _BLOCK.findall(PAGE.read_text("utf-8"))]
    return [f"set -eu\n{function}{block}" for block in found]


def run(mount: Path, script: str, domid: int, shell: str = "sh") -> str:
    """What an example prints; it is run in raw/, and must succeed."""
    surroundings = {"D": str(domid), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [shell, "-c", script],
        cwd=mount / "raw",
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, (script, done.stdout, done.stderr, (mount / "xenfs/error_log").read_text()[-600:])
    return done.stdout


def life(mount: Path) -> str:
    """What a whole life with raw/ alone prints."""
    done = subprocess.run(["sh", str(LIFE), str(mount)], capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr, (mount / "xenfs/error_log").read_text()[-900:])
    return done.stdout
