"""Where in a TOML file something stands, so that a message can name line and column; tomllib does not keep it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"""' r"|'''.*?'''" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'" r"|#[^\n]*|\n|[\[\]{},=]"
    r"|[^\s\[\]{},=#\"']+",
    re.DOTALL,
)  # fmt: skip
TOP = -1
"""The number of the rule that keys before the first [[rule]], and other tables, are counted to."""


class Place(NamedTuple):
    """A line and a column, both from 1."""

    line: int
    column: int


class Places:
    """Where the keys and the values of each [[rule]] are, for a text that tomllib has understood."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[tuple[int, str, int], int] = {}
        rule = TOP
        for line in _statements(text):
            words = [word for word, _ in line]
            if words[0] != "[":
                self._key(rule, line)
            elif words == ["[", "[", "rule", "]", "]"]:
                rule = rule + 1 if rule >= 0 else self._count()
                self._found[rule, "", -1] = line[0][1]
            else:
                name = next((word for word in words if word not in ("[", "]")), "")
                self._found.setdefault((TOP, _plain(name), -1), line[0][1])

    def _count(self) -> int:
        return len({rule for rule, key, _ in self._found if rule >= 0 and not key})

    def _key(self, rule: int, line: list[tuple[str, int]]) -> None:
        key = _plain(line[0][0])
        self._found.setdefault((rule, key, -1), line[0][1])
        values = [at for word, at in line[1:] if word not in "[]{},="]
        for number, at in enumerate(values):
            self._found[rule, key, number] = at

    def of(self, rule: int, key: str = "", item: int = -1) -> Place:
        """The place of a value of that key, of the key, of the rule, or of the file's beginning."""
        for known in ((rule, key, item), (rule, key, -1), (rule, "", -1)):
            if known in self._found:
                return self.at(self._found[known])
        return Place(1, 1)

    def at(self, offset: int) -> Place:
        """The place of a character."""
        before = self._text[:offset]
        return Place(before.count("\n") + 1, offset - before.rfind("\n"))


def _statements(text: str) -> Iterator[list[tuple[str, int]]]:
    """Each header or `key = value`, as words with their offsets; comments left out."""
    line: list[tuple[str, int]] = []
    depth = 0
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word == "\n" and not depth:
            if line:
                yield line
            line = []
        elif word != "\n" and not word.startswith("#"):
            line.append((word, match.start()))
            depth += (word in ("[", "{")) - (word in ("]", "}"))
    if line:
        yield line


def _plain(word: str) -> str:
    return word.strip("\"'")
