"""Xen's own small filesystem: directories, build information and parameters, with the types that they have."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from errno import EACCES, EBUSY, EDOM, EINVAL, ENOENT, ENOSPC, ERANGE

from xenfs.hypervisor.simulator.cpupools import Cpupool
from xenfs.hypervisor.simulator.layouts import version
from xenfs.hypervisor.simulator.machine import Machine
from xenfs.hypervisor.simulator.refused import Refused
from xenfs.hypervisor.simulator.version_op import identity

DIR, BLOB, STRING, UINT, INT, BOOL = range(6)
PLAIN, GZIP = 0, 1
LONGEST_PARAMETER = 1024
GRANULARITY_BYTES = 8

Check = Callable[[str], str]
"""What a text that is written becomes; Refused where it means nothing."""


class Entry:
    """A name in the tree. `content` is what a read gives, `room` how long a write may be (0: none)."""

    type, encoding, room = DIR, PLAIN, 0

    @property
    def content(self) -> bytes:
        """The bytes as Xen would copy them."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Change it, or raise Refused."""
        raise Refused(EACCES)


class Directory(Entry):
    """A directory, its names in order."""

    def __init__(self, names: Callable[[], dict[str, Entry]]) -> None:
        self._names = names

    @property
    def entries(self) -> dict[str, Entry]:
        """What is in it, sorted as Xen sorts: by bytes."""
        return dict(sorted(self._names().items()))


@dataclass
class Value(Entry):
    """A value that Xen keeps: a number of so many bytes, or a text with its end mark."""

    kept: bytes
    type: int = STRING
    encoding: int = PLAIN
    room: int = 0

    @property
    def content(self) -> bytes:
        return self.kept

    def write(self, data: bytes) -> None:
        """As Xen's generic writers: ENOSPC too long, EDOM another length, EINVAL a text without its end mark."""
        if not self.room:
            raise Refused(EACCES)
        if self.type == BOOL and len(data) != self.room:
            raise Refused(EDOM)
        if len(data) > self.room:
            raise Refused(ENOSPC)
        if self.type not in (STRING, BLOB) and len(data) != len(self.kept):
            raise Refused(EDOM)
        if self.type == STRING and data.find(0) != len(data) - 1:
            raise Refused(EINVAL)
        self.kept = bytes([data[0] != 0]) if self.type == BOOL else data


class Parameter(Value):
    """A text that Xen parses before it keeps what came of it."""

    def __init__(self, text: str, room: int, check: Check) -> None:
        super().__init__(text.encode() + b"\0", room=room)
        self.check = check

    def write(self, data: bytes) -> None:
        """ENOSPC far too long, EDOM without an end mark, and whatever the parser says."""
        if len(data) > LONGEST_PARAMETER:
            raise Refused(ENOSPC)
        if not data or data.find(0) != len(data) - 1:
            raise Refused(EDOM)
        self.kept = self.check(data[:-1].decode("latin-1")).encode() + b"\0"


class Granularity(Entry):
    """The scheduling granularity of a cpupool; only that of a pool without CPUs can be changed."""

    type, room = STRING, GRANULARITY_BYTES

    def __init__(self, pool: Cpupool) -> None:
        self.pool = pool

    @property
    def content(self) -> bytes:
        return self.pool.granularity.encode() + b"\0"

    def write(self, data: bytes) -> None:
        """ENOSPC too long, EINVAL no granularity, EBUSY a pool with CPUs."""
        if len(data) > GRANULARITY_BYTES:
            raise Refused(ENOSPC)
        name = data[:-1].decode("latin-1")
        if data[-1:] != b"\0" or name not in ("cpu", "core", "socket"):
            raise Refused(EINVAL)
        if self.pool.cpus:
            raise Refused(EBUSY)
        self.pool.granularity = name


def tree(xen: Machine) -> Directory:
    """The root: buildinfo and params, and since 4.15 cpupool."""
    names: dict[str, Entry] = {"buildinfo": _fixed(_build(xen)), "params": _fixed(_parameters(xen))}
    if xen.release >= (4, 15):
        names["cpupool"] = Directory(lambda: _pools(xen))
    return _fixed(names)


def find(root: Directory, path: str) -> Entry:
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
        for event in ("debugkey", "hwdom", "kexeccmd", "panic", "watchdog"):
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
