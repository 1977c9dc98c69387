"""A Xen that xenfs has never seen: what it is taken for, what is left out, what is said, and what is never guessed."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable

import pytest
from worlds import ARCHES, EVERYTHING, Between, Host

from xenfs import options
from xenfs.abi.numbers import Domctl, Hypercall, Sysctl
from xenfs.calls import domctl, platform, sysctl
from xenfs.calls.sysctl import physinfo
from xenfs.connect import opening
from xenfs.errors import HypercallError, StartError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.raw.operations import by_path
from xenfs.nodes.tables.base import Dir, File
from xenfs.simulator import Simulator

UNKNOWN = pytest.mark.logs("does not know Xen 4.23")
TAKEN_OUT = pytest.mark.logs("; everything that needs it is left out")


def opened(settings: str, answer: Callable[[Simulator, int, tuple[int, ...]], int | None]) -> Hypervisor:
    sim = Simulator.from_settings(settings)
    return opening.open_hypervisor(Between(sim, lambda number, args: answer(sim, number, args)))


def header(sim: Simulator, address: int) -> tuple[int, int]:
    """Command and interface version of a sysctl or domctl."""
    return struct.unpack("<II", sim.machine.at(address, 8))  # type: ignore[return-value]


@UNKNOWN
@pytest.mark.parametrize("arch", ARCHES)
def test_the_next_release_is_served_but_not_verified(arch: str) -> None:
    with Host(f"xen=4.23,arch={arch},domains=4") as host:
        shown = host.flat("xenfs/interface")
        assert shown["state"] == "unverified"
        assert shown["xen"].startswith("4.23")
        assert "taken for 4.22" in shown["doubt"]
        assert {"host", "domains", "cpupools", "version"} <= set(host.names(""))
        with Host(f"xen=4.22,arch={arch},domains=4") as known:
            assert {p.path for p in host.walk()} == {p.path for p in known.walk()}


@UNKNOWN
def test_nothing_changes_it_without_being_told() -> None:
    """Read-only, as a Xen that is not known is mounted. What can be written to then is in raw/: questions that change
    nothing, which `-o ro` leaves there, and the buffers for their answers, which are no part of Xen."""
    with Host("xen=4.23,domains=3", options=options.read_only(EVERYTHING)) as host:
        for place in host.walk():
            if isinstance(place.node, Dir) or not place.node.mode & 0o222 or not getattr(place.node, "write", None):
                continue
            assert place.path.startswith("raw/"), place.path
            operation = by_path().get(place.path.removeprefix("raw/"))
            buffer = place.path.startswith("raw/buffers/")
            assert buffer or (operation is not None and operation.only_looks), place.path


@TAKEN_OUT
@pytest.mark.logs("does not know Xen 4.23, which speaks sysctl 0x16: taken for 4.22")
def test_a_next_release_with_new_domctls() -> None:
    with Host("xen=4.23,domains=3,domctl=0x19") as host:
        assert set(host.xen.unusable) == {"domctl"}
        assert host.flat("host/info")["nr_cpus"] == "8"
        shown = host.flat("xenfs/interface")
        assert shown["domctl"] == "none"
        assert shown["no_domctl"] == "Xen 4.23: accepts no domctl interface version that xenfs knows"
        assert "domains" not in host.names("")
        before = host.counts.copy()
        with pytest.raises(HypercallError, match="accepts no domctl interface version") as caught:
            domctl.pause(host.xen, 1)
        assert caught.value.errno == errno.EOPNOTSUPP
        assert not host.asked(before), "not even tried"


@TAKEN_OUT
@pytest.mark.logs("xenfs does not know Xen 5.0; unverified")
def test_a_xen_that_only_the_stable_calls_reach() -> None:
    with Host("xen=5.0,domains=3,domctl=0x30,sysctl=0x30") as host:
        assert set(host.xen.unusable) == {"domctl", "sysctl"}
        assert set(host.names("")) == {"xenfs", "version", "hypfs", "metrics", "raw"}
        assert host.value("version/full").startswith("5.0")
        assert host.value("hypfs/buildinfo/version/major") == "5"
        for place in host.files():
            assert isinstance(place.node, File)
            place.node.produce(host.xen, place.ids)


@pytest.mark.parametrize(
    ("settings", "taken_for"),
    [
        ("xen=4.17,domctl=0x16", (4, 18)),
        ("xen=4.18,domctl=0x17", (4, 19)),
        ("xen=4.20,sysctl=0x16", (4, 21)),
        ("xen=4.19,sysctl=0x16", (4, 21)),
        ("xen=4.22,domctl=0x17,sysctl=0x15", (4, 20)),
    ],
)
@pytest.mark.logs("which belong to Xen .*: a vendor's")
def test_a_vendor_is_recognised_by_what_it_accepts(settings: str, taken_for: tuple[int, int]) -> None:
    with Host(f"{settings},domains=3") as host:
        assert not host.xen.verified
        assert not host.xen.unusable
        assert host.xen.abi.release == taken_for
        assert "a vendor's?" in host.flat("xenfs/interface")["doubt"]
        assert host.value("domains/1/uuid")


@pytest.mark.logs("which belong to no release together")
def test_numbers_of_different_releases() -> None:
    with Host("xen=4.20,domctl=0x16,sysctl=0x16,domains=3") as host:
        assert (host.xen.abi.domctl, host.xen.abi.sysctl) == (0x16, 0x16)
        assert not host.xen.verified


@TAKEN_OUT
@pytest.mark.logs("a vendor's")
@pytest.mark.parametrize(
    ("settings", "implausible"),
    [
        ("xen=4.15,domctl=0x15,sysctl=0x15", "physinfo has"),  # physinfo as before 4.17
        ("xen=4.17,domctl=0x13,sysctl=0x13", "physinfo has 0 pages"),  # and the other way round
    ],
)
def test_a_number_with_other_structs_behind_it_is_noticed(settings: str, implausible: str) -> None:
    with Host(f"{settings},domains=5") as host:
        assert "sysctl" in host.xen.unusable
        assert implausible in host.flat("xenfs/interface")["no_sysctl"]
        assert "host" not in host.names("")


@TAKEN_OUT
@pytest.mark.logs("a vendor's")
def test_a_list_with_another_stride_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fields up to cpupool agree, so the first domain looks right: only the second gives it away."""
    with Host("xen=4.17,domctl=0x14,sysctl=0x13,domains=5") as host:
        assert "sysctl" in host.xen.unusable


