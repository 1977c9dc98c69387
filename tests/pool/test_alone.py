"""The pool by itself, for who only wants safe buffers from Python: nothing above its floor comes along."""

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

LOADED = """
import sys
from xenfs.pool import *
from xenfs.pool import Address, Buffer, HypercallDevice, LockedAnonymous, Pool, Violation, Way, best_pages
print(*sorted(name for name in sys.modules if name.split(".")[0] in ("xenfs", "pyfuse3", "trio")))
"""

AROUND = """
import cffi

ffi = cffi.FFI()
ffi.cdef("struct xen_sysctl { uint32_t cmd, interface_version; char u[128]; };")
user_memory = bytearray(100)
made = []

def hypercall(number, address):
    made.append(number)
    ffi.cast("char *", address)[4] = b"x"  # Xen writes

# --
"""


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_loads_nothing_above_its_floor() -> None:
    names = run(LOADED).split()
    assert {"xenfs", "xenfs.errors", "xenfs.pool", "xenfs.pool.pool"} <= set(names)
    assert [n for n in names if not re.fullmatch(r"xenfs|xenfs\.errors|xenfs\.pool(\.\w+)?", n)] == []


def test_the_example_of_its_page_works_as_it_stands() -> None:
    page = (CHECKOUT / "docs/pool.md").read_text()
    example = "\n".join(line[4:] for line in page.split("## The problem")[0].splitlines() if line.startswith("    "))
    assert "best_pages" in example
    after = "assert (made, user_memory[4]) == ([35, 36], ord('x')); print('done')"
    assert run(f"{AROUND}{example}\n{after}") == "done\n"


def test_every_test_that_its_page_names_is_there() -> None:
    page = (CHECKOUT / "docs/pool.md").read_text()
    tests = [path for path in (CHECKOUT / "tests").rglob("test_*.py") if path.name != Path(__file__).name]
    there = {name for path in tests for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    files = {path.name for path in tests} | {Path(__file__).name}
    for name in re.findall(r"`(?:tests/\w+/)?(test_\w+(?:\.py)?)`", page):
        assert name in (files if name.endswith(".py") else there), name
