"""What guests are asked for through xenstore: shutdown, memory, vCPUs. Who hears, and who does not."""

from __future__ import annotations

import errno
import re

import pytest
from worlds import Host

from xenfs.calls.domains import life_now
from xenfs.errors import Stale, XenfsError
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.starts import Starts
from xenfs.nodes.tables.base import File
from xenfs.xenstore import FakeXenstore
from xenfs.xenstore.base import Path

MUTE, WITHOUT_DRIVERS, NOT_IN_XENSTORE = "domains/6", "domains/7", "domains/16"


def store_of(host: Host) -> FakeXenstore:
    assert isinstance(host.xen.store, FakeXenstore)
    return host.xen.store


def test_a_request_is_asked_taken_up_and_done(host: Host) -> None:
    assert host.value("domains/2/request") == ""
    host.write("domains/2/request", "poweroff")
    assert host.value("domains/2/request") == "poweroff asked"
    assert host.value("domains/2/state") != "shutdown"
    host.advance(0.1)
    assert host.value("domains/2/request") == "poweroff taken up"
    host.advance(1)
    assert (host.value("domains/2/state"), host.value("domains/2/shutdown_reason")) == ("shutdown", "poweroff")
    assert host.refused("domains/2/request", "reboot") == errno.EBUSY


@pytest.mark.parametrize("word", ["reboot", "suspend"])
def test_each_request_ends_as_it_says(host: Host, word: str) -> None:
    host.write("domains/1/request", word)
    host.advance(0.1)
    host.value("domains/1/state")
    host.advance(2)
    assert host.value("domains/1/shutdown_reason") == word


def test_who_does_not_answer_is_seen(host: Host) -> None:
    host.write(f"{MUTE}/request", "poweroff")
    host.write(f"{MUTE}/memory/target_kb", "2G")
    before = host.value(f"{MUTE}/memory/current_kb")
    host.advance(3600)
    assert host.value(f"{MUTE}/request") == "poweroff asked"
    assert host.value(f"{MUTE}/memory/current_kb") == before
    assert host.value(f"{MUTE}/state") != "shutdown"


def test_what_a_tool_has_asked_is_shown_as_well(host: Host) -> None:
    store_of(host).write("/local/domain/6/control/shutdown", b"halt\x1b[2J\n")
    assert host.value(f"{MUTE}/request") == "halt\\x1b[2J\\n asked"


@pytest.mark.parametrize(
    ("path", "text", "code", "why"),
    [
        (f"{WITHOUT_DRIVERS}/request", "poweroff", errno.EOPNOTSUPP, "no driver"),
        (f"{WITHOUT_DRIVERS}/memory/target_kb", "1G", errno.EOPNOTSUPP, "no driver"),
        (f"{WITHOUT_DRIVERS}/nr_vcpus_target", "1", errno.EOPNOTSUPP, "no driver"),
        (f"{WITHOUT_DRIVERS}/vcpus/1/availability", "offline", errno.EOPNOTSUPP, "no driver"),
        (f"{NOT_IN_XENSTORE}/memory/target_kb", "64M", errno.EOPNOTSUPP, "told xenstore of no target"),
        ("domains/0/request", "poweroff", errno.EINVAL, "xenfs itself"),
        ("domains/0/memory/target_kb", "127M", errno.ERANGE, "131072 to"),
        ("domains/2/memory/target_kb", "31M", errno.ERANGE, "32768 to"),
        ("domains/2/memory/target_kb", "2G", errno.ERANGE, "which is 1048576"),
        ("domains/2/vcpus/0/availability", "offline", errno.EINVAL, "vCPU 0"),
        ("domains/2/nr_vcpus_target", "3", errno.ERANGE, "1 to 2"),
        ("domains/10/memory/target_kb", "128M", errno.EBUSY, "over"),
    ],
)
def test_a_refusal_is_in_words_and_changes_nothing(host: Host, path: str, text: str, code: int, why: str) -> None:
    written: list[Path] = []
    store_of(host).write = lambda path, value: written.append(path)  # type: ignore[method-assign]
    before = host.counts.copy()
    assert host.refused(path, text) == code
    assert why in host.value("xenfs/error_log").splitlines()[0]
    assert not written
    assert host.asked(before).keys() <= {"domctl getdomaininfo", "hvm_op get_param"}


