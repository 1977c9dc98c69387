"""Mount options: what `-o` accepts, and what holds without it."""

from __future__ import annotations

import errno
from collections.abc import Callable
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
            elif value is not False:
                shown = f"{value:03o}" if option.name == "umask" else str(value)
                found.append(f"{option.name}={shown}")
        return found


_VALUES: dict[str, Callable[[str], int]] = {"uid": int, "gid": int, "umask": _octal, "pool_max": int}
_FLAGS = frozenset(f.name for f in fields(Options)) - _VALUES.keys()
# What mount(8) and /etc/fstab add of their own, already true of every xenfs mount or none of our business.
_IGNORED = frozenset(
    {"rw", "defaults", "nosuid", "nodev", "noexec", "noatime", "auto", "noauto", "nofail", "_netdev", "user", "nouser"}
)


def parse(text: str, **defaults: int) -> Options:
    """Options from the comma-separated form of `-o`; a StartError (EINVAL) names the word that is wrong."""
    given: dict[str, int | bool] = dict(defaults)
    for word in filter(None, text.split(",")):
        name, equals, value = word.partition("=")
        if name in _VALUES and equals:
            given[name] = _number(name, value)
        elif name in _FLAGS and not equals:
            given[name] = True
        elif name not in _IGNORED and not name.startswith("x-"):
            known = " ".join(sorted(_FLAGS | {f"{name}=" for name in _VALUES}))
            raise StartError(f"there is no mount option {word!r}; the options are: {known}", errno.EINVAL)
    return Options(**given)  # type: ignore[arg-type]


def _number(name: str, value: str) -> int:
    try:
        number = _VALUES[name](value)
    except ValueError:
        number = -1
    if number < 0:
        raise StartError(f"mount option {name}= wants a number, not {value!r}", errno.EINVAL)
    return number


def read_only(given: Options) -> Options:
    """The same options without anything that writes."""
    return replace(given, ro=True)
