"""trio and pyfuse3, imported without what they import and a mount never uses: 8 MB less resident."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from types import ModuleType


def _version(package: str) -> str:
    """Of an installed package, as the name of the folder says that describes it."""
    folder = re.compile(rf"{package}-([0-9][^-]*)(-py[0-9.]+)?\.(dist|egg)-info")
    for place in sys.path:
        with suppress(OSError):
            for name in os.listdir(place or "."):
                if found := folder.fullmatch(name):
                    return found[1]
    raise LookupError(f"no folder describes {package}")


# By module, all that is asked of it while they are imported; what it would take, resident, and who asks for it.
_STAND_INS: Mapping[str, Mapping[str, object]] = {
    "ssl": {},  # OpenSSL, 4.6 MB with _hashlib: trio, for TLS
    "idna": {},  # Unicode's tables, 0.7 MB: trio, for names of hosts
    "pickle": {"PicklingError": TypeError},  # 0.3 MB: pyfuse3, whose objects cannot be pickled
    # email, csv, zipfile and more, 1.7 MB: pyfuse3, which tells its own version
    "importlib.metadata": {"version": _version, "PackageNotFoundError": ModuleNotFoundError},
    # tempfile and a run of ldconfig: trio, for what names a thread; glibc has had that in itself since 2.34
    "ctypes.util": {"find_library": lambda name: "libc.so.6"},
}
_ABSENT = ("_hashlib",)  # without it hashlib takes code of its own, for all hashes that are used


def import_lean() -> None:
    """Import trio, pyfuse3 and hashlib. To be called before anything else imports them.

    Whoever imports one of these modules afterwards gets the real one; what is imported already stays what it is. A trio
    or pyfuse3 that uses more of them while it is imported is taken away again, and then imported as usual by who wants
    it.
    """
    if "trio" in sys.modules:
        return
    gc.freeze()  # what is older is shared with the processes beside this one: to look through it would copy it
    with _stand_ins():
        before = set(sys.modules)
        try:
            for name in ("hashlib", "trio", "pyfuse3"):
                import_module(name)
        except Exception:
            for name in sys.modules.keys() - before:
                del sys.modules[name]
    gc.collect()  # trio's classes were made twice each: 0.7 MB


@contextmanager
def _stand_ins() -> Iterator[None]:
    """Have them for what is not imported yet."""
    names = {*_STAND_INS, *_ABSENT} - sys.modules.keys()
    for name in names:
        sys.modules[name] = None  # type: ignore[assignment]  # which Python takes for a module that is not there
        if name in _STAND_INS:
            sys.modules[name] = module = ModuleType(name)
            vars(module).update(_STAND_INS[name])
            _within_its_package(name, module)
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)
            _within_its_package(name, None)


def _within_its_package(name: str, module: ModuleType | None) -> None:
    package, _, last = name.rpartition(".")
    if package and module:
        setattr(import_module(package), last, module)
    elif package:
        vars(sys.modules[package]).pop(last, None)
