"""What clients of both storms have in common: they hold files of lives, and know what may come of a write to one."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterable

GONE = {errno.ESTALE, errno.ENOENT, errno.ESRCH}


def weight_of(life: int) -> int:
    """The weight that is written to this life and no other, as long as there are fewer than 60,000."""
    return 1000 + life


def max_kb_of(life: int) -> int:
    """The same for memory/max."""
    return 65536 + 4 * life


def words_for(life: int) -> dict[str, str]:
    """What is written to this life, by file: numbers that belong to it; only one of odd number is frozen and ended."""
    words = {"sched/weight": str(weight_of(life)), "memory/max": str(max_kb_of(life))}
    return words | {"freeze": "1", "kill": "1"} if life % 2 else words


class Outcomes(Counter[str]):
    """How writes went: "ok", the errno of one whose life was over, and with its file whatever should never be."""

    def note(self, what: str, problem: OSError) -> None:
        """One that failed."""
        name = errno.errorcode[problem.errno or errno.EIO]
        self[name if problem.errno in GONE else f"{what}: {name}"] += 1


def together(outcomes: Iterable[Outcomes]) -> Counter[str]:
    """All of several clients."""
    return sum((each.copy() for each in outcomes), Counter[str]())


def require_only_what_may_be(outcomes: Counter[str]) -> None:
    """Nothing but writes that went well, and writes to lives that were over."""
    assert set(outcomes) <= {"ok", "ESTALE", "ENOENT", "ESRCH"}, outcomes
