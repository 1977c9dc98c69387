"""Where exceptions become errno values: the one place that FUSE sees failures through."""

from __future__ import annotations

import errno
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pyfuse3

from xenfs.errors import XenfsError

log = logging.getLogger(__name__)
Handler = TypeVar("Handler", bound=Callable[..., Awaitable[Any]])


def answer(problem: BaseException) -> int:
    """The errno that tells a caller of this failure.

    Never ENOSYS: Xen says it of an operation, but the kernel hears it of the whole mount and stops asking.
    """
    code = getattr(problem, "errno", None) or errno.EIO
    return errno.EOPNOTSUPP if code == errno.ENOSYS else int(code)


def answered(handler: Handler) -> Handler:
    """Turn whatever a handler raises into one errno for one caller; pyfuse3 would end the mount."""

    @functools.wraps(handler)
    async def wrapper(*args: Any) -> Any:
        try:
            return await handler(*args)
        except pyfuse3.FUSEError:
            raise
        except Exception as problem:
            raise _for_the_caller(handler, args, problem) from problem

    return wrapper  # type: ignore[return-value]


def at_once(handler: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """The same of a handler that never waits: one coroutine instead of two."""

    @functools.wraps(handler)
    async def wrapper(*args: Any) -> Any:
        try:
            return handler(*args)
        except pyfuse3.FUSEError:
            raise
        except Exception as problem:
            raise _for_the_caller(handler, args, problem) from problem

    return wrapper


def _for_the_caller(handler: Callable[..., Any], args: tuple[Any, ...], problem: Exception) -> pyfuse3.FUSEError:
    if isinstance(problem, (XenfsError, OSError)):
        log.debug("%s: %s", handler.__name__, problem)
        return pyfuse3.FUSEError(answer(problem))
    log.error("%s%r failed", handler.__name__, args[1:], exc_info=problem)
    return pyfuse3.FUSEError(errno.EIO)
