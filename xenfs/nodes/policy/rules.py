"""What a policy says: who may read and write which paths. What no rule grants is refused, and `none` wins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from xenfs.nodes.policy.globs import ANY, Glob, parts
from xenfs.nodes.tables.base import Dir, File, Node

_REMEMBERED = 1 << 14


@dataclass(frozen=True)
class Who:
    """Somebody who asks. `certain` is False where other groups than these may be theirs too."""

    uid: int
    groups: frozenset[int]
    certain: bool = True


@dataclass(frozen=True)
class Rule:
    """Rights for some users and groups on some paths. Without `read` and `write` it denies both."""

    paths: tuple[Glob, ...]
    users: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()
    everyone: bool = False
    read: bool = False
    write: bool = False
    tiers: frozenset[str] = frozenset()
    private: bool = False

    @property
    def denies(self) -> bool:
        """Whether this takes rights away."""
        return not (self.read or self.write)

    def means(self, who: Who) -> bool:
        """Whether this is about them. What is not known of somebody counts against them."""
        if self.everyone or who.uid in self.users or not self.groups.isdisjoint(who.groups):
            return True
        return self.denies and bool(self.groups) and not who.certain

    def covers(self, path: tuple[str, ...], node: Node) -> bool:
        """Whether this is about that entry. Tiers are those of files: a rule with tiers is about no directory."""
        if self.tiers and (isinstance(node, Dir) or node.tier not in self.tiers):
            return False
        return any(glob.matches(each) for each in same(path) for glob in self.paths)

    def opens(self, path: tuple[str, ...], node: Node) -> bool:
        """Whether there is something for them in this directory or below; what is private takes so many words."""
        if self.denies or (is_private(node) and not (self.read and self.private)):
            return False
        return any(glob.leads(path) for glob in self.paths)

    def grants(self, node: Node, write: bool) -> bool:
        """Whether this gives the right; a guest's inside only to who is given it in so many words."""
        if getattr(node, "sealed", False):
            return False
        restricted = getattr(node, "restricted", False)
        if restricted and not self.private:
            return False
        if write:  # to ask what only looks is to read
            return self.write or (self.read and restricted and node.looks)
        return self.read and (self.private or not is_private(node))


class Policy:
    """All rules of one file."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules: Sequence[Rule] = tuple(rules)
        self.by_group = any(rule.groups for rule in self.rules)
        self.bits = lru_cache(_REMEMBERED)(self._bits)

    def may(self, who: Who, path: str, node: Node, *, write: bool) -> bool:
        """Whether they may read, or write, this file; make or remove this directory; follow this link."""
        where = parts(path)
        theirs = [rule for rule in self.rules if rule.means(who) and rule.covers(where, node)]
        return not any(rule.denies for rule in theirs) and any(rule.grants(node, write) for rule in theirs)

    def may_list(self, who: Who, path: str, node: Node) -> bool:
        """Whether they may list this directory: where anything is granted to them in it or below."""
        where = parts(path)
        theirs = [rule for rule in self.rules if rule.means(who)]
        if any(rule.denies and rule.covers(where, node) for rule in theirs):
            return False
        return any(rule.opens(where, node) for rule in theirs)

    def _bits(self, path: str, node: Node) -> int:
        """The permission bits, as for "other", that the policy could grant to anybody at all."""
        where = parts(path)
        grants = [rule for rule in self.rules if not rule.denies]
        if isinstance(node, Dir):
            looked_into = any(rule.opens(where, node) for rule in grants)
            changed = _changeable(node) and any(rule.write and rule.covers((*where, ANY), node) for rule in grants)
            return (0o5 if looked_into else 0) | (0o2 if changed else 0)
        covering = [rule for rule in grants if rule.covers(where, node)]
        read = 0o4 if any(rule.grants(node, False) for rule in covering) else 0
        return read | (0o2 if any(rule.grants(node, True) for rule in covering) else 0)


def same(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The path, and the other one where the tree has the same thing twice: a rule about one is about both."""
    yield path
    if path[:2] == ("hypfs", "params"):
        yield ("host", *path[1:])
    elif path[:2] == ("host", "params"):
        yield ("hypfs", *path[1:])
    elif path[:2] == ("hypfs", "cpupool") and path[3:] == ("sched-gran",):
        yield ("cpupools", path[2], "sched_gran")
    elif path[:1] == ("cpupools",) and path[2:] == ("sched_gran",):
        yield ("hypfs", "cpupool", path[1], "sched-gran")


def is_private(node: Node) -> bool:
    """Whether it shows a guest's inside."""
    return bool(getattr(node, "private", False))


def _changeable(node: Dir) -> bool:
    """Whether something can be made in this directory, or removed from it."""
    return bool(node.mode & 0o200)


def shown(policy: Policy, path: str, node: Node) -> int:
    """The mode of an entry under a policy: the owner's bits as ever, for all others what could be granted.

    The kernel refuses by these before anybody is asked, the same for each caller; who gets what is then decided when
    a file is opened.
    """
    mode = node.mode
    if not isinstance(node, (Dir, File)):
        return mode
    owner = mode & 0o700
    other = policy.bits(path, node) & (owner >> 6)
    return (mode & ~0o777) | owner | (other << 3) | other
