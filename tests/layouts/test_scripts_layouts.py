"""scripts/layouts: what a compiler says is read from the object, on whatever architecture; differences are found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT / "scripts" / "layouts.d"))

from measure import TRIPLETS, find_compiler  # noqa: E402
from probe import CannotCompile, Probe  # noqa: E402

COMPILERS = {arch: find_compiler(arch) for arch in TRIPLETS}
HEADER = """
enum { GOOD = -1 };
#define LARGE 0xfffffffffffffffeULL
struct a { char c; long l; struct { short s[3]; } in[2]; };
struct b { unsigned x : 3; union { unsigned u; struct { unsigned y : 20; unsigned z : 9; }; }; };
"""


@pytest.fixture(params=[arch for arch, command in COMPILERS.items() if command])
def compiler(request: pytest.FixtureRequest) -> list[str]:
    return COMPILERS[request.param]


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    (tmp_path / "xen").mkdir()
    (tmp_path / "xen" / "xen.h").write_text(HEADER)
    return tmp_path


def test_answers_come_from_the_object(compiler: list[str], headers: Path) -> None:
    numbers = {
        "good": "GOOD",
        "large": "LARGE",
        "size": "sizeof(struct a)",
        "place": "offsetof(struct a, in[0].s)",
        "no such constant": "BAD",
        "no such member": "offsetof(struct a, d)",
        "no such type": "sizeof(struct c)",
    }
    bitfields = {"x": ("struct b", "x"), "z": ("struct b", "z"), "no such bits": ("struct b", "w")}
    assert Probe(numbers, bitfields).ask(compiler, headers) == {
        "good": 2**64 - 1,
        "large": 2**64 - 2,
        "size": 32,
        "place": 16,
        "x": (0, 3),
        "z": (32 + 20, 9),
    }


def test_headers_that_do_not_compile_are_reported(compiler: list[str], headers: Path) -> None:
    (headers / "xen" / "xen.h").write_text("struct a { unknown x; };\n")
    with pytest.raises(CannotCompile, match=r"xen\.h"):
        Probe({"size": "sizeof(int)"}).ask(compiler, headers)


@pytest.mark.skipif(not Path("/usr/include/xen/xen.h").exists(), reason="libxen-dev is not installed")
@pytest.mark.skipif(not COMPILERS["x86_64"], reason="no compiler for x86_64")
def test_installed_headers_agree() -> None:
    command = [sys.executable, "scripts/layouts.d/measure.py", "--arch", "x86_64", "/usr/include"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    if done.returncode == 2:
        pytest.skip(done.stderr)  # a release that xenfs does not know
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--arch"], "needs a value"),
        (["--nonsense", "x"], "unknown: --nonsense"),
        (["--arch", "riscv64"], "no such architecture: riscv64"),
        (["--fetch", "4.16"], "no package of Debian's has Xen 4.16"),
    ],
)
@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_wrong_usage(arguments: list[str], complaint: str) -> None:
    environment = {**os.environ, "XENFS_VENV": "/nonexistent"}
    done = subprocess.run(
        ["scripts/layouts", *arguments], cwd=CHECKOUT, capture_output=True, text=True, env=environment
    )
    assert (done.returncode, complaint in done.stderr) == (2, True)
