"""Mount options: what `-o` accepts, and what holds without it."""

from __future__ import annotations

import errno
import grp
import os
import pwd
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields, replace

from xenfs.errors import StartError


def _octal(text: str) -> int:
    return int(text, 8)


@dataclass(frozen=True, slots=True)
class Options:
    """The options in force. Flags are False without their name; see `xenfs mount --help` for what each does."""

    ro: bool = False
    lifecycle: bool = False
    debug: bool = False
    raw: bool = False
    allow_other: bool = False
    unverified: bool = False
    pool_check: bool = False
    uid: int = 0
    gid: int = 0
    umask: int = 0
    pool_max: int = 64 << 20
    open_max: int = 4096
    policy: str = ""
    record: str = "auto"
    run_as: str = ""

    def has(self, name: str) -> bool:
        """Whether a flag such as "lifecycle" is set; the empty name always is."""
        return not name or bool(getattr(self, name))

    def words(self) -> list[str]:
        """Every option as `-o` would take it, flags that are not set left out."""
        found = ["rw"] if not self.ro else []
        for option in fields(self):
            value = getattr(self, option.name)
            if value is True:
                found.append(option.name)
            elif value is not False and value != "":
                shown = f"{value:03o}" if option.name == "umask" else str(value)
                found.append(f"{option.name}={shown}")
        return found


_LAST_ID = 2**32 - 2  # the next one means "none"
# name: (what it names, how a name is looked up). mount(8) looks up names by itself; no other way here does.
_IDS: dict[str, tuple[str, Callable[[str], int]]] = {
    "uid": ("user", lambda name: pwd.getpwnam(name).pw_uid),
    "gid": ("group", lambda name: grp.getgrnam(name).gr_gid),
}
# name: (how it is read, lowest, highest)
_VALUES: dict[str, tuple[Callable[[str], int], int, int]] = {
    "umask": (_octal, 0, 0o777),
    "pool_max": (int, 1 << 20, 1 << 40),
    "open_max": (int, 16, 1 << 20),
}
RECORDS = ("auto", "journal", "syslog", "stderr", "off")
_FLAGS = frozenset(f.name for f in fields(Options)) - _VALUES.keys() - _IDS.keys() - {"policy", "record", "run_as"}
# What mount(8) and /etc/fstab add of their own, already true of every xenfs mount or none of our business.
_IGNORED = frozenset(
    {"rw", "defaults", "nosuid", "nodev", "noexec", "noatime", "auto", "noauto", "nofail", "_netdev", "user", "nouser"}
)


def parse(text: str, **defaults: int) -> Options:
    """Options from the comma-separated form of `-o`; a StartError (EINVAL) names the word that is wrong.

    A policy is for other users, so it brings `allow_other` with it.
    """
    given: dict[str, int | bool | str] = dict(defaults)
    for word in filter(None, text.split(",")):
        name, equals, value = word.partition("=")
        if name in _IDS and equals:
            given[name] = _id(name, value)
        elif name in _VALUES and equals:
            given[name] = _number(name, value)
        elif name in _TEXTS and equals:
            given[name] = _TEXTS[name](value)
        elif name in _FLAGS and not equals:
            given[name] = True
        elif name not in _IGNORED and not name.startswith("x-"):
            raise StartError(f"there is no mount option {word!r}; the options are: {' '.join(known())}", errno.EINVAL)
    if given.get("policy"):
        if given.get("umask"):
            raise StartError("policy= and umask= do not go together: the policy says it all", errno.EINVAL)
        given["allow_other"] = True
    return Options(**given)  # type: ignore[arg-type]


def known() -> tuple[str, ...]:
    """Every word that `-o` takes, with a "=" behind those that have a value."""
    return tuple(sorted(_FLAGS | {f"{name}=" for name in (*_IDS, *_VALUES, *_TEXTS)}))


def _id(name: str, value: str) -> int:
    """A user or a group, by number or by name."""
    kind, lookup = _IDS[name]
    with suppress(KeyError, ValueError):
        number = int(value) if value.isascii() and value.isdecimal() else lookup(value)
        if number <= _LAST_ID:
            return number
    wanted = f"a number from 0 to {_LAST_ID} or the name of a {kind} of this system"
    raise StartError(f"mount option {name}= wants {wanted}, not {value!r}", errno.EINVAL)


def _number(name: str, value: str) -> int:
    read, low, high = _VALUES[name]
    try:
        number = read(value) if value.isascii() and value.isdecimal() else -1
    except ValueError:
        number = -1
    if not low <= number <= high:
        form = "an octal number to 777" if read is _octal else f"a number from {low} to {high}"
        raise StartError(f"mount option {name}= wants {form}, not {value!r}", errno.EINVAL)
    return number


def _policy(value: str) -> str:
    if not value:
        raise StartError("mount option policy= wants a file (whose path has no comma)", errno.EINVAL)
    return os.path.abspath(value)


def _record(value: str) -> str:
    kind, colon, path = value.partition(":")
    if kind == "file" and path:
        return f"file:{os.path.abspath(path)}"
    if colon or kind not in RECORDS:
        raise StartError(
            f"mount option record= wants one of {' '.join(RECORDS)} file:PATH, not {value!r}", errno.EINVAL
        )
    return value


def _run_as(value: str) -> str:
    if not value or (value.isdecimal() and not (value.isascii() and int(value) < 2**32 - 1)):
        raise StartError(f"mount option run_as= wants a user by name or number, not {value!r}", errno.EINVAL)
    return value


_TEXTS: dict[str, Callable[[str], str]] = {"policy": _policy, "record": _record, "run_as": _run_as}


def read_only(given: Options) -> Options:
    """The same options without anything that writes."""
    return replace(given, ro=True)
