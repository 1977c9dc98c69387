"""The command `xenfs`. Exit status: 0 done, 1 it could not be done, 2 the command line is wrong.

One file for each command, named after it; this one finds the file. What a mount shows is read through the mount,
as anybody would. Open mount.py first.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType

from xenfs import __version__
from xenfs.errors import StartError, XenfsError
from xenfs.nodes.tables.harmless import harmless

COMMANDS = {
    "mount": "mount the tree and serve it until a signal or an unmount",
    "umount": "unmount a mounted tree",
    "tree": "list every path of the tree: mode, tier, hypercall, help",
    "watch": "follow what happens, or wait until something has",
    "top": "show the domains, how busy they are and what they have",
    "describe": "say all there is to say about one path",
    "doctor": "check what works on this machine, what does not, and why",
}
"""Each is a module of this package with `add_arguments(parser)` and `run(args) -> exit status`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status; whatever xenfs can name is one sentence on stderr."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_streams()
    try:
        status = _status(words)
        sys.stdout.flush()
    except XenfsError as problem:
        print(f"xenfs: {problem}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `xenfs tree | head`: nobody reads any more, nothing is wrong
        _discard()
        return 0
    except OSError as problem:  # this machine's, not ours
        where = f"{harmless(str(problem.filename))}: " if problem.filename else ""
        print(f"xenfs: {where}{problem.strerror or problem}", file=sys.stderr)
        _discard()
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        gc.enable()  # which mount disables until it serves
    return status


def _status(words: Sequence[str]) -> int:
    try:
        args = _parser(words).parse_args(words)
        return int(args.run(args))
    except SystemExit as ended:  # --help, or a command line that is wrong
        return ended.code if isinstance(ended.code, int) else 2


def _open_streams() -> None:
    """Let descriptors 0 to 2 be open: /dev/fuse must not become the stdout that was closed."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _discard() -> None:
    """Where stdout takes nothing any more, Python would say so once more at the end, and give another status."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the whole command line. Only the command in question is imported: `doctor` has to work
    where pyfuse3 is missing, and `umount` to be quick."""
    parser = argparse.ArgumentParser(
        prog="xenfs", description="Xen's hypercall interfaces as files.", formatter_class=_formatter
    )
    parser.add_argument("--version", action="version", version=f"xenfs {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    wanted = next((word for word in words if not word.startswith("-")), "")
    for name, summary in COMMANDS.items():
        what = f"{summary[0].upper()}{summary[1:]}."
        command = commands.add_parser(name, help=summary, description=what, formatter_class=_formatter)
        if name == wanted:
            module = imported(name)
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def _formatter(prog: str) -> argparse.HelpFormatter:
    """argparse's own, told how wide a line is: it would import shutil to ask, and that three compressions, 0.4 MB."""
    try:
        columns = int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size(1).columns
    except (ValueError, OSError):
        columns = 0
    return argparse.HelpFormatter(prog, width=(columns or 80) - 2)


def parser(name: str) -> argparse.ArgumentParser:
    """The parser of one command, for its manual page."""
    actions = _parser([name])._actions
    commands = next(action for action in actions if isinstance(action, argparse._SubParsersAction))
    found: argparse.ArgumentParser = commands.choices[name]
    return found


def imported(name: str) -> ModuleType:
    """A module of this package; StartError where it wants a package that is missing."""
    enabled = gc.isenabled()
    gc.disable()  # nothing is garbage yet, and to look for it takes a tenth of the time
    try:
        return importlib.import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as problem:
        if (problem.name or "").startswith("xenfs"):
            raise  # a mistake of ours
        raise StartError(f"the Python package {problem.name} is missing: xenfs doctor says what is needed") from None
    finally:
        if enabled:
            gc.enable()
