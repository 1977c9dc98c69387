"""The seam: what goes through it is admitted, counted, timed, and made again where a page faulted."""

from __future__ import annotations

import errno
import random
import threading
from collections.abc import Callable, Iterator

import pytest
from patience import PATIENCE_S
from worlds import Between, Host

from xenfs import abi
from xenfs.abi.numbers import Domctl, Hypercall, Xenver
from xenfs.abi.operations import Operation, operation
from xenfs.calls import domctl, hypfs, sysctl
from xenfs.calls.multicall import MULTICALL, in_a_row, multicall
from xenfs.errors import HypercallError, PoolError
from xenfs.hypervisor.base import Backend, Hypervisor
from xenfs.hypervisor.ledger import Ledger
from xenfs.pool import Pool, SimulatedPages
from xenfs.simulator import Simulator

VERSION = operation(Xenver.version)
PHYSINFO = sysctl.PHYSINFO


class Scripted(Backend):
    """Answers with what it was given, or what a function makes of the arguments."""

    name, arch = "scripted", "x86_64"

    def __init__(self, *answers: int | Callable[[tuple[int, ...]], int], faults: bool = False) -> None:
        self.pages = SimulatedPages()
        self.pages.faults = faults
        self.answers = list(answers)
        self.calls: list[tuple[int, tuple[int, ...]]] = []

    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        self.calls.append((number, args))
        answer = self.answers.pop(0)
        return answer(args) if callable(answer) else answer


@pytest.fixture
def over() -> Iterator[Callable[..., Hypervisor]]:
    """A hypervisor over a scripted backend."""
    made: list[Hypervisor] = []

    def make(*answers: int | Callable[[tuple[int, ...]], int], faults: bool = False) -> Hypervisor:
        backend = Scripted(*answers, faults=faults)
        xen = Hypervisor(backend, Pool(backend.pages, check=True), abi.load((4, 17), "x86_64"))
        made.append(xen)
        return xen

    yield make
    for xen in made:
        xen.close()


def tally(xen: Hypervisor, name: str) -> tuple[int, int]:
    found = dict(xen.calls.tallies())[name]
    return found.count, found.errors


def test_results_and_errors(over: Callable[..., Hypervisor]) -> None:
    xen = over(7, -errno.EINVAL, 0)
    assert xen.hypercall(VERSION, 0, 0) == 7
    with pytest.raises(HypercallError, match="xen_version version: EINVAL") as caught:
        xen.hypercall(VERSION, 0, 0)
    assert (caught.value.errno, caught.value.operation) == (errno.EINVAL, "xen_version version")
    assert xen.hypercall(VERSION, 0, 0) == 0
    assert tally(xen, "xen_version version") == (3, 1)
    assert xen.calls.total == 3


def test_addresses_go_down_and_buffers_stay_up(over: Callable[..., Hypervisor]) -> None:
    xen = over(0)
    with xen.pool.take(64) as buf:
        xen.hypercall(PHYSINFO, buf)
    ((number, (address,)),) = xen.backend.calls  # type: ignore[attr-defined]
    assert number == Hypercall.sysctl
    assert address > 2**20


def test_a_released_buffer_reaches_no_hypervisor(over: Callable[..., Hypervisor]) -> None:
    xen = over()
    buf = xen.pool.take(64)
    buf.release()
    with pytest.raises(PoolError):
        xen.hypercall(PHYSINFO, buf)
    assert xen.backend.calls == []  # type: ignore[attr-defined]
    assert xen.calls.running() == []


@pytest.mark.parametrize(
    ("code", "op", "hint"),
    [
        (errno.EACCES, PHYSINFO, "does not accept interface version 0x15"),
        (errno.EACCES, operation(Domctl.max_mem), "does not accept interface version 0x15"),
        (errno.EPERM, PHYSINFO, "privilege"),
        (errno.ENOSYS, VERSION, "does not have the operation"),
        (errno.EOPNOTSUPP, PHYSINFO, "does not have the operation"),
    ],
)
def test_hints(over: Callable[..., Hypervisor], code: int, op: Operation, hint: str) -> None:
    with pytest.raises(HypercallError, match=hint):
        over(-code).hypercall(op, 0)


