"""On whose behalf something is done, for the few entries whose work depends on it."""

from __future__ import annotations

from contextvars import ContextVar

ROOT = 0

asking: ContextVar[int] = ContextVar("asking", default=ROOT)
"""The uid of who writes, makes or removes something, in whatever thread the work is done. Who calls from a prompt, and
not by way of a mount, is root."""
