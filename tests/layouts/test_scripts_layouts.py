"""scripts/layouts: what a compiler says is read from the object, on whatever architecture; differences are found."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
sys.path.insert(0, str(CHECKOUT / "scripts" / "layouts.d"))

import golden  # noqa: E402
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


@pytest.mark.parametrize("arch", TRIPLETS)
def test_golden_data_is_written_as_it_was(arch: str) -> None:
    path = CHECKOUT / "xenfs" / "simulator" / "golden" / f"{arch}.json"
    assert golden.text(golden.load(path)) == path.read_text()


def test_what_is_added_to_golden_data() -> None:
    data = {"releases": ["4.14", "4.15", "4.16", "4.17", "4.18"], "constants": {"Z": []}}
    assert golden.add(data, "constants", "A", "4.14", {"value": 1}) == ["4.15", "4.16", "4.17", "4.18"]
    assert golden.add(data, "constants", "A", "4.17", {"value": 1}) == ["4.18"]
    assert data["constants"]["A"] == [{"since": "4.14", "until": "4.17", "value": 1}]
    assert golden.add(data, "constants", "A", "4.18", {"value": 2}) == []
    assert data["constants"]["A"] == [
        {"since": "4.14", "until": "4.17", "value": 1}, {"since": "4.18", "until": "4.18", "value": 2},
    ]  # fmt: skip
    assert list(data["constants"]) == ["A", "Z"]


@pytest.mark.skipif(not Path("/usr/include/xen/xen.h").exists(), reason="libxen-dev is not installed")
@pytest.mark.skipif(not COMPILERS["x86_64"], reason="no compiler for x86_64")
def test_what_was_lost_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A struct and a constant taken out of the golden data come back as they were, of the release that is installed."""
    import measure

    release = ".".join(map(str, measure.release_of(COMPILERS["x86_64"], Path("/usr/include"))))
    whole = golden.load(measure.GOLDEN / "x86_64.json")
    lacking = json.loads(json.dumps(whole))
    del lacking["structs"]["xen_sysctl_tbuf_op"], lacking["constants"]["XEN_SYSCTL_tbuf_op"]
    (tmp_path / "x86_64.json").write_text(golden.text(lacking))
    monkeypatch.setattr(measure, "GOLDEN", tmp_path)
    words = ["measure", "--arch", "x86_64", "--write", "--constant", "XEN_SYSCTL_tbuf_op", "/usr/include"]
    monkeypatch.setattr(sys, "argv", words)
    assert measure.main() in (0, 1)  # 1: another declaration is not in these headers
    found = golden.load(tmp_path / "x86_64.json")
    for kind, name in (("structs", "xen_sysctl_tbuf_op"), ("constants", "XEN_SYSCTL_tbuf_op")):
        (was,) = whole[kind][name]
        assert found[kind][name] == [was | {"since": release, "until": release}]


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
