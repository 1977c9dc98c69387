"""The QEMUs of pretended domains: they speak as QEMU 7.2 does, and are heard by what hears a real one."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Collection, Sequence
from time import monotonic, sleep

from xenfs.hypervisor.qemu import qmp
from xenfs.hypervisor.qemu.disks import Answers, Told, answer_s

Counted = Callable[[int], dict[str, dict[str, int]]]
"""The counters of each disk that a domain's QEMU serves, by the names that QEMU has for what it opened."""
_GREETING = {"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "simulated"},
                     "capabilities": ["oob"]}}  # fmt: skip
_CHUNK = 1000
_SECTOR = 512


class PretendedQemus:
    """All of them; one, `odd`, may be silent, lie or talk nonsense."""

    def __init__(self, counted: Counted, may_have: Collection[int], odd: int, manner: str) -> None:
        self._counted, self._may_have, self._odd, self._manner = counted, may_have, odd, manner

    def ask(self, question: str, domids: Sequence[int]) -> Answers:
        """As the process of root's does that asks real ones."""
        if question == "listed":
            return _Now({domid: Told(0, {}) for domid in self._may_have if self._counted(domid)})
        if question == "there":
            return _Now({domid: Told(0 if self._counted(domid) else errno.ENOENT, {}) for domid in domids})
        silent = {domid for domid in domids if (domid, self._manner) == (self._odd, "silent")}
        return _Now({domid: self._heard(domid) for domid in domids if domid not in silent}, silent)

    def _heard(self, domid: int) -> Told:
        counted = self._counted(domid)
        if not counted:
            return Told(errno.ENOENT, {})
        said, answer = self._says(domid, counted), qmp.Answer()
        try:
            for at in range(0, len(said), _CHUNK):
                disks = answer.hear(said[at : at + _CHUNK])
                if disks is not None:
                    return Told(0, disks)
        except OSError as problem:
            return Told(problem.errno or errno.EIO, {})
        return Told(errno.ECONNRESET, {})

    def _says(self, domid: int, counted: dict[str, dict[str, int]]) -> bytes:
        manner = self._manner if domid == self._odd else ""
        rows = [_row(node, counters) for node, counters in counted.items()]
        if manner == "lies":
            rows.append(_row("xvdz-raw", dict.fromkeys(("rd_req", "wr_req", "rd_sect", "wr_sect"), 7)))
        lines = [_GREETING, {"return": {}}, {"return": rows, "id": "xenfs"}]
        text = b"".join(json.dumps(line).encode() + b"\r\n" for line in lines)
        return text.replace(b"rd_bytes", b"rd_bytes\0") if manner == "garbles" else text


class _Now(Answers):
    """What is known at once, and those who say nothing."""

    def __init__(self, told: dict[int, Told], silent: Sequence[int] | set[int] = ()) -> None:
        self._told, self._silent, self._until = told, silent, monotonic() + answer_s(1)

    def by(self, deadline: float) -> dict[int, Told]:
        """Those that have come by then."""
        if self._silent:
            sleep(max(0.0, min(deadline, self._until) - monotonic()))
        if monotonic() >= self._until:
            self._told |= {domid: Told(errno.ETIMEDOUT, {}) for domid in self._silent}
        return self._told


def _row(node: str, counters: dict[str, int]) -> dict[str, object]:
    """As query-blockstats has it of what Xen's back end in QEMU opened: without a name, but attached to a device."""
    stats = {
        "rd_operations": counters["rd_req"], "wr_operations": counters["wr_req"],
        "rd_bytes": counters["rd_sect"] * _SECTOR, "wr_bytes": counters["wr_sect"] * _SECTOR,
        "flush_operations": 0, "unmap_operations": 0, "timed_stats": [], "account_invalid": False,
    }  # fmt: skip
    return {"device": "", "qdev": "/machine/unattached/device[1]", "node-name": node, "stats": stats,
            "parent": {"stats": stats}}  # fmt: skip
