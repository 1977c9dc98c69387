"""To which life of a domain a path belongs, as far as the tree tells: for who follows it beyond the end of a daemon."""

from __future__ import annotations

import errno
import os

from xenfs.errors import XenfsError
from xenfs.filesystem.mountinfo import OUR_TYPE, mounts
from xenfs.hypervisor.lives import CLOCKS_DIFFER_NS

OVER = (errno.ESTALE, errno.ENOENT, errno.ESRCH)
"""What a file answers whose domain is gone."""


def mount_of(path: str) -> str | None:
    """The xenfs mount that a path is in, by the kernel's list."""
    real = os.path.realpath(path)
    ours = [mount.mountpoint for mount in mounts() if mount.fstype == OUR_TYPE]
    inside = [each for each in ours if os.path.commonpath([each, real]) == each]
    return max(inside, key=len, default=None)


def content_of(name: str, path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError as problem:
        raise named(name, problem) from None


def home(path: str) -> tuple[str, str] | None:
    """(mount point, directory of the domain) that a file belongs to, if it does."""
    mount = mount_of(path)
    words = os.path.relpath(path, mount).split("/") if mount else []
    if mount is None or len(words) < 3 or words[0] != "domains" or not words[1].isdigit():
        return None
    return mount, os.path.join(mount, *words[:2])


def life_of(name: str, mount: str, domain: str) -> tuple[str, str, int] | None:
    """What tells lives of a domain apart; None where there is no such domain, XenfsError where there is no mount."""
    content_of(name, os.path.join(mount, "xenfs", "version"))
    try:
        uuid, cpu = (content_of(name, os.path.join(domain, each)) for each in ("uuid", "cpu_time_ns"))
        unique = os.path.join(domain, "unique_id")
        return uuid, content_of(name, unique) if os.path.exists(unique) else "", int(cpu)
    except XenfsError as problem:
        if problem.errno in OVER:
            return None
        raise


def continues(before: tuple[str, str, int] | None, now: tuple[str, str, int] | None) -> bool:
    """Whether it is one life. Processor time never falls."""
    if before is None or now is None:
        return before is now
    return before[:2] == now[:2] and before[2] <= now[2] + CLOCKS_DIFFER_NS


def named(name: str, problem: OSError) -> XenfsError:
    return XenfsError(f"{name}: {problem.strerror or problem}", problem.errno or errno.EIO)
