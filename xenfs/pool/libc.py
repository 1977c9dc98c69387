"""The functions of C's library that the pool calls, by cffi: ready where the package was built, else parsed here.

Parsing takes a C parser, which is a tenth of what a start costs.
"""

from __future__ import annotations

import importlib
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

_DECLARATIONS = """
    void *memset(void *start, int byte, size_t nbytes);
    int mlock(const void *start, size_t nbytes);
    int munmap(void *start, size_t nbytes);
    void *mmap(void *start, size_t nbytes, int protection, int flags, int fd, long offset);
"""
_MADE = "xenfs.pool.made_libc"


def _parsed() -> Any:
    from cffi import FFI  # see prepared.py of abi/

    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    return ffi


def _ready() -> Any:
    try:
        made = importlib.import_module(_MADE)
    except ImportError:
        return None
    return made.ffi if made.DECLARATIONS == _DECLARATIONS else None


def prepare(folder: Path) -> None:
    """Write the module that spares the parsing; setup.py calls this."""
    ffi, path = _parsed(), folder / f"{_MADE.rpartition('.')[2]}.py"
    ffi.set_source(_MADE, None)
    with redirect_stdout(StringIO()):  # it says what it writes
        ffi.emit_python_code(str(path))
    with path.open("a") as module:
        module.write(f"DECLARATIONS = {_DECLARATIONS!r}\n")


ffi: Any = _ready() or _parsed()
libc: Any = ffi.dlopen(None)
