"""What can go wrong, each with the errno that the caller of the filesystem will see."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from errno import EFAULT, EINVAL, EIO, ENODEV, ENOENT, EOPNOTSUPP, ESTALE, errorcode
from typing import TypeVar

Thing = TypeVar("Thing")


def errno_name(code: int) -> str:
    """The symbol of an errno value, such as "ESRCH"; the number itself where it has none."""
    return "EOPNOTSUPP" if code == EOPNOTSUPP else errorcode.get(code, str(code))  # Python calls it ENOTSUP


class XenfsError(Exception):
    """Any failure that xenfs can name. `errno` is what a reader or writer of a file gets."""

    errno: int

    def __init__(self, message: str, code: int = EIO) -> None:
        super().__init__(message)
        self.errno = code


class HypercallError(XenfsError):
    """Xen refused an operation; the message names both the operation and the errno."""

    def __init__(self, operation: str, code: int, hint: str = "") -> None:
        text = f"{operation}: {errno_name(code)} ({os.strerror(code)})"
        super().__init__(f"{text}; {hint}" if hint else text, code)
        self.operation = operation


@contextmanager
def answered_by(*codes: int) -> Iterator[None]:
    """Go on behind the block where Xen says one of these errnos: here that is an answer, no failure."""
    try:
        yield
    except HypercallError as problem:
        if problem.errno not in codes:
            raise


class BadInput(XenfsError):
    """Text that may not be written: said before anything is changed, by a parser or by a writer that has asked Xen.

    `word` or `at` tells where the caret goes.
    """

    def __init__(self, why: str, code: int = EINVAL, *, word: str | None = None, at: int | None = None) -> None:
        super().__init__(why, code)
        self.why, self.word, self.at = why, word, at


@contextmanager
def meaning(words: Mapping[int, str], form: str = "{}", at: int | None = None) -> Iterator[None]:
    """Say what these errnos of Xen's mean of what was written: BadInput with the same errno, for {} in `form`."""
    try:
        yield
    except HypercallError as problem:
        if problem.errno not in words:
            raise
        raise BadInput(form.format(words[problem.errno]), problem.errno, at=at) from problem


class Stale(XenfsError):
    """The thing that a file, a directory or a descriptor belonged to is gone: ESTALE."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is gone", ESTALE)


class NotThere(XenfsError):
    """A name that does not exist, or does not exist any more: ENOENT."""

    def __init__(self, what: str) -> None:
        super().__init__(f"no such {what}", ENOENT)


def there(found: Thing | None, what: str) -> Thing:
    """The same; NotThere, of `what`, where it is None."""
    if found is None:
        raise NotThere(what)
    return found


class BadAddress(XenfsError):
    """A pointer that does not lie in a live pool buffer: EFAULT."""

    def __init__(self, address: int, nbytes: int) -> None:
        super().__init__(f"{nbytes} bytes at {address:#x} are not in a live buffer", EFAULT)


class PoolError(XenfsError):
    """The hypercall-safe pool was misused or is exhausted; the message names the buffer."""


class StartError(XenfsError):
    """xenfs cannot run here; the message is one plain sentence that says what to do."""

    def __init__(self, message: str, code: int = ENODEV) -> None:
        super().__init__(message, code)
