"""A small security policy in the manner of the one that comes with Xen: who may be what, and what it is called."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EACCES, EEXIST, EINVAL, ENOENT

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
_CLASSES, _DOMAIN = 13, 3  # how many classes of objects there are, and which of them is that of domains
_ALL = 0xFFFFFFFF
_ONE_NUMBER = (1, 4)  # of labels: interrupts and devices, as opposed to ranges of ports and frames
_NEW_TYPES = {("domU_t", "domU_t", _DOMAIN): "domU_t_self"}  # as the policy that comes with Xen has it
MAGIC = (0xF97CFF8C).to_bytes(4, "little") + (8).to_bytes(4, "little") + b"XenFlask"


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
        self._types |= set(_NEW_TYPES.values())
        self.seqno, self.threshold, self.lookups = 1, 512, 0
        self.labels: list[tuple[int, int, int, int]] = []  # kind, first, last, SID
        self.nodes: dict[str, int] = {}  # of the device tree: the SID of each path
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

    def checked(self) -> Policy:
        """Itself, after a look at whether the caller may: one more question to what it remembers."""
        self.lookups += 1
        return self

    def allowed(self, source: int, target: int, kind: int) -> int:
        """The permissions of a SID on another: all where the control domain's rules are. EINVAL for no class."""
        if not 1 <= kind <= _CLASSES:
            raise Refused(EINVAL)
        return _ALL if self.kind(source) in ("dom0_t", "xen_t") else 0

    def labelled(self, source: int, target: int, kind: int, *, new: bool) -> int:
        """The SID of a new object of a class, or of one that is labelled anew: a domain's is as its maker's."""
        old, goal = self.context(source).split(":"), self.context(target).split(":")
        found = old[2] if kind == _DOMAIN else goal[2]
        found = _NEW_TYPES.get((old[2], goal[2], kind), found) if new else found
        return self.sid(":".join((old[0], old[1] if kind == _DOMAIN else "object_r", found)))

    def add_label(self, kind: int, first: int, last: int, sid: int) -> None:
        """Label numbers of a kind. EEXIST where one has a label, but the same for the same twice: Xen takes that."""
        self._require_kind(kind, first, last, adding=True)
        for _, low, high, known in (each for each in self.labels if each[0] == kind):
            if low <= last and first <= high:
                if (low, high, known) != (first, last, sid):
                    raise Refused(EEXIST)
                if kind not in _ONE_NUMBER:
                    return
        self.labels.append((kind, first, last, sid))

    def remove_label(self, kind: int, first: int, last: int) -> None:
        """ENOENT where exactly these have none."""
        self._require_kind(kind, first, last, adding=False)
        found = next((each for each in self.labels if each[:3] == (kind, first, last)), None)
        if found is None:
            raise Refused(ENOENT)
        self.labels.remove(found)

    @staticmethod
    def _require_kind(kind: int, first: int, last: int, *, adding: bool) -> None:
        if last < first or kind not in range(1, 5) or (adding and kind in _ONE_NUMBER and first != last):
            raise Refused(EINVAL)

    def label_node(self, path: str, sid: int) -> None:
        """Label a node of the device tree once, or with SID 0 take its label away."""
        if sid and path in self.nodes:
            raise Refused(EEXIST)
        if not sid and path not in self.nodes:
            raise Refused(ENOENT)
        self.nodes[path] = sid
        if not sid:
            del self.nodes[path]

    def load(self, binary: bytes, newest: int) -> None:
        """Another policy: of its content only the head is understood. Labels and pending values go with the old."""
        version = int.from_bytes(binary[len(MAGIC) : len(MAGIC) + 4], "little")
        if not binary.startswith(MAGIC) or not 0 < version <= newest:
            raise Refused(EINVAL)
        self.labels, self.nodes, self.seqno = [], {}, self.seqno + 1
        for boolean in self.booleans:
            boolean.pending = boolean.value
