"""What files and directories have in common, and the kinds of functions that table lines name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.conditions import Condition
from xenfs.nodes.tables.guard import Guard

Ids = tuple[Any, ...]
Reader = Callable[..., Any]
Writer = Callable[..., Any]


@dataclass(frozen=True, eq=False, repr=False, slots=True)  # a mount has hundreds: 1 kB each is saved
class Node:
    """What files and directories have in common. `help` is one line for a person.

    `when` hides an entry that this Xen lacks, `only` one that this domain, CPU or pool lacks; `option` names
    the mount option without which the entry is not there, `write_option` the one without which it is read-only.
    What `looks` changes nothing of Xen's whatever is written to it, made in it or removed: `-o ro` leaves it.
    What is `unlisted` is found by its name and in no listing: whoever goes through a whole tree must not read it.
    """

    name: str
    help: str
    _: KW_ONLY
    tier: str = "A"
    when: Condition | None = None
    only: Callable[..., bool] | None = None
    option: str = ""
    looks: bool = False
    unlisted: bool = False
    guards: tuple[Guard, ...] = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"  # a table knows all that is below it: nobody wants to read that

    @property
    def mode(self) -> int:
        """File type and permission bits."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        if not self.help:
            raise ValueError(f"{self.name}: an entry needs its help line")
        if self.tier not in ("A", "B", "C", "D"):
            raise ValueError(f"{self.name}: no such tier: {self.tier}")

    def require_alive(self, xen: Hypervisor, ids: Ids) -> Any:
        """Raise Stale when what this entry belongs to is gone; what the innermost guard has learned of it."""
        known = None
        for guard in self.guards:
            known = guard.now(xen, *ids)
        return known

    def exists(self, xen: Hypervisor, ids: Ids) -> bool:
        """Whether this domain, CPU or pool has the entry; the answer may be a moment old."""
        only = self.only
        return only is None or xen.recent.answer((only, ids), lambda: only(xen, *ids))

    def require_recent(self, xen: Hypervisor, ids: Ids) -> None:
        """The same for a question about a name, where what was seen a moment ago will do."""
        for guard in self.guards:
            guard.recent(xen, *ids)

    def owner(self, ids: Ids) -> int | None:
        """The uid of the user whose it is, None where it is the mount's."""
        for guard in self.guards:
            if guard.owner is not None:
                return guard.owner(*ids)
        return None

    def require_same(self, xen: Hypervisor, ids: Ids) -> None:
        """After something was done: raise Stale where it may have been done to another, which came in between."""
        for guard in self.guards:
            if guard.after is not None:
                guard.after(xen, *ids)
