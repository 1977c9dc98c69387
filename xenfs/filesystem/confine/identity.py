"""Who the daemon is once it serves: a system user of its own, to whom no file and no other process belongs."""

from __future__ import annotations

import errno
import grp
import os
import pwd
from typing import NamedTuple

from xenfs.errors import StartError

OWN_NAME = "xenfs"
# Between systemd's dynamic users and `nobody`, who is shared by many daemons: numbers that nobody gives out.
_SPARE = range(65533, 65519, -1)


class Identity(NamedTuple):
    """A user, the group and the other groups that come with it."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()


def identity(run_as: str) -> Identity | None:
    """Whom root is to become: whom `-o run_as=` names, else the user `xenfs`, else a number that nobody has.

    None for who is not root, and has nothing to give up, and for `run_as=root`.
    """
    if os.geteuid() != 0:
        return None
    if run_as:
        found = _named(run_as)
        return found if found.uid else None
    try:
        return _named(OWN_NAME)
    except StartError:
        return _spare()


def _named(name: str) -> Identity:
    """A user by name, or by number whether the system knows it or not."""
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
    except KeyError:
        if name.isdecimal():
            return Identity(int(name), int(name))
        raise StartError(f"run_as={name} cannot be: this system has no such user", errno.EINVAL) from None
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Identity(entry.pw_uid, entry.pw_gid, tuple(group for group in groups if group != entry.pw_gid))


def _spare() -> Identity:
    users, groups = {each.pw_uid for each in pwd.getpwall()}, {each.gr_gid for each in grp.getgrall()}
    number = next((number for number in _SPARE if number not in users | groups), _SPARE[0])
    return Identity(number, number)


def become(chosen: Identity) -> None:
    """Be that user in every respect, for good; OSError where the kernel does not let us."""
    os.setgroups(chosen.groups)
    os.setresgid(chosen.gid, chosen.gid, chosen.gid)
    os.setresuid(chosen.uid, chosen.uid, chosen.uid)
