"""Every `when=` of the tables: some Xen lacks what it guards, and there the entry would mislead if it were shown.

In each world below everything is looked at, and what guards hide as well. What is really there must read, and take a
write, without a word of absence. Below each guard that hides something, at least one file must not: so a guard that is
taken away fails here as what is really there, and one that no world needs fails as well. raw/ has tests of its own.
"""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from worlds import EVERYTHING, Host

from xenfs.abi.operations import Operation
from xenfs.errors import BadInput, HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes import tree
from xenfs.nodes.tables.base import Dir, Each, Exchange, File, Ids, Node, Stream
from xenfs.nodes.tables.conditions import ABSENT, Condition
from xenfs.nodes.tables.refusals import Refusals

WORLDS = [
    "xen=4.14", "xen=4.14,arch=arm64", "xen=4.17", "xen=4.17,profile=bare", "xen=4.17,arch=arm64,profile=bare",
    "xen=4.17,profile=full", "xen=4.22,profile=full", "xen=4.22,arch=arm64,profile=full", "xen=4.22,pm=off",
    "hypfs=off,sharing=off,kexec=off,efi=off,iommu=off", "cpufreq=none", "livepatch=off,dom0=pvh",
    "processor=intel,psr=on", "flask=on", "xenstore=off",
]  # fmt: skip
WRITTEN = {  # "1" elsewhere
    "inject_event": "2 nmi 0 - 0", "inject_msi": "0xfee00000 0x41", "fork_reset": "state memory", "mode": "off",
    "trigger": "power", "pirq": "+5", "gsi": "+5", "ioport": "+0x3f8-0x3ff", "debug_exception": "on", "vmexit": "on",
}  # fmt: skip
# What refuses by itself, without a question, where the guard hides it, or is empty there.
NAMED: dict[str, set[str]] = {
    "xen=4.14,arch=arm64": {
        "host/pci", "host/microcode", "host/dt_overlay", "domains/<d>/dt_overlay",
        "domains/<d>/address_size", "domains/<d>/hvm/context.d", "domains/<d>/passthrough",
        "domains/<d>/soft_reset", "domains/<d>/fork_reset", "domains/<d>/hvm/altp2m",
        "domains/<d>/vcpus/<v>/altp2m_view", "domains/<d>/vcpus/<v>/msrs", "domains/<d>/memory/machine",
        *(f"domains/<d>/monitor/{each}" for each in (
            "cpuid", "debug_exception", "desc_access", "emul_unimplemented", "inguest_pagefault", "mov_to_msr",
            "singlestep", "software_breakpoint", "write_ctrlreg",
        )),
    },
    "xenstore=off": {"domains/device_stat", "domains/<d>/devices"},
    "xen=4.14": {
        "domains/<d>/monitor/io", "domains/<d>/monitor/vmexit", "host/cpus/<c>/cpufreq/cppc", "host/microcode/force",
    },
    "xen=4.17": {
        *(f"domains/<d>/vcpus/<v>/vmtrace/{each}" for each in ("options", "position")),
        "domains/<d>/monitor/privileged_call", "domains/<d>/psr/mon", "domains/<d>/psr/schemata",
        *(f"host/psr/sockets/<s>/{each}" for each in ("L2", "L3", "MB")),
    },
}  # fmt: skip
# What every simulated Xen has, or lacks only below another guard.
ASKED = {
    "host", "domains", "cpupools", "version/build_id", "host/trace", "host/vm_event_version", "host/sockets/<s>/ppin",
    "host/pci/<sbdf>/reserved_memory", "host/firmware/efi/rt_version", "host/firmware/efi/vendor",
    "domains/<d>/passthrough/pci", "domains/<d>/passthrough/dt", "flask/avc/cache_stats",
    "domains/<d>/grants", "domains/<d>/monitor", "domains/<d>/vcpus/<v>/debug/paused",
    *(f"domains/<d>/psr/mon/<s>/{each}" for each in ("llc_occupancy", "mbm_local_bytes", "mbm_total_bytes")),
    *(f"host/cpuid/featuresets/{each}" for each in ("host", "hvm", "hvm_max", "pv", "pv_max", "raw")),
    *(f"host/cpuid/policies/{each}" for each in ("host", "hvm_default", "hvm_max", "pv_default", "pv_max", "raw")),
}  # fmt: skip
# AMD's CPUs cannot, and Xen says so of a try alone.
ONLY_TRIED = "domains/<d>/vcpus/<v>/debug/single_step"
# Asked of many at once it is empty where it is absent; asked of one it says so.
EITHER = {"domains/<d>/hvm/context.d"}
ENOUGH = 4  # of a sort: the control domain, a PV guest, a PVH guest and an HVM guest among them


class Place(NamedTuple):
    """An entry, its ids, its pattern in the reference, and the guard that hides it (empty: none does)."""

    node: Node
    ids: Ids
    pattern: str
    guard: str


class Lifted(tree._Cut):
    """A cut that leaves in what guards hide."""

    def _wanted(self, node: Node) -> bool:
        return self._options.has(node.option)


