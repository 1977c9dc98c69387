"""Xen's own small filesystem: build information, parameters, and the granularity of cpupools."""

from __future__ import annotations

import gzip
from errno import EINVAL, ENOENT, ERANGE

from xenfs.simulator.answers.hypfs_entries import (
    BOOL,
    GZIP,
    INT,
    UINT,
    Check,
    Directory,
    Entry,
    Granularity,
    Parameter,
    Value,
)
from xenfs.simulator.answers.version_op import identity
from xenfs.simulator.layouts import version
from xenfs.simulator.machine import Machine
from xenfs.simulator.world.refused import Refused


def tree(xen: Machine) -> Directory:
    """The root: buildinfo and params, and since 4.15 cpupool."""
    names: dict[str, Entry] = {"buildinfo": _fixed(_build(xen)), "params": _fixed(_parameters(xen))}
    if xen.release >= (4, 15):
        names["cpupool"] = Directory(lambda: _pools(xen))
    return _fixed(names)


def entry_at(root: Directory, path: str) -> Entry:
    """The entry at an absolute path; ENOENT where there is none."""
    if not path.startswith("/"):
        raise Refused(EINVAL)
    entry: Entry = root
    for word in path[1:].split("/") if path != "/" else []:
        if not isinstance(entry, Directory):
            raise Refused(ENOENT)
        if word not in entry.entries:
            raise Refused(ENOENT)
        entry = entry.entries[word]
    return entry


def _fixed(names: dict[str, Entry]) -> Directory:
    return Directory(lambda: names)


def _pools(xen: Machine) -> dict[str, Entry]:
    return {str(number): _fixed({"sched-gran": Granularity(pool)}) for number, pool in xen.world.pools.by_id.items()}


def _build(xen: Machine) -> dict[str, Entry]:
    texts = {name: Value(text.encode() + b"\0") for name, text in identity(xen).items()}
    major, minor = version(xen.settings.xen)
    config = gzip.compress(_config(xen).encode(), mtime=0)
    compiled = ("compiler", "compile_by", "compile_date", "compile_domain")
    return {
        "changeset": texts["changeset"],
        "compileinfo": _fixed({name: texts[name] for name in compiled}),
        "config": Value(config, encoding=GZIP),
        "version": _fixed({
            "extra": texts["extra"],
            "major": Value(major.to_bytes(4, "little"), UINT),
            "minor": Value(minor.to_bytes(4, "little"), UINT),
        }),
    }  # fmt: skip


def _config(xen: Machine) -> str:
    lines = ["CONFIG_HYPFS=y", "CONFIG_HYPFS_CONFIG=y", "CONFIG_SCHED_CREDIT=y", "CONFIG_SCHED_CREDIT2=y"]
    lines += [
        "CONFIG_SCHED_RTDS=y",
        "CONFIG_SCHED_NULL=y",
        "# CONFIG_SCHED_ARINC653 is not set",
        "# CONFIG_DEBUG is not set",
    ]
    lines += ["CONFIG_X86=y", "CONFIG_PV=y", "CONFIG_HVM=y"] if xen.x86 else ["CONFIG_ARM_64=y", "CONFIG_ARM=y"]
    lines.append("CONFIG_MEM_SHARING=y" if xen.settings.sharing else "# CONFIG_MEM_SHARING is not set")
    return "\n".join([f"# Xen/{xen.settings.arch} {xen.settings.xen} Configuration", *lines, ""])


def _parameters(xen: Machine) -> dict[str, Entry]:
    names: dict[str, Entry] = {
        "conswitch": Value(b"a\0", room=5),
        "console_timestamps": Parameter("boot", 7, _one_of("none", "date", "datems", "boot", "raw")),
        "gnttab_max_frames": Parameter("64", 12, _number),
        "gnttab_max_maptrack_frames": Parameter("1024", 12, _number),
        "guest_loglvl": Parameter("none/warning", 16, _levels),
        "loglvl": Parameter("all/all", 16, _levels),
        # No parameter of a real Xen is a number that can be written. These two are, for trying it.
        "pretended-int": Value((-5).to_bytes(4, "little", signed=True), INT, room=4),
        "pretended-uint": Value((5).to_bytes(4, "little"), UINT, room=4),
    }
    if xen.x86:
        names["ept"] = Parameter("", 10, _one_of("exec-sp=0", "exec-sp=1"))
        names["global-pages"] = Value(b"\1", BOOL, room=1)
        names["pcid"] = Parameter("xpti", 7, _one_of("off", "on", "xpti", "noxpti"))
    if xen.release >= (4, 15):
        events = ("debugkey", "hwdom", "panic", "watchdog", *(("kexeccmd",) if xen.x86 else ()))
        for event in sorted(events):
            names[f"crash-debug-{event}"] = Value(b"\0", room=64)
    return names


def _one_of(*choices: str) -> Check:
    def check(text: str) -> str:
        if text not in choices:
            raise Refused(EINVAL)
        return text

    return check


def _number(text: str) -> str:
    try:
        value = int(text, 0)
    except ValueError:
        raise Refused(EINVAL) from None
    if not 0 <= value < 1 << 31:
        raise Refused(ERANGE)
    return str(value)


def _levels(text: str) -> str:
    """One level or two with a slash between; debug is the same as all."""
    lower, slash, upper = text.partition("/")
    known = {"none": 0, "error": 1, "warning": 2, "info": 3, "debug": 4, "all": 4}
    if lower not in known or (slash and upper not in known):
        raise Refused(EINVAL)
    low = known[lower]
    high = max(low, known[upper] if slash else low)
    names = ("none", "error", "warning", "info", "all")
    return f"{names[low]}/{names[high]}"
