"""Which life of a domain a question is for: domain ids are used again, UUIDs and unique ids are not."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import NamedTuple

from xenfs.abi.operations import Does, Operation
from xenfs.calls import domains
from xenfs.errors import BadInput, Stale, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.raw.words import Word, number
from xenfs.nodes.tables import parse

NAMES = ("uuid", "unique_id")


class Life(NamedTuple):
    """What the domain must be, before and after. After what ends domains, it may be gone."""

    uuid: bytes | None
    unique_id: int | None
    ends: bool

    def require(self, xen: Hypervisor, domid: int | None, *, after: bool = False, renamed: bytes = b"") -> None:
        """ESTALE where the id means another domain, or none. `renamed`: the UUID that it was given, if it was."""
        assert domid is not None
        info = domains.info_now(xen, domid)
        if info is None and after and self.ends:
            return
        uuid = self.uuid and (renamed or self.uuid)
        if info is None or (uuid is not None and bytes(info.handle) != uuid):
            raise Stale(f"domain {domid} with this UUID")
        if self.unique_id is not None and xen.abi.release < (4, 21):
            raise XenfsError("domains have a unique_id from Xen 4.21 on", errno.EOPNOTSUPP)
        if self.unique_id is not None and domains.unique_id(xen, domid) != self.unique_id:
            raise Stale(f"domain {domid} with this unique_id")


def life(op: Operation, words: Sequence[Word]) -> Life | None:
    """The life that these words name, None where there are none."""
    found: dict[str, bytes | int] = {}
    for word in words:
        if word.name == "uuid":
            try:
                found["uuid"] = parse.handle(word.value)
            except BadInput as problem:
                raise BadInput(problem.why, at=word.value_at) from None
        else:
            found["unique_id"] = number(word.value, (0, 2**64 - 1), "unique_id", word.value_at)
    if not found:
        return None
    return Life(found.get("uuid"), found.get("unique_id"), op.does is Does.ENDS)  # type: ignore[arg-type]
