"""What may be set of a domain: its claim, paging pool, PoD target, cpupool, UUID, end; and what x86 tells of it."""

from __future__ import annotations

import errno

import pytest
from worlds import COMBINATIONS, Host

UUID = "01234567-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize(("release", "arch"), COMBINATIONS)
def test_who_has_what(release: str, arch: str) -> None:
    with Host(f"xen={release},arch={arch}") as host:
        x86 = arch == "x86_64"
        for name in ("address_size", "tsc/mode"):
            assert host.has(f"domains/1/{name}") == x86
        assert not host.has("domains/0/tsc"), "Xen does not pause the caller"
        assert not host.has("domains/2/address_size"), "a guest that is not PV chooses for itself"
        assert host.has("domains/3/memory/pod/target") == x86
        pool = x86 or release not in ("4.14", "4.15", "4.16")
        assert host.has("domains/3/memory/paging_pool_bytes") == pool
        assert host.has("domains/1/memory/paging_pool_bytes") == (not x86 and pool), "a PV domain has none"
        for path in ("memory/claim", "memory/max_gpfn", "cpupool", "shutdown", "resume"):
            assert host.has(f"domains/1/{path}")


def test_claim(host: Host) -> None:
    path, pages = "domains/2/memory/claim", 4 * (host.world.domains[2].max_pages - host.world.domains[2].tot_pages)
    host.write(path, str(pages))
    assert host.value(path) == str(pages)
    host.write(path, "512")
    assert host.value(path) == "512"
    assert host.world.claimed_pages == 128
    assert host.refused(path, str(pages + 4)) == errno.ERANGE
    assert host.value(path) == "512"
    host.write(path, "0")
    assert host.value(path) == "0"
    assert host.world.claimed_pages == 0


def test_a_claim_that_does_not_fit_leaves_the_one_before(host: Host) -> None:
    path = "domains/2/memory/claim"
    host.write(path, "512")
    host.write("domains/2/memory/max", "max")
    assert host.refused(path, str(2**33)) == errno.ENOMEM
    assert host.value(path) == "512"


@pytest.mark.parametrize("release", ["4.16", "4.17"])
def test_paging_pool(release: str) -> None:
    with Host(f"xen={release}") as host:
        path = "domains/3/memory/paging_pool_bytes"
        assert host.value(path) == str(4 << 20)
        host.write(path, str(8 << 20))
        assert host.value(path) == str(8 << 20)
        asked = {"domctl shadow_op"} if release == "4.16" else {"domctl get_paging_mempool_size"}
        before = host.counts.copy()
        host.read(path)
        assert asked <= set(host.asked(before))
        if release == "4.16":
            assert host.refused(path, "4096") == errno.EINVAL
        else:
            assert host.refused(path, str(1 << 43)) == errno.ENOMEM


def test_populate_on_demand(host: Host) -> None:
    domain = host.world.domains[3]
    domain.kept["pod_entries"] = 1000
    start = domain.tot_pages
    host.world.give_pages(domain, start - 500)
    assert host.value("domains/3/memory/pod/entries") == "4000"
    host.write("domains/3/memory/pod/target", str(4 * start))
    assert host.value("domains/3/memory/pod/target") == str(4 * start)
    assert host.value("domains/3/memory/pod/cache") == "2000"
    assert host.refused("domains/3/memory/pod/target", str(4 * domain.max_pages + 4)) == errno.ERANGE


def test_moving_between_cpupools(host: Host) -> None:
    host.write("domains/1/cpupool", "1")
    assert host.value("domains/1/cpupool") == "1"
    assert "1" in host.value("cpupools/1/domains").splitlines()
    assert host.refused("domains/1/cpupool", "7") == errno.ERANGE
    assert host.refused("domains/0/cpupool", "1") == errno.EPERM
    host.write("domains/0/cpupool", "0")
    host.world.pools.create(6, 5)
    assert host.refused("domains/1/cpupool", "5") == errno.EINVAL


def test_a_new_uuid_is_the_same_life(host: Host) -> None:
    place = host.at("domains/1/uuid")
    host.put(place, UUID.upper().encode())
    assert host.value("domains/1/uuid") == UUID
    assert place.node.produce(host.xen, place.ids) == f"{UUID}\n".encode()  # type: ignore[attr-defined]
    assert host.at("domains/1").ids == place.ids
    assert UUID in host.names("domains/by-uuid")


def test_shutdown_and_resume(host: Host) -> None:
    host.write("domains/1/shutdown", "crash")
    assert host.value("domains/1/state") == "crashed"
    host.write("domains/1/shutdown", "poweroff")
    assert host.value("domains/1/shutdown_reason") == "crash", "the first reason stays"
    host.write("domains/1/resume", "1")
    assert host.value("domains/1/shutdown_reason") == ""
    for path, text in (("domains/0/shutdown", "poweroff"), ("domains/0/resume", "1")):
        assert host.refused(path, text) == errno.EINVAL
    assert host.value("domains/0/shutdown_reason") == ""


def test_what_x86_tells(host: Host) -> None:
    assert host.value("domains/1/address_size") == "64"
    assert host.value("domains/1/tsc/mode") == "default"
    assert host.value("domains/1/tsc/khz") == host.value("host/cpu_khz")
    assert host.value("domains/1/tsc/incarnation") == "0"
    first = int(host.value("domains/1/tsc/elapsed_ns"))
    host.advance(1)
    assert int(host.value("domains/1/tsc/elapsed_ns")) - first == 10**9


def test_max_gpfn(host: Host) -> None:
    assert host.value("domains/1/memory/max_gpfn") == str(host.world.domains[1].tot_pages - 1)
