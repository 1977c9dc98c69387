"""Layouts made when the package is built: a start need not parse C, which saves a quarter of a second of CPU time.

`write` has cffi write a module of plain Python for a release and architecture (its out-of-line ABI mode: no compiler).
setup.py has it done for all; the modules are in wheels and packages, never in the sources. `ready_ffi` finds one. Where
there is none, as for interface numbers that nobody knew, or where a header has changed since, headers are parsed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from contextlib import redirect_stdout
from hashlib import blake2b
from io import StringIO
from pathlib import Path
from typing import Any

from xenfs.abi.releases import ARCHES, INTERFACES
from xenfs.abi.select import Target

_PREFIX = "made_"


def module_name(target: Target) -> str:
    """The module that has the layouts of a target, as if its release had these interface numbers."""
    release = "_".join(map(str, target.xen))
    return f"{_PREFIX}{release}_{target.domctl:x}_{target.sysctl:x}_{target.arch}"


def digest(headers: Iterable[str]) -> str:
    """What tells the headers that a module was made of from others."""
    return blake2b("\0".join(headers).encode(), digest_size=16).hexdigest()


def ready_ffi(target: Target, headers: Iterable[str]) -> Any:
    """A cffi FFI with all that these headers declare for a target; None where they have to be parsed."""
    try:
        made = importlib.import_module(f"xenfs.abi.{module_name(target)}")
    except ImportError:
        return None
    return made.ffi if digest(headers) == made.HEADERS else None


def parsing_ffi() -> Any:
    """A cffi FFI that takes headers. cffi itself is imported for those alone: 0.25 MB, and 10 ms of a start."""
    from cffi import FFI

    return FFI()


def write(folder: Path, target: Target, declarations: str, headers: Iterable[str]) -> None:
    """Make the module of a target in a folder."""
    ffi = parsing_ffi()
    ffi.cdef(declarations)
    path = folder / f"{module_name(target)}.py"
    ffi.set_source(f"xenfs.abi.{path.stem}", None)
    with redirect_stdout(StringIO()):  # it says so of each
        ffi.emit_python_code(str(path))
    with path.open("a") as module:
        module.write(f'HEADERS = "{digest(headers)}"\n')


def targets() -> Iterable[Target]:
    """Every release that xenfs knows, on each architecture."""
    for release, (domctl, sysctl) in INTERFACES.items():
        for arch in ARCHES:
            yield Target(release, domctl, sysctl, arch)
