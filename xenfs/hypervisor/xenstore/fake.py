"""A xenstore made of a mapping, for the simulator and for tests."""

from __future__ import annotations

from collections.abc import Mapping

from xenfs.hypervisor.xenstore.base import Path, Xenstore


class FakeXenstore(Xenstore):
    """Answers from `nodes`, absolute paths to values, which may change at any time.

    The parents of a path exist, as in the real one, but only `directory` knows them: to read one gives None
    unless it is in the mapping itself, so that reading a missing name costs one look-up and not a search.
    """

    def __init__(self, nodes: Mapping[str, bytes]) -> None:
        self.nodes = nodes

    def read(self, path: Path) -> bytes | None:
        """The value at `path`; None where there is no such node."""
        return self.nodes.get(_text(path))

    def directory(self, path: Path) -> list[bytes] | None:
        """The names below `path`, in the mapping's order; None where there is no such node."""
        at = _text(path)
        below = at.rstrip("/") + "/"
        names = {node[len(below) :].split("/", 1)[0]: None for node in list(self.nodes) if node.startswith(below)}
        if not names and at not in self.nodes:
            return None
        return [name.encode() for name in names if name]


def _text(path: Path) -> str:
    return path.decode("utf-8", "replace") if isinstance(path, bytes) else path
