"""From mount to unmount: signals, readiness, and an orderly end whatever is in flight."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable

import pyfuse3
import trio

from xenfs.filesystem.operations import Operations

log = logging.getLogger(__name__)

GRACE_S = 4.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def fuse_options(allow_other: bool, ro: bool) -> set[str]:
    """What the kernel is told of the mount: the modes are the access control, and nothing here is a program."""
    chosen = {"fsname=xenfs", "subtype=xenfs", "default_permissions", "nosuid", "nodev", "noexec"}
    chosen |= {"allow_other"} if allow_other else set()
    return chosen | ({"ro"} if ro else set())


async def serve(
    ops: Operations,
    mountpoint: str,
    ready: Callable[[], None],
    grace_s: float = GRACE_S,
    unmount: Callable[[], None] = lambda: None,
) -> None:
    """Mount, call `ready`, and serve until unmounted or told to stop by a signal. `unmount` is for who has given up the
    right to do it: it is called before pyfuse3 tries.

    The first signal lets calls in flight end; after `grace_s`, or at a second one, the mount goes without them.
    """
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as serving:

            def last_words() -> None:
                ops.witness.last_words()
                unmount()

            await nursery.start(_stop_on_signal, serving, grace_s, last_words)  # listens before the mount appears
            nursery.start_soon(ops.witness.record.tend)
            await nursery.start(ops.waiting.run)
            pyfuse3.init(ops, mountpoint, fuse_options(ops.options.allow_other, ops.options.ro))
            try:
                async with trio.open_nursery() as inner:
                    inner.start_soon(pyfuse3.main)
                    ready()
            finally:
                last_words()
                pyfuse3.close()
        nursery.cancel_scope.cancel()


async def _stop_on_signal(
    serving: trio.CancelScope,
    grace_s: float,
    last_words: Callable[[], None],
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(*_SIGNALS) as signals:
        task_status.started()
        async for number in signals:
            log.info("%s: unmounting", signal.Signals(number).name)
            pyfuse3.terminate()
            break
        with trio.move_on_after(grace_s):
            async for _ in signals:
                break
        _leave(serving, last_words)


def _leave(serving: trio.CancelScope, last_words: Callable[[], None]) -> None:
    """End without the calls that still run: a hypercall cannot be cut short, and nobody may wait for one.

    The mount goes first. The pool goes with the process, which the kernel ends when the last ioctl returns.
    """
    log.warning("calls still run after the grace period: leaving without their answers")
    last_words()
    serving.cancel()
    pyfuse3.close()
    logging.shutdown()
    os._exit(0)
