"""How a simulated operation says no."""

from __future__ import annotations


class Refused(Exception):
    """An operation ends with this errno, as Xen's does. Not an error of xenfs: it becomes the result."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Panic(Exception):
    """Xen itself would not survive this. Whoever sees it in a test has found a way to end a host."""