def test_an_old_guest_that_says_nothing_of_features_is_asked_if_it_can_be_interrupted(host: Host) -> None:
    """As xl does it: whoever has told Xen how, may hear."""
    guest = host.world.guests.of(host.world.domains[2])
    guest.drivers = False
    host.write("domains/2/request", "poweroff")
    assert host.value("domains/2/request") == "poweroff asked"


def test_memory_follows_slowly_and_the_limit_at_once(host: Host) -> None:
    assert host.value("domains/2/memory/target_kb") == host.value("domains/2/memory/static_max_kb") == "1048576"
    host.write("domains/2/memory/target_kb", "512M")
    assert host.value("domains/2/memory/target_kb") == "524288"
    assert host.value("domains/2/memory/max") == str((512 << 10) + 1024)
    host.advance(1)
    assert 524288 < int(host.value("domains/2/memory/current_kb")) < 1048576
    host.advance(60)
    assert host.value("domains/2/memory/current_kb") == "524288"
    host.write("domains/2/memory/target_kb", "1G")
    host.advance(60)
    assert host.value("domains/2/memory/current_kb") == "1048576"


def test_a_paused_guest_does_nothing(host: Host) -> None:
    before = host.value("domains/9/memory/current_kb")
    host.write("domains/9/memory/target_kb", "512M")
    host.advance(60)
    assert host.value("domains/9/memory/current_kb") == before
    host.write("domains/9/freeze", "0")
    host.advance(60)
    assert host.value("domains/9/memory/current_kb") == "524288"


def test_the_limit_is_put_back_where_xenstore_refuses(host: Host) -> None:
    def refuse(path: Path, value: bytes) -> None:
        raise XenfsError("xenstore: EACCES", errno.EACCES)

    before = host.value("domains/2/memory/max")
    store_of(host).write = refuse  # type: ignore[method-assign]
    assert host.refused("domains/2/memory/target_kb", "512M") == errno.EACCES
    assert host.value("domains/2/memory/max") == before


def test_vcpus_are_asked_for_and_the_guest_takes_its_time(host: Host) -> None:
    assert host.value("domains/3/nr_vcpus_target") == "4"
    host.write("domains/3/nr_vcpus_target", "2")
    assert [host.value(f"domains/3/vcpus/{v}/availability") for v in range(4)] == ["online"] * 2 + ["offline"] * 2
    assert host.value("domains/3/nr_online_vcpus") == "4"
    host.advance(1)
    assert [host.value(f"domains/3/vcpus/{v}/online") for v in range(4)] == ["1", "1", "0", "0"]
    host.write("domains/3/vcpus/3/availability", "online")
    host.advance(1)
    assert (host.value("domains/3/nr_vcpus_target"), host.value("domains/3/nr_online_vcpus")) == ("3", "3")


def test_the_control_domain_is_asked_though_nobody_told_xenstore_of_it(host: Host) -> None:
    """No toolstack writes of its own domain before it asks it for something; then the first says both."""
    assert host.value("domains/0/nr_vcpus_target") == host.value("domains/0/vcpus/1/availability") == ""
    host.write("domains/0/vcpus/1/availability", "offline")
    assert host.value("domains/0/vcpus/1/availability") == "offline"
    most = int(host.value("domains/0/max_vcpu_id")) + 1
    assert host.value("domains/0/nr_vcpus_target") == str(most - 1), "of the others nobody has said anything"
    host.write("domains/0/nr_vcpus_target", str(most))
    assert {host.value(f"domains/0/vcpus/{v}/availability") for v in range(most)} == {"online"}


@pytest.mark.parametrize("told", [{}, {"/local/domain/0/memory/static-max": b"4194304"}])
def test_memory_of_the_control_domain(host: Host, told: dict[str, bytes]) -> None:
    limit = host.world.domains[0].max_pages * 4
    store = store_of(host)
    store.nodes = dict(told)
    assert host.value("domains/0/memory/target_kb") == ""
    assert host.refused("domains/0/memory/target_kb", "127M") == errno.ERANGE
    assert store.nodes == told, "what is refused tells nobody anything"
    host.write("domains/0/memory/target_kb", "1G")
    most = str(int(told.get("/local/domain/0/memory/static-max", limit)))
    assert (host.value("domains/0/memory/target_kb"), host.value("domains/0/memory/static_max_kb")) == ("1048576", most)
    assert host.value("domains/0/memory/max") == str(1048576 + 1024)
    if told:
        assert host.refused("domains/0/memory/target_kb", "8G") == errno.ERANGE
    assert host.refused("domains/1/memory/target_kb", "1G") == errno.EOPNOTSUPP, "of others nothing is made up"


