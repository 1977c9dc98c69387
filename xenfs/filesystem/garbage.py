"""Python looks for what only a cycle keeps alive, and no other thread runs Python meanwhile: so in small steps.

By itself it looks at what is new, and now and then at all that there is, which took 25 ms and more beside a crowd.
Here what was looked at twice is put aside and not looked at again. xenfs makes no cycles that it could know of; should
many be found all the same, some may have been put aside, and then all is looked at.
"""

from __future__ import annotations

import gc
from contextlib import suppress

import trio

_NEW, _TIMES = 2_000, 1  # objects, looked at in 0.4 ms; so often before they are put aside
_NEVER = 1 << 30
_MANY = 1_000_000  # objects found in cycles; of them few were in use as they were looked at, a megabyte or two


def settle() -> None:
    """What is here now stays; from here on it goes as said above."""
    gc.freeze()
    gc.set_threshold(_NEW, _TIMES, _NEVER)
    gc.enable()


async def tend(many: int = _MANY) -> None:
    """Until cancelled: put aside what was looked at twice, and look at all where many cycles were found."""
    token, found, due = trio.lowlevel.current_trio_token(), 0, trio.Event()

    def looked(phase: str, info: dict[str, int]) -> None:
        nonlocal found
        if phase != "stop":
            return
        if info["generation"]:
            gc.freeze()
        found += info["collected"]
        if found >= many:
            found = 0
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(lambda: due.set())

    gc.callbacks.append(looked)
    try:
        while True:
            await due.wait()
            due = trio.Event()
            gc.unfreeze()
            gc.collect()  # some 30 ms; `looked` puts it aside again
    finally:
        gc.callbacks.remove(looked)
