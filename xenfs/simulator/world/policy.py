"""A small security policy in the manner of the one that comes with Xen: who may be what, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EACCES, EINVAL, ENOENT

from xenfs.simulator.world.refused import Refused

_FIRST = (
    "xen",
    "dom0",
    "domio",
    "domxen",
    "unlabeled",
    "security",
    "ioport",
    "iomem",
    "irq",
    "device",
    "domU",
    "domDM",
)
_TYPES = {"domDM": "dm_dom_t"}  # of initial SIDs whose type is not simply their name with _t
_OBJECTS = frozenset({"ioport", "iomem", "irq", "device"})
_USERS = {"system_u": "system_r", "user_1": "vm_r", "user_2": "vm_r", "user_3": "vm_r"}
_DOMAINS = frozenset(
    {"domU_t", "dm_dom_t", "isolated_domU_t", "prot_domU_t", "nomigrate_t", "nomigrate_t_building", "xenstore_t"}
)
_RESOURCES = frozenset({"ioport_t", "iomem_t", "irq_t", "device_t", "nic_dev_t"})
_CREATED = _DOMAINS - {"nomigrate_t"}  # that one only by way of its _building
_RELABELS = frozenset({("nomigrate_t_building", "nomigrate_t")})
_LABELS = {6: "isolated_domU_t", 7: "prot_domU_t", 9: "nomigrate_t_building"}  # by domid; all others are domU_t
NOBODY = 0  # the SID that stands for nothing


@dataclass
class Boolean:
    """A boolean that rules of the policy depend on."""

    name: str
    value: bool
    pending: bool


class Policy:
    """What is in force: contexts and their SIDs, booleans, and whether it refuses or only logs."""

    def __init__(self, has_xenboot: bool) -> None:
        self.enforcing, self.mls = True, False
        self.booleans = [Boolean("guest_writeconsole", True, True), Boolean("prot_doms_locked", False, False)]
        self._contexts = [""]
        for name in ("xenboot", *_FIRST) if has_xenboot else _FIRST:
            kind = _TYPES.get(name, f"{name}_t")
            self._contexts.append(f"system_u:{'object_r' if name in _OBJECTS else 'system_r'}:{kind}")
        self._types = {context.split(":")[2] for context in self._contexts[1:]} | _DOMAINS | _RESOURCES
        self.unlabeled = self.sid("system_u:system_r:unlabeled_t")

    def context(self, sid: int) -> str:
        """The context of a SID; a number that nobody has been given is unlabeled."""
        return self._contexts[sid if NOBODY < sid < len(self._contexts) else self.unlabeled]

    def sid(self, context: str) -> int:
        """The SID of a context, a new one where it is new; EINVAL where the policy has no such thing."""
        if context not in self._contexts[1:]:
            words = context.split(":")
            if len(words) != 3 or not self._allowed(*words):
                raise Refused(EINVAL)
            self._contexts.append(context)
        return self._contexts.index(context, 1)

    def _allowed(self, user: str, role: str, kind: str) -> bool:
        if user not in _USERS or kind not in self._types:
            return False
        of_role = _DOMAINS if role == "vm_r" else self._types - _RESOURCES
        return role == "object_r" or (role == _USERS[user] and kind in of_role)

    def kind(self, sid: int) -> str:
        """The type of a SID."""
        return self.context(sid).split(":")[2]

    def label(self, domid: int) -> int:
        """The SID that a domain of the pretended host has from the start."""
        return self.sid(f"system_u:system_r:{_LABELS.get(domid, 'domU_t') if domid else 'dom0_t'}")

    def created(self, sid: int) -> int:
        """The SID of a domain that is made with this one; EACCES where the policy lets nobody make such domains."""
        sid = self.unlabeled if sid == NOBODY else sid
        locked = self.kind(sid) == "prot_domU_t" and self.boolean("prot_doms_locked").value
        if self.enforcing and (locked or self.kind(sid) not in _CREATED):
            raise Refused(EACCES)
        return sid

    def relabeled(self, old: int, new: int) -> int:
        """The SID of a domain after it was given another; EACCES where there is no such way."""
        if self.enforcing and (self.kind(old), self.kind(new)) not in _RELABELS:
            raise Refused(EACCES)
        return new

    def boolean(self, which: int | str) -> Boolean:
        """A boolean by number or name; ENOENT where there is none."""
        for number, found in enumerate(self.booleans):
            if which in (number, found.name):
                return found
        raise Refused(ENOENT)

    def commit(self) -> str:
        """Bring what is pending into force; what Xen says of it on its console."""
        for boolean in self.booleans:
            boolean.value = boolean.pending
        values = ", ".join(f"{boolean.name}:{boolean.value:d}" for boolean in self.booleans)
        return f"Flask: committed booleans {{ {values} }}"
