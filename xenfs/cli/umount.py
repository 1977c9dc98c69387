"""`xenfs umount`: unmount a xenfs, and nothing else."""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import subprocess

from xenfs.errors import XenfsError
from xenfs.filesystem.mountinfo import OUR_TYPE, mounted_at
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
        raise XenfsError(f"{harmless(args.mountpoint)} is not a xenfs but {mount.fstype}: left alone", errno.EINVAL)
    try:
        done = subprocess.run(
            tool(mount.mountpoint, args.lazy),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        raise XenfsError(
            f"unmounting {harmless(mount.mountpoint)} takes too long: try --lazy", errno.ETIMEDOUT
        ) from None
    if done.returncode:
        raise XenfsError(_why(mount.mountpoint, done.stderr, args.lazy), errno.EBUSY)
    return 0


def tool(mountpoint: str, lazy: bool) -> list[str]:
    """The command that unmounts: fusermount3 is set-user-ID for whoever is not root."""
    fusermount = shutil.which("fusermount3")
    if os.geteuid() == 0 or fusermount is None:
        return ["umount", *(["-l"] if lazy else []), "--", mountpoint]
    return [fusermount, "-u", *(["-z"] if lazy else []), "--", mountpoint]


def _why(mountpoint: str, said: str, lazy: bool) -> str:
    if "busy" in said and not lazy:
        return f"{mountpoint} is in use: close what is open below it, or detach it with --lazy"
    lines = said.strip().splitlines()
    return f"cannot unmount {mountpoint}: {lines[-1] if lines else 'umount gave no reason'}"
