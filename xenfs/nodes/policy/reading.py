"""From a TOML file to a policy. Whatever is wrong with it is said before anything is mounted, with line and column."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import re
import stat
import tomllib
from collections.abc import Callable, Iterable
from typing import Any

from xenfs.errors import StartError
from xenfs.nodes.policy.globs import ANY, Glob, Parts, parts
from xenfs.nodes.policy.places import TOP, Place, Places
from xenfs.nodes.policy.rules import Policy, Rule
from xenfs.nodes.policy.trusted import Untrusted, opened

_LONGEST = 1 << 18
_KEYS = ("paths", "user", "group", "rights", "tier", "private")
_RIGHTS = {"read": (True, False), "write": (False, True), "none": (False, False)}
_TIERS = ("A", "B", "C", "D")
_NOBODY = 2**32 - 1


class _Wrong(Exception):
    """What is wrong, and at which key and value of the rule."""

    def __init__(self, why: str, key: str = "", item: int = -1) -> None:
        super().__init__(why)
        self.key, self.item = key, item


def load(path: str, known: Iterable[str]) -> Policy:
    """The policy in a file. `known` are the path patterns of the whole tree: what fits none of them is a mistake."""
    text = _text(path)
    places = Places(text)
    tree = _tree(known)
    rules = []
    for number, given in enumerate(_tables(path, text, places)):
        try:
            rules.append(_rule(given, tree))
        except _Wrong as wrong:
            raise _error(path, places.of(number, wrong.key, wrong.item), str(wrong)) from None
    return Policy(rules)


def _error(path: str, place: Place | None, why: str) -> StartError:
    where = f":{place.line}:{place.column}" if place else ""
    return StartError(f"policy {path}{where}: {why}", errno.EINVAL)


def _text(path: str) -> str:
    """The file's text. Who can change the policy can have every right, so nobody but its owner may be able to."""
    try:
        with open(opened(path), "rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(_LONGEST + 1) if stat.S_ISREG(status.st_mode) else b""
    except Untrusted as problem:
        raise _error(path, None, str(problem)) from None
    except OSError as problem:
        raise StartError(f"policy {path}: {problem.strerror}", problem.errno or errno.EIO) from None
    if not stat.S_ISREG(status.st_mode):
        raise _error(path, None, "not a regular file")
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o022:
        raise _error(
            path, None, "others can change it: it must be root's or yours, and not writable for group or other"
        )
    if len(data) > _LONGEST:
        raise _error(path, None, f"longer than {_LONGEST} bytes")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        before = data[: problem.start].decode("utf-8")
        raise _error(path, Places(before).at(len(before)), "not UTF-8") from None


def _tables(path: str, text: str, places: Places) -> list[dict[str, Any]]:
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise _error(path, *_decoded(str(problem), places, len(text))) from None
    except RecursionError:
        raise _error(path, None, "nested too deeply") from None
    odd = next((key for key in given if key != "rule"), None)
    if odd is not None:
        raise _error(path, places.of(TOP, odd), f"there is no {odd!r} in a policy, only [[rule]]")
    rules = given.get("rule", [])
    if not isinstance(rules, list) or not all(isinstance(each, dict) for each in rules):
        raise _error(path, places.of(TOP, "rule"), "a rule begins with [[rule]], in double brackets")
    if not rules:
        raise _error(path, None, "there is no [[rule]] in it: it would let in nobody but root")
    return rules


def _decoded(said: str, places: Places, length: int) -> tuple[Place, str]:
    """tomllib's message without its own way to name a place, and the place."""
    match = re.search(r" \(at (?:line (\d+), column (\d+)|end of document)\)$", said)
    place = Place(int(match[1]), int(match[2])) if match and match[1] else places.at(length)
    return place, said[: match.start()] if match else said


def _rule(given: dict[str, Any], tree: list[Parts]) -> Rule:
    odd = next((key for key in given if key not in _KEYS), None)
    if odd is not None:
        raise _Wrong(f"there is no {odd!r} in a rule, only {', '.join(_KEYS)}", odd)
    for key in ("paths", "rights"):
        if key not in given:
            raise _Wrong(f"this rule has no {key!r}")
    if "user" not in given and "group" not in given:
        raise _Wrong('this rule names nobody: say user or group (user = "*" is everybody)')
    users, everyone = _users(given)
    read, write = _rights(given)
    private = given.get("private", False)
    if not isinstance(private, bool):
        raise _Wrong("'private' is true or false", "private", 0)
    return Rule(
        _paths(given, tree), users, _groups(given), everyone, read, write, frozenset(_tiers(given)), private
    )  # fmt: skip


def _words(given: dict[str, Any], key: str) -> list[str]:
    """A word, or a list of words, as a list."""
    value = given.get(key, [])
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or (key in given and not words):
        raise _Wrong(f"{key!r} wants a word or a list of words", key, 0)
    for number, word in enumerate(words):
        if not isinstance(word, str) or not word:
            raise _Wrong(f"{key!r} wants words in quotes", key, number)
    return words


def _paths(given: dict[str, Any], tree: list[Parts]) -> tuple[Glob, ...]:
    found = []
    for number, word in enumerate(_words(given, "paths")):
        why = Glob.wrong(word)
        glob = Glob(word)
        if not why and not any(glob.matches(path) for path in tree):
            why = f"no path of the tree is like {word!r} (xenfs tree lists them)"
        if why:
            raise _Wrong(why, "paths", number)
        found.append(glob)
    return tuple(found)


def _users(given: dict[str, Any]) -> tuple[frozenset[int], bool]:
    words = _words(given, "user")
    numbers = _numbers(words, "user", lambda name: pwd.getpwnam(name).pw_uid)
    for number, word in enumerate(words):
        if word in ("0", "root"):
            raise _Wrong("root is above the policy: no rule can grant or deny it anything", "user", number)
    return frozenset(numbers), "*" in words


def _groups(given: dict[str, Any]) -> frozenset[int]:
    words = _words(given, "group")
    if "*" in words:
        raise _Wrong('everybody is user = "*"', "group", words.index("*"))
    return frozenset(_numbers(words, "group", lambda name: grp.getgrnam(name).gr_gid))


def _numbers(words: list[str], key: str, named: Callable[[str], int]) -> list[int]:
    found = []
    for number, word in enumerate(words):
        if word == "*":
            continue
        if word.isascii() and word.isdecimal():
            found.append(int(word))
            if found[-1] >= _NOBODY:
                raise _Wrong(f"there is no {key} number {word}", key, number)
            continue
        try:
            found.append(named(word))
        except (KeyError, ValueError, OSError):
            raise _Wrong(f"this system has no {key} {word!r}", key, number) from None
    return found


def _rights(given: dict[str, Any]) -> tuple[bool, bool]:
    words = _words(given, "rights")
    for number, word in enumerate(words):
        if word not in _RIGHTS:
            raise _Wrong(f'{word!r} is no right: read, write, none, or ["read", "write"]', "rights", number)
    if "none" in words and len(words) > 1:
        raise _Wrong("'none' stands alone", "rights", words.index("none"))
    return "read" in words, "write" in words


def _tiers(given: dict[str, Any]) -> list[str]:
    words = _words(given, "tier")
    for number, word in enumerate(words):
        if word not in _TIERS:
            raise _Wrong(f"{word!r} is no tier: {', '.join(_TIERS)}", "tier", number)
    return words


def _tree(known: Iterable[str]) -> list[Parts]:
    """Every path that there can be, placeholders being any name; below hypfs/ Xen has what names it likes."""
    found: set[Parts] = set()
    for path in known:
        names = tuple(ANY if "<" in name else name for name in parts(path))
        found.update(names[:end] for end in range(1, len(names) + 1))
    deep = ("hypfs", ANY)
    if deep in found:
        found.update(deep + (ANY,) * more for more in range(1, 8))
    return sorted(found)
