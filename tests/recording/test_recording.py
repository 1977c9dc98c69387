"""Recording and replaying: what goes in comes out, elsewhere in memory and from a file, and nothing else does."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from replayed import recorded, replay
from worlds import EVERYTHING, Clock

from xenfs.calls import sysctl
from xenfs.connect.opening import open_hypervisor
from xenfs.errors import XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes import tree
from xenfs.nodes.tables.contents import contents
from xenfs.nodes.tables.refusals import Refusals
from xenfs.recording.recorder import Answer, Memory, Question, Recorder, Recording, Section
from xenfs.recording.replay import Mismatch, Replay
from xenfs.recording.scrub import scrub
from xenfs.simulator import Simulator


def record(settings: str = "domains=3,cpus=2") -> Recording:
    """A recording of a simulated host."""
    recorder = Recorder(Simulator.from_settings(settings, Clock()))
    xen = open_hypervisor(recorder, pool_check=True)
    xen.recent.furthest = 1
    recorder.section("tree")
    root = tree.build(xen, EVERYTHING, Refusals())
    for shown in contents(xen, root, recorder.section):
        section = recorder.section(shown.path)
        section.text, section.error = shown.text, shown.error
    xen.close()
    return recorder.recording


@pytest.fixture(scope="module")
def made() -> Recording:
    return record()


def replaying(recording: Recording) -> tuple[Replay, Hypervisor]:
    backend = Replay(recording)
    return backend, open_hypervisor(backend, pool_check=True)


@pytest.mark.parametrize("settings", ["", "xen=4.14,arch=arm64", "xen=4.20,hypfs=off", "xen=4.22,xenstore=off"])
def test_a_replay_shows_what_was_shown(settings: str) -> None:
    made = record(f"domains=3,cpus=2,{settings}".rstrip(","))
    assert replay(made) == recorded(made)
    assert len(recorded(made)) > 100


def test_a_file_holds_all_of_it(made: Recording, tmp_path: Path) -> None:
    made.save(tmp_path / "one")
    again = Recording.load(tmp_path / "one")
    assert again == made
    again.save(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize(
    "content", [b"", b"{}", *(gzip.compress(text, mtime=0) for text in (b"[]", b'{"format": 99}', b"{}"))]
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(XenfsError, match="recording"):
        Recording.load(tmp_path / "file")


def test_no_address_is_kept(made: Recording) -> None:
    """Every argument beyond 32 bits would be one, and two recordings of the same host are the same."""
    again = record()
    for name in ("", "host/cpu_stat", "cpupools/0/cpus", "host/memory/max_mfn", "domains/0/vcpu_stat"):
        assert again.sections[name].exchanges == made.sections[name].exchanges, name
    for section in made.sections.values():
        for asked, _ in section.exchanges:
            assert all(isinstance(arg, str) or arg < 2**32 for arg in asked.args)
    asked, _ = made.sections["host/cpu_stat"].exchanges[-1]
    assert asked.memory[0].handles == ((16, 1),)


def test_handles_stay_those_of_the_caller(made: Recording) -> None:
    backend, xen = replaying(made)
    backend.section("host/cpu_stat")
    with xen.pool.take(64):  # so that the buffers lie elsewhere
        assert len(sysctl.cpu_idle_ns(xen, 2)) == 2
    xen.close()


def test_a_question_that_was_not_recorded_names_node_and_byte(made: Recording) -> None:
    backend, xen = replaying(made)
    backend.section("host/cpu_stat")
    sysctl.physinfo(xen)
    with pytest.raises(
        Mismatch, match=r"^host/cpu_stat: sysctl was not recorded like this: byte 8 of buffer 0 is 0x07"
    ):
        sysctl.cpu_idle_ns(xen, 7)
    backend.section("version/major")
    with pytest.raises(Mismatch, match=r"^version/major: no sysctl is left in the recording"):
        sysctl.free_heap(xen, 77)
    xen.close()


def test_xenstore_is_asked_nothing_new(made: Recording) -> None:
    _, xen = replaying(made)
    assert xen.store is not None
    assert xen.store.read("/local/domain/0/name") == b"Domain-0"
    with pytest.raises(Mismatch, match="/local/domain/0/memory"):
        xen.store.read("/local/domain/0/memory")
    xen.close()


def test_answers_come_in_the_order_of_the_section_then_from_the_nearest_before(made: Recording) -> None:
    asked = Question(17, (0, 0))
    sections = {
        **made.sections,
        "a": Section([(asked, Answer(1)), (asked, Answer(2))]),
        "b": Section(),
        "c": Section([(asked, Answer(3))]),
    }
    backend, xen = replaying(replace(made, sections=sections))
    backend.section("a")
    assert [backend.hypercall(17, (0, 0)) for _ in range(2)] == [1, 2]
    for section, answer in (("b", 2), ("c", 3), ("nowhere", 3)):
        backend.section(section)
        assert backend.hypercall(17, (0, 0)) == answer
    xen.close()


def test_the_script_records(tmp_path: Path) -> None:
    """scripts/record on a simulator: what it writes replays, and says whether the host was plausible."""
    script = Path(__file__).parents[2] / "scripts" / "record"
    spec = "simulator:domains=2,cpus=2"
    done = subprocess.run(
        [sys.executable, script, "out.json.gz", "--hypervisor", spec],
        env={**os.environ, "XENFS_OUT": str(tmp_path)}, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "sections" in done.stderr
    made = Recording.load(tmp_path / "out.json.gz")
    assert made.sections["sanity"].exchanges
    assert replay(made) == recorded(made)


def test_scrubbing_takes_out_what_identifies_a_machine() -> None:
    real = "7e3f1c52-9a0b-4d6e-8f11-223344556677"
    raw = bytes.fromhex(real.replace("-", ""))
    exchange = (Question(35, ("b0",), (Memory(b"ab" + raw),)), Answer(0, (b"cd" + raw + b"00:1a:2B:3c:4d:5e end",)))
    made = Recording(
        "x86_64", "privcmd",
        {
            f"domains/by-uuid/{real}": Section([exchange], "../1"),
            "domains/1/uuid": Section([], f"{real}\n"),
            "host/sockets/0/ppin": Section([exchange], "0x1\n"),
        },
        {f"/vm/{real}/name": "host 00:1a:2b:3c:4d:5e"},
    )  # fmt: skip
    clean = scrub(made)
    text = json.dumps([[*clean.sections], [s.text for s in clean.sections.values()], clean.store])
    assert real not in text
    assert raw not in b"".join(clean.sections[next(iter(clean.sections))].exchanges[0][0].memory[0][:1])
    assert not any("ppin" in name for name in clean.sections)
    assert "00:16:3e:00:00:00" in text
    answer = clean.sections[next(iter(clean.sections))].exchanges[0][1]
    assert answer.memory[0] is not None
    assert len(answer.memory[0]) == len(exchange[1].memory[0] or b"")
    assert b"3c:4d" not in answer.memory[0]
    made = scrub(record())
    assert replay(made) == recorded(made)
