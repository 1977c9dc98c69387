"""The live patches of a pretended Xen."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EAGAIN, EBUSY, EEXIST, EINVAL

from xenfs.simulator.world.refused import Refused

CHECKED, APPLIED = 1, 2


@dataclass
class Livepatch:
    """A live patch: what it is called, where it is, how the last action on it ended, what its makers wrote.

    `build_id` is its own, `depends` that of what it was built to follow. One that has been reverted is `spoilt` where
    it has data of its own.
    """

    name: bytes
    state: int = CHECKED
    rc: int = 0
    metadata: bytes = b""
    build_id: bytes = b""
    depends: bytes = b""
    has_data: bool = False
    spoilt: bool = False


class Livepatches:
    """Those that were uploaded; `version` rises with each that comes or goes.

    `xen` is the build id of the Xen that is patched. What is asked for is over at once or, with `takes`, when its state
    has been asked for so many times.
    """

    def __init__(self, count: int, xen: bytes) -> None:
        first = [
            Livepatch(b"xsa-470", APPLIED, 0, b"subject=XSA-470\0author=example.org\0", bytes(range(20)), xen),
            Livepatch(b"hotfix/console", CHECKED, -EINVAL, depends=xen),
        ]
        self.xen = xen
        self.loaded = first[:count]
        self.loaded += [Livepatch(b"patch-%d" % number, APPLIED, 0, b"n=1\0") for number in range(3, count + 1)]
        self.applied = [patch for patch in self.loaded if patch.state == APPLIED]
        self.version = count
        self.takes = 0
        self._asked = 0
        self._due: tuple[Livepatch, int] | None = None  # what is at work, and its state when that is over

    def find(self, name: bytes) -> Livepatch | None:
        """The one of that name."""
        return next((patch for patch in self.loaded if patch.name == name), None)

    def upload(self, patch: Livepatch) -> None:
        """One more."""
        if self.find(patch.name):
            raise Refused(EEXIST)
        self.loaded.append(patch)
        self.version += 1

    def unload(self, name: bytes) -> None:
        """One less."""
        self.loaded = [patch for patch in self.loaded if patch.name != name]
        self.version += 1

    def apply(self, patch: Livepatch) -> None:
        """Put it in force, if that is not done: it must follow the last one that is."""
        if patch.state != CHECKED:
            return
        if patch.spoilt and patch.has_data:
            patch.rc = -EINVAL
            return
        if patch.depends != (self.applied[-1].build_id if self.applied else self.xen):
            raise Refused(EINVAL)
        self._begin(patch, APPLIED)

    def revert(self, patch: Livepatch) -> None:
        """The opposite, of the last one that is in force."""
        if patch.state != APPLIED:
            return
        if self.applied[-1] is not patch:
            raise Refused(EBUSY)
        self._begin(patch, CHECKED)

    def replace(self, patch: Livepatch) -> None:
        """Put it in force alone: it must have been built for Xen itself."""
        if patch.state != CHECKED:
            return
        if patch.depends != self.xen:
            raise Refused(EINVAL)
        for other in self.applied:
            other.state, other.spoilt = CHECKED, True
        self.applied.clear()
        self._begin(patch, APPLIED)

    def _begin(self, patch: Livepatch, state: int) -> None:
        if self._due is not None:
            raise Refused(EBUSY)
        patch.rc, self._due, self._asked = -EAGAIN, (patch, state), 0
        if not self.takes:
            self._end()

    def looked_at(self) -> None:
        """Somebody has asked for the state of one."""
        self._asked += 1
        if self._due is not None and self._asked >= self.takes:
            self._end()

    def _end(self) -> None:
        assert self._due is not None
        (patch, state), self._due = self._due, None
        patch.state, patch.rc, patch.spoilt = state, 0, state == CHECKED
        if state == APPLIED:
            self.applied.append(patch)
        else:
            self.applied.remove(patch)
