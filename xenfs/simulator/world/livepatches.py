"""The live patches of a pretended Xen."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EINVAL

CHECKED, APPLIED = 1, 2


@dataclass
class Livepatch:
    """A live patch: what it is called, where it is, how the last action on it ended, what its makers wrote."""

    name: bytes
    state: int = CHECKED
    rc: int = 0
    metadata: bytes = b""


class Livepatches:
    """Those that were uploaded; `version` rises with each that comes or goes."""

    def __init__(self, count: int) -> None:
        first = [
            Livepatch(b"xsa-470", APPLIED, 0, b"subject=XSA-470\0author=example.org\0"),
            Livepatch(b"hotfix/console", CHECKED, -EINVAL),
        ]
        self.loaded = first[:count]
        self.loaded += [Livepatch(b"patch-%d" % number, APPLIED, 0, b"n=1\0") for number in range(3, count + 1)]
        self.version = count

    def upload(self, patch: Livepatch) -> None:
        """One more."""
        self.loaded.append(patch)
        self.version += 1

    def unload(self, name: bytes) -> None:
        """One less."""
        self.loaded = [patch for patch in self.loaded if patch.name != name]
        self.version += 1
