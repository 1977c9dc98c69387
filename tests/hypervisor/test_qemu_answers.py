"""What a QEMU's answer is taken for, whatever it says; and who of many is asked, and waited for."""

from __future__ import annotations

import contextlib
import errno
import json
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_qemu import GREETING, answer, row

from xenfs.errors import XenfsError
from xenfs.hypervisor.qemu.disks import KEPT_S, Answers, Qemus, Told, answer_s
from xenfs.hypervisor.qemu.qmp import LONGEST, Answer, Disk, Disks, device_number

XVDA, XVDB = 51712, 51728


def heard(*pieces: bytes) -> Disks | None:
    listening = Answer()
    return next((disks for disks in map(listening.hear, pieces) if disks is not None), None)


def test_disks_by_their_numbers_and_in_sectors() -> None:
    said = answer(row("xvda-qcow2", 3, 4, 4096, 1536), row("hdb-raw", 1))
    assert heard(GREETING, said) == {XVDA: Disk(3, 4, 8, 3), 832: Disk(1, 0, 0, 0)}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_in_whatever_pieces(size: int) -> None:
    said = GREETING + b'{"timestamp": {}, "event": "RTC_CHANGE"}\r\n' + answer(row("xvdb-raw", 5))
    assert heard(*(said[at : at + size] for at in range(0, len(said), size))) == {XVDB: Disk(5, 0, 0, 0)}


@pytest.mark.parametrize(
    ("node", "emulated"),
    [("xvda-raw", "ide0-hd0"), ("hdb-raw", "ide0-hd1"), ("xvdc-raw", "ide1-hd0"), ("hdd-raw", "ide1-hd1"),
     ("sdb-raw", "scsi0-hd1"), ("xvdf-raw", "ahcidisk-5"), ("hdc-raw", "ide-5632")],
)  # fmt: skip
def test_what_an_hvm_guest_does_with_the_emulated_disk_counts_too(node: str, emulated: str) -> None:
    """As libxl names them. Of one that is no disk of the toolstack's, nothing is known."""
    number = device_number(node)
    others = row("#block1", 7, device="ide9-hd0"), row("#block2", 7, device="floppy0"), row("f", 7, device="scsi0-hd9")
    found = heard(answer(row("#block3", 1, 2, 512, 1024, device=emulated), *others, row(node, 10, 20, 5120, 10240)))
    assert found == {number: Disk(11, 22, 11, 22)}
    assert heard(answer(row("#block3", 1, device=emulated), row("xvdg-raw", 5), row("xvda1-raw", 6))) == {
        51808: Disk(5, 0, 0, 0), 51713: Disk(6, 0, 0, 0),
    }  # fmt: skip


def test_what_is_no_back_end_is_left_out() -> None:
    """What is emulated has a name of its own; a tray without a disk has nothing open."""
    empty = row("xvda-raw")
    del empty["node-name"]
    assert heard(answer(row("xvda-raw", device="ide0-hd0"), row("f"), empty)) == {}


@pytest.mark.parametrize(
    ("node", "number"),
    [
        ("xvda-raw", 51712), ("xvdb-qcow2", 51728), ("xvdp15-raw", 51967), ("xvdq-raw", (1 << 28) | (16 << 8)),
        ("xvdaa-vhd", (1 << 28) | (26 << 8)), ("hda-raw", 768), ("hdb1-raw", 833), ("hdc-raw", 5632), ("hde-raw", None),
        ("sda-raw", 2048), ("sdp15-raw", 2303), ("sdq-raw", None), ("d0p0-raw", 51712), ("d16p1-raw", (1 << 28) | 4097),
        ("d1048576p0-raw", None), ("xvda", None), ("xvda-", None), ("xvda-raw\n", None), ("XVDA-raw", None),
        ("xvd\u0430-raw", None), ("xvda\u0661-raw", None), (None, None), (7, None), ({}, None),
    ],
)  # fmt: skip
def test_numbers_as_in_the_interface(node: object, number: int | None) -> None:
    """xen-vbd-interface(7): what QEMU's own back end makes of a vdev."""
    assert device_number(node) == number


ODD_ANSWERS = [
    b"nonsense\n", b"[]\n", b"{\n", b"\xff\n", b'{"id": "xenfs"}\n', b'{"id": "xenfs", "error": {"class": "x"}}\n',
    b'{"id": "xenfs", "return": {}}\n', b'{"id": "xenfs", "return": [7]}\n', b"[" * 100_000 + b"\n",
    b'{"id": "xenfs", "return": ' + b"[" * 100_000 + b"\n", b'{"id": "xenfs", "return": [' + b"9" * 10_000 + b"]}\n",
    answer({"node-name": "xvda-raw"}), answer(row("xvda-raw", stats=[])), 
    answer(*(row(f"d{n}p0-raw") for n in range(9))).replace(b"rd_bytes", b"x"),
    answer(row("xvda-raw", -1)), answer(row("xvda-raw", 1 << 63)), answer(row("xvda-raw", True)),
    answer(row("xvda-raw", 1.5)), answer(row("xvda-raw", "1")), answer(row("xvda-raw", None)),
]  # fmt: skip


