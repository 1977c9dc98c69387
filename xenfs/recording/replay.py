"""A recorded Xen as a backend: it answers what was asked when the recording was made, and nothing else."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from xenfs.abi.numbers import Hypercall
from xenfs.hypervisor.base import Backend
from xenfs.pool import Pool, SimulatedPages
from xenfs.recording.recorder import Answer, Question, Recording, question, reached
from xenfs.xenstore import Xenstore


class Mismatch(Exception):
    """Something was asked that the recording has no answer to: where, and what differs.

    Not an XenfsError: no reader may take it for something that Xen said.
    """


class Replay(Backend):
    """Answers from a recording: from the section of the node in hand, in its order, else from the nearest other one.

    `unknown`, where it is set, is the errno for a question that was never recorded; Mismatch is raised otherwise.
    """

    def __init__(self, recording: Recording) -> None:
        self.recording, self.name, self.arch, self.pages = (
            recording,
            recording.backend,
            recording.arch,
            SimulatedPages(),
        )
        self.unknown = 0
        self._pool: Pool | None = None
        self._places = {name: place for place, name in enumerate(recording.sections)}
        self._anywhere: dict[Question, list[tuple[int, Answer]]] = {}
        for place, section in enumerate(recording.sections.values()):
            for asked, answer in section.exchanges:
                self._anywhere.setdefault(asked, []).append((place, answer))
        self._place = 0
        self.section("")

    def section(self, name: str) -> None:
        """What follows belongs to this file or listing."""
        self._here = name
        self._place = self._places.get(name, self._place)
        found = self.recording.sections.get(name)
        self._left = list(found.exchanges) if found else []

    def attach(self, pool: Pool) -> None:
        """Told which pool the arguments lie in."""
        self._pool = pool

    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        """The result that was recorded; the bytes that Xen wrote then are written again."""
        assert self._pool is not None
        buffers = reached(self._pool, args)
        asked = question(number, args, buffers)
        answer = self._answer(asked)
        if answer is None:
            return -self.unknown
        for buf, was, data in zip(buffers, asked.memory, answer.memory, strict=True):
            if data is not None:
                kept = [(place, bytes(buf.memory[place : place + 8])) for place, _ in was.handles]
                buf.fill(data)
                for place, handle in kept:
                    buf.fill(handle, place)
        return answer.result

    def _answer(self, asked: Question) -> Answer | None:
        for index, (recorded, answer) in enumerate(self._left):
            if recorded == asked:
                del self._left[index]
                return answer
        if asked in self._anywhere:
            return self._nearest(self._anywhere[asked])
        if self.unknown:
            return None
        raise Mismatch(f"{self._here or 'start'}: {self._why(asked)}")

    def _nearest(self, answers: list[tuple[int, Answer]]) -> Answer:
        """The last one that was given up to now, else the first one after: counters do not run backwards."""
        return answers[max(0, bisect_right(answers, self._place, key=lambda each: each[0]) - 1)][1]

    def _why(self, asked: Question) -> str:
        """How the question differs from the most similar one that was recorded here."""
        name = next((call.name for call in Hypercall if call == asked.number), str(asked.number))
        similar = [recorded for recorded, _ in self._left if recorded.number == asked.number]
        if not similar:
            return f"no {name} is left in the recording"
        differences = min((list(_differences(asked, each)) for each in similar), key=len)
        return f"{name} was not recorded like this: {differences[0]}"

    def pci_devices(self) -> Sequence[str]:
        """Those of the machine that was recorded."""
        return self.recording.pci

    def xenstore(self) -> Xenstore | None:
        """What xenstore said then."""
        return None if self.recording.store is None else _ReplayedStore(self)

    @property
    def here(self) -> str:
        """The section in hand."""
        return self._here


class _ReplayedStore(Xenstore):
    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def read(self, path: str | bytes) -> bytes | None:
        found = self._answer(path.decode() if isinstance(path, bytes) else path)
        return None if found is None else found.encode("latin-1")

    def directory(self, path: str | bytes) -> list[bytes] | None:
        found = self._answer((path.decode() if isinstance(path, bytes) else path) + "/")
        return None if found is None else [name for name in found.encode("latin-1").split(b"\0") if name]

    def _answer(self, path: str) -> str | None:
        known = self._replay.recording.store or {}
        if path not in known:
            raise Mismatch(f"{self._replay.here}: xenstore was not asked for {path}")
        return known[path]


def _differences(asked: Question, recorded: Question) -> Iterator[str]:
    if asked.args != recorded.args:
        yield f"arguments {asked.args}, recorded {recorded.args}"
    if len(asked.memory) != len(recorded.memory):
        yield f"{len(asked.memory)} buffers, recorded {len(recorded.memory)}"
    for number, (now, then) in enumerate(zip(asked.memory, recorded.memory, strict=False)):
        if len(now.data) != len(then.data):
            yield f"buffer {number} has {len(now.data)} bytes, recorded {len(then.data)}"
        if now.handles != then.handles:
            yield f"handles of buffer {number} at {now.handles}, recorded {then.handles}"
        for at, (one, other) in enumerate(zip(now.data, then.data, strict=False)):
            if one != other:
                yield f"byte {at} of buffer {number} is {one:#04x}, recorded {other:#04x}"