def test_what_is_asked_already_is_not_asked_again(host: Host) -> None:
    written: list[Path] = []
    store_of(host).write = lambda path, value: written.append(path)  # type: ignore[method-assign]
    host.write("domains/7/memory/target_kb", host.value("domains/7/memory/target_kb"))
    host.write("domains/2/nr_vcpus_target", "2")
    assert not written


def test_since_when_there_is_a_domain(host: Host) -> None:
    began = int(host.value("domains/1/boot_s"))
    assert began > 1_600_000_000
    assert int(host.value("domains/1/uptime_s")) >= 0
    assert int(host.value("domains/0/boot_s")) < began, "the host began before its guests"


def test_what_nobody_knows_is_empty(host: Host) -> None:
    for _ in range(2):  # and a name that was listed stays
        assert host.value(f"{NOT_IN_XENSTORE}/boot_s") == host.value(f"{NOT_IN_XENSTORE}/uptime_s") == ""


def test_a_start_is_asked_for_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.value("domains/1/boot_s")

    def deaf(paths: object) -> list[bytes | None]:
        raise XenfsError("xenstore did not answer", errno.ETIMEDOUT)

    monkeypatch.setattr(store_of(host), "read_many", deaf)
    assert host.value("domains/1/boot_s")


def test_a_start_that_somebody_knows_stays_known() -> None:
    """Who asked before the toolstack wrote it, and is answered late, knows nothing better."""
    starts, domain = Starts(), Domain(1, 1)
    starts.learn([domain], {domain: 5.0})
    starts.learn([domain], {})
    assert starts.of(domain) == 5.0
    assert starts.due([domain]) == []


@pytest.mark.parametrize("asks", ["read_many", "write"])
def test_of_who_ends_while_xenstore_is_asked_nothing_is_kept(
    host: Host, monkeypatch: pytest.MonkeyPatch, asks: str
) -> None:
    """Another thread has heard of the end meanwhile; what is remembered of a life is forgotten then, and only then."""

    def slow(*args: object) -> object:
        answer = plain(*args)
        host.world.vanish(2)
        assert life_now(host.xen, 2) is None
        return answer

    place = host.at("domains/2/uptime_s" if asks == "read_many" else "domains/2/request")
    plain = getattr(store_of(host), asks)
    monkeypatch.setattr(host.xen.store, asks, slow)
    if asks == "write":
        host.put(place, b"poweroff")
    else:
        assert isinstance(place.node, File)
        with pytest.raises(Stale):
            place.node.produce(host.xen, place.ids)
    assert not host.has("domains/2")
    assert not [life for life in (*host.xen.starts._known, *host.xen.requests) if life.domid == 2]


@pytest.mark.parametrize("raw", [b"", b"soon", b"-5", b"1.x", b"9" * 40, b"\xff"])
def test_a_start_that_makes_no_sense_is_none(host: Host, raw: bytes) -> None:
    store = store_of(host)
    store.nodes = {"/local/domain/1/vm": b"/vm/x", "/vm/x/start_time": raw}
    assert host.value("domains/1/boot_s") == ""


def test_nothing_of_it_is_there_without_xenstore() -> None:
    words = r"request|(static_max|target)_kb|availability|nr_vcpus_target|uptime_s|boot_s|devices|device_stat"
    with Host("xenstore=off") as host:
        found = [place.path for place in host.walk() if re.search(rf"(^|/)({words})(/|$)", place.path)]
        assert [path for path in found if path.startswith("domains/")] == []


def test_a_request_needs_lifecycle() -> None:
    from xenfs.options import Options

    with Host(options=Options()) as host:
        assert not host.has("domains/1/request")
        assert host.has("domains/1/memory/target_kb")