def test_a_page_that_faults_once_is_tried_again(over: Callable[..., Hypervisor]) -> None:
    xen = over(-errno.EFAULT, 5, faults=True)
    assert xen.hypercall(PHYSINFO, 0) == 5
    assert xen.pool.stat()["efault_retries"] == 1
    assert tally(xen, "sysctl physinfo") == (1, 0)


def test_two_tries_more_and_then_no_more(over: Callable[..., Hypervisor]) -> None:
    xen = over(*[-errno.EFAULT] * 3, faults=True)
    with pytest.raises(HypercallError, match="EFAULT"):
        xen.hypercall(PHYSINFO, 0)
    assert len(xen.backend.calls) == 3  # type: ignore[attr-defined]
    assert xen.pool.stat()["efault_retries"] == 2


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EAGAIN, errno.ENOSYS, errno.EPERM])
def test_no_other_error_is_tried_again(over: Callable[..., Hypervisor], code: int) -> None:
    xen = over(-code, 0, faults=True)
    with pytest.raises(HypercallError):
        xen.hypercall(PHYSINFO, 0)
    assert len(xen.backend.calls) == 1  # type: ignore[attr-defined]


def test_pages_that_cannot_fault_are_not_tried_again(over: Callable[..., Hypervisor]) -> None:
    xen = over(-errno.EFAULT, 0)
    with pytest.raises(HypercallError):
        xen.hypercall(PHYSINFO, 0)
    assert len(xen.backend.calls) == 1  # type: ignore[attr-defined]


UNREPEATABLE = [
    domctl.PAUSEDOMAIN,
    domctl.UNPAUSEDOMAIN,
    domctl.DESTROYDOMAIN,
    sysctl.DEBUG_KEYS,
    sysctl.CLEARCONSOLE,
    sysctl.CPU_HOTPLUG,
    hypfs.WRITE,
    MULTICALL,
    operation(Domctl.createdomain),
]


@pytest.mark.parametrize("op", UNREPEATABLE, ids=repr)
def test_what_may_not_be_done_twice_is_never_tried_again(over: Callable[..., Hypervisor], op: Operation) -> None:
    xen = over(-errno.EFAULT, 0, faults=True)
    with pytest.raises(HypercallError, match="EFAULT"):
        xen.hypercall(op, 0)
    assert len(xen.backend.calls) == 1  # type: ignore[attr-defined]
    assert xen.pool.stat()["efault_retries"] == 0


def test_the_whole_tree_on_pages_that_fault_all_the_time() -> None:
    """Calls fault first, in no order: everything reads all the same, and a pause is made at most once."""
    sim, chance, faulted = Simulator.from_settings("domains=3,profile=full"), random.Random(1), [False]

    def often(number: int, args: tuple[int, ...]) -> int | None:
        faulted[0] = not faulted[0] and chance.random() < 0.6
        return -errno.EFAULT if faulted[0] else None

    with Host(backend=Between(sim, often, faults=True)) as host:
        for place in host.files():
            place.node.produce(host.xen, place.ids)  # type: ignore[attr-defined]
        assert host.xen.pool.stat()["efault_retries"] > 100
        while sim.world.domains[1].pause_count == 0:
            try:
                host.write("domains/1/freeze", "1")
            except HypercallError as problem:
                assert problem.errno == errno.EFAULT  # noqa: PT017
        assert sim.world.domains[1].pause_count == 1


@pytest.mark.parametrize(("op", "made"), [(PHYSINFO, 2), (sysctl.DEBUG_KEYS, 1)])
def test_members_of_a_batch_that_fault_are_made_again_where_they_may(
    over: Callable[..., Hypervisor], op: Operation, made: int
) -> None:
    """Xen answers 0 to the batch, and EFAULT, in the entry, to the second of its calls."""
    batches: list[int] = []

    def batch(args: tuple[int, ...]) -> int:
        address, count = args
        entries = xen.pool.locate(address, count * 64).cast("Q")
        batches.append(count)
        for at in range(count):
            entries[8 * at + 1] = 2**64 - errno.EFAULT if count == 3 and at == 1 else 10 * count + at
        return 0

    xen = over(batch, batch, faults=True)
    with xen.pool.take(64) as one, xen.pool.take(64) as two:
        results = multicall(xen, [(VERSION, (0, one)), (op, (two,)), (VERSION, (0, 0))])
    assert batches == [3, 1][:made]
    assert results == [30, 10 if made == 2 else -errno.EFAULT, 32]
    assert xen.pool.stat()["efault_retries"] == made - 1


