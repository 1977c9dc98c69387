"""What dom0's own tools say: the other opinion, where those tools match the hypervisor."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from xen_mount import Mount

TIMEOUT_S = 180
Values = dict[str, str]


def said(command: str) -> str:
    """A tool's output."""
    done = subprocess.run(command.split(), capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def missing() -> str:
    """Why there is nobody to compare with; empty where there is."""
    if shutil.which("xl") is None:
        return "no xl here"
    try:
        done = subprocess.run(
            ["xl", "info"], capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return "this dom0's xl does not answer"
    return "" if done.returncode == 0 else "this dom0's xl is for another Xen"


first_said = functools.cache(said)
"""What it said when it was first asked: emulated, each answer of xl's takes seconds, and most values stay."""


class Listed(NamedTuple):
    """A line of `xl list -v`."""

    name: str
    domid: str
    mib: str
    vcpus: str
    state: str
    seconds: str
    uuid: str


def listed(text: str) -> Iterator[Listed]:
    """The lines of `xl list -v`."""
    for line in text.splitlines()[1:]:
        yield Listed(*line.split()[:7])


def xl_state(name: str) -> str:
    """A domain's six letters, as in "-b----"."""
    return next(row.state for row in listed(said("xl list -v")) if row.name == name)


class Vcpu(NamedTuple):
    """A line of `xl vcpu-list`."""

    name: str
    domid: str
    vcpu: str
    cpu: str
    state: str
    seconds: str
    hard: str
    soft: str


def vcpus(text: str) -> Iterator[Vcpu]:
    """The lines of `xl vcpu-list`."""
    for line in text.splitlines()[1:]:
        words = line.replace(" / ", " ").split()
        yield Vcpu(*words)


def colon(text: str) -> Values:
    """The lines "key : value" of `xl info`."""
    return {
        key.strip(): value.strip() for key, colon, value in (line.partition(":") for line in text.splitlines()) if colon
    }


def columns(text: str, key: int, value: int, skip: int = 1) -> Values:
    """Two columns of a table, one as the key of the other; lines without numbers in the key's are left out."""
    rows = (line.split() for line in text.splitlines()[skip:])
    return {row[key]: row[value] for row in rows if len(row) > max(key, value) and row[key].isdecimal()}


def ours(mount: Mount, pattern: str) -> Values:
    """What xenfs says at every place that a pattern such as domains/*/uuid or host/info:nr_cpus means; the keys are
    the numbers in the places of the stars."""
    path, _, key = pattern.partition(":")
    found: Values = {}
    for numbers, node in _expanded(mount, path.split("/"), (), ""):
        try:
            found["/".join(numbers)] = mount.flat(node)[key] if key else mount.value(node)
        except FileNotFoundError:
            continue  # a domain without a scheduler's parameters, say
    return found


def _expanded(
    mount: Mount, parts: list[str], numbers: tuple[str, ...], so_far: str
) -> Iterator[tuple[tuple[str, ...], str]]:
    if not parts:
        yield numbers, so_far
        return
    if parts[0] != "*":
        yield from _expanded(mount, parts[1:], numbers, f"{so_far}/{parts[0]}".lstrip("/"))
        return
    for number in mount.numbers(so_far):
        yield from _expanded(mount, parts[1:], (*numbers, number), f"{so_far}/{number}")


class Comparison(NamedTuple):
    """A line of the table at the end of the run."""

    node: str
    command: str
    ours: str
    theirs: str
    agree: bool


def in_short(values: Values) -> str:
    """Values on a few characters."""
    text = " ".join(f"{key}={value}" if key else value for key, value in values.items())
    text = re.sub(r"\s+", " ", text)
    return text if len(text) <= 36 else f"{text[:35]}…"


def table(rows: Iterable[Comparison]) -> Iterator[str]:
    """The comparisons in columns."""
    yield f"{'':2}{'node':38} {'xenfs':36} {'peer':36} command"
    for row in rows:
        yield f"{'= ' if row.agree else '! '}{row.node:38} {row.ours:36} {row.theirs:36} {row.command}"


def settled(seconds: float = 0.3) -> None:
    """Let what has just been changed come to rest."""
    time.sleep(seconds)
