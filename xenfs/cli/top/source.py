"""What `xenfs top` reads: a few files of a mount, however many domains there are."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, NamedTuple, TypeVar

from xenfs.errors import XenfsError
from xenfs.nodes.tables.harmless import exact

_CHUNK = 1 << 18
_PAGE_KB = 4
_SECTOR = 512

Life = tuple[int, str]
"""A domain's id and UUID: when an id is used again, these are another domain's."""


class Domain(NamedTuple):
    """A line of domains/stat, and the name."""

    domid: int
    uuid: str
    name: str
    state: str
    kind: str
    cpupool: int
    cpu_time_ns: int
    memory_kb: int
    memory_max_kb: int | None
    vcpus: int
    vcpus_online: int
    shutdown_reason: str

    @property
    def life(self) -> Life:
        """What it is known by."""
        return self.domid, self.uuid


class Traffic(NamedTuple):
    """What has gone through a domain's networks and disks that dom0 itself serves, as the guest sees it."""

    networks: int = 0
    rx_bytes: int = 0
    tx_bytes: int = 0
    disks: int = 0
    reads: int = 0
    writes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    no_room: int = 0


class Vcpu(NamedTuple):
    """A line of a domain's vcpu_stat."""

    vcpu: int
    online: bool
    state: str
    cpu: int
    cpu_time_ns: int


class Host(NamedTuple):
    """What there is of the machine; None for what is not to be read."""

    memory_kb: int | None = None
    memory_free_kb: int | None = None
    memory_available_kb: int | None = None
    cpu_khz: int | None = None


Value = TypeVar("Value")


class Timed(NamedTuple, Generic[Value]):
    """What was read, and when, in monotonic seconds: on a busy machine two files are not of one moment."""

    at: float
    value: Value


@dataclass
class Sample:
    """One look. `cpus` is the idle time of each pCPU in ns by its number, 0 while it is offline."""

    domains: Timed[dict[Life, Domain]]
    cpus: Timed[dict[int, int]]
    host: Host = field(default_factory=Host)
    vcpus: dict[Life, Timed[list[Vcpu]]] = field(default_factory=dict)
    traffic: Timed[dict[Life, Traffic]] | None = None


