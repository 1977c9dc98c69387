"""The traps for one program that speaks to nine releases: each is set by the simulator, and each test falls into it
when the handling is taken away. docs/compatibility.md has the list."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
from worlds import COMBINATIONS, RELEASES, Between, Host

from xenfs.abi.numbers import Hypercall
from xenfs.calls import domains, version
from xenfs.calls.sysctl import physinfo
from xenfs.connect import opening
from xenfs.errors import HypercallError
from xenfs.simulator import Simulator


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def each(request: pytest.FixtureRequest) -> Iterator[Host]:
    release, arch = request.param
    with Host(f"xen={release},arch={arch},domains=9,cpus=4") as host:
        yield host


def test_releases_that_share_their_numbers_are_told_apart() -> None:
    """4.19 and 4.20 speak domctl 0x17 and sysctl 0x15: XENVER_version decides."""
    found = []
    for release in ("4.19", "4.20"):
        with Host(f"xen={release},domains=1") as host:
            abi = host.xen.abi
            found.append((abi.release, abi.domctl, abi.sysctl, host.xen.verified))
    assert found == [((4, 19), 0x17, 0x15, True), ((4, 20), 0x17, 0x15, True)]


def test_a_missing_domain_is_never_its_neighbour(each: Host) -> None:
    """Up to 4.17 getdomaininfo answers with the next domain that exists."""
    taken = {info.domain for info in domains.infos(each.xen)}
    free = next(domid for domid in range(max(taken)) if domid not in taken) if max(taken) > len(taken) else None
    for domid in (free, max(taken) + 1, 0x7FF0, 0x7FFF):
        if domid is not None:
            assert domains.info_now(each.xen, domid) is None, domid


def test_a_gap_between_domains_is_a_gap() -> None:
    for release in ("4.14", "4.17", "4.18", "4.22"):
        with Host(f"xen={release},domains=4") as host:
            low, high = sorted(info.domain for info in domains.infos(host.xen))[1:3]
            host.write(f"domains/{low}/kill", "1")
            host.advance(600)
            assert not host.has(f"domains/{low}")
            assert domains.info_now(host.xen, low) is None
            assert domains.info_now(host.xen, high) is not None


def test_the_list_has_the_stride_of_its_release(each: Host) -> None:
    """104 or 112 bytes, 112 or 120 on Arm; up to offset 96 a wrong one looks right in the first domain."""
    for info in domains.infos(each.xen):
        alone = domains.info_now(each.xen, info.domain)
        assert alone is not None
        assert alone._replace(cpu_time=0) == info._replace(cpu_time=0)


def test_physinfo_moved_in_its_middle(each: Host) -> None:
    info, machine = physinfo(each.xen), each.world.host
    assert (info.total_pages, info.max_mfn) == (machine.total_pages, machine.max_mfn)
    assert any(info.hw_cap) == machine.x86


@pytest.mark.parametrize("release", RELEASES)
def test_the_stable_domctl_has_a_version_of_its_own(release: str) -> None:
    """get_domain_state (4.21) wants interface version 0, and xenfs asks it of one domain, never of all."""
    with Host(f"xen={release},domains=3") as host:
        own = domains.unique_id(host.xen, 1)
        assert (own != 0) == (release in ("4.21", "4.22"))
        assert (host.counts["domctl get_domain_state"] > 0) == (own != 0)


def test_its_refusal_is_not_taken_for_a_wrong_version() -> None:
    refusing = False

    def answer(number: int, args: tuple[int, ...]) -> int | None:
        return -errno.EACCES if refusing and number == Hypercall.domctl else None

    xen = opening.open_hypervisor(Between(Simulator.from_settings("xen=4.22,domains=2"), answer))
    refusing = True
    with pytest.raises(HypercallError, match="outside the versions") as caught:
        domains.unique_id(xen, 1)
    assert "does not accept interface version" not in str(caught.value)
    assert not xen.unusable
    xen.close()


def test_long_version_strings_are_whole_where_xen_has_them_whole(each: Host) -> None:
    """extraversion is cut at 15 bytes, changeset at 63; from 4.20 on there are forms without a limit."""
    long = each.xen.abi.release >= (4, 20)
    version.extra(each.xen)
    asked = each.counts
    assert (asked["xen_version extraversion2"] > 0) == long
    if long:
        assert not asked["xen_version extraversion"]


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_absence_has_many_faces(code: int) -> None:
    """Compiled out is ENOSYS up to 4.21 and often EOPNOTSUPP in 4.22: both leave the directory out."""
    backend = Between(
        Simulator.from_settings("xen=4.22,domains=1"),
        lambda number, args: -code if number == Hypercall.hypfs_op else None,
    )
    with Host(backend=backend) as host:
        assert "hypfs" not in host.names("")
        assert "params" not in host.names("host")


@pytest.mark.logs("has no sysctl at all")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_whole_hypercall_may_be_missing(code: int) -> None:
    """CONFIG_SYSCTL, from 4.21 on: no version is wrong then, and nothing is unverified."""
    backend = Between(
        Simulator.from_settings("xen=4.22,domains=2"),
        lambda number, args: -code if number == Hypercall.sysctl else None,
    )
    with Host(backend=backend) as host:
        assert host.xen.verified
        assert set(host.xen.unusable) == {"sysctl"}
        assert "built without it" in host.flat("xenfs/interface")["no_sysctl"]
        assert "host" not in host.names("")