class Look:
    """One world: what guards hide there, and what is absent below which of them; "" is what is really there."""

    def __init__(self, settings: str) -> None:
        self.hiding: set[str] = set()  # of what is met there: nothing is, of things that there are none of
        self.absent: dict[str, list[str]] = defaultdict(list)
        with Host(f"{settings},domains=5,cpus=2") as host:
            self._host = host
            self.lacking = {guard for guard, when in guards().items() if not holds(when, host.xen)}
            root = Lifted(host.xen, EVERYTHING).node(tree.whole(EVERYTHING, Refusals()), ())
            assert isinstance(root, Dir)
            found = list(self._below(root, (), "", ""))
            for place in found:
                self._read(place)
            self._write_all(sorted(found, key=lambda place: not place.guard))  # some writes end a domain

    def _below(self, directory: Dir, ids: Ids, above: str, guard: str) -> Iterator[Place]:
        for entry in directory.entries:
            pattern = above + (entry.name if isinstance(entry, Node) else entry.label)
            if pattern == "raw":
                continue
            for node, own in self._found(entry, ids, pattern, guard):
                hidden = guard or self._guard(node, pattern)
                if not self._exists(node, own, pattern, hidden):
                    continue
                yield Place(node, own, pattern, hidden)
                if isinstance(node, Dir):
                    yield from self._below(node, own, f"{pattern}/", hidden)

    def _found(self, entry: Node | Each, ids: Ids, pattern: str, guard: str) -> list[tuple[Node, Ids]]:
        if isinstance(entry, Node):
            return [(entry, ids)]
        things: list[tuple[str, Any]] = []
        with self._noting(pattern, guard):
            things = list(entry.list(self._host.xen, *ids))
        return [(entry.shape(ident), (*ids, ident)) for _, ident in things[:ENOUGH]]

    def _guard(self, node: Node, pattern: str) -> str:
        if node.when is None or node.when(self._host.xen):
            return ""
        self.hiding.add(pattern)
        return pattern

    def _exists(self, node: Node, ids: Ids, pattern: str, guard: str) -> bool:
        with self._noting(pattern, guard):
            return node.exists(self._host.xen, ids)
        return False

    def _read(self, place: Place) -> None:
        node = place.node
        if isinstance(node, File) and node.read and not isinstance(node, (Exchange, Stream)):
            with self._noting(place.pattern, place.guard):
                node.produce(self._host.xen, place.ids)

    def _write_all(self, places: list[Place]) -> None:
        """What only takes writes, and what is hidden: absent is what no domain or CPU has."""
        refused: dict[tuple[str, str], list[str]] = defaultdict(list)
        for node, ids, pattern, guard in places:
            if isinstance(node, File) and node.write and (guard or not node.read):
                refused[guard, pattern].append(self._refusal(node, ids))
        for (guard, pattern), problems in refused.items():
            if all(problems):
                self.absent[guard].append(f"{pattern}: {problems[0]}")

    def _refusal(self, node: File, ids: Ids) -> str:
        text = WRITTEN.get(node.name, "1").encode()
        try:
            node.ask(self._host.xen, ids, text) if isinstance(node, Exchange) else node.apply(self._host.xen, ids, text)
        except XenfsError as problem:
            return repr(problem) if problem.errno in ABSENT and not isinstance(problem, BadInput) else ""
        except Exception as problem:
            return repr(problem)
        return ""

    @contextmanager
    def _noting(self, pattern: str, guard: str) -> Iterator[None]:
        try:
            yield
        except Exception as problem:
            self.absent[guard].append(f"{pattern}: {problem!r}")


@pytest.fixture(scope="module")
def looks() -> dict[str, Look]:
    return {settings: Look(settings) for settings in WORLDS}


def test_nothing_that_is_there_is_absent(looks: dict[str, Look]) -> None:
    absent = {(settings, each) for settings, look in looks.items() for each in look.absent[""]}
    assert {each for each in absent if not each[1].startswith(ONLY_TRIED)} == set()


def test_every_guard_hides_what_would_mislead(looks: dict[str, Look]) -> None:
    hiding = {guard for look in looks.values() for guard in look.hiding}
    needed = {guard for look in looks.values() for guard in look.absent} - {""}
    for settings, named in NAMED.items():
        assert named <= looks[settings].hiding, f"what {settings} lacks is there"
    assert (hiding - needed) | EITHER == set().union(*NAMED.values()) | EITHER, (
        "guards without need: take them away, or name them in NAMED"
    )
    assert guards().keys() >= ASKED


def test_what_every_simulated_xen_has_is_not_there_where_it_is_refused(
    looks: dict[str, Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    lacking = {guard for look in looks.values() for guard in look.lacking}
    with Host("domains=4,cpus=2") as host:

        def refuse(op: Operation, *_: object, **__: object) -> int:
            raise HypercallError(op, errno.ENOSYS)

        monkeypatch.setattr(host.xen, "_made", refuse)
        assert [each for each, when in guards().items() if each not in lacking and when(host.xen)] == []


def holds(when: Condition, xen: Hypervisor) -> bool:
    """Below a guard that hides, others may ask what this Xen has no struct for."""
    try:
        return when(xen)
    except AttributeError:
        return False


def guards() -> dict[str, Condition]:
    """The `when=` of all entries that have one, by the pattern of the entry."""

    def below(directory: Dir, above: str) -> Iterator[tuple[str, Condition]]:
        for entry in directory.entries:
            shapes = (entry,) if isinstance(entry, Node) else entry.shapes or (entry.node,)
            name = entry.name if isinstance(entry, Node) else entry.label
            for shape in shapes:
                assert isinstance(shape, Node)
                if shape.when is not None:
                    yield above + name, shape.when
                if isinstance(shape, Dir):
                    yield from below(shape, f"{above}{name}/")

    whole = below(tree.whole(EVERYTHING, Refusals()), "")
    return {guard: when for guard, when in whole if not guard.startswith("raw")}
