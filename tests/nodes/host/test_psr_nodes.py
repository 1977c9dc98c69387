"""host/psr/ and domains/<d>/psr/ against the pretended world: what is shown, set, taken back and refused."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import RELEASES, Host

from xenfs.errors import BadInput, HypercallError, XenfsError
from xenfs.nodes.domains.psr import parse_schemata
from xenfs.options import Options
from xenfs.simulator.world import hotplug


@pytest.fixture
def psr() -> Iterator[Host]:
    with Host("processor=intel,psr=on") as host:
        yield host


def test_what_the_sockets_have(psr: Host) -> None:
    assert psr.names("host/psr/sockets") == ["0", "1"]
    for socket in (0, 1):
        at = f"host/psr/sockets/{socket}"
        assert psr.names(at) == ["L3", "L2", "MB"]
        assert [psr.value(f"{at}/L3/{name}") for name in ("cbm_mask", "num_closids", "cdp")] == ["7fff", "15", "0"]
        assert [psr.value(f"{at}/L2/{name}") for name in ("cbm_mask", "num_closids", "cdp")] == ["ffff", "8", "0"]
        names = ("thrtl_max", "num_closids", "delay_linear")
        assert [psr.value(f"{at}/MB/{name}") for name in names] == ["90", "15", "1"]


def test_what_can_be_monitored(psr: Host) -> None:
    at = "host/psr/cmt"
    assert [psr.value(f"{at}/{name}") for name in ("enabled", "num_rmids", "l3_upscaling_factor")] == [
        "1",
        "223",
        "114688",
    ]
    assert psr.value(f"{at}/mon_features").split() == ["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"]
    assert psr.flat(f"{at}/l3_cache_size_kb") == {"0": "61440", "1": "61440"}


@pytest.mark.parametrize("release", RELEASES)
def test_absent_without_psr(release: str) -> None:
    with Host(f"xen={release},processor=intel") as host:
        assert not host.has("host/psr/cmt")
        assert not host.has("host/psr/sockets/0/L3")
        assert not host.has("domains/1/psr")
        missing = dict(line.rsplit(" ", 1) for line in host.value("xenfs/missing").splitlines())
        assert missing["sysctl psr_cmt_op"] == missing["sysctl psr_alloc get_l3_info"] == "ENODEV"


def test_amd_has_no_bandwidth_to_share_out() -> None:
    with Host("psr=on") as host:
        assert host.names("host/psr/sockets/0") == ["L3"]
        assert host.value("domains/1/psr/schemata") == "L3:0=ffff;1=ffff"
        assert "sysctl psr_alloc get_mba_info ENOENT" in host.value("xenfs/missing").splitlines()
        with pytest.raises(BadInput, match="MB cannot be allocated here"):
            host.write("domains/1/psr/schemata", "MB:0=10")


def test_schemata(psr: Host) -> None:
    at = "domains/1/psr/schemata"
    assert psr.value(at) == "L3:0=7fff;1=7fff\nL2:0=ffff;1=ffff\nMB:0=0;1=0"
    psr.write(at, "L3:1=f\n MB : 0 = 20 ; 1=30\n")
    assert psr.value(at) == "L3:0=7fff;1=f\nL2:0=ffff;1=ffff\nMB:0=20;1=30"
    shares = psr.world.psr
    assert shares is not None
    domain = psr.world.domains[1]
    assert (shares.share(domain, "L3", 1), shares.share(domain, "MB", 0)) == (0xF, 20)
    psr.write(at, "L2:0=0xff")
    assert shares.share(domain, "L2", 0) == 0xFF
    assert psr.value("domains/3/psr/schemata").startswith("L3:0=7fff;1=7fff")


def test_a_write_is_whole_or_not_at_all(psr: Host) -> None:
    """Xen has no class of service left for the last part: the first ones are taken back."""
    domids = sorted(psr.world.domains)
    for n, domid in enumerate(domids[:7]):
        psr.write(f"domains/{domid}/psr/schemata", f"L2:1={1 << n:x}")
    at = f"domains/{domids[8]}/psr/schemata"
    before = psr.value(at)
    with pytest.raises(HypercallError) as caught:
        psr.write(at, "L3:0=3\nMB:0=50\nL2:1=80")
    assert caught.value.errno == errno.EOVERFLOW
    assert psr.value(at) == before
    assert f"{at}: EOVERFLOW" in psr.value("xenfs/error_log")


def test_code_and_data_apart() -> None:
    with Host("processor=intel,psr=cdp") as host:
        at = "domains/1/psr/schemata"
        assert host.value("host/psr/sockets/0/L3/cdp") == "1"
        assert host.value(at).splitlines()[:2] == ["L3CODE:0=7fff;1=7fff", "L3DATA:0=7fff;1=7fff"]
        host.write(at, "L3CODE:0=f\nL3DATA:0=f0")
        assert host.value(at).splitlines()[:2] == ["L3CODE:0=f;1=7fff", "L3DATA:0=f0;1=7fff"]
        host.write(at, "L3:0=3")
        assert host.value(at).splitlines()[:2] == ["L3CODE:0=3;1=7fff", "L3DATA:0=3;1=7fff"]


@pytest.mark.parametrize(
    ("text", "code", "caret"),
    [
        ("L3:0=ff;9=ff", errno.ERANGE, "9=ff"), ("L3:0=ffff", errno.ERANGE, "0=ffff"),
        ("MB:1=91", errno.ERANGE, "1=91"),
        ("L3:0=505", errno.EINVAL, "0=505"), ("L3:0=0", errno.EINVAL, "0=0"), ("L4:0=1", errno.EINVAL, "L4"),
        ("L3CODE:0=1", errno.EINVAL, "0=1"), ("L3:0=1\nL2:0=z", errno.EINVAL, "0=z"),
    ],
)  # fmt: skip
def test_refusals_point_at_the_word(psr: Host, text: str, code: int, caret: str) -> None:
    with pytest.raises(BadInput) as caught:
        psr.write("domains/1/psr/schemata", text)
    assert (caught.value.errno, caught.value.word) == (code, caret)
    assert psr.value("domains/1/psr/schemata").startswith("L3:0=7fff;1=7fff\n")


def test_monitoring_is_switched(psr: Host) -> None:
    assert [psr.value(f"domains/4/psr/{name}") for name in ("cmt_enabled", "rmid")] == ["0", "0"]
    assert not psr.has("domains/4/psr/mon")
    for text in ("1", "1\n"):
        psr.write("domains/4/psr/cmt_enabled", text)
        assert [psr.value(f"domains/4/psr/{name}") for name in ("cmt_enabled", "rmid")] == ["1", "3"]
    assert psr.names("domains/4/psr/mon") == ["0", "1"]
    for text in ("0", "0"):
        psr.write("domains/4/psr/cmt_enabled", text)
        assert psr.value("domains/4/psr/rmid") == "0"
    assert not psr.has("domains/4/psr/mon")


def test_counters(psr: Host) -> None:
    """In bytes, of one socket, and each read asks for its own: an occupancy between two bandwidths disturbs neither."""
    at = "domains/3/psr/mon/0"
    assert psr.names(at) == ["llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"]
    shares = psr.world.psr
    assert shares is not None

    def bytes_now(event: int) -> str:
        return str(shares.counted(2 << 32 | event, 0, psr.world.clock.ticks()) * 114688)

    for _ in range(3):
        for event, name in ((1, "llc_occupancy"), (2, "mbm_total_bytes"), (3, "mbm_local_bytes")):
            assert psr.value(f"{at}/{name}") == bytes_now(event), name
        psr.advance(7)


def test_a_pair_of_accesses_is_one_hypercall(psr: Host) -> None:
    before = psr.counts.copy()
    psr.value("domains/3/psr/mon/0/mbm_total_bytes")
    assert psr.asked(before)["platform_op resource_op"] == 1


def test_counters_say_that_they_cannot(psr: Host) -> None:
    domain = psr.world.domains[3]
    for vcpu in domain.existing():
        vcpu.hard = 0b11
    psr.world.placement.again(domain, psr.world.clock.ticks())
    assert psr.value("domains/3/psr/mon/1/mbm_total_bytes") == "Unavailable"
    assert psr.value("domains/3/psr/mon/1/llc_occupancy") == "0"


def test_a_socket_whose_first_cpus_are_offline_still_counts(psr: Host) -> None:
    for cpu in (0, 1, 2, 3):
        if psr.world.pools.by_id[0].cpus >> cpu & 1 and cpu:
            psr.world.pools.remove_cpu(0, cpu)
            hotplug.set_online(psr.world, cpu, False)
    assert psr.value("domains/3/psr/mon/0/llc_occupancy").isdecimal()
    assert psr.flat("host/psr/cmt/l3_cache_size_kb") == {"0": "61440", "1": "61440"}
    psr.world.pools.remove_cpu(0, 4)
    psr.world.pools.move_domain(psr.world.domains[6], 0)
    for cpu in (5, 6):
        psr.world.pools.remove_cpu(1, cpu)
    for cpu in (4, 5, 6, 7):
        hotplug.set_online(psr.world, cpu, False)
    assert psr.names("domains/3/psr/mon") == ["0"]
    assert psr.flat("host/psr/cmt/l3_cache_size_kb") == {"0": "61440"}


def test_read_only_mounts_show_and_do_not_set() -> None:
    with Host("processor=intel,psr=on", Options(ro=True)) as host:
        assert host.at("domains/1/psr/schemata").node.mode & 0o777 == 0o444
        assert host.at("domains/1/psr/cmt_enabled").node.mode & 0o777 == 0o444


runs = st.integers(1, 15).flatmap(lambda n: st.integers(0, 15 - n).map(lambda at: ((1 << n) - 1) << at))


@pytest.fixture(scope="module")
def shared() -> Iterator[Host]:
    with Host("processor=intel,psr=on") as host:
        yield host


@given(runs, runs, st.integers(0, 9), st.sampled_from(["{:x}", "0x{:X}", "{:04x}"]))
def test_what_is_set_is_shown_and_taken_back(shared: Host, one: int, two: int, throttle: int, form: str) -> None:
    at = "domains/7/psr/schemata"
    shared.write(at, f"L3:0={form.format(one)};1={form.format(two)}\nMB:1={throttle * 10}")
    text = shared.value(at)
    assert text == f"L3:0={one:x};1={two:x}\nL2:0=ffff;1=ffff\nMB:0=0;1={throttle * 10}"
    shared.write(at, text)
    assert shared.value(at) == text


@given(st.text(alphabet="L23MBCODEAT:;=0123456789abcdefx \n\t-", max_size=40))
def test_text_at_random_is_parsed_or_refused(text: str) -> None:
    try:
        parts = parse_schemata(text)
    except BadInput as problem:
        assert problem.errno in (errno.EINVAL, errno.ERANGE)  # noqa: PT017
        assert problem.word is None or problem.word in text  # noqa: PT017
        return
    assert parts
    assert all(part.value >= 0 for part in parts)


def test_a_domain_that_is_gone(psr: Host) -> None:
    place = psr.at("domains/4/psr/schemata")
    psr.world.vanish(4)
    with pytest.raises(XenfsError) as caught:
        psr.put(place, b"L3:0=1")
    assert caught.value.errno == errno.ESTALE
