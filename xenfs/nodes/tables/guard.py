"""What stands before everything that belongs to a thing which may be gone, such as a domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Guard(NamedTuple):
    """What raises Stale when the thing that an entry belongs to is gone: `now(xen, *ids)`, or as of a moment ago.

    What `now` returns is what it has learned of the thing, for writers that want to know it.
    `after(xen, *ids)` is asked when something was done to it, and tells whether that may have been another by then.
    `owner(*ids)` is the uid of whose it is: nobody else but root may open, list or remove it.
    """

    now: Callable[..., Any]
    recent: Callable[..., Any]
    after: Callable[..., Any] | None = None
    owner: Callable[..., int] | None = None