@pytest.mark.parametrize("said", ODD_ANSWERS, ids=lambda said: repr(said[:40]))
def test_what_is_no_answer_is_an_error(said: bytes) -> None:
    with pytest.raises(OSError, match="Protocol error"):
        heard(said)


def test_an_answer_ends_somewhere() -> None:
    for endless in (b"x", b"{}\n" * 10, b" " * 999, b'{"event": "x"}\r\n'):
        with pytest.raises(OSError, match="Message too long"):
            heard(*[endless] * (LONGEST // len(endless) + 1))


def test_disks_end_somewhere() -> None:
    """Each is kept until the next question. Those of 256 KB could be two thousand."""
    disks_256 = [row(f"d{n}p0-raw") for n in range(256)]
    for each in disks_256:
        each["stats"] = {name: 1 for name in ("rd_operations", "wr_operations", "rd_bytes", "wr_bytes")}
    assert len(heard(answer(*disks_256)) or {}) == 256
    with pytest.raises(OSError, match="Protocol error"):
        heard(answer(*disks_256, disks_256[0] | {"node-name": "d256p0-raw"}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
rows = st.fixed_dictionaries({}, optional={
    "device": st.sampled_from(["ide0-hd0", "ide-51712"]) | json_values,
    "node-name": st.sampled_from(["xvda-raw", "hda-raw", "d3p1-raw"]) | json_values,
    "stats": st.dictionaries(st.sampled_from(["rd_operations", "wr_operations", "rd_bytes", "wr_bytes"]), json_values)
    | json_values,
})  # fmt: skip
said_values = st.fixed_dictionaries(
    {"id": st.just("xenfs") | json_values}, optional={"return": st.lists(rows) | json_values}
)


@given(st.lists(st.binary(max_size=60) | said_values.map(lambda said: json.dumps(said).encode() + b"\n"), max_size=6))
def test_whatever_it_says_is_numbers_or_an_error(pieces: list[bytes]) -> None:
    with contextlib.suppress(OSError):
        for number, disk in (heard(*pieces) or {}).items():
            assert type(number) is int
            assert 0 <= number < 1 << 29
            assert all(type(count) is int and 0 <= count < 1 << 68 for count in disk)


class Now:
    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


class Scripted(Answers):
    """Some come at once, the others after what they need."""

    def __init__(self, told: dict[int, Told], clock: Now, needs_s: dict[int, float]) -> None:
        self._told, self._clock = told, clock
        self._at = {domid: clock.s + needs_s.get(domid, 0.0) for domid in told}
        self.closed = False

    def by(self, deadline: float) -> dict[int, Told]:
        last = max(self._at.values(), default=0.0)
        self._clock.s = max(self._clock.s, min(last, deadline))
        return {domid: told for domid, told in self._told.items() if self._at[domid] <= self._clock.s}

    def close(self) -> None:
        self.closed = True


class Host:
    """QEMUs of domains, of which some are silent, and some have no disk."""

    def __init__(self, *living: int) -> None:
        self.now, self.living = Now(), set(living)
        self.silent, self.empty, self.slow = set[int](), set[int](), set[int]()
        self.asked: list[list[int]] = []
        self.given: list[Scripted] = []
        self.qemus = Qemus(self._ask, self.now)

    def _ask(self, question: str, domids: Sequence[int]) -> Answers:
        if question == "listed":
            return Scripted({domid: Told(0, {}) for domid in self.living}, self.now, {})
        self.asked.append(list(domids))
        most = answer_s(len(domids))
        needs_s = dict.fromkeys(self.slow, 0.9 * most) | dict.fromkeys(self.silent, most)
        self.given.append(Scripted({domid: self._told(domid) for domid in domids}, self.now, needs_s))
        return self.given[-1]

    def _told(self, domid: int) -> Told:
        if domid in self.silent:
            return Told(errno.ETIMEDOUT, {})
        return Told(0, {} if domid in self.empty else {XVDA: Disk(len(self.asked), 0, 0, 0)})

    def later(self, s: float = 1.0) -> set[int]:
        """Ask after so long; who told of disks. Whether anybody waited is in `waited_s`."""
        self.now.s += s
        began = self.now.s
        found = self.qemus.of_all().keys()
        self.waited_s = self.now.s - began
        return set(found)


def test_all_are_asked_together_and_once_for_all_who_come() -> None:
    host = Host(1, 2, 3)
    assert host.later() == host.later(KEPT_S / 2) == {1, 2, 3}
    assert host.asked == [[1, 2, 3]]
    host.living = {2, 4}
    assert host.later(2 * KEPT_S) == {2, 4}
    assert host.asked[1:] == [[2, 4]]


def test_one_that_is_silent_is_waited_for_once() -> None:
    host = Host(1, 2, 3)
    host.silent = {2}
    assert host.later() == {1, 3}
    assert host.waited_s > 0
    for _ in range(100):
        assert host.later() == {1, 3}
        assert not host.waited_s, "not when it is asked again, either"
    assert host.asked.count([1, 3]) == 100
    assert 2 <= host.asked.count([2]) <= 4, "now and then"


def test_one_without_a_disk_is_asked_now_and_then() -> None:
    """QEMU of an HVM guest whose disks the kernel serves."""
    host = Host(1, 2)
    host.empty = {2}
    assert [host.later() for _ in range(50)] == [{1}] * 50
    assert sum(2 in domids for domids in host.asked) <= 3
    host.empty = set()
    assert {1, 2} in [host.later() for _ in range(50)]


def test_one_that_answers_again_is_waited_for_again() -> None:
    host = Host(1, 2)
    host.silent = {2}
    host.later()
    host.silent = set()
    assert host.later(60) == {1}, "it is asked beside the others"
    assert host.later() == host.later() == {1, 2}


@pytest.mark.parametrize("manner", ["silent", "slow"])
def test_one_that_answers_only_when_nobody_waits_costs_ever_fewer(manner: str) -> None:
    """Nor does what it has told then count, once it has been silent since."""
    host, waited = Host(1, 2, 3), list[int]()
    for scrape in range(4 * 60 * 24):
        aside = 2 in host.qemus._apart
        setattr(host, manner, set() if aside else {2})
        assert host.later(15) in ({1, 3}, {1, 2, 3})
        if host.waited_s:
            waited.append(scrape)
    assert 5 < len(waited) < 32, "once an hour"
    assert 2 <= waited[1] - waited[0] <= 6, "the first time it may have been an accident"
    assert waited[2] - waited[1] >= 4
    assert waited[-1] - waited[-2] >= 240


def test_one_that_was_slow_once_is_forgiven() -> None:
    host = Host(1, 2)
    for _ in range(10):
        host.slow = {2}
        assert host.later(2 * 86400) == {1, 2}, "what it tells in time counts"
        host.slow = set()
        assert host.later(60) == {1}
        assert host.later(15) == {1, 2}


def test_one_that_is_gone_is_forgotten() -> None:
    host = Host(1, 2)
    host.silent = {2}
    host.later()
    host.living, host.silent = {1}, set()
    assert host.later() == {1}
    assert not host.qemus._lapses
    host.living = {1, 2}
    assert host.later() == {1, 2}, "another domain of that number"


def test_one_domain_is_asked_twice_a_second_at_most_and_waits_for_nobody() -> None:
    """A reader in a loop would take half of a QEMU's time. One that is silent is waited for again after two seconds."""
    host = Host(1, 2)
    host.silent = {2}
    host.later()
    for expected in (2, 3):
        for _ in range(4):
            assert host.qemus.of(1) == {XVDA: Disk(expected, 0, 0, 0)}
            host.now.s += 0.12
        host.now.s += 0.12
    for wait_s, questions in ((0.0, 1), (1.9, 0), (0.2, 1)):
        host.now.s += wait_s
        asked = len(host.asked)
        with pytest.raises(XenfsError, match="does not answer") as said:
            host.qemus.of(2)
        assert said.value.errno == errno.ETIMEDOUT
        assert len(host.asked) - asked == questions
    assert all(given.closed for given in host.given)


@pytest.mark.parametrize("end", [False, True])
def test_no_counter_goes_back_and_none_is_the_next_domains(end: bool) -> None:
    """Two ask at once, and the one who asked first is answered last; meanwhile the domain may have ended."""
    host, early = Host(1), list[Disks]()
    plain = host.qemus._ask

    def late(question: str, domids: Sequence[int]) -> Answers:
        answers = plain(question, domids)
        host.qemus._ask = plain
        if end:
            host.qemus.forget(1)
        else:
            host.now.s += 0.01
            early.append(host.qemus.of(1))
        return answers

    host.qemus._ask = late
    first = host.qemus.of(1)
    then = host.qemus.of(1)
    assert then[XVDA].rd_req > first[XVDA].rd_req
    assert end or then == early[0]


def test_answers_of_single_domains_are_not_kept_for_ever() -> None:
    host = Host()
    for domid in range(5000):
        host.qemus.of(domid)
    assert len(host.qemus._recent) <= 1024


def test_one_domain_does_not_wait_for_who_asks_all() -> None:
    host = Host(1, 2)
    goes_on = threading.Event()
    plain = host.qemus._ask

    def hanging(question: str, domids: Sequence[int]) -> Answers:
        if len(domids) > 1:
            assert goes_on.wait(60)
        return plain(question, domids)

    host.qemus._ask = hanging
    all_of_them = threading.Thread(target=host.qemus.of_all)
    all_of_them.start()
    assert host.qemus.of(1)
    goes_on.set()
    all_of_them.join(60)


def test_nobody_to_ask() -> None:
    def gone(question: str, domids: Sequence[int]) -> Answers:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    qemus = Qemus(gone)
    assert not qemus.there(1)
    for ask in (lambda: qemus.of(1), lambda: qemus.of_all()):
        with pytest.raises(XenfsError, match="is gone"):
            ask()
