"""What a type checker refuses: every line marked `refused`, and no other."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]

SNIPPET = """
from typing import Any

from xenfs.hypervisor.base import Hypervisor
from xenfs.abi.operations import Operation
from xenfs.pool import Address, Buffer, Pages, Pool, SimulatedPages, Way


def right(xen: Hypervisor, op: Operation, pool: Pool, buf: Buffer, view: Any) -> None:
    xen.hypercall(op, 1, buf, 2)
    with pool.admitted((1, buf)) as numbers:
        total: int = sum(numbers)
    buf.attach(view, "field", buf, needs=total)
    buf.attach(view, ("args", 1), None)
    number: int = int(buf.address)
    with pool.bounce(bytearray(number), Way.IN) as inner:
        inner.memory[0] = 1


def wrong(xen: Hypervisor, op: Operation, pool: Pool, buf: Buffer, view: Any) -> None:
    xen.hypercall(op, buf.address)  # refused
    xen.hypercall(op, buf.memory)  # refused
    xen.hypercall(op, bytes(buf))  # refused
    xen.hypercall(op, None)  # refused
    pool.admit((1, buf.address))  # refused
    pool.admitted((buf.memory,))  # refused
    buf.attach(view, "field", 4096)  # refused
    buf.attach(view, "field", buf.address)  # refused
    buf.attach(view, "field", buf.memory)  # refused
    number: int = buf.address  # refused
    sum_: int = buf.address + 8  # refused
    hex(buf.address)  # refused
    address: Address = 4096  # refused
    pool.take("200")  # refused
    pool.take(200, 64)  # refused
    pool.bounce(b"", "in")  # refused
    Pool("hypercall")  # refused
    pages: Pages = Pages()  # refused
"""


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="needs mypy")
def test_a_type_checker_rejects_every_misuse(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.py"
    snippet.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), str(snippet)]
    environment = os.environ | {"MYPYPATH": str(CHECKOUT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT, env=environment, timeout=110)
    found = {
        int(line.split(":")[1]) for line in done.stdout.splitlines() if "snippet.py:" in line and ": error:" in line
    }
    marked = {number for number, line in enumerate(SNIPPET.splitlines(), 1) if line.endswith("# refused")}
    assert found == marked, done.stdout + done.stderr
