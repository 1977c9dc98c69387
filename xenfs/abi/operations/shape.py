"""What an operation takes and gives back, member by member, on one release and architecture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from xenfs.abi import Abi
from xenfs.abi.operations.model import NONE, Operation, Way
from xenfs.abi.promises import Promise


class Member(NamedTuple):
    """A member, or an argument of its own: `path` with dots from what is passed on ("u.getvcpuinfo.vcpu").

    `name` is the same from the operation's arm on ("vcpu"), which is how a question names it. `ctype` is cffi's type,
    None for an argument that is memory. `promise` says what lies behind a guest handle, or follows a struct that ends
    in `[]`: `promise.nbytes(abi, view)` with the `view` of the struct it stands in, which is `within` (a path; "" is
    the struct that is passed). `bits` is the width of a bitfield, 0 of anything else.
    """

    name: str
    path: str
    ctype: Any
    way: Way
    promise: Promise | None = None
    within: str = ""
    bits: int = 0


def header(abi: Abi, op: Operation) -> dict[str, int]:
    """The members of the struct that nobody chooses: number, interface version, and what is always the same."""
    family = op.family
    filled: dict[str, int] = {}
    if op.struct != family.struct or not family.struct:
        return dict(op.fixed or {})
    if family.cmd:
        filled[family.cmd] = op.cmd
    if family.version:
        filled[family.version] = version(abi, op)
    return filled | (op.fixed or {})


def version(abi: Abi, op: Operation) -> int:
    """The interface number that this Xen wants for the operation."""
    if op.speaks is not None:
        return op.speaks
    speaks = op.family.speaks
    return {"domctl": abi.domctl, "sysctl": abi.sysctl}[speaks] if isinstance(speaks, str) else int(speaks)


def members(abi: Abi, op: Operation) -> list[Member]:
    """Everything that goes in or comes back, in the order of the struct; arguments of their own before it."""
    return [*_arguments(op, abi), *_header(abi, op), *_members(abi, op)]


def _arguments(op: Operation, abi: Abi) -> Iterator[Member]:
    for each in (*op.arguments, *op.further):
        if each.kind == "plain":
            yield Member(each.name, each.name, abi.ffi.typeof(each.ctype), each.way)
        elif each.kind == "memory":
            yield Member(each.name, each.name, None, each.way, Promise.read(each.ctype))


def _header(abi: Abi, op: Operation) -> Iterator[Member]:
    """What names the domain outside the arm: of the rest of a header, all is filled in or padding."""
    if op.family.union and op.domain and abi.has(op.struct, op.domain):
        kind = dict(abi.ffi.typeof(op.struct).fields)[op.domain].type
        yield Member(op.domain, op.domain, kind, Way.BOTH if op.returns_domain else Way.IN)


def _members(abi: Abi, op: Operation) -> Iterator[Member]:
    if not op.struct or (op.family.union and not op.arm):
        return
    if op.scalar:
        yield Member(op.scalar, "", abi.ffi.typeof(op.struct), op.way(op.scalar))
        return
    kind, tag, within = _arm(abi, op)
    prefix = f"{op.arm}." if op.arm else ""
    if kind.kind not in ("struct", "union"):
        name = op.arm.rpartition(".")[2]
        yield Member(name, op.arm, kind, op.way(name))
        return
    filled = header(abi, op) if not op.arm else {}
    for each in _walk(abi, op, kind, "", (tag, within, "")):
        if each.name not in filled:
            yield each._replace(path=prefix + each.path, within=each.within)


def _arm(abi: Abi, op: Operation) -> tuple[Any, str, str]:
    """(cffi's type, its tag, the path of the struct that has the tag) of what is the operation's own."""
    abi.sizeof(op.struct)
    kind, tag, within = abi.ffi.typeof(op.struct), op.struct, ""
    path = ""
    for step in op.arm.split(".") if op.arm else ():
        path = f"{path}.{step}" if path else step
        kind = dict(kind.fields)[step].type
        if "$" not in kind.cname:
            tag, within = kind.cname, path
    return kind, tag, within


def _walk(abi: Abi, op: Operation, kind: Any, prefix: str, where: tuple[str, str, str]) -> Iterator[Member]:
    """The members of a struct or union, nested ones with dots. `where` is the struct with a tag that it lies in: (tag,
    path of that struct from what is passed on, path from that struct on)."""
    tag, within, since = where
    for name, field in kind.fields:
        path = f"{prefix}{name}"
        if not name:
            yield from _walk(abi, op, field.type, prefix, where)
        elif kind.kind == "union" and not _used(op, path):
            continue
        elif field.type.kind in ("struct", "union"):
            nested = field.type.cname
            deeper = (tag, within, f"{since}{name}.")
            if "$" not in nested:
                deeper = (nested, f"{op.arm}.{path}" if op.arm else path, "")
            yield from _walk(abi, op, field.type, f"{path}.", deeper)
        else:
            promise = abi.promise(tag, f"{since}{name}")
            yield Member(path, path, field.type, op.way(path), promise, within, max(0, field.bitsize))


def _used(op: Operation, path: str) -> bool:
    """Whether a union's arm is one that the operation uses: all of them where it does not say."""
    if not op.inner or path == op.inner or path.startswith(f"{op.inner}.") or op.inner.startswith(f"{path}."):
        return True
    union = path.rpartition(".")[0]
    return op.inner != NONE and not op.inner.startswith(f"{union}.")  # a union that `inner` does not pass through
