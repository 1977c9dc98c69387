"""What the hypervisor's bytes mean: Xen's public structs for one release and architecture, laid out by cffi.

Nothing is compiled. The declarations are the *.h files beside this one; marks say which of their lines exist
for a release (see select.py). A header is parsed when the first of its types is asked for, unless all of them were when
the package was built (prepared.py).
Open sysctl.h first to see a declaration; numbers/ has the constants.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import RLock
from typing import Any, Protocol

from xenfs.abi.prepared import parsing_ffi, ready_ffi, targets, write
from xenfs.abi.promises import Promise, promises
from xenfs.abi.releases import ARCHES, interfaces
from xenfs.abi.select import Target, Version, select
from xenfs.abi.since import conditions
from xenfs.errors import XenfsError

_HERE = Path(__file__).parent
_TAG = re.compile(r"^((?:struct|union) \w+) \{", re.MULTILINE)
_NEEDS = re.compile(r"^//: needs (.+)$", re.MULTILINE)


class Buffer(Protocol):
    """What abi asks of a pool buffer."""

    @property
    def nbytes(self) -> int: ...

    def cast(self, ffi: Any, ctype: Any) -> Any: ...


class NotDeclared(KeyError):
    """A type that this release and architecture do not have, or that xenfs does not declare."""

    def __str__(self) -> str:
        return str(self.args[0])


class TooShort(XenfsError, ValueError):
    """A buffer that ends before the struct that was to be laid over it: EIO where Xen told of more than can be."""


class Abi:
    """The structs of one Xen release and architecture. Safe to share between threads.

    `ffi` has them all already, where it is given.
    """

    def __init__(self, release: Version, arch: str, domctl: int, sysctl: int, ffi: Any = None) -> None:
        self.release, self.arch, self.domctl, self.sysctl = release, arch, domctl, sysctl
        self.ffi = ffi or parsing_ffi()
        self._complete = ffi is not None
        self.target = Target(release[:2], domctl, sysctl, arch)
        self._parsed: set[str] = set()
        self._pointers: dict[str, tuple[Any, int]] = {}
        self._arrays: dict[str, tuple[Any, int]] = {}
        self._held: dict[Any, Any] = {}  # by kind of struct, the pointer that a copy is held by
        self._lock = RLock()
        self._parse("common.h")

    def __repr__(self) -> str:
        release = ".".join(map(str, self.release))
        return f"<Abi {release} {self.arch} domctl {self.domctl:#x} sysctl {self.sysctl:#x}>"

    def view(self, name: str, buf: Buffer) -> Any:
        """A pointer to `name`, such as "struct xen_sysctl", laid over the start of `buf`: no copy."""
        pointer, nbytes = self._pointers.get(name) or self._pointer(name)
        if buf.nbytes < nbytes:
            raise TooShort(f"{name} has {nbytes} bytes, the buffer {buf.nbytes}")
        return buf.cast(self.ffi, pointer)

    def array(self, name: str, count: int, buf: Buffer) -> Any:
        """An array of `count` elements of type `name` laid over the start of `buf`: no copy."""
        pointer, nbytes = self._arrays.get(name) or self._array(name)
        if buf.nbytes < count * nbytes:
            raise TooShort(f"{count} of {name} have {count * nbytes} bytes, the buffer {buf.nbytes}")
        return buf.cast(self.ffi, pointer)[0:count]

    def copy(self, view: Any) -> Any:
        """A copy of what a struct pointer, a struct or an array shows; it lives as long as it is held."""
        kind = self.ffi.typeof(view)
        known = self._held.get(kind)
        if known is not None:
            return self.ffi.new(known, view)
        if kind.kind == "pointer":
            return self.ffi.new(kind, view[0])
        if kind.kind == "array":
            held = self.ffi.new(self.ffi.typeof(f"{kind.item.cname}[]"), len(view))
            self.ffi.memmove(held, view, self.ffi.sizeof(view))
            return held
        known = self._held[kind] = self.ffi.typeof(self.ffi.addressof(view))  # some have no name to ask for
        return self.ffi.new(known, view)

    def sizeof(self, name: str) -> int:
        """Bytes of a type, such as "struct xen_sysctl" or "uint32_t"; NotDeclared where it does not exist."""
        return (self._pointers.get(name) or self._pointer(name))[1]

    def offsetof(self, name: str, *path: str) -> int:
        """Offset of a member, given step by step: offsetof("struct xen_sysctl", "u", "physinfo")."""
        return int(self.ffi.offsetof(self._typeof(name), *path))

    def has(self, name: str, member: str = "") -> bool:
        """Whether this release and architecture have the type, and in it the member ("u.physinfo")."""
        try:
            kind = self._typeof(name)
            for step in member.split(".") if member else ():
                kind = dict(getattr(kind, "fields", ()) or ())[step].type
        except KeyError:
            return False
        return True

    def promise(self, name: str, member: str) -> Promise | None:
        """What lies behind a guest handle of a struct, by its path from the struct on; None where nothing tells."""
        return promises(_read(_index()[name])).get((name, member)) if name in _index() else None

    def condition(self, name: str, steps: Sequence[str | int]) -> str:
        """Which releases have a member, "domctl >= 0x14" for one; empty where all that are known have it."""
        kind, tag, found = self._typeof(name), name, list[str]()
        for step in steps:
            if isinstance(step, int):
                kind = kind.item
            else:
                found.append(conditions(_read(_index()[tag])).get((tag.split()[-1], step), ""))
                kind = _member(kind, step)
            if kind.kind in ("struct", "union") and kind.cname in _index():
                tag = kind.cname
        return " and ".join(filter(None, found))

    def members(self, name: str) -> list[str]:
        """The names of a struct's or union's own members, in order."""
        return [member for member, _ in self._typeof(name).fields]

    def declared(self) -> list[str]:
        """Every struct and union that this release and architecture have, by name."""
        with self._lock:
            for header in sorted({*_index().values()}):
                self._parse(header)
            _, structs, unions = self.ffi.list_types()
        known = [f"struct {tag}" for tag in structs] + [f"union {tag}" for tag in unions]
        return sorted(tag for tag in known if tag in _index())

    def _pointer(self, name: str) -> tuple[Any, int]:
        self._typeof(name)
        nbytes = self.ffi.sizeof(name)
        return self._pointers.setdefault(name, (self.ffi.typeof(f"{name} *"), nbytes))

    def _array(self, name: str) -> tuple[Any, int]:
        return self._arrays.setdefault(name, self._pointer(name))

    def _typeof(self, name: str) -> Any:
        with self._lock:
            if not self._complete and name in _index():
                self._parse(_index()[name])
            try:
                kind = self.ffi.typeof(name)
                self.ffi.sizeof(name)
            except Exception as why:
                raise NotDeclared(f"{name} is not declared for {self!r}") from why
            return kind

    def _parse(self, header: str) -> None:
        if self._complete or header in self._parsed:
            return
        self._parsed.add(header)
        text = self._text(header)
        for needed in _NEEDS.findall(text):
            for each in needed.split():
                self._parse(each)
        self.ffi.cdef(select(text, self.target, header))

    def _text(self, header: str) -> str:
        return _read(header)


def _member(kind: Any, name: str) -> Any:
    """The type of a member, also of one in a nameless struct."""
    for own, field in kind.fields:
        if own == name:
            return field.type
    return next(_member(field.type, name) for own, field in kind.fields if not own)


@cache
def _read(header: str) -> str:
    return (_HERE / header).read_text()


@cache
def _headers() -> list[str]:
    return sorted(path.name for path in _HERE.glob("*.h"))


@cache
def _index() -> dict[str, str]:
    """Which header declares a struct or union: {"struct xen_sysctl": "sysctl.h", ...}."""
    return {tag: name for name in _headers() for tag in _TAG.findall(_read(name))}


def load(
    release: Version = (4, 17), arch: str = "x86_64", *, domctl: int | None = None, sysctl: int | None = None
) -> Abi:
    """The structs of a release such as (4, 17); its own interface numbers unless others are given."""
    if arch not in ARCHES:
        raise ValueError(f"no such architecture: {arch!r}")
    own_domctl, own_sysctl = interfaces(release)
    domctl = own_domctl if domctl is None else domctl
    sysctl = own_sysctl if sysctl is None else sysctl
    ready = ready_ffi(Target(release[:2], domctl, sysctl, arch), map(_read, _headers()))
    return Abi(release, arch, domctl, sysctl, ready)


def prepare(folder: Path) -> None:
    """Write the modules that `load` finds layouts in, for every release and architecture; setup.py calls this."""
    for target in targets():
        parts = [select(_read(header), target, header) for header in _in_order()]
        write(folder, target, "\n".join(parts), map(_read, _headers()))


def _in_order() -> list[str]:
    """All headers, each after those that it needs."""
    found: list[str] = []

    def add(header: str) -> None:
        for line in _NEEDS.findall(_read(header)):
            for needed in line.split():
                add(needed)
        if header not in found:
            found.append(header)

    for header in ("common.h", *_headers()):
        add(header)
    return found
