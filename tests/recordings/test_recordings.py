"""What real Xens answered, replayed for every node, and held against what the simulator pretends.

Recorded with scripts/record in a dom0 of scripts/on-xen, on Debian's hypervisors, with a PV and a PVH guest (PVH only
on arm64). After a change of what a node asks: record again. Until then its pattern is in pending.txt; one that
asks what was asked then, such as another member of a struct, needs no line there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from replayed import FILES, is_pending, pattern, pending, recorded, replay
from worlds import Host

from xenfs.connect.opening import open_hypervisor
from xenfs.connect.sanity import doubts
from xenfs.errors import errno_name
from xenfs.nodes.tables.base import Dir, File, Stream
from xenfs.nodes.tables.contents import Shown, about_xen
from xenfs.pool import Buffer, Pool
from xenfs.recording.recorder import Question, Recording
from xenfs.recording.replay import Replay

# What the simulator has beyond Debian's Xen, on purpose.
SIMULATOR_ONLY = re.compile(
    r"(host|hypfs)/params/pretended-.*"  # of types that no real parameter happens to have
    r"|host/smt"  # QEMU's two CPUs are no threads of one core
    r"|host/sockets/<n>/ppin"  # which emulated processors lack
)
BARE = ("4.19", "4.22")  # recorded where there was no toolstack to start a guest with
XEN_VERSION, SIZED = 17, range(11, 15)  # asked with a buffer that is as long as what the real Xen says there
FLAT = re.compile(r"host/info|.*/info|version/compile_info|.*/meminfo")
OR_A_WORD = re.compile(r"host/power/max_c.*")  # a number or "unlimited", as its processor has it
NESTED = re.compile(r"domains/stat|.*/vcpu_stat")
ids = [path.name.removesuffix(".json.gz") for path in FILES]
each_recording = pytest.mark.parametrize("path", FILES, ids=ids)


@cache
def load(path: Path) -> Recording:
    return Recording.load(path)


@cache
def now_of(path: Path) -> tuple[list[Shown], list[str]]:
    """What the tree shows now of a recorded host, and which entries it cannot show: they ask what was not asked."""
    newer: list[str] = []
    return replay(load(path), newer), newer


def simulated(path: Path) -> Host:
    """A pretended host of the same release and architecture, about as large, and built as Debian builds Xen."""
    release, arch = path.name.removesuffix(".json.gz").split("-")
    guests = 3 if arch == "x86_64" else 2
    lacking = "sharing=off,iommu=off,efi=off,livepatches=0" + (",livepatch=off" if arch == "arm64" else "")
    host = Host(f"xen={release},arch={arch},nodes=1,cpus=2,domains={guests},memory=4,cpufreq=emulated,{lacking}")
    if release in BARE:
        _never_run(host)
    return host


def _never_run(host: Host) -> None:
    """The guests as they are between their creation and their start: no vCPU was ever given registers."""
    for domain in host.world.domains_from(1):
        host.world.placement.stop(domain, host.world.clock.ticks())
        for vcpu in domain.existing():
            vcpu.online = False
        domain.info = None


def test_real_xens_were_recorded() -> None:
    assert set(ids) == {
        "4.14-x86_64",
        "4.17-x86_64",
        "4.19-x86_64",
        "4.20-x86_64",
        "4.22-x86_64",
        "4.17-arm64",
        "4.20-arm64",
    }
    assert sum(path.stat().st_size for path in FILES) < 3_000_000


def test_what_is_recorded_is_not_pending() -> None:
    """An entry that every recording has needs no exception any more."""
    common = set.intersection(*({pattern(shown.path) for shown in recorded(load(path))} for path in FILES))
    assert not sorted(filter(is_pending, common)), f"of {pending()}"


def not_recorded(path: Path) -> set[str]:
    """Patterns of what is newer than a recording, asks what was not asked then, and is not pending."""
    known = {pattern(then.path) for then in recorded(load(path))}
    return {each for each in map(pattern, now_of(path)[1]) if not is_pending(each)} - known


def test_what_is_not_recorded_is_pending() -> None:
    """Of all recordings at once: one line that is missing is one failure."""
    unknown = sorted(set().union(*map(not_recorded, FILES)))
    assert not unknown, f"not recorded: run scripts/record, or note in {FILES[0].parent.name}/pending.txt: {unknown}"


@each_recording
def test_every_node_shows_what_it_showed(path: Path) -> None:
    recording = load(path)
    now = {shown.path: shown for shown in now_of(path)[0]}
    for then in recorded(recording):
        assert then.path in now, f"{then.path} is not there any more"
        assert now[then.path] == then
        assert then.error in (None, "ENOENT"), f"{then.path} could not be read: {then.error}"


@each_recording
def test_a_real_xen_is_plausible(path: Path) -> None:
    """What an unknown Xen is judged by does not doubt a real one."""
    if "sanity" not in load(path).sections:
        pytest.skip("made before recordings had this")
    backend = Replay(load(path))
    xen = open_hypervisor(backend, pool_check=True)
    xen.recent.furthest = 1  # as when it was recorded
    backend.section("sanity")
    assert doubts(xen) == {}
    assert xen.verified
    xen.close()


@each_recording
def test_nothing_in_it_identifies_a_machine(path: Path) -> None:
    """No network address, and UUIDs only as the scrubbing made them up."""
    recording = load(path)
    texts = [name + (section.text or "") for name, section in recording.sections.items()]
    every = "\n".join([*texts, *map(str, (recording.store or {}).items())])
    assert not re.findall(r"\b(?!00:16:3e:00:00:00)(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b(?!:)(?<!:.{17})", every)
    for found in re.findall(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", every):
        assert found.startswith("00000000-0000-"), found


@each_recording
def test_the_simulator_has_the_same_nodes(path: Path) -> None:
    with simulated(path) as host:
        pretended = {pattern(p.path) for p in host.walk() if about_xen(p.path) and not isinstance(p.node, Dir)}
    real = {pattern(shown.path) for shown in (*recorded(load(path)), *now_of(path)[0])}
    assert not sorted(real - pretended), "a real Xen has more"
    odd = {each for each in pretended - real - not_recorded(path) if not SIMULATOR_ONLY.fullmatch(each)}
    assert not sorted(each for each in odd if not is_pending(each)), "the simulator has more"


@each_recording
def test_the_simulator_has_the_same_keys_and_kinds(path: Path) -> None:
    with simulated(path) as host:
        pretended: dict[str, set[tuple[str, ...]]] = {}
        for place in host.files():
            if about_xen(place.path) and not isinstance(place.node, Stream):
                assert isinstance(place.node, File)
                text = place.node.produce(host.xen, place.ids).decode("utf-8", "surrogateescape")
                pretended.setdefault(pattern(place.path), set()).update(shape(place.path, text))
    odd = []
    for shown in recorded(load(path)):
        known = pretended.get(pattern(shown.path))
        if known and shown.text:
            odd += [(shown.path, each, sorted(known)) for each in shape(shown.path, shown.text) if each not in known]
    assert not odd


def shape(path: str, text: str) -> Iterator[tuple[str, ...]]:
    """What stays of a text when its values are taken out; nothing of an empty one."""
    lines = text.splitlines()
    if FLAT.fullmatch(path):
        yield tuple(line.split(" ", 1)[0] for line in lines)
    elif NESTED.fullmatch(path):
        for line in lines:
            yield tuple(word.split("=")[0] for word in line.split(" ")[1:])
    elif len(lines) == 1 and not OR_A_WORD.fullmatch(path):
        yield (kind(lines[0]),)


def kind(value: str) -> str:
    """A coarse type of a single value."""
    if re.fullmatch(r"-?\d+", value):
        return "number"
    return "hex" if re.fullmatch(r"0x[0-9a-f]+", value) else "text"


@each_recording
def test_the_simulator_answers_the_same_questions(path: Path) -> None:
    """Every question of the recording, byte for byte: the same errno, or success in both."""
    asked = {each: answer.result for section in load(path).sections.values() for each, answer in section.exchanges}
    odd = []
    with simulated(path) as host:
        for question, real in asked.items():
            if question.number == XEN_VERSION and int(question.args[0]) in SIZED:
                continue
            pretended = ask(host, question)
            if (real < 0 or pretended < 0) and real != pretended:
                odd.append(f"{describe(question)}: real {outcome(real)}, simulator {outcome(pretended)}")
    assert not odd


def ask(host: Host, question: Question) -> int:
    """Make a recorded hypercall once more, here."""
    pool: Pool = host.xen.pool
    buffers: list[Buffer] = [pool.take(len(memory.data)) for memory in question.memory]
    try:
        for buf, memory in zip(buffers, question.memory, strict=True):
            buf.fill(memory.data)
            for place, number in memory.handles:
                buf.fill(int(buffers[number].address).to_bytes(8, "little"), place)
        raw = [int(buffers[int(arg[1:])].address) if isinstance(arg, str) else arg for arg in question.args]
        return host.sim.hypercall(question.number, tuple(raw))
    finally:
        for buf in buffers:
            buf.release()


def describe(question: Question) -> str:
    """A question for a person."""
    head = question.memory[0].data[:24].hex(" ", 4) if question.memory else ""
    return f"hypercall {question.number} {question.args} {head}"


def outcome(result: int) -> str:
    return errno_name(-result) if result < 0 else str(result)
