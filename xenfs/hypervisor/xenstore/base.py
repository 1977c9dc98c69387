"""What the rest of xenfs asks of xenstore, whoever answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

Path = str | bytes


class Xenstore(ABC):
    """Reading xenstore. Values are bytes: what guests write there is not always text."""

    @abstractmethod
    def read(self, path: Path) -> bytes | None:
        """The value at `path`; None where there is no such node."""

    @abstractmethod
    def directory(self, path: Path) -> list[bytes] | None:
        """The names below `path`; None where there is no such node."""

    def read_many(self, paths: Sequence[Path]) -> list[bytes | None]:
        """The value at each of `paths`, None where there is no such node."""
        return [self.read(path) for path in paths]

    def close(self) -> None:  # noqa: B027  (nothing to give back by default)
        """Give back what the connection holds."""
