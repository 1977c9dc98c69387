"""What is measured in a dom0: xenfs beside the bare filesystem, beside `xl list` and beside libxencall itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from cffi import FFI
from mounted import bare, xenfs
from simulated import HOST_FILE, idle, listings, requests
from timing import Effort, Row, Work, cost, in_turn, open_read_close

_US, _MS = 1e6, 1e3
_HYPERVISOR_XEN_VERSION, _XENVER_VERSION = 17, 0


def rows(effort: Effort, say: Callable[[str], None]) -> Iterator[Row]:
    """Every row; the two columns are xenfs and what the first one names."""
    with ExitStack() as stack:
        ours = stack.enter_context(xenfs("privcmd"))
        domains = len([name for name in os.listdir(ours.path("domains")) if name.isdecimal()])
        other = stack.enter_context(bare(max(domains, 2)))
        say("beside xl list")
        yield from beside_xl(effort, ours.path(HOST_FILE), ours.hypercalls)
        say("beside libxencall")
        yield from beside_libxencall(effort, ours.path("version/major"))
        say("beside the bare filesystem")
        yield from requests(effort, (ours, other, None))
        yield from listings(effort, (ours, other, None), f"{domains} domains")
        yield from idle(effort, ours, other)


def beside_xl(effort: Effort, path: str, hypercalls: Callable[[], int]) -> Iterator[Row]:
    """`cat` of one value, and one value from a file kept open, against what an administrator types today."""
    if shutil.which("xl") is None:
        return
    xl, cat = partial(_run, "xl", "list"), partial(_run, "cat", path)
    mine, its = in_turn(effort, cat, xl, scale=_MS)
    yield Row("`cat` of one value, beside `xl list`", "ms", mine, its, cost(hypercalls, cat, 3))
    mine, its = in_turn(effort, open_read_close(path), xl, scale=_MS)
    yield Row("open+read+close of one value, beside `xl list`", "ms", mine, its)
    with _kept_open(path) as pread:
        mine, its = in_turn(effort, pread, xl, scale=_MS)
        yield Row("`pread` of one value, kept open, beside `xl list`", "ms", mine, its)


def beside_libxencall(effort: Effort, path: str) -> Iterator[Row]:
    """The same hypercall from C's own library, in the process that asks: what a file costs on top."""
    call = _xen_version()
    if call is not None:
        with _kept_open(path) as pread:
            mine, its = in_turn(effort, pread, call, scale=_US)
            yield Row("`pread` of `version/major`, beside libxencall's `xen_version`", "µs", mine, its)


@contextmanager
def _kept_open(path: str) -> Iterator[Work]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield lambda: os.pread(fd, 4096, 0)
    finally:
        os.close(fd)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _xen_version() -> Work | None:
    ffi = FFI()
    ffi.cdef("""
        typedef struct xencall_handle xencall_handle;
        xencall_handle *xencall_open(void *logger, unsigned open_flags);
        int xencall2(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2);
    """)
    with suppress(OSError):
        library: Any = ffi.dlopen("libxencall.so.1")
        handle = library.xencall_open(ffi.NULL, 0)
        if handle != ffi.NULL:
            return lambda: library.xencall2(handle, _HYPERVISOR_XEN_VERSION, _XENVER_VERSION, 0)
    return None
