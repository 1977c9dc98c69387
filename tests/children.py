"""Processes that a test begins, and that never outlive it: conftest.py ends them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import AnyStr

_begun: list[subprocess.Popen[bytes] | subprocess.Popen[str]] = []


def mortal(process: subprocess.Popen[AnyStr]) -> subprocess.Popen[AnyStr]:
    """The same process, which is killed when the test is over."""
    _begun.append(process)
    return process


def end_all() -> None:
    """Kill those that run still."""
    while _begun:
        with _begun.pop() as process:
            process.kill()


@contextmanager
def a_child_that_shares_memory() -> Iterator[None]:
    """Every page of this process is also that of a child, which does nothing, until the end."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(ready, 1)
        os._exit(0)
    try:
        yield
    finally:
        os.close(go)
        os.waitpid(child, 0)
        os.close(ready)
