"""When domains began, as far as anybody was asked: that never changes in a life."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import monotonic
from typing import NamedTuple

from xenfs.hypervisor.lives import Domain

_AGAIN_S = 0.25  # the toolstack may be about to write it


class Start(NamedTuple):
    """Seconds since 1970, None where nobody knew; then when to ask once more, and how long after that."""

    began_s: float | None
    again_at: float
    gap_s: float


class Starts:
    """What is known. Who is asked in vain is asked again after a while, and after twice as long the next time."""

    def __init__(self) -> None:
        self._known: dict[Domain, Start] = {}

    def due(self, domains: Iterable[Domain]) -> list[Domain]:
        """Those of whom somebody should be asked now."""
        now, known = monotonic(), self._known
        return [each for each in domains if each not in known or known[each].again_at <= now]

    def learn(self, asked: Iterable[Domain], told: Mapping[Domain, float]) -> None:
        """These were asked about, and that is what came of it."""
        now = monotonic()
        for domain in asked:
            began_s, before = told.get(domain), self._known.get(domain)
            if began_s is None and before is not None and before.began_s is not None:
                continue  # somebody who asked later has been told it
            gap_s = 2 * before.gap_s if before else _AGAIN_S
            self._known[domain] = Start(began_s, now + gap_s if began_s is None else float("inf"), gap_s)

    def of(self, domain: Domain) -> float | None:
        """When it began, as far as that is known."""
        start = self._known.get(domain)
        return None if start is None else start.began_s

    def forget(self, domain: Domain) -> None:
        """It is over."""
        self._known.pop(domain, None)
