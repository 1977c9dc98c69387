"""xenfs on recorded answers: what it costs itself, where nothing is spent on pretending to be a Xen.

The recording has three domains. Of each further one it is told what the last of them said, with another id and UUID.
Answers to questions of one struct are found by its bytes, in a microsecond; all else is replayed as in the tests.
"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from xenfs import abi
from xenfs.abi.numbers import Domctl, Hypercall, Sysctl
from xenfs.cli import mount
from xenfs.pool import Pool
from xenfs.recording.recorder import Recording
from xenfs.recording.replay import Replay
from xenfs.xenstore import Xenstore

_HANDLE = 8


class Answers(Replay):
    """A recording of `release`, stretched to so many domains."""

    def __init__(self, recording: Recording, release: tuple[int, int], domains: int) -> None:
        super().__init__(recording)
        self.unknown = 38  # ENOSYS: it was not recorded
        self._abi, self._domains = abi.load(release, recording.arch), domains
        self._sizes: dict[int, int] = {}
        self._small: dict[int, memoryview] = {}  # a small buffer's memory stays where it is as long as its pool
        self._known: dict[tuple[int, bytes], tuple[int, bytes | None]] = {}
        for section in recording.sections.values():
            for asked, answer in section.exchanges:
                if asked.args == ("b0",) and len(asked.memory) == 1:
                    self._sizes[asked.number] = len(asked.memory[0].data)
                    self._known[asked.number, asked.memory[0].data] = answer.result, answer.memory[0]
        self._size = self._abi.sizeof("struct xen_domctl")
        self._row = self._abi.sizeof("struct xen_domctl_getdomaininfo")
        self._last = max(number for number in range(self._domains) if self._asked(number) in self._known)
        self._rows = b"".join(self._info(number) for number in range(domains))

    def xenstore(self) -> Xenstore | None:
        """None: names are not what is measured."""
        return None

    def attach(self, pool: Pool) -> None:
        """Told which pool the arguments lie in."""
        super().attach(pool)
        self._locate = pool.locate

    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        """What was recorded, or would have been with so many domains."""
        size = self._sizes.get(number)
        if size is None or len(args) != 1:
            return super().hypercall(number, args)
        memory = self._small.get(args[0])
        if memory is None or len(memory) != size:
            memory = self._small[args[0]] = self._locate(args[0], size)
        found = self._known.get((number, bytes(memory)))
        if found is not None:
            result, data = found
            if data is not None:
                memory[:] = data
            return result
        if number == Hypercall.sysctl and int.from_bytes(memory[:4], "little") == Sysctl.getdomaininfolist:
            return self._list(memory)
        return super().hypercall(number, args)

    def _list(self, memory: memoryview) -> int:
        ffi, name = self._abi.ffi, "struct xen_sysctl"
        self._abi.sizeof(name)
        view: Any = ffi.cast(f"{name} *", ffi.from_buffer(memory))
        arm = view.u.getdomaininfolist
        rows = self._rows[arm.first_domain * self._row : (arm.first_domain + arm.max_domains) * self._row]
        at = self._abi.offsetof(name, "u", "getdomaininfolist", "buffer")
        address = int.from_bytes(memory[at : at + _HANDLE], "little")
        if rows:
            self._locate(address, len(rows))[:] = rows
        arm.num_domains = len(rows) // self._row
        return 0

    def _asked(self, domid: int) -> tuple[int, bytes]:
        words = Domctl.getdomaininfo, self._abi.domctl, domid
        return Hypercall.domctl, b"".join(int(word).to_bytes(4, "little") for word in words).ljust(self._size, b"\0")

    def _info(self, domid: int) -> bytes:
        """What getdomaininfo says of one; from now on it is known."""
        asked = self._asked(domid)
        if asked not in self._known:
            _, data = self._known[self._asked(self._last)]
            assert data is not None
            made: Any = self._abi.ffi.new("struct xen_domctl *")
            whole = self._abi.ffi.buffer(made)
            whole[:] = data
            made.domain = made.u.getdomaininfo.domain = domid
            made.u.getdomaininfo.handle[0:4] = list(domid.to_bytes(4, "little"))
            self._known[asked] = 0, bytes(whole)
        _, data = self._known[asked]
        assert data is not None
        return data[16 : 16 + self._row]


def main() -> None:
    """Serve as `xenfs mount` does, with --release and --domains in the place of --hypervisor."""
    parser = ArgumentParser(description=__doc__)
    mount.add_arguments(parser)
    parser.add_argument("--recordings", type=Path, required=True)
    parser.add_argument("--release", default="4.17")
    parser.add_argument("--domains", type=int, default=1000)
    args = parser.parse_args()
    recording = Recording.load(args.recordings / f"{args.release}-x86_64.json.gz")
    release = tuple(int(part) for part in args.release.split("."))
    args.hypervisor = Answers(recording, (release[0], release[1]), args.domains)
    mount.run(args)


if __name__ == "__main__":
    main()
