"""The command line itself: what it prints where, and which exit status it gives."""

from __future__ import annotations

import errno
import subprocess
import sys
import types

import pytest

from xenfs import __version__, cli
from xenfs.errors import XenfsError


def command(monkeypatch: pytest.MonkeyPatch, run: object) -> None:
    """Put a command of our own in the place of `tree`."""
    module = types.ModuleType("xenfs.cli.tree")
    module.add_arguments = lambda parser: None  # type: ignore[attr-defined]
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "xenfs.cli.tree", module)


@pytest.mark.parametrize("argv", [[], ["nonsense"], ["umount"], ["umount", "--nonsense", "/x"], ["doctor", "extra"]])
def test_usage_errors(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 2
    assert "usage: xenfs" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"xenfs {__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in cli.COMMANDS)


def test_errors_are_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(args: object) -> int:
        raise XenfsError("the reason", errno.EIO)

    command(monkeypatch, run)
    assert cli.main(["tree"]) == 1
    assert capsys.readouterr() == ("", "xenfs: the reason\n")


def test_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(args: object) -> int:
        raise KeyboardInterrupt

    command(monkeypatch, run)
    assert cli.main(["tree"]) == 130


def test_status_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    command(monkeypatch, lambda args: 7)
    assert cli.main(["tree"]) == 7


def test_closed_pipe_is_no_error() -> None:
    script = f"{sys.executable} -m xenfs doctor --json | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


def test_missing_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError("No module named 'pyfuse3'", name="pyfuse3")

    monkeypatch.setattr(cli.importlib, "import_module", fail)
    assert cli.main(["tree"]) == 1
    assert capsys.readouterr().err == (
        "xenfs: the Python package pyfuse3 is missing: xenfs doctor says what is needed\n"
    )


def test_missing_module_of_ours_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError("No module named 'xenfs.x'", name="xenfs.x")

    monkeypatch.setattr(cli.importlib, "import_module", fail)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["tree"])
