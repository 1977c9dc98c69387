"""Faults on purpose: what the rules say, which call they strike, and what comes of it above the seam."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from collections.abc import Callable

import pytest
from patience import PATIENCE_S
from worlds import Host

from xenfs.abi.numbers import Hypercall
from xenfs.calls import domains, domctl, many, memory, sysctl, version
from xenfs.connect import opening
from xenfs.errors import PoolError, StartError, XenfsError
from xenfs.faults import Faulty, Plan, parse
from xenfs.faults.naming import MEMORY, Asked, asked, names
from xenfs.pool import Pool, SimulatedPages
from xenfs.simulator import Simulator


class FaultyHost(Host):
    """A host whose hypercalls fail by rule, from now on."""

    def __init__(self, rules: str, settings: str = "domains=12") -> None:
        super().__init__(settings, wrap=lambda sim: Faulty(sim, parse(rules)))
        self.faulty: Faulty = self.xen.backend  # type: ignore[assignment]
        self.faulty.begin()


def code_of(work: Callable[[], object]) -> int:
    try:
        work()
    except XenfsError as problem:
        return problem.errno
    return 0


# The rules


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rule"),
        ("seed=7", "no rule"),
        ("domctl:pausedomain", "an operation and a fault"),
        ("domctl:pausedomian EBUSY", "'domctl:pausedomian'"),
        ("bogus EBUSY", "'bogus'"),
        ("domctl:pausedomain EWHAT", "'EWHAT'"),
        ("domctl:pausedomain strerror", "'strerror'"),
        ("domctl:pausedomain delay", "'delay'"),
        ("domctl:pausedomain delay=5", "'delay=5'"),
        ("domctl:pausedomain hang=x", "'hang=x'"),
        ("domctl:pausedomain EBUSY 0%", "'0%'"),
        ("domctl:pausedomain EBUSY 101%", "'101%'"),
        ("domctl:pausedomain EBUSY x", "'x'"),
        ("domctl:pausedomain EBUSY domain=five", "'domain=five'"),
        ("domctl:pausedomain EBUSY sometimes", "'sometimes'"),
        ("pool:take hang", "can only refuse"),
        ("seed=x; * EIO", "'seed=x'"),
    ],
)
def test_rules_that_make_no_sense(text: str, words: str) -> None:
    with pytest.raises(StartError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert caught.value.errno == errno.EINVAL


def test_every_word_of_a_rule() -> None:
    plan = parse("domctl EBUSY 25% x3 after=2 domain=5; * delay=200ms\n sysctl:physinfo hang; at-start; seed=9")
    first, second, third = plan.rules
    assert (first.pattern, first.code, first.chance, first.most, first.after, first.domid) == (
        "domctl:*", errno.EBUSY, 0.25, 3, 2, 5,
    )  # fmt: skip
    assert (second.pattern, second.kind, second.seconds) == ("*", "delay", 0.2)
    assert (third.kind, third.seconds) == ("hang", None)
    assert plan.at_start
    assert parse("xen_version version").rules[0].code == errno.EACCES


def strikes(plan: Plan, name: str, domid: int | None = None, times: int = 20) -> list[int]:
    return [at for at in range(times) if plan.struck(Asked(name, domid))]


def test_after_so_many_and_at_most_so_many() -> None:
    assert strikes(parse("sysctl:physinfo EIO after=4 x3"), "sysctl:physinfo") == [4, 5, 6]


def test_one_domain_and_no_other() -> None:
    plan = parse("domctl EIO domain=5")
    assert strikes(plan, "domctl:pausedomain", 4) == []
    assert strikes(plan, "domctl:pausedomain", 5, 3) == [0, 1, 2]
    assert strikes(plan, "sysctl:physinfo", None) == []


def test_the_same_seed_is_the_same_luck() -> None:
    rules = "sysctl EIO 30%; domctl EBUSY 50%"
    assert strikes(parse(rules), "sysctl:physinfo", times=200) == strikes(parse(rules), "sysctl:physinfo", times=200)
    assert strikes(parse(rules), "sysctl:physinfo", times=200) != strikes(
        parse(f"{rules}; seed=2"), "sysctl:physinfo", times=200
    )
    assert 30 < len(strikes(parse(rules), "sysctl:physinfo", times=200)) < 90


def test_every_hypercall_is_not_the_pool() -> None:
    plan = parse("* EIO; pool:take ENOMEM x1")
    assert [rule.text for rule in plan.struck(MEMORY)] == ["pool:take ENOMEM x1"]


def test_a_delay_and_an_end_go_together() -> None:
    plan = parse("* delay=1ms; * EIO; * ENOMEM")
    assert [rule.text for rule in plan.struck(Asked("sysctl:physinfo"))] == ["* delay=1ms", "* EIO"]


# Which call


def test_every_call_of_the_whole_tree_has_the_name_that_the_ledger_gives_it() -> None:
    """All files are read; told from the bytes alone, each call is what whoever made it says that it is."""
    seen: list[str] = []
    known = set(names())

    class Listening(Faulty):
        def hypercall(self, number: int, args: tuple[int, ...]) -> int:
            assert self._pool is not None
            seen.append(asked(number, args, self._pool).name)
            return super().hypercall(number, args)

    with Host("domains=4,profile=full", wrap=lambda sim: Listening(sim, parse("kexec_op EIO"))) as host:
        for place in host.files():
            code_of(lambda place=place: place.node.produce(host.xen, place.ids))  # type: ignore[attr-defined]
        ledger = {":".join(name.split(" ")[:2]) for name, _ in host.xen.calls.tallies()} - {"sysctl:(probe)"}
    assert set(seen) - {"sysctl:65535", "domctl:65535"} == ledger
    assert set(seen) - {"sysctl:65535", "domctl:65535"} <= known
    assert len(ledger) > 50


def test_what_no_release_knows_has_a_number() -> None:
    with Pool(SimulatedPages()) as pool, pool.take(64) as buf:
        buf.fill((0xFFFF).to_bytes(4, "little"))
        with pool.admitted((buf,)) as (at,):
            assert asked(Hypercall.sysctl, (at,), pool) == Asked("sysctl:65535")
        assert asked(Hypercall.sysctl, (3,), pool).name == "sysctl:?"
        assert asked(99, (), pool).name == "hypercall:99"


# What comes of it


def test_an_errno_is_xens_answer_and_xen_does_nothing() -> None:
    with FaultyHost("domctl:pausedomain EBUSY") as host:
        before = host.counts.copy()
        assert code_of(lambda: domctl.pause(host.xen, 3)) == errno.EBUSY
        assert host.world.domains[3].pause_count == 0
        assert host.asked(before) == {}
        assert dict(host.xen.calls.tallies())["domctl pausedomain"].errors == 1


def test_only_who_asks_about_that_domain_hears_of_it() -> None:
    with FaultyHost("domctl:getdomaininfo EIO domain=5") as host:
        assert code_of(lambda: domains.info_now(host.xen, 5)) == errno.EIO
        assert domains.info_now(host.xen, 4) is not None
        assert not domains.infos(host.xen)[0].dying


def test_nothing_fails_before_the_mount_is_there() -> None:
    host = Host("domains=2", wrap=lambda sim: Faulty(sim, parse("sysctl ENOMEM")))
    with host:
        assert sysctl.physinfo(host.xen).nr_cpus == 8
        host.xen.backend.begin()
        assert code_of(lambda: sysctl.physinfo(host.xen)) == errno.ENOMEM


@pytest.mark.logs("sysctl interface version", "does not accept the interface versions")
def test_from_the_start_a_version_that_is_not_spoken() -> None:
    plan = parse("sysctl version; at-start")
    xen = opening.open_hypervisor(Faulty(Simulator.from_settings("domains=2"), plan))
    assert "sysctl" in xen.unusable
    assert xen.abi.domctl
    xen.close()


def test_a_page_that_faults_once_is_made_good() -> None:
    with FaultyHost("sysctl:physinfo EFAULT x2; domctl:pausedomain EFAULT x1") as host:
        assert sysctl.physinfo(host.xen).nr_cpus == 8
        assert host.xen.pool.stat()["efault_retries"] == 2
        assert code_of(lambda: domctl.pause(host.xen, 3)) == errno.EFAULT, "which may not be made twice"


def test_three_faults_are_too_many() -> None:
    with FaultyHost("sysctl:physinfo EFAULT") as host:
        assert code_of(lambda: sysctl.physinfo(host.xen)) == errno.EFAULT


def test_one_of_a_batch() -> None:
    with FaultyHost("domctl:getvcpuinfo EFAULT x1 after=2; domctl:getvcpuinfo ENOMEM x1 after=24") as host:
        vcpus = [(domid, 0) for domid in sorted(host.world.domains)]
        plain = many.vcpu_times(host.xen, vcpus)
        assert len(plain) == len(vcpus)
        assert None not in plain
        assert host.xen.pool.stat()["efault_retries"] == 1
        assert code_of(lambda: many.vcpu_times(host.xen, vcpus)) == errno.ENOMEM
        assert None not in many.vcpu_times(host.xen, vcpus)


def test_the_whole_of_a_batch() -> None:
    with FaultyHost("multicall EIO x1") as host:
        assert code_of(lambda: memory.maximum_ram_page(host.xen)) == errno.EIO
        assert memory.maximum_ram_page(host.xen) > 0


def test_the_pool_without_memory() -> None:
    with FaultyHost("pool:take ENOMEM x2") as host:
        for _ in range(2):
            with pytest.raises(PoolError) as caught:
                sysctl.physinfo(host.xen)
            assert caught.value.errno == errno.ENOMEM
        assert sysctl.physinfo(host.xen).nr_cpus == 8
        assert host.xen.pool.stat()["in_use"] == 0


def test_a_delay_passes() -> None:
    with FaultyHost("xen_version:version delay=30ms") as host:
        began = time.monotonic()
        assert version.release(host.xen) == (4, 17)
        assert time.monotonic() - began >= 0.03


def test_what_hangs_is_let_go() -> None:
    with FaultyHost("domctl:destroydomain hang") as host:
        thread = threading.Thread(target=lambda: domctl.destroy(host.xen, 3), daemon=True)
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        assert [name for _, name, _, _ in host.xen.calls.running()] == ["domctl destroydomain"]
        assert host.xen.pool.stat()["in_use"] == 1
        assert domains.info_now(host.xen, 3) is not None, "others go on"
        host.faulty.release()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert host.world.domains[3].dying
        assert host.xen.pool.stat()["in_use"] == 0


def test_a_hang_for_a_time() -> None:
    with FaultyHost("domctl:destroydomain hang=20ms") as host:
        domctl.destroy(host.xen, 3)
        assert host.world.domains[3].dying


def test_garbled_is_what_xen_wrote_and_nothing_else() -> None:
    with FaultyHost("sysctl:physinfo garbled x1") as host:
        spoiled = sysctl.physinfo(host.xen)
        plain = sysctl.physinfo(host.xen)
        assert (spoiled.nr_cpus, spoiled.total_pages) != (plain.nr_cpus, plain.total_pages)


def test_short_is_the_beginning() -> None:
    with FaultyHost("xen_version:extraversion* short x1") as host:
        short, plain = version.extra(host.xen), version.extra(host.xen)
        assert plain.startswith(short)
        assert len(short) < len(plain)


@pytest.mark.parametrize("kind", ["garbled", "short"])
@pytest.mark.parametrize("release", ["4.14", "4.22"])
def test_whatever_xen_answers_costs_no_more_than_that_read(kind: str, release: str) -> None:
    """Every file of the tree, each answer spoiled: an errno, nonsense, or one of Python's errors about numbers that do
    not fit, which the boundary makes EIO. It all ends, nothing is kept, and then all is as it was."""
    with FaultyHost(f"* {kind}", f"xen={release},domains=5") as host:
        rules = host.faulty.plan.rules
        host.faulty.plan.rules = []
        places = list(host.files())
        for _ in range(3):
            host.faulty.plan.rules = rules
            for place in places:
                with contextlib.suppress(XenfsError, ValueError, LookupError, ArithmeticError):
                    place.node.produce(host.xen, place.ids)  # type: ignore[attr-defined]
        host.faulty.plan.rules = []
        assert host.xen.pool.stat()["in_use"] == 0
        assert sysctl.physinfo(host.xen).nr_cpus == 8
        assert len(host.value("domains/stat").splitlines()) == 5


# On the command line


def test_never_by_accident() -> None:
    with pytest.raises(StartError) as caught:
        opening.faulty("auto", "* EIO")
    assert "simulator" in str(caught.value)
    made = opening.faulty("simulator:domains=3", "* EIO")
    assert isinstance(made, Faulty)
    made.close()