class Source:
    """A mount. Nothing stays open: it may go away and come back."""

    def __init__(self, mount: str) -> None:
        self.mount = mount

    def sample(self, with_vcpus: Iterable[Life] = ()) -> Sample:
        """Read everything once; XenfsError where there is no list of domains."""
        stat = _timed(lambda: self._read("domains/stat"))
        idle, names = _timed(self._idle), self._names()
        listed = (_domain(line, names) for line in stat.value.splitlines())
        sample = Sample(Timed(stat.at, {domain.life: domain for domain in listed}), idle, self._host())
        sample.traffic = self._traffic(sample.domains.value)
        for life in with_vcpus:
            if life in sample.domains.value:
                sample.vcpus[life] = self.vcpus(life)
        return sample

    def vcpus(self, life: Life) -> Timed[list[Vcpu]]:
        """The vCPUs of a domain; none where it has just gone."""
        stat = _timed(lambda: self._optional(f"domains/{life[0]}/vcpu_stat"))
        return Timed(stat.at, [_vcpu(line) for line in stat.value.splitlines()])

    def _traffic(self, listed: Iterable[Life]) -> Timed[dict[Life, Traffic]] | None:
        """None where the mount has no such file, as without xenstore."""
        try:
            stat = _timed(lambda: self._read("domains/device_stat"))
        except XenfsError:
            return None
        found: dict[str, Traffic] = {}
        for line in stat.value.splitlines():
            domid, device, *pairs = line.split(" ")
            of = {key: int(value) for key, _, value in (pair.partition("=") for pair in pairs)}
            found[domid] = _added(found.get(domid, Traffic()), device.startswith("vif/"), of)
        return Timed(stat.at, {life: found.get(str(life[0]), Traffic()) for life in listed})

    def version(self) -> str:
        """Xen's release, empty where it is not to be read."""
        return self._optional("version/full").strip()

    def may_pause(self, life: Life) -> bool:
        """Whether this user may pause a domain through this mount."""
        return os.access(self._path(f"domains/{life[0]}/freeze"), os.W_OK)

    def open_freeze(self, life: Life) -> int:
        """A descriptor that pauses or unpauses this life of a domain, and never another that gets its number."""
        try:
            directory = os.open(self._path(f"domains/{life[0]}"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if _contents("uuid", directory).strip() != life[1]:
                    raise OSError(errno.ESTALE, "it is gone")
                return os.open("freeze", os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory)
            finally:
                os.close(directory)
        except OSError as problem:
            raise XenfsError(problem.strerror or str(problem), problem.errno or errno.EIO) from None

    def own_domid(self) -> int | None:
        """The domain that xenfs runs in, which cannot pause itself."""
        with suppress(OSError, ValueError):
            return int(os.readlink(self._path("domains/self")))
        return None

    def _host(self) -> Host:
        flat = dict(line.partition(" ")[::2] for line in self._optional("host/info").splitlines())
        total, free, claimed, khz = (
            _number(flat.get(key)) for key in ("total_pages", "free_pages", "outstanding_pages", "cpu_khz")
        )
        available = None if free is None else max(0, free - (claimed or 0))
        return Host(_kb(total), _kb(free), _kb(available), khz)

    def _idle(self) -> dict[int, int]:
        lines = (line.split() for line in self._optional("host/cpu_stat").splitlines())
        return {int(cpu.removeprefix("cpu")): int(ns) for cpu, ns in lines}

    def _names(self) -> dict[str, str]:
        """The names as they are, and not as a terminal may see them: what is shown is made fit for it there."""
        words = (line.partition(" ") for line in self._optional("domains/names").split("\n") if line)
        return {domid: exact(name) for domid, _, name in words}

    def _optional(self, path: str) -> str:
        """A file that may be missing, forbidden, or just gone."""
        try:
            return self._read(path)
        except XenfsError:
            return ""

    def _read(self, path: str) -> str:
        try:
            return _contents(self._path(path))
        except OSError as problem:
            raise XenfsError(f"{self._path(path)}: {problem.strerror}", problem.errno or errno.EIO) from None

    def _path(self, path: str) -> str:
        return os.path.join(self.mount, path)


def _timed(read: Callable[[], Value]) -> Timed[Value]:
    began = monotonic()
    value = read()
    return Timed((began + monotonic()) / 2, value)


def _contents(path: str, directory: int | None = None) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        chunks = []
        while chunk := os.read(fd, _CHUNK):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks).decode("utf-8", "surrogateescape")


def _domain(line: str, names: dict[str, str]) -> Domain:
    domid, *pairs = line.split(" ")
    of = dict(pair.split("=", 1) for pair in pairs)
    limit, reason = of["memory/max"], of["shutdown_reason"]
    return Domain(
        int(domid), of["uuid"], names.get(domid, ""), of["state"], of["type"], int(of["cpupool"]),
        int(of["cpu_time_ns"]), int(of["memory/current_kb"]), None if limit == "max" else int(limit),
        int(of["max_vcpu_id"]) + 1, int(of["nr_online_vcpus"]), "" if reason == "-" else reason,
    )  # fmt: skip


def _added(sum: Traffic, is_network: bool, of: dict[str, int]) -> Traffic:
    if is_network:
        return sum._replace(
            networks=sum.networks + 1, rx_bytes=sum.rx_bytes + of["rx_bytes"], tx_bytes=sum.tx_bytes + of["tx_bytes"]
        )
    return sum._replace(
        disks=sum.disks + 1, reads=sum.reads + of["rd_req"], writes=sum.writes + of["wr_req"],
        read_bytes=sum.read_bytes + of["rd_sect"] * _SECTOR, written_bytes=sum.written_bytes + of["wr_sect"] * _SECTOR,
        no_room=sum.no_room + of.get("oo_req", 0),
    )  # fmt: skip


def _vcpu(line: str) -> Vcpu:
    number, *pairs = line.split(" ")
    of = dict(pair.split("=", 1) for pair in pairs)
    return Vcpu(int(number), of["online"] == "1", of["state"], int(of["cpu"]), int(of["cpu_time_ns"]))


def _kb(pages: int | None) -> int | None:
    return None if pages is None else pages * _PAGE_KB


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
