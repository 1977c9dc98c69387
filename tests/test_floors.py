"""The house: what each file imports, held against the floors, and no circle of files anywhere."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "xenfs"
# From the ground up. A room imports from floors below its own, never from the room next door.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "politely"),
    ("options", "abi", "pool"),
    ("xenstore",),
    ("hypervisor",),
    ("calls", "simulator", "recording", "faults"),
    ("connect",),
    ("nodes",),
    ("filesystem",),
    ("cli",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# What is below and still none of a room's business: xenstore knows of no hypercall, the seam of no mount option.
STRANGERS = {("xenstore", "options"), ("xenstore", "abi"), ("xenstore", "pool"), ("hypervisor", "options")}
THIRD_PARTY = {"abi": {"cffi"}, "pool": {"cffi"}, "filesystem": {"pyfuse3", "trio"}}
ANYTHING = {"cli"}
MODULES = sorted(PACKAGE.rglob("*.py"))


def dotted(path: Path) -> str:
    """The name that a file is imported by."""
    words = ("xenfs", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def room_of(name: str) -> str:
    """The room that xenfs.a.b belongs to; the package itself belongs to none, and __main__ is the command."""
    words = name.split(".")
    return "" if len(words) == 1 else "cli" if words[1] == "__main__" else words[1]


def imports(path: Path) -> Iterator[tuple[int, str, str]]:
    """(line, module, name taken of it) of all that a file imports, wherever in it; relative imports made absolute."""
    package = ("xenfs", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            yield from ((node.lineno, module, alias.name) for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(dotted(path))
    for line, module, name in imports(path):
        where = f"{path.relative_to(PACKAGE.parent)}:{line} imports {module} {name}".rstrip()
        top = module.split(".")[0]
        if top == "xenfs":
            target = room_of(module if module != "xenfs" else f"xenfs.{name}")
            if target in ("", "__version__") or target == room:
                continue
            assert room in FLOOR_OF, f"{where}: {room} is on no floor"
            assert target in FLOOR_OF, f"{where}: {target} is on no floor"
            assert FLOOR_OF[target] < FLOOR_OF[room], f"{where}: {target} is not below {room}"
            assert (room, target) not in STRANGERS, f"{where}: {room} may know nothing of {target}"
        elif top not in sys.stdlib_module_names and room not in ANYTHING:
            assert top in THIRD_PARTY.get(room, ()), f"{where}: not on the floor of {room}"


def circles(modules: list[Path]) -> list[list[str]]:
    """Files that import each other, directly or by way of others; an import for types alone counts too."""
    files = {dotted(path): path for path in modules}
    wants = {name: set(_files_of(path, files)) for name, path in files.items()}
    reached = {name: _reached(name, wants) for name in wants}
    found = {frozenset(other for other in reached[name] if name in reached[other]) for name in wants}
    return sorted(sorted(circle) for circle in found if circle)


def _files_of(path: Path, files: dict[str, Path]) -> Iterator[str]:
    for _, module, taken in imports(path):
        if f"{module}.{taken}" in files:
            yield f"{module}.{taken}"
        elif module in files:
            yield module


def _reached(name: str, wants: dict[str, set[str]]) -> set[str]:
    """All that a file needs, itself only where it comes round to itself."""
    seen: set[str] = set()
    next_ones = wants[name] - {name}
    while next_ones:
        seen |= next_ones
        next_ones = {further for one in next_ones for further in wants[one] if further != one} - seen
    return seen


def test_no_circle_of_files() -> None:
    assert circles(MODULES) == []


def _write(root: Path, files: dict[str, str]) -> list[Path]:
    for name, text in files.items():
        path = root / "xenfs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return sorted((root / "xenfs").rglob("*.py"))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("abi/x.py", "from xenfs.nodes import base"),
        ("abi/x.py", "from ..nodes import base"),
        ("calls/x.py", "def f():\n    import xenfs.filesystem.serve"),
        ("nodes/x.py", "import trio"),
        ("hypervisor/x.py", "from cffi import FFI"),
        ("pool/x.py", "from xenfs import abi"),
        ("calls/x.py", "from xenfs.simulator import Simulator"),
        ("faults/x.py", "from xenfs.recording.replay import Replay"),
        ("simulator/x.py", "from xenfs.calls import sysctl"),
        ("xenstore/x.py", "from xenfs.pool import Pool"),
        ("hypervisor/x.py", "from xenfs.connect.probing import probe"),
        ("hypervisor/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from xenfs.nodes import tree"),
        ("calls/x.py", "if TYPE_CHECKING:\n    from xenfs.faults.rules import Rule"),
        ("errors.py", "from xenfs.options import Options"),
        ("cellar/x.py", "from xenfs import errors"),
    ],
)
def test_a_wrong_arrow_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, text: str) -> None:
    (wrong,) = _write(tmp_path, {path: text})
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "xenfs")
    with pytest.raises(AssertionError, match="imports"):
        test_imports_point_down(wrong)


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"abi/a.py": "from xenfs.abi import b", "abi/b.py": "import xenfs.abi.a"}, ["a", "b"]),
        (
            {"abi/a.py": "from .b import x", "abi/b.py": "from .c import x", "abi/c.py": "from . import a"},
            ["a", "b", "c"],
        ),
        ({"abi/a.py": "def f():\n    from xenfs.abi.b import x", "abi/b.py": "from xenfs.abi.a import x"}, ["a", "b"]),
        (
            {"abi/a.py": "if TYPE_CHECKING:\n    from xenfs.abi import b", "abi/b.py": "from xenfs.abi.a import x"},
            ["a", "b"],
        ),
    ],
)
def test_a_circle_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], circle: list[str]
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "xenfs")
    assert circles(_write(tmp_path, files)) == [[f"xenfs.abi.{name}" for name in circle]]


def test_every_directory_is_a_package() -> None:
    """setuptools leaves out what has no __init__.py, and everything below it."""
    without = [d for d in {path.parent for path in MODULES} if not (d / "__init__.py").exists()]
    assert not without


@pytest.mark.parametrize("room", sorted({path.parent for path in MODULES}), ids=lambda room: room.name)
def test_every_room_says_in_five_lines_what_it_is_for_and_where_to_begin(room: Path) -> None:
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or ""
    first = re.search(r"Open (this file|[\w./]+) first", said.replace("\n", " "))
    assert first, f"{room}: which file is to be opened first?"
    assert first[1] == "this file" or (room / first[1]).is_file(), f"{room}: there is no {first[1]}"
    assert sum(map(bool, said.splitlines())) <= 5, f"{room}: in more than five lines"
    near = (room, room.parent, PACKAGE.parent)
    gone = [name for name in re.findall(r"[\w/]+\.py\b", said) if not any((where / name).is_file() for where in near)]
    assert not gone, f"{room}: there is no {gone}"


def test_the_picture_of_the_house_is_true() -> None:
    """CONTRIBUTING's floors are those above, and each file that it and docs/one-read-one-write.md name is there."""
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
    drawn = re.findall(r"^     (\d)  (.*)$", page, re.M)
    assert [int(floor) for floor, _ in drawn] == list(range(len(FLOORS), 0, -1))
    for floor, line in drawn:
        assert set(FLOORS[int(floor) - 1]) == set(re.findall(r"(?:^|\| +)(\w+)(?:/|\.py)", line)), line
    page += (PACKAGE.parent / "docs" / "one-read-one-write.md").read_text("utf-8")
    named = {name for name in re.findall(r"[\w/.]+/\w+\.py", page) if not name.startswith(("a/", "b/"))}
    assert len(named) > 20
    assert not {name for name in named if not any((root / name).is_file() for root in (PACKAGE, PACKAGE.parent))}


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports each by its name alone: of two, one is not run."""
    names = Counter(path.name for path in Path(__file__).parent.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_only_privcmd_opens_privcmd() -> None:
    """Only one module opens the device; doctor may look whether it is there, and messages may name it."""
    opens = re.compile(r"""(?:^|[^\w])(?:os\.)?open\(.*privcmd|ioctl\(""")
    found = {
        str(path.relative_to(PACKAGE))
        for path in MODULES
        if any(opens.search(line) for line in path.read_text("utf-8").splitlines())
    }
    assert found <= {"hypervisor/privcmd.py"}


def test_floors_without_fuse_load_without_fuse() -> None:
    """The tree can be printed where neither pyfuse3 nor trio is installed."""
    import subprocess

    script = (
        "import sys; sys.modules['pyfuse3'] = sys.modules['trio'] = None\n"
        "from xenfs.nodes import tree\nassert list(tree.reference())"
    )
    subprocess.run([sys.executable, "-c", script], cwd=PACKAGE.parent, check=True, timeout=60)
