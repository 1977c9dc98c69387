"""Pretended hosts for tests: a simulator whose clock the test holds, the tree on top of it, and ways to watch both."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace, TracebackType
from typing import NamedTuple
from unittest.mock import patch

from xenfs import abi
from xenfs.connect import opening
from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Backend
from xenfs.hypervisor.foreign import Foreign, Wanted
from xenfs.nodes import tree
from xenfs.nodes.tables.base import Dir, Exchange, File, Ids, Node
from xenfs.nodes.tables.refusals import Refusals
from xenfs.options import Options
from xenfs.pool import Pool, SimulatedPages
from xenfs.simulator import Simulator
from xenfs.simulator.world.world import World
from xenfs.xenstore import Xenstore

# Declarations are parsed once for each release and not for each host: most of the time of these tests goes there.
opening.abi = SimpleNamespace(load=functools.cache(abi.load))  # type: ignore[assignment]

RELEASES = tuple(f"4.{minor}" for minor in range(14, 23))
ARCHES = ("x86_64", "arm64")
COMBINATIONS = [(release, arch) for arch in ARCHES for release in RELEASES]
# The same and, of the releases where much changed, hosts with all that can be there.
MORE_COMBINATIONS = [*COMBINATIONS, *((release, "x86_64,profile=full") for release in ("4.14", "4.17", "4.22"))]
EVERYTHING = Options(lifecycle=True, debug=True, raw=True)

# What may be asked before a write is refused: none of it changes anything.
HARMLESS = frozenset({
    "sysctl physinfo", "sysctl cputopoinfo", "sysctl cpupool_op", "sysctl getdomaininfolist",
    "domctl getdomaininfo", "domctl getvcpuinfo", "domctl getvcpuaffinity", "domctl get_domain_state",
    "domctl getnodeaffinity", "sysctl numainfo", "domctl shadow_op", "domctl get_paging_mempool_size",
    "platform_op get_cpuinfo", "platform_op core_parking GET", "hypfs_op read", "sysctl pm_op GET_CPUFREQ_PARA",
    "sysctl pm_op GET_CPUFREQ_CPPC",
    "xsm_op GETENFORCE", "xsm_op GETBOOL", "xsm_op SID_TO_CONTEXT",
    "xsm_op CONTEXT_TO_SID",
    "sysctl tbuf_op get_info", "event_channel_op status",
    "sysctl pcitopoinfo", "xenpmu_op mode_get", "xenpmu_op feature_get",
    "sysctl psr_alloc", "sysctl livepatch_op", "kexec_op kexec_status", "memory_op maximum_gpfn",
    "multicall",  # what is in it counts by itself
})  # fmt: skip


class Place(NamedTuple):
    """An entry of the tree, where it is, and the ids that it was reached by."""

    path: str
    node: Node
    ids: Ids

    def __repr__(self) -> str:
        return self.path


class Clock:
    """Nanoseconds that pass when the test says so."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns


@contextmanager
def one_moment() -> Iterator[None]:
    """dom0's own clock stands still, too: what two hosts say within it can be compared."""
    now_s = 1_800_000_000
    with (
        patch("xenfs.simulator.world.world.time", lambda: now_s),
        patch("xenfs.nodes.domains.uptime.time", lambda: now_s),
        patch("time.time_ns", lambda: now_s * 10**9),
    ):
        yield


class Between(Backend):
    """A backend in front of a simulator: `answer(number, args)` may answer itself, or give None to pass it on."""

    name = "between"

    def __init__(
        self, sim: Simulator, answer: Callable[[int, tuple[int, ...]], int | None], faults: bool = False
    ) -> None:
        self.sim, self.answer, self.arch = sim, answer, sim.arch
        self.pages = SimulatedPages()
        self.pages.faults = faults
        self.closed = 0

    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        result = self.answer(number, args)
        return self.sim.hypercall(number, args) if result is None else result

    def foreign(self, domid: int, frames: Sequence[int], *, write: bool) -> Foreign:
        return self.sim.foreign(domid, frames, write=write)

    def resource(self, domid: int, wanted: Wanted) -> Foreign:
        return self.sim.resource(domid, wanted)

    def attach(self, pool: Pool) -> None:
        self.sim.attach(pool)

    def xenstore(self) -> Xenstore | None:
        return self.sim.xenstore()

    def close(self) -> None:
        self.closed += 1


