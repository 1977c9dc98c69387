"""Patterns of paths: `*`, `?` and `[...]` within one name, `**` for any number of names, none included."""

from __future__ import annotations

from fnmatch import fnmatchcase

ANY = "\0"
"""Stands in a path for a name that is not known: every pattern of one name may mean it."""

_MOST_STARS = 4  # each `**` more multiplies the ways to match a deep path

Parts = tuple[str, ...]


def parts(path: str) -> Parts:
    """A path below the mount point as its names; none for the root itself."""
    return tuple(path.split("/")) if path else ()


class Glob:
    """One pattern, as a rule of the policy has it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._names = parts(text)

    def __repr__(self) -> str:
        return f"Glob({self.text!r})"

    @staticmethod
    def wrong(text: str) -> str:
        """Why this is no pattern; empty where it is one."""
        names = parts(text)
        if text.startswith("/"):
            return "paths begin below the mount point: without a slash"
        if "" in names or "." in names or ".." in names or not names:
            return "a path is names with one slash between them"
        if names.count("**") > _MOST_STARS:
            return f"** at most {_MOST_STARS} times in a path"
        if any("**" in name and name != "**" for name in names):
            return "** stands for whole names: alone between slashes"
        return ""

    def matches(self, path: Parts) -> bool:
        """Whether this path is meant."""
        return _match(self._names, path, False)

    def leads(self, path: Parts) -> bool:
        """Whether this path is meant, or something below it may be."""
        return _match(self._names, path, True)


def _match(names: Parts, path: Parts, leading: bool) -> bool:
    if not names:
        return not path
    if names[0] == "**":
        return _match(names[1:], path, leading) or (leading if not path else _match(names, path[1:], leading))
    if not path:
        return leading
    return (path[0] == ANY or fnmatchcase(path[0], names[0])) and _match(names[1:], path[1:], leading)