@pytest.mark.parametrize(("op", "made"), [(PHYSINFO, 2), (sysctl.DEBUG_KEYS, 1)])
def test_a_row_in_which_one_faulted_is_made_again_where_it_may(
    over: Callable[..., Hypervisor], op: Operation, made: int
) -> None:
    """Each entry is of the operation, and points to its own struct; the second faults at first."""
    batches: list[list[tuple[int, int]]] = []

    def batch(args: tuple[int, ...]) -> int:
        address, count = args
        entries = xen.pool.locate(address, count * 64).cast("Q")
        batches.append([(entries[8 * at], entries[8 * at + 2]) for at in range(count)])
        for at in range(count):
            entries[8 * at + 1] = 2**64 - errno.EFAULT if len(batches) == 1 and at == 1 else at
        return 0

    xen = over(batch, batch, faults=True)
    with xen.pool.take(3 * 48) as structs:
        results = in_a_row(xen, op, structs, 48, 3)
        start = int(structs.address)
    assert batches == [[(op.hypercall, start + 48 * at) for at in range(3)]] * made
    assert results == [0, 1 if made == 2 else -errno.EFAULT, 2]
    assert xen.pool.stat()["efault_retries"] == made - 1


def test_calls_in_flight_are_shown_while_they_run(over: Callable[..., Hypervisor]) -> None:
    entered, leave = threading.Event(), threading.Event()

    def wait(args: tuple[int, ...]) -> int:
        entered.set()
        assert leave.wait(PATIENCE_S)
        return 3

    xen = over(wait)
    thread = threading.Thread(target=xen.hypercall, args=(domctl.MAX_MEM, 0), kwargs={"domid": 9})
    thread.start()
    assert entered.wait(PATIENCE_S)
    try:
        ((number, name, domid, age),) = xen.calls.running()
        assert (name, domid) == ("domctl max_mem", 9)
        assert age >= 0
        assert xen.calls.total == 0
        assert list(xen.calls.log_since(0)) == []
    finally:
        leave.set()
        thread.join(PATIENCE_S)
    assert xen.calls.running() == []
    ((logged, line),) = xen.calls.log_since(0)
    assert logged == number
    assert f"{number} " in line
    assert "domctl:max_mem domain=9 result=3 ns=" in line


def test_a_backend_that_raises_leaves_nothing_in_flight(over: Callable[..., Hypervisor]) -> None:
    def explode(args: tuple[int, ...]) -> int:
        raise ZeroDivisionError

    xen = over(explode)
    with pytest.raises(ZeroDivisionError), xen.pool.take(64) as buf:
        xen.hypercall(PHYSINFO, buf)
    assert xen.calls.running() == []
    assert xen.pool.stat()["in_use"] == 0


def test_a_question_is_seen_as_every_call_is(over: Callable[..., Hypervisor]) -> None:
    """The quick way: counted, made again after a fault, refused in the same words, and nothing stays in flight."""
    asked: list[bytes] = []

    def answer(args: tuple[int, ...]) -> int:
        memory = xen.pool.locate(args[0], 4)
        asked.append(bytes(memory))
        assert [name for _, name, _, _ in xen.calls.running()] == ["sysctl physinfo"]
        assert xen.calls.using(xen.pool.in_flight(args[0])) is not None  # type: ignore[arg-type]
        memory[0] += 1
        return 0

    def explode(args: tuple[int, ...]) -> int:
        raise ZeroDivisionError

    xen = over(-errno.EFAULT, answer, -errno.EPERM, explode, faults=True)
    assert xen.ask(PHYSINFO, b"abcd") == b"bbcd"
    assert (asked, xen.pool.stat()["efault_retries"]) == ([b"abcd"], 1)
    with pytest.raises(HypercallError, match="privilege"):
        xen.ask(PHYSINFO, b"abcd")
    assert tally(xen, "sysctl physinfo") == (2, 1)
    with pytest.raises(ZeroDivisionError):
        xen.ask(PHYSINFO, b"abcd")
    xen.unusable["sysctl"] = "not here"
    with pytest.raises(HypercallError, match="not here"):
        xen.ask(PHYSINFO, b"abcd")
    assert len(xen.backend.calls) == 4  # type: ignore[attr-defined]
    assert (xen.calls.running(), xen.pool.stat()["in_use"]) == ([], 0)


