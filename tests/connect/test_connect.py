"""Finding out which Xen this is: the release, the interface versions it accepts, and what to say when it does not."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from worlds import ARCHES, RELEASES, Between, Host

from xenfs.abi.numbers import Hypercall
from xenfs.connect import opening
from xenfs.errors import StartError
from xenfs.hypervisor import privcmd
from xenfs.simulator import Simulator

Answer = Callable[[int, tuple[int, ...]], int | None]


def opened(settings: str, answer: Answer = lambda number, args: None) -> opening.Hypervisor:
    return opening.open_hypervisor(Between(Simulator.from_settings(settings), answer))


def refusing(code: int, *hypercalls: Hypercall) -> Answer:
    return lambda number, args: -code if number in hypercalls else None


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("release", RELEASES)
def test_known_releases_are_verified(release: str, arch: str) -> None:
    xen = opened(f"xen={release},arch={arch},domains=1")
    assert xen.verified
    assert not xen.unusable
    assert xen.abi.release == tuple(map(int, release.split(".")))
    assert xen.abi.arch == arch
    xen.close()


def test_the_likely_numbers_are_tried_first() -> None:
    with Host("xen=4.14,domains=1") as host:
        assert host.counts["sysctl sched_id"] <= 2
        assert host.counts["domctl getdomaininfo"] <= 3


@pytest.mark.logs("does not know Xen 4.23, which speaks domctl 0x18 and sysctl 0x16: taken for 4.22, as its develop")
def test_a_release_from_the_future_is_not_verified() -> None:
    xen = opened("xen=4.23,domains=1")
    assert not xen.verified
    assert not xen.unusable
    assert (xen.abi.release, xen.abi.domctl, xen.abi.sysctl) == ((4, 22), 0x18, 0x16)
    xen.close()


@pytest.mark.logs("says it is Xen 4.17 but speaks domctl 0x16 and sysctl 0x15, which belong to Xen 4.18")
def test_numbers_of_a_vendor_that_belong_to_another_release() -> None:
    xen = opened(f"xen=4.17,domains=1,domctl={0x16},sysctl={0x15}")
    assert not xen.verified
    assert not xen.unusable
    assert (xen.abi.domctl, xen.abi.sysctl) == (0x16, 0x15)
    xen.close()


@pytest.mark.logs("accepts no domctl interface version")
@pytest.mark.logs("accepts no sysctl interface version")
@pytest.mark.logs("Xen 4.17 does not accept the interface versions of that release; unverified")
def test_numbers_that_nobody_knows() -> None:
    with Host("xen=4.17,domains=2,domctl=99,sysctl=98") as host:
        assert not host.xen.verified
        assert set(host.xen.unusable) == {"domctl", "sysctl"}
        assert host.flat("xenfs/interface")["state"] == "unverified"
        assert "no_sysctl" in host.flat("xenfs/interface")
        assert host.value("version/full").startswith("4.17")
        for place in host.files():
            place.node.produce(host.xen, place.ids)  # type: ignore[attr-defined]
        assert not {"host", "domains", "cpupools"} & set(host.names("")), "files that could only fail"


@pytest.mark.logs("Xen 4.17: this Xen has no sysctl at all: it was built without it")
def test_a_xen_without_sysctl_still_has_domains() -> None:
    with Host(backend=Between(Simulator.from_settings("domains=2"), refusing(errno.ENOSYS, Hypercall.sysctl))) as host:
        assert set(host.xen.unusable) == {"sysctl"}
        assert "host" not in host.names("")
        assert host.value("domains/1/type") == "pv"


def test_a_domain_without_privilege_is_told_so() -> None:
    backend = Between(Simulator.from_settings("domains=1"), refusing(errno.EPERM, Hypercall.sysctl, Hypercall.domctl))
    with pytest.raises(StartError, match="xenfs must run in the control domain") as caught:
        opening.open_hypervisor(backend)
    assert caught.value.errno == errno.EPERM
    assert backend.closed == 1


def test_a_hypervisor_that_does_not_answer() -> None:
    backend = Between(Simulator.from_settings("domains=1"), lambda number, args: -errno.ENOSYS)
    with pytest.raises(StartError, match="does not answer: xen_version version: ENOSYS"):
        opening.open_hypervisor(backend)
    assert backend.closed == 1


def test_versions_are_asked_for_harmlessly() -> None:
    """Nothing but xen_version, sched_id and getdomaininfo is made before the versions are known."""
    sim = Simulator.from_settings("xen=4.15,domains=1")
    xen = opening.open_hypervisor(Between(sim, lambda number, args: None))
    assert set(sim.counts) <= {"xen_version version", "sysctl sched_id", "domctl getdomaininfo"}
    xen.close()


@pytest.mark.parametrize("spec", ["xen", "simulator2", "privcmd:x", "", ":"])
def test_unknown_hypervisors(spec: str) -> None:
    with pytest.raises(StartError, match="say auto, privcmd, simulator") as caught:
        opening.backend(spec)
    assert caught.value.errno == errno.EINVAL


def test_auto_is_the_simulator_where_there_is_no_xen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "under_xen", lambda: False)
    found = opening.backend("auto")
    assert isinstance(found, Simulator)
    found.close()
    named = opening.backend("simulator:xen=4.20,domains=3")
    assert isinstance(named, Simulator)
    assert named.settings.xen == "4.20"


class TestPrivcmd:
    """The device: opened once, read by nobody, and told of in words when it cannot be."""

    def test_no_device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(privcmd, "_DEVICES", ("/nowhere/privcmd",))
        with pytest.raises(StartError, match=r"there is no /dev/xen/privcmd.*--hypervisor simulator"):
            opening.backend("privcmd")

    def test_no_permission(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: str, flags: int) -> int:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(privcmd.os, "open", refuse)
        with pytest.raises(StartError, match="run xenfs as root") as caught:
            opening.backend("privcmd")
        assert caught.value.errno == errno.EACCES

    def test_a_device_without_a_hypervisor(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(path: str, flags: int) -> int:
            raise OSError(errno.ENODEV, "No such device")

        monkeypatch.setattr(privcmd.os, "open", refuse)
        with pytest.raises(StartError, match="is this booted under Xen"):
            opening.backend("privcmd")

    def test_the_second_path_is_tried(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "privcmd").touch()
        monkeypatch.setattr(privcmd, "_DEVICES", (str(tmp_path / "none"), str(tmp_path / "privcmd")))
        opening.backend("privcmd", hypercall_device=False).close()

    def test_unknown_machines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(privcmd.platform, "machine", lambda: "riscv64")
        with pytest.raises(StartError, match="does not know Xen on riscv64"):
            opening.backend("privcmd")

    def test_the_ioctl(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        (tmp_path / "privcmd").touch()
        monkeypatch.setattr(privcmd, "_DEVICES", (str(tmp_path / "privcmd"),))
        seen: list[tuple[int, tuple[int, ...]]] = []

        def answer(fd: int, request: int, data: bytearray) -> int:
            seen.append((request, struct.unpack("=6Q", data)))
            if len(seen) > 1:
                raise OSError(errno.EACCES, "no")
            return 5

        monkeypatch.setattr(privcmd, "ioctl", answer)
        backend = opening.backend("privcmd", hypercall_device=False)
        assert backend.hypercall(35, (2**64 - 1, -1, 3)) == 5
        assert backend.hypercall(17, ()) == -errno.EACCES
        assert seen == [(0x305000, (35, 2**64 - 1, 2**64 - 1, 3, 0, 0)), (0x305000, (17, 0, 0, 0, 0, 0))]
        backend.close()

    def test_under_xen(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(privcmd, "_DEVICES", (str(tmp_path / "privcmd"),))
        assert not privcmd.under_xen()
