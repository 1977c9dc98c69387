"""The floors: what each module imports, held against the order that keeps bytes on one side and files on the other."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "xenfs"
FLOORS = ("errors", "options", "abi", "pool", "hypervisor", "nodes", "filesystem", "cli")
UNRELATED = {("pool", "abi"), ("abi", "options"), ("pool", "options"), ("hypervisor", "options")}
THIRD_PARTY = {
    "errors": set(), "options": set(), "abi": {"cffi"}, "pool": {"cffi"}, "hypervisor": set(), "nodes": set(),
    "filesystem": {"pyfuse3", "trio"},
}  # fmt: skip
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def floor_of(dotted: str) -> str:
    """The floor that xenfs.a.b belongs to; the package itself and its __main__ belong to none."""
    words = dotted.split(".")
    return words[1] if len(words) > 1 else ""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all that a module imports, wherever in it; relative imports made absolute."""
    parts = ("xenfs", *path.relative_to(PACKAGE).with_suffix("").parts)
    package = parts[:-1]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            if module == "xenfs":
                yield from ((node.lineno, f"xenfs.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def home(path: Path) -> str:
    words = path.relative_to(PACKAGE).parts
    return words[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_up(path: Path) -> None:
    floor = home(path)
    if floor == "__main__":
        floor = "cli"
    for line, name in imports(path):
        where = f"{path.relative_to(PACKAGE.parent)}:{line} imports {name}"
        top = name.split(".")[0]
        if top == "xenfs":
            target = floor_of(name)
            if target in ("", "__version__"):
                continue
            assert floor in FLOORS, where
            assert target in FLOORS, where
            assert FLOORS.index(target) <= FLOORS.index(floor), f"{where}: {target} is a floor below {floor}"
            assert (floor, target) not in UNRELATED, f"{where}: {floor} may know nothing of {target}"
        elif top not in sys.stdlib_module_names:
            allowed = THIRD_PARTY.get(floor)
            assert allowed is None or top in allowed, f"{where}: not on the floor {floor}"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("abi/x.py", "from xenfs.nodes import base"),
        ("abi/x.py", "from ..nodes import base"),
        ("hypervisor/calls/x.py", "def f():\n    import xenfs.filesystem.serve"),
        ("nodes/x.py", "import trio"),
        ("hypervisor/x.py", "from cffi import FFI"),
        ("pool/x.py", "from xenfs import abi"),
        ("errors.py", "from xenfs.options import Options"),
    ],
)
def test_a_wrong_arrow_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, text: str) -> None:
    wrong = tmp_path / "xenfs" / path
    wrong.parent.mkdir(parents=True)
    wrong.write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path / "xenfs")
    with pytest.raises(AssertionError, match="imports"):
        test_imports_point_up(wrong)


def test_every_directory_is_a_package() -> None:
    """setuptools leaves out what has no __init__.py, and everything below it."""
    without = [d for d in {path.parent for path in MODULES} if not (d / "__init__.py").exists()]
    assert not without


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
