"""In steady state the pool makes no system call: counted by strace."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from xenfs.pool import LockedAnonymous, Pool
pool = Pool(LockedAnonymous())
def round():
    with pool.take(64) as a, pool.take(200) as b, pool.take(4096) as c, pool.take(65536), pool.take(1 << 20):
        b.fill(b"x" * 100)
        with pool.admitted((1, a, b)):
            c.memory[0] = 1
    with pool.bounce(bytearray(3000)):
        pass
round()
for _ in range(int(sys.argv[1])):
    round()
"""


def calls(rounds: int, summary: Path) -> int:
    """How many system calls a process makes that does one round, and then so many more."""
    command = ["strace", "-f", "-c", "-o", str(summary), sys.executable, "-c", SCRIPT, str(rounds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    (total,) = [line for line in summary.read_text().splitlines() if line.endswith("total")]
    return int(total.split()[3])


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_ten_thousand_rounds_make_no_more_system_calls_than_none(tmp_path: Path) -> None:
    calls(0, tmp_path / "warm")  # byte code is cached from now on
    few, many = calls(0, tmp_path / "few"), calls(10_000, tmp_path / "many")
    assert many - few < 20, (tmp_path / "many").read_text()  # Python itself makes one now and then