@UNKNOWN
@TAKEN_OUT
@pytest.mark.parametrize(
    ("member", "value", "complaint"),
    [
        ("handle", b"x" * 16, "does not know the domain that xenfs runs in"),
        ("flags", 0x1, "is said not to run"),
        ("nr_online_vcpus", 4000, "4000 of"),
        ("tot_pages", 2**50, "pages"),
    ],
)
def test_a_domain_that_cannot_be_this_one(member: str, value: int | bytes, complaint: str) -> None:
    def answer(sim: Simulator, number: int, args: tuple[int, ...]) -> int | None:
        if number != Hypercall.domctl or header(sim, args[0])[0] != Domctl.getdomaininfo:
            return None
        result = sim.hypercall(number, args)
        body = sim.machine.at(args[0], 144)[16:]
        sim.layouts.put(body, "xen_domctl_getdomaininfo", **{member: value})
        return result

    xen = opened("xen=4.23,domains=1", answer)
    assert complaint in xen.unusable.get("domctl", "")
    xen.close()


def denying(*names: Hypercall) -> Callable[[Simulator, int, tuple[int, ...]], int | None]:
    """A FLASK policy that denies every operation it knows, with the errno that a wrong version has too."""
    known = {Hypercall.sysctl: {int(c) for c in Sysctl}, Hypercall.domctl: {int(c) for c in Domctl}}

    def answer(sim: Simulator, number: int, args: tuple[int, ...]) -> int | None:
        if number not in names:
            return None
        cmd, version = header(sim, args[0])
        right = sim.machine.sysctl if number == Hypercall.sysctl else sim.machine.domctl
        if version not in (right, 0):
            return -errno.EACCES
        return -errno.EACCES if cmd in known[Hypercall(number)] else -errno.EPERM

    return answer


@pytest.mark.logs("XSM policy of this Xen denies this domain even harmless questions")
def test_a_policy_is_told_from_a_wrong_version() -> None:
    xen = opened("xen=4.17,domains=2", denying(Hypercall.sysctl, Hypercall.domctl))
    assert xen.verified
    assert not xen.unusable, "nothing is wrong with the versions"
    for ask in (lambda: sysctl.sched_id(xen), lambda: domctl.pause(xen, 1)):
        with pytest.raises(HypercallError, match="does speak interface version 0x15: the XSM policy denies") as caught:
            ask()
        assert caught.value.errno == errno.EACCES
    xen.close()


def test_a_policy_that_denies_one_thing_later() -> None:
    """Xen accepted the version before; without that, the same errno means the version."""
    refused: set[int] = set()
    backend = Between(
        Simulator.from_settings("domains=1"), lambda number, args: -errno.EACCES if number in refused else None
    )
    xen = opening.open_hypervisor(backend)
    refused |= {Hypercall.sysctl, Hypercall.platform_op}
    asked = [(lambda: sysctl.sched_id(xen), "0x15"), (lambda: platform.pcpu_info(xen, 0), "0x3000001")]
    for ask, version in asked:
        with pytest.raises(HypercallError, match=f"Xen does speak interface version {version}: the XSM policy"):
            ask()
    xen.accepted.clear()
    for ask, version in asked:
        with pytest.raises(HypercallError, match=f"does not accept interface version {version}"):
            ask()
    xen.close()


def test_lack_of_privilege_is_said() -> None:
    def refuse(number: int, args: tuple[int, ...]) -> int | None:
        return -errno.EPERM if strict and number == Hypercall.sysctl else None

    strict = False
    xen = opening.open_hypervisor(Between(Simulator.from_settings("domains=1"), refuse))
    strict = True
    with pytest.raises(HypercallError, match=r"EPERM .*this domain lacks the privilege, or the XSM policy forbids it"):
        physinfo(xen)
    xen.close()


@pytest.mark.parametrize("release", ["4.17", "4.23"])
def test_lack_of_privilege_is_no_doubt_about_a_release(release: str) -> None:
    sim = Simulator.from_settings(f"xen={release},domains=1")
    refusing = (Hypercall.sysctl, Hypercall.domctl)
    with pytest.raises(StartError, match="must run in the control domain"):
        opening.open_hypervisor(Between(sim, lambda number, args: -errno.EPERM if number in refusing else None))


def test_known_releases_are_not_examined() -> None:
    """What is known for certain costs no questions at the start."""
    with Host("xen=4.17,domains=2") as host:
        assert not host.xen.doubt
        assert "doubt" not in host.flat("xenfs/interface")
