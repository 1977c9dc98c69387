"""domains/self/watchdog: the timers by which Xen shuts down a domain that does not set them again."""

from __future__ import annotations

import errno

from xenfs.calls import watchdog
from xenfs.errors import BadInput, meaning
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_own
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Exchange
from xenfs.nodes.tables.forms import formed

_TIMERS = 2
_LONGEST_S = 2**31 - 1
_number = parse.integer(0, _TIMERS, "timer")
_seconds = parse.integer(0, _LONGEST_S, "time in s")
_FULL = (errno.ENOSPC, errno.EINVAL)


@formed(f'"TIMER SECONDS": timer 0 is a new one, 1 to {_TIMERS} that one; 0 seconds end it', ranged=True)
def timer(text: str) -> tuple[int, int]:
    """EINVAL for other text, ERANGE."""
    words = text.strip(" \t").split(" ")
    if len(words) != 2:
        raise BadInput('wants two words: "TIMER SECONDS"', at=0)
    number, seconds = _number(words[0]), _seconds(words[1])
    if not number and not seconds:
        raise BadInput("a new timer of 0 s would shut this domain down at once", word=words[1], at=0)
    return number, seconds


def _set(xen: Hypervisor, _domain: Domain, wanted: tuple[int, int]) -> int:
    why = f"timer {wanted[0]} is not set" if wanted[0] else f"all {_TIMERS} timers of this domain are set"
    with meaning(dict.fromkeys(_FULL, why), at=0):
        number = watchdog.watchdog(xen, *wanted)
    return number


WATCHDOG = Exchange(
    "watchdog",
    'Ask "TIMER SECONDS": unless it is set again in time, Xen shuts down this domain, and the host with it',
    write=_set,
    parse=timer,
    show=show.dec,
    format="the timer's number",
    only=is_own,
    restricted=True,
    option="debug",
    tier="C",
    errnos="ENOSPC",
    call=watchdog.WATCHDOG.name,
)