def test_totals_from_many_threads(over: Callable[..., Hypervisor]) -> None:
    xen = over(*[lambda args: args[0]] * 4000)
    threads = [threading.Thread(target=lambda: [xen.hypercall(VERSION, 1) for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert tally(xen, "xen_version version") == (4000, 0)
    numbers = [number for number, _ in xen.calls.log_since(0)]
    assert len(set(numbers)) == len(numbers) == 1024


def test_tallies_keep_the_longest_time() -> None:
    ledger = Ledger()
    for ago in (5_000_000, 1_000_000, 3_000_000):
        from time import perf_counter_ns

        started = perf_counter_ns() - ago
        ledger.end(ledger.begin(VERSION, None, started), VERSION, None, 0, started)
    ((name, found),) = ledger.tallies()
    assert name == "xen_version version"
    assert 5_000_000 <= found.max_ns < found.total_ns
    assert found.total_ns >= 9_000_000


def test_log_is_a_ring_that_goes_on() -> None:
    ledger = Ledger()
    for _ in range(3000):
        ledger.end(ledger.begin(VERSION, None, 0), VERSION, None, -errno.ESRCH, 0)
    numbers = [number for number, _ in ledger.log_since(0)]
    assert numbers == list(range(1977, 3001))
    assert [number for number, _ in ledger.log_since(2998)] == [2999, 3000]
    assert list(ledger.log_since(3000)) == []
    assert "xen_version:version domain=- result=ESRCH" in next(ledger.log_since(0))[1]


def test_missing_is_what_xen_does_not_have(over: Callable[..., Hypervisor]) -> None:
    xen = over(-errno.ENOSYS, -errno.EOPNOTSUPP, -errno.EINVAL, -errno.EPERM)
    for op in (PHYSINFO, VERSION, domctl.MAX_MEM, sysctl.NUMAINFO):
        with pytest.raises(HypercallError):
            xen.hypercall(op, 0)
    assert xen.calls.missing() == [("sysctl physinfo", "ENOSYS"), ("xen_version version", "EOPNOTSUPP")]


def test_the_record_as_files() -> None:
    with Host("domains=2,hypfs=off") as host:
        host.value("host/info")
        host.value("version/major")
        stat = dict(line.split(" ", 1) for line in host.value("xenfs/calls/stat").splitlines())
        assert {"sysctl:physinfo", "xen_version:version", "domctl:getdomaininfo"} <= stat.keys()
        pairs = dict(pair.split("=") for pair in stat["sysctl:physinfo"].split())
        assert list(pairs) == ["count", "errors", "total_ns", "max_ns"]
        assert int(pairs["count"]) >= 1
        assert "hypfs_op read ENOSYS" in host.value("xenfs/missing").splitlines()
        assert host.value("xenfs/calls/in_flight") == ""
        assert "sysctl:physinfo domain=- result=0" in host.value("xenfs/calls/log")
        host.value("domains/1/uuid")
        assert "domctl:getdomaininfo domain=1 result=0" in host.value("xenfs/calls/log").splitlines()[-1]


def test_nothing_is_asked_while_nobody_asks(host: Host) -> None:
    before = host.counts.copy()
    for path in (
        "xenfs/version",
        "xenfs/options",
        "xenfs/error_log",
        "xenfs/buffers/stat",
        "xenfs/calls/stat",
        "xenfs/nodes",
    ):
        host.read(path)
    assert not host.asked(before)


def test_who_stops_to_wait_as_a_call_ends_breaks_nothing() -> None:
    """The loop takes back what is to be called, in the middle of the end of a call in a thread."""
    rung: list[bool] = []

    class TakenBack(Ledger):
        """There at the first look and never again."""

        looks = 0

        @property
        def ended(self) -> Callable[[], object] | None:  # type: ignore[override]
            self.looks += 1
            return (lambda: rung.append(True)) if self.looks == 1 else None

        @ended.setter
        def ended(self, ended: Callable[[], object] | None) -> None:
            pass

    ledger, op = TakenBack(), PHYSINFO
    ledger.end(ledger.begin(op, None, 0), op, None, 0, 0)
    assert rung == [True]
    assert ledger.last == 1
