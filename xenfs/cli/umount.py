"""`xenfs umount`: unmount a xenfs, and nothing else."""

from __future__ import annotations

import argparse
import errno
import os
import subprocess

from xenfs.errors import XenfsError
from xenfs.filesystem.mountinfo import OUR_TYPE, Mount, mounted_at
from xenfs.filesystem.taking_away import DETACH, take_away
from xenfs.nodes.tables.harmless import harmless

_LONGEST_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `xenfs umount`."""
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", help="where it is mounted")
    parser.add_argument(
        "-l",
        "--lazy",
        action="store_true",
        help="detach it now, even if files are open; the rest follows by itself",
    )


def run(args: argparse.Namespace) -> int:
    """Unmount; XenfsError says what keeps it from being unmounted."""
    mount = mounted_at(args.mountpoint)
    if mount is None:
        raise XenfsError(f"nothing is mounted at {harmless(args.mountpoint)}", errno.EINVAL)
    if mount.fstype != OUR_TYPE:
        raise XenfsError(
            f"{harmless(args.mountpoint)} is not a xenfs but {harmless(mount.fstype)}: left alone", errno.EINVAL
        )
    if os.geteuid() == 0:
        try:
            take_away(mount, DETACH if args.lazy else 0)
        except OSError as problem:
            raise XenfsError(_why(mount, problem.strerror or "", args.lazy), problem.errno or errno.EIO) from None
    else:
        _ask_helper(mount, args.lazy)
    return 0


def _ask_helper(mount: Mount, lazy: bool) -> None:
    try:
        done = subprocess.run(
            tool(mount.mountpoint, lazy), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_LONGEST_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise XenfsError(
            f"unmounting {harmless(mount.mountpoint)} takes too long: try --lazy", errno.ETIMEDOUT
        ) from None
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise XenfsError(_why(mount, lines[-1] if lines else "umount gave no reason", lazy), errno.EBUSY)


def tool(mountpoint: str, lazy: bool) -> list[str]:
    """The command that unmounts for who is not root; fusermount3 is set-user-ID."""
    places = (os.path.join(folder, "fusermount3") for folder in os.get_exec_path())
    programs = (path for path in places if os.path.isfile(path) and os.access(path, os.X_OK))
    fusermount = next(programs, None)  # shutil, which could tell, has 0.4 MB
    if fusermount is None:
        return ["umount", *(["-l"] if lazy else []), "--", mountpoint]
    return [fusermount, "-u", *(["-z"] if lazy else []), "--", mountpoint]


def _why(mount: Mount, said: str, lazy: bool) -> str:
    where = harmless(mount.mountpoint)
    if "busy" in said and not lazy:
        return f"{where} is in use: close what is open below it, or detach it with --lazy"
    return f"cannot unmount {where}: {harmless(said)}"
