"""When an entry is there: conditions for `when=` in the tables, each asked once, as the tree is made."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

# What Xen says of an operation that this release, build, architecture or kind of control domain lacks.
ABSENT = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODATA, errno.ENODEV, errno.ENOENT})

Condition = Callable[[Hypervisor], bool]


def answers(question: Callable[[Hypervisor], Any]) -> Condition:
    """Where Xen answers this harmless question at all; any errno but those of absence counts as an answer.

    To an interface version that it does not know Xen says EACCES of everything: then nothing answers.
    """
    return known(question)


def known(question: Callable[[Hypervisor], Any], *also: int, detail: str = "") -> Condition:
    """The same where some errnos more mean absence: EINVAL for a number that an older Xen does not know.

    `detail` is what the operation was asked about, for xenfs/missing.
    """
    absent = ABSENT.union(also)

    def when(xen: Hypervisor) -> bool:
        try:
            question(xen)
        except HypercallError as problem:
            if problem.errno in absent:
                xen.calls.lacks(f"{problem.operation} {detail}".rstrip(), problem.errno)
                return False
            return problem.operation.split()[0] not in xen.unusable
        return True

    return when


def allowed(question: Callable[[Hypervisor], Any]) -> Condition:
    """Where Xen answers this question and does not refuse it, for whatever reason."""

    def when(xen: Hypervisor) -> bool:
        try:
            question(xen)
        except HypercallError as problem:
            xen.calls.lacks(problem.operation, problem.errno)
            return False
        return True

    return when


def recent(question: Callable[..., Any]) -> Callable[..., Any]:
    """The same question for `only=` and for names, where an answer of a moment ago will do."""
    return lambda xen, *args: xen.recent.answer((question, args), lambda: question(xen, *args))


def of_cpus(question: Callable[..., Any], *absent: int) -> Callable[..., bool]:
    """For `only=`: CPUs of which Xen answers this, and not with nothing; these errnos mean that it has nothing to say.

    Of a CPU that is offline it has not. CPU 0 never is: what Xen lacks there is named in xenfs/missing.
    """

    def only(xen: Hypervisor, cpu: int) -> bool:
        try:
            return bool(question(xen, cpu))
        except HypercallError as problem:
            if problem.errno not in absent:
                raise
            if cpu == 0:
                xen.calls.lacks(problem.operation, problem.errno)
            return False

    return only


def since(major: int, minor: int) -> Condition:
    """From this release of Xen on."""
    return lambda xen: xen.abi.release >= (major, minor)


def x86(xen: Hypervisor) -> bool:
    """On x86 only."""
    return xen.abi.arch == "x86_64"


def every(*conditions: Condition) -> Condition:
    """Where all of these hold."""
    return lambda xen: all(condition(xen) for condition in conditions)


def some(*conditions: Condition) -> Condition:
    """Where at least one of these holds; all are asked."""
    return lambda xen: any([condition(xen) for condition in conditions])
