"""The rules by which calls fail: "domctl:pausedomain EBUSY 10%; domctl:destroydomain hang x3; seed=7"."""

from __future__ import annotations

import errno
import re
import threading
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random

from xenfs.errors import StartError
from xenfs.faults.naming import MEMORY, Asked, names

HELP = """\
rules, with ; or line ends between:  OPERATION FAULT [N%] [xN] [after=N] [domain=N]

OPERATION   as in xenfs/calls/stat, such as domctl:pausedomain (two words of it); domctl or domctl:* for all of them,
            * for every hypercall, pool:take for memory of the pool itself
FAULT       an errno, such as ENOMEM: Xen refuses, and does nothing
            version: the same as EACCES, what Xen says to an interface version that it does not speak
            delay=200ms: the call takes that much longer (us, ms, s)
            hang, hang=5s: it does not come back until the mount ends, or for so long; then it is made
            short: only the first half of what Xen writes arrives; garbled: what Xen writes arrives spoiled
N%          of the calls, chosen at random (100%)
xN          at most N times in all
after=N     not the first N calls
domain=N    only calls about this domain (domctl and dm_op)

seed=N      other calls are chosen at random
at-start    begin before the mount is there, which may well fail then"""

_TIME = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s)")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_FAULTS = ("hang", "short", "garbled")


@dataclass
class Rule:
    """One line of it. `code` is an errno, `seconds` how long a delay or a hang lasts (None: to the end)."""

    text: str
    pattern: str
    kind: str
    code: int = 0
    seconds: float | None = None
    chance: float = 1.0
    most: int | None = None
    after: int = 0
    domid: int | None = None
    random: Random = field(default_factory=Random, repr=False)
    met: int = 0
    done: int = 0

    def strikes(self, what: Asked) -> bool:
        """Whether this call is to fail by this rule. Counts it."""
        if not self._fits(what):
            return False
        self.met += 1
        if self.met <= self.after or self.done == self.most or self.random.random() >= self.chance:
            return False
        self.done += 1
        return True

    def _fits(self, what: Asked) -> bool:
        if what is MEMORY and self.pattern == "*":  # "every hypercall" is that, and no more
            return False
        return self.domid in (None, what.domid) and fnmatchcase(what.name, self.pattern)


@dataclass
class Plan:
    """All rules, asked by every thread that makes a hypercall."""

    rules: list[Rule]
    at_start: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def struck(self, what: Asked) -> list[Rule]:
        """The rules that strike this call: delays, and at most one that decides how it ends."""
        found: list[Rule] = []
        with self._lock:
            for rule in self.rules:
                if (rule.kind == "delay" or not any(other.kind != "delay" for other in found)) and rule.strikes(what):
                    found.append(rule)
        return found

    def summary(self) -> str:
        """How often each rule struck, of how many calls."""
        return "; ".join(f"{rule.text}: {rule.done} of {rule.met}" for rule in self.rules)


def parse(text: str) -> Plan:
    """A plan from its text; StartError names the word that is wrong and what could stand there."""
    rules: list[Rule] = []
    seed, at_start = 1, False
    for line in filter(None, (line.strip() for line in re.split(r"[;\n]", text))):
        words = line.split()
        if len(words) == 1 and words[0].startswith("seed="):
            seed = _number(words[0], "seed=")
        elif words == ["at-start"]:
            at_start = True
        else:
            rules.append(_rule(line, words))
    if not rules:
        raise StartError("--faults has no rule: say something like 'domctl:pausedomain EBUSY 10%'", errno.EINVAL)
    for index, rule in enumerate(rules):
        rule.random = Random(f"{seed}/{index}")  # each its own, so that one more rule moves none of the others
    return Plan(rules, at_start)


def _rule(line: str, words: list[str]) -> Rule:
    if len(words) < 2:
        raise StartError(f"the fault rule {line!r} wants an operation and a fault", errno.EINVAL)
    pattern = words[0] if ":" in words[0] or words[0] == "*" else f"{words[0]}:*"
    if not any(fnmatchcase(name, pattern) for name in names()):
        raise StartError(f"there is no operation {words[0]!r}: say one as in xenfs/calls/stat, in two words with a "
                         "colon between", errno.EINVAL)  # fmt: skip
    rule = Rule(" ".join(words), pattern, "errno")
    _fault(rule, words[1])
    for word in words[2:]:
        _qualify(rule, word)
    return rule


def _fault(rule: Rule, word: str) -> None:
    kind, equals, value = word.partition("=")
    code = (
        errno.EACCES if word == "version" else getattr(errno, word, None) if re.fullmatch("E[A-Z0-9]+", word) else None
    )
    if code is not None:
        rule.code = code
    elif kind in ("delay", "hang") and equals and (time := _TIME.fullmatch(value)):
        rule.kind, rule.seconds = kind, float(time[1]) * _UNITS[time[2]]
    elif word in _FAULTS:
        rule.kind = word
    else:
        raise StartError(f"there is no fault {word!r}: there are errnos (such as ENOMEM), version, delay=TIME, hang, "
                         "hang=TIME, short and garbled; a TIME is like 200ms or 5s", errno.EINVAL)  # fmt: skip
    if rule.pattern.startswith("pool:") and rule.kind != "errno":
        raise StartError(f"the pool can only refuse, with an errno, not {word!r}", errno.EINVAL)


def _qualify(rule: Rule, word: str) -> None:
    try:
        if word.endswith("%"):
            rule.chance = float(word[:-1]) / 100
            if not 0 < rule.chance <= 1:
                raise ValueError
        elif word.startswith("x"):
            rule.most = _number(word, "x")
        elif word.startswith("after="):
            rule.after = _number(word, "after=")
        elif word.startswith("domain="):
            rule.domid = _number(word, "domain=")
        else:
            raise ValueError
    except ValueError:
        raise StartError(f"{word!r} says nothing of a fault: N%, xN, after=N and domain=N do", errno.EINVAL) from None


def _number(word: str, prefix: str) -> int:
    number = word.removeprefix(prefix)
    if not (number.isascii() and number.isdecimal()):
        raise StartError(f"{word!r} wants a number after {prefix!r}", errno.EINVAL)
    return int(number)
