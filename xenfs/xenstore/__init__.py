"""Xenstore: where domains' names come from. Optional throughout: xenfs works without it.

A client of its own over /dev/xen/xenbus or a socket, its watches, and the names; it knows nothing of hypercalls.
Open base.py first: what everybody else sees of a xenstore, real or pretended.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from xenfs.xenstore.base import Entry, Event, Path, Watches, Xenstore
from xenfs.xenstore.client import XenstoreClient
from xenfs.xenstore.fake import FakeXenstore
from xenfs.xenstore.transport import candidates

__all__ = ["Entry", "Event", "FakeXenstore", "Path", "Watches", "Xenstore", "XenstoreClient", "connect"]


def connect(paths: Sequence[str] | None = None, *, timeout_s: float = 5.0) -> XenstoreClient | None:
    """A client for this machine's xenstore; None where there is nothing that could lead to one.

    Nothing is opened yet: a xenstored that starts later, or starts again, is found when it is asked.
    """
    present = [path for path in (candidates() if paths is None else paths) if os.path.exists(path)]
    return XenstoreClient(paths, timeout_s=timeout_s) if present else None
