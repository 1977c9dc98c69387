"""A checkout as pip would install it: a copy of the package that nothing of the checkout's own files is mixed into,
with byte-compiled modules and whatever else is made when it is built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
# What setup.py does.
_MAKE = """
import sys
from pathlib import Path
from xenfs import abi, pool
abi.prepare(Path(sys.argv[1], "xenfs/abi"))
pool.prepare(Path(sys.argv[1], "xenfs/pool"))
"""
_FUSE = ("pkg-config", "--cflags", "--libs", "fuse3")


@contextmanager
def installed(revision: str = "") -> Iterator[Path]:
    """The folder that `import xenfs` finds this checkout's package in, or that of another revision of it."""
    with TemporaryDirectory(prefix="xenfs-bench-") as scratch:
        root = Path(scratch)
        root.chmod(0o755)
        if revision:
            archive = subprocess.run(
                ["git", "-C", CHECKOUT, "archive", revision, "xenfs"], check=True, stdout=subprocess.PIPE
            ).stdout
            subprocess.run(["tar", "--extract", "--directory", root], check=True, input=archive)
        else:
            shutil.copytree(CHECKOUT / "xenfs", root / "xenfs", ignore=shutil.ignore_patterns("__pycache__"))
        environment = {**os.environ, "PYTHONPATH": str(root)}
        if (root / "xenfs/abi/prepared.py").exists():
            subprocess.run([sys.executable, "-P", "-c", _MAKE, root], check=True, env=environment)
        subprocess.run([sys.executable, "-m", "compileall", "-q", root], check=True)
        yield root


@cache
def hello() -> Path | None:
    """hello.c, compiled; None where there is no compiler, or no libfuse to compile it with."""
    scratch = TemporaryDirectory(prefix="xenfs-bench-")
    _kept.append(scratch)
    program = Path(scratch.name) / "hello"
    try:
        flags = subprocess.run(_FUSE, check=True, capture_output=True, text=True).stdout.split()
        subprocess.run(["gcc", "-O2", HERE / "hello.c", "-o", program, *flags], check=True, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return None
    return program


_kept: list[TemporaryDirectory[str]] = []  # removed when the interpreter ends
