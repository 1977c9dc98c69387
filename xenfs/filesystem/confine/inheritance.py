"""What a process gets from the one that starts it: descriptors, environment, working directory, umask.

What Python itself went by (PYTHONPATH, PYTHONHOME) and the loader (LD_PRELOAD) has done its work before the first line
runs here. Whoever can set these for root is root already; sudo, mount(8) and systemd do not let them through.
"""

from __future__ import annotations

import os
from collections.abc import Collection, MutableMapping

_KEPT = ("LANG", "LANGUAGE", "TZ", "NOTIFY_SOCKET", "XENSTORED_PATH")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"  # fusermount3 is found by it


def forget_inheritance(keep: Collection[int] = ()) -> None:
    """Close every descriptor but the standard three and those to `keep`; be nowhere, and trust no variable."""
    nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, 0)
    for fd in _open_descriptors():
        if fd > 2 and fd not in keep:
            os.close(fd)
    os.chdir("/")
    os.umask(0o077)
    clean(os.environ)


def clean(environment: MutableMapping[str, str]) -> None:
    """Leave only what is harmless or meant for us."""
    for name in list(environment):
        if name not in _KEPT and not name.startswith("LC_"):
            del environment[name]
    environment["PATH"] = _PATH


def _open_descriptors() -> list[int]:
    with os.scandir("/proc/self/fd") as entries:
        found = [int(entry.name) for entry in entries]
    return [fd for fd in found if os.path.lexists(f"/proc/self/fd/{fd}")]  # but that of the scan
