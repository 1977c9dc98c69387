"""cpupools/<p>/sched/arinc653_schedule, on a simulated Xen that was built with this scheduler."""

from __future__ import annotations

import errno

import pytest
from worlds import Host

from xenfs.simulator.world.cpupools import ARINC653

PATH = "cpupools/2/sched/arinc653_schedule"
ONE, OTHER = "01234567-89ab-cdef-0123-456789abcdef", "11111111-2222-3333-4444-555555555555"
OWN = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(params=["4.14", "4.22"])
def built(request: pytest.FixtureRequest) -> Host:
    return Host(f"xen={request.param},arinc653=on")


def test_a_schedule_is_written_and_read_back(built: Host) -> None:
    assert built.names("cpupools/2/sched") == ["arinc653_schedule"]
    assert built.value("cpupools/2/scheduler") == "arinc653"
    assert built.value(PATH).startswith("10000000\n00010203-0405-0607-0809-0a0b0c0d0e0f 0 4000000\n")
    for text in (f"300\n{ONE} 0 100\n{OTHER} 3 50\n{ONE} 1 150", "\n".join([str(2**63 - 1), *[f"{ONE} 7 9"] * 64])):
        built.write(PATH, text + "\n")
        assert built.value(PATH) == text
    assert built.world.pools.by_id[2].frame_ns == 2**63 - 1
    assert not built.has("cpupools/0/sched/arinc653_schedule")


@pytest.mark.parametrize(
    ("text", "code", "why"),
    [
        ("100", errno.EINVAL, "1 to 64 lines"),
        ("\n".join(["100", *[f"{ONE} 0 1"] * 65]), errno.EINVAL, "not 65"),
        (f"100\n{ONE} 0 60\n{ONE} 1 41", errno.EINVAL, "that is 101 ns, and the major frame has 100 ns"),
        (f"100\n{ONE} 0", errno.EINVAL, "wants 3 words"),
        ("100\nweb-1 0 1", errno.EINVAL, "not a UUID"),
        (f"100\n{ONE} 0 0", errno.ERANGE, "time in ns"),
        (f"100\n{ONE} 8192 1", errno.ERANGE, "vCPU"),
        (f"0\n{ONE} 0 1", errno.ERANGE, "major frame"),
    ],
)  # fmt: skip
def test_what_is_no_schedule(text: str, code: int, why: str) -> None:
    with Host("arinc653=on") as host:
        assert host.refused(PATH, text) == code
        assert why in host.read("xenfs/error_log")
        assert not host.counts["sysctl scheduler_op"]


def test_who_writes_it_goes_on_to_run() -> None:
    """Were the control domain in such a pool, every vCPU of its own would have to be in the schedule."""
    with Host("arinc653=on") as host:
        host.world.pools.by_id[0].scheduler = ARINC653
        own = "cpupools/0/sched/arinc653_schedule"
        lines = [f"{OWN} {vcpu} 10" for vcpu in range(len(host.world.domains[0].existing()))]
        assert len(lines) > 1
        for some in ([f"{ONE} 0 10"], lines[1:], lines[:-1]):
            assert host.refused(own, "\n".join(["1000", *some])) == errno.EINVAL
            assert "it would stop" in host.read("xenfs/error_log")
        host.write(own, "\n".join(["1000", *lines]))
        assert len(host.world.pools.by_id[0].slots) == len(lines)


def test_a_pool_begins_with_nobody() -> None:
    with Host("arinc653=on") as host:
        host.mkdir("cpupools/7")
        host.write("cpupools/7/scheduler", "arinc653")
        assert host.value("cpupools/7/sched/arinc653_schedule") == "10000000"


def test_a_xen_without_it(host: Host) -> None:
    assert not host.has("cpupools/2")
    host.mkdir("cpupools/2")
    assert host.refused("cpupools/2/scheduler", "arinc653") == errno.ENOENT
