"""What is about a domain as a whole: all its vCPUs at once, pauses of others, its limit, who is meant by a name."""

from __future__ import annotations

import errno

import pytest
from worlds import Host

from xenfs.errors import XenfsError


def refused(host: Host, path: str, text: str) -> XenfsError:
    with pytest.raises(XenfsError) as caught:
        host.write(path, text)
    return caught.value


def test_the_affinity_of_all_vcpus() -> None:
    with Host("cpus=8,nodes=2") as host:
        at = f"domains/{host.world.create(vcpus=3).domid}"
        for which in ("hard", "soft"):
            name = f"{at}/affinity_{which}"
            assert host.value(name) == "0-7"
            host.write(name, "node:0,^1")
            assert host.value(name) == "0,2-3"
            assert {host.value(f"{at}/vcpus/{vcpu}/affinity_{which}") for vcpu in range(3)} == {"0,2-3"}
            host.write(f"{at}/vcpus/1/affinity_{which}", "2")
            assert host.value(name) == "0 0,2-3\n1 2\n2 0,2-3"
            host.write(name, "+1")
            assert host.value(name) == "0 0-3\n1 1-2\n2 0-3"
        problem = refused(host, f"{at}/affinity_hard", "7")
        assert "none of these CPUs is in cpupool 0" in str(problem)
        assert host.value(f"{at}/affinity_hard") == "0 0-3\n1 1-2\n2 0-3"


def test_freeze_looks_again() -> None:
    with Host() as host:
        domain = host.world.create()
        at = f"domains/{domain.domid}/freeze"
        host.write(at, "1")
        domain.pause_count += 1  # somebody else's
        domain.info = None
        problem = refused(host, at, "0")
        assert problem.errno == errno.EBUSY
        assert "others hold it still" in str(problem)
        assert host.value(at) == "1"
        host.write(at, "0")
        assert host.value(at) == "0"


def test_who_clears_away_what_is_over_pauses_it() -> None:
    """As xl does with a guest that has crashed as soon as it ran again."""
    with Host() as host:
        domain = host.world.create()
        at = f"domains/{domain.domid}"
        host.write(f"{at}/freeze", "1")
        host.write(f"{at}/shutdown", "crash")
        domain.pause_count += 1
        domain.info = None
        host.write(f"{at}/freeze", "0")
        assert domain.pause_count == 1
        assert host.value(f"{at}/state") == "crashed"


def test_a_domain_without_a_vcpu_online_is_offline() -> None:
    with Host() as host:
        domain = host.world.create(vcpus=2)
        for vcpu in domain.existing():
            vcpu.online = False
        domain.info = None
        assert host.value(f"domains/{domain.domid}/state") == "offline"
        assert f"{domain.domid} state=offline" in host.value("domains/stat")


def test_a_limit_is_never_another() -> None:
    with Host() as host:
        at = f"domains/{host.world.create().domid}/memory/max"
        for text, shown in (
            ("512M", 512 << 10),
            ("1g", 1 << 20),
            ("17179869176", 2**34 - 8),
            ("4", 4),
            ("0x1000", 4096),
        ):
            host.write(at, text)
            assert host.value(at) == str(shown)
        for text, code in (
            ("17179869180", errno.ERANGE),
            ("16T", errno.ERANGE),
            ("5", errno.EINVAL),
            ("1M1", errno.EINVAL),
        ):
            problem = refused(host, at, text)
            assert problem.errno == code
            assert "number of kB" in str(problem)
            assert host.value(at) == "4096"
        host.write(at, "max")
        assert host.value(at) == "max"


@pytest.mark.parametrize("where", ["by-name", "by-uuid"])
def test_of_two_the_living_one_is_meant_then_the_newest(where: str) -> None:
    with Host() as host:
        uuid = bytes(range(16))
        first, second = (host.world.create(domid, name="web", uuid=uuid) for domid in (60, 50))
        (name,) = (
            each for each in host.names(f"domains/{where}") if each in ("web", "00010203-0405-0607-0809-0a0b0c0d0e0f")
        )

        def meant() -> int:
            link = host.at(f"domains/{where}/{name}")
            host.xen.recent.forget()
            return int(link.node.target(host.xen, *link.ids).removeprefix("../"))  # type: ignore[attr-defined]

        host.value("domains/stat")
        third = host.world.create(40, name="web", uuid=uuid)
        assert meant() == third.domid, "the newest"
        host.world.shutdown(third.domid, 0)
        assert meant() in (first.domid, second.domid)
        host.world.destroy(first.domid)
        assert meant() == second.domid, "the one that lives"
