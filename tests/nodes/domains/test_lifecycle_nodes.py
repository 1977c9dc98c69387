"""domains/<d>/: lifecycle, capabilities, identity, grants, event channels and triggers."""

from __future__ import annotations

import errno

import pytest
from worlds import COMBINATIONS, Host

from xenfs.calls.happenings import catch_up
from xenfs.errors import BadInput, XenfsError
from xenfs.nodes.tables.base import Stream


@pytest.mark.parametrize(("release", "arch"), COMBINATIONS)
def test_state_comes_with_4_21(release: str, arch: str) -> None:
    with Host(f"xen={release},arch={arch}") as host:
        late = release in ("4.21", "4.22")
        for name in ("lifecycle", "capabilities", "unique_id"):
            assert host.has(f"domains/1/{name}") == late
        assert host.has("domains/2/nr_vcpus") == (arch == "x86_64" and release != "4.14")
        assert host.has("domains/1/trigger") == (arch == "x86_64")
        assert not host.has("domains/0/nr_vcpus"), "Xen does not answer for the caller's own domain"


def test_state_in_words() -> None:
    with Host("xen=4.22") as host:
        assert host.value("domains/0/capabilities") == "control hardware xenstore"
        assert host.value("domains/1/capabilities") == ""
        assert host.value("domains/1/lifecycle") == "exist"
        assert host.value("domains/12/lifecycle") == "exist shutdown"
        assert host.value("domains/15/lifecycle") == "exist dead"
        assert host.value("domains/1/unique_id") == str(host.world.domains[1].unique_id)


def ends_of(host: Host, domid: int) -> int:
    """How often this has shut down, as domains/events says it to whoever looks now."""
    catch_up(host.xen)
    stream = host.at("domains/events").node
    assert isinstance(stream, Stream)
    lines, _ = stream.follow(host.xen, 0)
    return sum(line.split()[1:3] == [b"shutdown", b"%d" % domid] for line in lines.splitlines())


@pytest.mark.parametrize("node", ["resume", "soft_reset"])
def test_a_second_end_is_told_of(host: Host, node: str) -> None:
    """By xenstored, and by xenfs itself, which has not looked in between."""
    assert host.xen.store is not None
    catch_up(host.xen)
    watches = host.xen.store.watches()
    assert watches is not None
    watches.add("@releaseDomain", b"")
    assert len(watches.events()) == 1
    for end in (1, 2):
        host.write("domains/3/shutdown", "soft_reset")
        assert len(watches.events()) == 1
        assert ends_of(host, 3) == end
        host.write("domains/3/freeze", "1")
        host.write(f"domains/3/{node}", "1")
    assert watches.events() == []
    watches.close()


@pytest.mark.logs("domain 3 goes on, and xenstored may not tell of its next end: xenstore did not answer")
def test_it_goes_on_though_xenstored_does_not_hear_of_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def deaf(domid: int) -> None:
        raise XenfsError("xenstore did not answer", errno.ETIMEDOUT)

    monkeypatch.setattr(host.xen.store, "resume", deaf)
    host.write("domains/3/shutdown", "crash")
    host.write("domains/3/resume", "1")
    assert host.value("domains/3/shutdown_reason") == ""


def test_it_goes_on_without_a_xenstore() -> None:
    with Host("xenstore=off") as host:
        host.write("domains/3/shutdown", "crash")
        host.write("domains/3/resume", "1")
        assert host.value("domains/3/shutdown_reason") == ""


def test_nr_vcpus_is_of_hvm_and_pvh(host: Host) -> None:
    assert host.value("domains/2/nr_vcpus") == "2"
    assert host.value("domains/3/nr_vcpus") == "4"
    assert not host.has("domains/1/nr_vcpus")


def test_grants(host: Host) -> None:
    grants = [host.value(f"domains/1/grants/{name}") for name in ("frames", "max_frames", "version")]
    assert grants == ["5", "64", "1"]


def test_event_channels(host: Host) -> None:
    before = host.counts.copy()
    lines = host.value("domains/1/evtchn/ports").splitlines()
    assert lines == [
        "1 interdomain 0 0:34", "2 interdomain 0 0:35", "3 virq 0 0", "4 ipi 0 -", "5 virq 1 0", "6 ipi 1 -",
        "7 unbound 0 0",
    ]  # fmt: skip
    assert host.asked(before)["multicall"] == 2
    ours = host.value("domains/0/evtchn/ports").splitlines()
    assert "34 interdomain 0 1:1" in ours
    assert "30 virq 0 8" in ours


def test_a_dying_domain_has_no_event_channels(host: Host) -> None:
    assert host.value("domains/15/evtchn/ports") == ""


def test_every_end_of_a_channel_has_its_other_end(host: Host) -> None:
    ends: dict[tuple[int, int], tuple[int, int]] = {}
    for name in host.names("domains"):
        if not name.isdecimal():
            continue
        for line in host.value(f"domains/{name}/evtchn/ports").splitlines():
            port, state, _, peer = line.split()
            if state == "interdomain":
                other, its = map(int, peer.split(":"))
                ends[int(name), int(port)] = (other, its)
    assert len(ends) > 10
    assert all(ends[peer] == end for end, peer in ends.items())


def test_node_affinity(host: Host) -> None:
    path = "domains/1/memory/node_affinity"
    assert host.value(path) == "0-1"
    host.write(path, "1")
    assert host.value(path) == "1"
    assert not host.world.domains[1].auto_node_affinity
    host.write(path, "+0")
    assert host.value(path) == "0-1"
    host.write(path, "-0\n")
    assert host.value(path) == "1"
    host.write(path, "all")
    assert host.value(path) == "0-1"
    assert host.world.domains[1].auto_node_affinity
    with pytest.raises(BadInput) as caught:
        host.write(path, "0,2")
    assert (caught.value.errno, caught.value.word) == (errno.ERANGE, "2")


def test_triggers(host: Host) -> None:
    host.write("domains/3/trigger", "nmi 1")
    assert [vcpu.nmi_pending for vcpu in host.world.domains[3].existing()] == [False, True, False, False]
    host.write("domains/1/trigger", "nmi\n")
    assert host.world.domains[1].existing()[0].nmi_pending
    host.write("domains/3/trigger", "power")
    assert host.value("domains/3/shutdown_reason") == "poweroff"
    host.write("domains/7/trigger", "sleep")
    assert host.value("domains/7/shutdown_reason") == "suspend"
    for path, text, code in (
        ("domains/1/trigger", "power", errno.EINVAL), ("domains/1/trigger", "sleep", errno.EINVAL),
        ("domains/1/trigger", "nmi 2", errno.ERANGE),
    ):  # fmt: skip
        with pytest.raises(XenfsError) as caught:
            host.write(path, text)
        assert caught.value.errno == code, text
