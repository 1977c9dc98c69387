"""Who was there when the daemon ended: what became of them is found by comparing, when there is another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from xenfs.hypervisor.lives import CLOCKS_DIFFER_NS


@dataclass(slots=True)
class _Known:
    uuid: str
    cpu_ns: int = 0
    shutdown: bool = False
    dying: bool = False
    reason: str = "-"


class Roll:
    """The domains that a reader of domains/events knows of, from domains/stat and from each event."""

    def __init__(self, stat: str) -> None:
        self._known: dict[int, _Known] = {}
        for _ in self.compared(stat):
            pass

    def heard(self, line: str) -> bool:
        """Take note of an event; False where it tells nothing new."""
        try:
            _, kind, number, uuid = line.split(" ")[:4]
            domid = int(number)
        except ValueError:
            return True
        known = self._known.get(domid)
        if kind == "created":
            if known is not None and known.uuid == uuid and not known.dying:
                return False
            self._known[domid] = _Known(uuid)
            return True
        if known is None or known.uuid != uuid:
            return False
        if kind == "gone":
            del self._known[domid]
            return True
        return _noted(known, kind) or kind == "shutdown"

    def compared(self, stat: str) -> Iterator[str]:
        """Lines of what has happened, as domains/events has them, but numbered 0: nobody counted."""
        now = {domid: (found, state) for domid, found, state in _rows(stat)}
        for domid in list(self._known):
            known = self._known[domid]
            found = now[domid][0] if domid in now else None
            # Processor time never falls: with the same UUID it would be another life, restored or made anew.
            if found is None or found.uuid != known.uuid or found.cpu_ns + CLOCKS_DIFFER_NS < known.cpu_ns:
                kinds = ("gone",) if known.dying else ("dying", "gone")
                yield from (f"0 {kind} {domid} {known.uuid} -" for kind in kinds)
                del self._known[domid]
        for domid, (found, state) in now.items():
            if domid not in self._known:
                self._known[domid] = _Known(found.uuid)
                yield f"0 created {domid} {found.uuid} -"
            known = self._known[domid]
            known.cpu_ns = found.cpu_ns
            if state in ("shutdown", "crashed") and _noted(known, "shutdown"):
                yield f"0 shutdown {domid} {known.uuid} {found.reason}"
            if state == "dying" and _noted(known, "dying"):
                yield f"0 dying {domid} {known.uuid} {found.reason}"


def _noted(known: _Known, kind: str) -> bool:
    """Whether this was not known yet of a domain; a domain that was resumed may shut down again, and says so itself."""
    if kind not in ("shutdown", "dying"):
        return True
    before = bool(getattr(known, kind))
    setattr(known, kind, True)
    return not before


def _rows(stat: str) -> Iterator[tuple[int, _Known, str]]:
    for line in stat.splitlines():
        domid, *pairs = line.split(" ")
        fields = dict(pair.partition("=")[::2] for pair in pairs)
        cpu = fields.get("cpu_time_ns", "")
        known = _Known(fields.get("uuid", ""), int(cpu) if cpu.isdigit() else 0)
        known.reason = fields.get("shutdown_reason", "-")
        yield int(domid), known, fields.get("state", "")
