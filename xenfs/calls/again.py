"""Asking once more where Xen says that it could not do it yet, as its own toolstack does; but not for ever.

What the toolstack repeats: every cpupool_op on EAGAIN and a removal of a CPU on EADDRINUSE (libxenctrl), cpu_hotplug on
EBUSY (xen-hptool), pm_op GET_CPUFREQ_PARA on EAGAIN (xenpm; in cpufreq.py), livepatch LIST when the list changed
(livepatch.py). Only operations of the slow lane may wait here: nobody else's work is held up meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from time import monotonic, sleep
from typing import Any, TypeVar

from xenfs.errors import HypercallError

Answer = TypeVar("Answer")

PATIENCE_S = 5.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.1


def again(
    ask: Callable[[], Answer],
    codes: Collection[int],
    *,
    within_s: float | None = None,
    progress: Callable[[], Any] = lambda: None,
) -> Answer:
    """What `ask` returns; while Xen says one of `codes` it is asked again, with pauses that grow, for some seconds.

    Time counts anew whenever `progress` gives another value: Xen stops half-way to let others have their turn.
    """
    patience_s = PATIENCE_S if within_s is None else within_s
    stage, deadline, pause_s = progress(), monotonic() + patience_s, _FIRST_PAUSE_S
    while True:
        try:
            return ask()
        except HypercallError as problem:
            if problem.errno not in codes:
                raise
            if (now := progress()) != stage:
                stage, deadline, pause_s = now, monotonic() + patience_s, _FIRST_PAUSE_S
            if monotonic() >= deadline:
                raise
        sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