class Host:
    """A simulated host with the whole tree on it; paths are read and written as FUSE would, without FUSE.

    Tests change the world behind Xen's back: names are looked up anew each time, and not as of a moment ago.
    """

    def __init__(
        self,
        settings: str = "",
        options: Options = EVERYTHING,
        backend: Backend | None = None,
        wrap: Callable[[Simulator], Backend] = lambda sim: sim,
    ) -> None:
        self.clock = Clock()
        sim = Simulator.from_settings(settings, self.clock)
        found = backend or wrap(sim)
        self.sim: Simulator = sim if backend is None else getattr(backend, "sim", backend)
        self.world: World = self.sim.world
        self.counts: Counter[str] = self.sim.counts
        self.xen = opening.open_hypervisor(found, pool_check=True)
        self.refusals = Refusals()
        self.options = options
        self.root = tree.build(self.xen, options, self.refusals)

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.xen.close()

    def advance(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.clock.ns += int(seconds * 1e9)

    def walk(self, directory: Dir | None = None, ids: Ids = (), prefix: str = "") -> Iterator[Place]:
        """Everything in the tree now, depth first."""
        if not prefix:
            self.xen.recent.forget()
        for name, node, below in list((directory or self.root).children(self.xen, ids)):
            yield Place(prefix + name, node, below)
            if isinstance(node, Dir):
                yield from self.walk(node, below, f"{prefix}{name}/")

    def files(self) -> Iterator[Place]:
        """Every file in the tree now."""
        return (place for place in self.walk() if isinstance(place.node, File))

    def at(self, path: str) -> Place:
        """The entry at a path; KeyError where there is none."""
        self.xen.recent.forget()
        node: Node = self.root
        ids: Ids = ()
        for name in path.split("/"):
            assert isinstance(node, Dir), path
            found = node.child(self.xen, ids, name)
            if found is None:
                raise KeyError(path)
            node, ids = found
        return Place(path, node, ids)

    def mkdir(self, path: str) -> None:
        """Make a directory, by what its parent does for that."""
        above, _, name = path.rpartition("/")
        place = self.at(above)
        assert isinstance(place.node, Dir)
        assert place.node.make is not None
        place.node.make(self.xen, *place.ids, name)

    def rmdir(self, path: str) -> None:
        """Remove a directory, by what it does for that."""
        place = self.at(path)
        assert isinstance(place.node, Dir)
        assert place.node.remove is not None
        place.node.remove(self.xen, *place.ids)

    def has(self, path: str) -> bool:
        """Whether there is such an entry."""
        try:
            self.at(path)
        except KeyError:
            return False
        return True

    def names(self, path: str) -> list[str]:
        """What a directory lists."""
        place = self.at(path) if path else Place("", self.root, ())
        assert isinstance(place.node, Dir)
        return [name for name, _, _ in place.node.children(self.xen, place.ids)]

    def read(self, path: str) -> str:
        """The content of a file."""
        place = self.at(path)
        assert isinstance(place.node, File)
        return place.node.produce(self.xen, place.ids).decode()

    def value(self, path: str) -> str:
        """The content of a file without its newline, which must be there."""
        text = self.read(path)
        assert text.endswith("\n") or not text
        return text.removesuffix("\n")

    def flat(self, path: str) -> dict[str, str]:
        """A flat keyed file."""
        return dict(line.split(" ", 1) for line in self.value(path).splitlines())

    def write(self, path: str, data: str | bytes) -> None:
        """One write."""
        self.put(self.at(path), data.encode() if isinstance(data, str) else data)

    def refused(self, path: str, text: str) -> int:
        """The errno of a write that has to fail."""
        try:
            self.write(path, text)
        except XenfsError as problem:
            return problem.errno
        raise AssertionError(f"{path} took {text!r}")

    def put(self, place: Place, data: bytes) -> bytes:
        """One write to an entry that was found before, noted as FUSE would; an Exchange answers."""
        node = place.node
        assert isinstance(node, File)
        with self.refusals.noting(place.path, data):
            if isinstance(node, Exchange):
                return node.ask(self.xen, place.ids, data)
            node.apply(self.xen, place.ids, data)
        return b""

    def asked(self, before: Counter[str]) -> Counter[str]:
        """What was asked of the simulator since `before`, a copy of `counts`."""
        return self.counts - before


def ask(host: Host, path: str, text: str = "") -> dict[str, str]:
    """The members of what a file of raw/ answers to a question."""
    answer = host.put(host.at(f"raw/{path}"), f"{text}\n".encode()).decode()
    return dict(line.split(" ", 1) for line in answer.splitlines())
