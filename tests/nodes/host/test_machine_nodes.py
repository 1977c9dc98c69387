"""What the nodes about the machine show, held against the simulated world's own objects."""

from __future__ import annotations

import errno
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nonsense import refuse
from worlds import COMBINATIONS, Between, Host

from xenfs.calls import livepatch, pci, symbols, vnuma
from xenfs.calls.pci import Address
from xenfs.errors import HypercallError, NotThere, XenfsError
from xenfs.nodes.tables.base import Dir
from xenfs.options import Options
from xenfs.simulator import Simulator
from xenfs.simulator.world.livepatches import Livepatch

SYSCTL = 35


def test_live_patches_are_those_that_are_loaded() -> None:
    for release, arch in COMBINATIONS:
        with Host(f"xen={release},arch={arch}") as host:
            assert host.names("host/livepatch") == ["xsa-470", "hotfix%2Fconsole"]
            assert host.value("host/livepatch/xsa-470/state") == "applied"
            assert host.value("host/livepatch/xsa-470/rc") == "0"
            assert host.value("host/livepatch/xsa-470/metadata") == "subject=XSA-470\nauthor=example.org"
            assert host.value("host/livepatch/hotfix%2Fconsole/state") == "checked"
            assert host.value("host/livepatch/hotfix%2Fconsole/rc") == "EINVAL"
            assert host.value("host/livepatch/hotfix%2Fconsole/metadata") == ""


def test_a_live_patch_that_is_unloaded() -> None:
    with Host() as host:
        place = host.at("host/livepatch/xsa-470/state")
        metadata = host.at("host/livepatch/xsa-470/metadata")
        host.world.livepatches.unload(b"xsa-470")
        assert not host.has("host/livepatch/xsa-470")
        for gone in (place, metadata):
            with pytest.raises(NotThere):
                gone.node.produce(host.xen, gone.ids)  # type: ignore[attr-defined]
        host.world.livepatches.upload(Livepatch(b"busy", 1, -errno.EAGAIN))
        assert host.value("host/livepatch/busy/rc") == "EAGAIN"


@pytest.mark.parametrize("release", ["4.14", "4.17", "4.19", "4.22"])
def test_a_live_patch_goes_by_rmdir_unless_it_is_applied(release: str) -> None:
    with Host(f"xen={release}") as host:
        host.world.livepatches.upload(Livepatch(b"busy", 1, -errno.EAGAIN))

        def remove(name: str) -> None:
            place = host.at(f"host/livepatch/{name}")
            assert isinstance(place.node, Dir)
            assert place.node.remove is not None
            place.node.remove(host.xen, *place.ids)

        for kept in ("xsa-470", "busy"):
            with pytest.raises(XenfsError) as caught:
                remove(kept)
            assert caught.value.errno == errno.EBUSY
        remove("hotfix%2Fconsole")
        assert host.names("host/livepatch") == ["xsa-470", "busy"]
    with Host(f"xen={release}", Options()) as host:
        place = host.at("host/livepatch/xsa-470")
        assert isinstance(place.node, Dir)
        assert place.node.remove is None, "without -o debug"


@pytest.mark.parametrize("release", ["4.17", "4.22"])
def test_more_live_patches_than_one_call_gives(release: str) -> None:
    with Host(f"xen={release},livepatches=2500") as host:
        before = host.counts.copy()
        assert len(livepatch.patches(host.xen)) == 2500
        assert host.asked(before) == {"sysctl livepatch_op": 4}
        assert [each.name for each in livepatch.patches(host.xen)] == [
            each.name for each in host.world.livepatches.loaded
        ]


@pytest.mark.parametrize("release", ["4.17", "4.22"])
@pytest.mark.parametrize("change", ["longer", "shorter", "other"])
def test_a_list_that_changes_meanwhile_is_read_again(release: str, change: str) -> None:
    """Between the question how much there is and the list itself, and between its parts."""
    sim = Simulator.from_settings(f"xen={release},livepatches=1030")
    calls = 100  # none of those by which the tree is made

    def answer(number: int, args: tuple[int, ...]) -> None:
        nonlocal calls
        calls += number == SYSCTL
        if calls in (2, 4) and number == SYSCTL:
            if change != "longer":
                sim.world.livepatches.unload(sim.world.livepatches.loaded[-1].name)
            if change != "shorter":
                sim.world.livepatches.upload(Livepatch(b"late-%d" % calls, 1, 0, b"x" * 70_000 + b"\0"))

    with Host(backend=Between(sim, answer)) as host:  # type: ignore[arg-type]
        calls = 0
        found = [each.name for each in livepatch.patches(host.xen)]
        assert found == [each.name for each in sim.world.livepatches.loaded]
        assert calls > 3


def test_a_list_that_never_comes_to_rest() -> None:
    sim = Simulator.from_settings("")

    def answer(number: int, args: tuple[int, ...]) -> None:
        sim.world.livepatches.version += 1

    with Host(backend=Between(sim, answer)) as host:  # type: ignore[arg-type]
        with pytest.raises(HypercallError) as caught:
            livepatch.patches(host.xen)
        assert caught.value.errno == errno.EAGAIN


@given(st.binary(min_size=1, max_size=127).filter(lambda name: b"\0" not in name))
@settings(max_examples=60, deadline=None)
def test_whatever_a_live_patch_is_called_it_is_a_file_name(name: bytes) -> None:
    with Host("domains=1,cpus=1,livepatches=0") as host:
        host.world.livepatches.upload(Livepatch(name, 2, 0, b"a=1\nb\r\0"))
        for listed in host.names("host/livepatch"):
            assert "/" not in listed
            assert listed not in ("", ".", "..")
            assert host.value(f"host/livepatch/{listed}/state") == "applied"
            assert host.value(f"host/livepatch/{listed}/metadata") == "a=1\\nb\\r"


def test_names_that_look_alike_are_two() -> None:
    with Host("livepatches=0") as host:
        for state, name in ((2, b"a/b"), (1, b"a%2Fb")):
            host.world.livepatches.upload(Livepatch(name, state))
        assert sorted(host.names("host/livepatch")) == ["a%252Fb", "a%2Fb"]
        assert host.value("host/livepatch/a%2Fb/state") == "applied"
        assert host.value("host/livepatch/a%252Fb/state") == "checked"


def test_every_device_that_xen_knows_in_as_many_calls_as_it_takes() -> None:
    with Host("pci=200") as host:
        before = host.counts.copy()
        names = host.names("host/pci")
        assert host.asked(before) == {"sysctl pcitopoinfo": 4}  # 64 at a time
        assert names == sorted(each.name for each in host.world.bus.devices.values())
        assert len(names) == 200
        assert "10000:e1:00.0" in host.xen.backend.pci_devices()
        nodes = {each.name: "-1" if each.node is None else str(each.node) for each in host.world.bus.devices.values()}
        assert {name: host.value(f"host/pci/{name}/numa_node") for name in names[:20]} == {
            name: nodes[name] for name in names[:20]
        }


@pytest.mark.parametrize("release", ["4.15", "4.16", "4.17", "4.22"])
def test_who_has_a_device(release: str) -> None:
    with Host(f"xen={release}") as host:
        for device in host.world.bus.devices.values():
            taken = device.owner not in (0, -1)
            assert host.value(f"host/pci/{device.name}/assigned") == str(int(taken))
        assert {host.value(f"host/pci/0000:01:00.{n}/assigned") for n in (0, 1)} == {"1"}
        assert host.value("host/pci/0000:00:1f.2/iommu_group") == "0000:00:1f.0"
        assert host.value("host/pci/0000:00:02.0/reserved_memory") == "0xbf800 2048"
        assert host.value("host/pci/0000:00:00.0/reserved_memory") == ""


@pytest.mark.parametrize("release", ["4.14", "4.15.2", "4.16.1"])
def test_a_xen_that_would_die_of_it_is_not_asked(release: str) -> None:
    """The simulator raises where a real Xen would follow a null pointer; domains with an IOMMU can still be asked."""
    with Host(f"xen={release}") as host:
        assert not host.has("host/pci/0000:00:02.0/assigned")
        assert host.value("host/pci/0000:00:02.0/numa_node") == "0"
        assert host.put(host.at("domains/7/passthrough/test"), b"00:02.0") == b"1\n"


@pytest.mark.parametrize(
    ("extra", "bears"),
    [(b".2", True), (b".10", True), (b".2-1+deb", True), (b".1", False), (b".2-pre", False), (b"", False)],
)
def test_point_releases_are_read_with_care(extra: bytes, bears: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with Host("xen=4.16") as host:
        monkeypatch.setattr(pci.version, "extra", lambda xen: extra)
        assert pci.bears_no_domain(host.xen) is bears


def test_a_device_that_is_unplugged() -> None:
    with Host() as host:
        place = host.at("host/pci/0000:00:1f.0/assigned")
        del host.world.bus.devices[0x00F8]
        assert not host.has("host/pci/0000:00:1f.0")
        with pytest.raises(NotThere):
            place.node.produce(host.xen, place.ids)  # type: ignore[attr-defined]


@given(st.integers(0, 0xFFFFFFFF))
def test_addresses_round(sbdf: int) -> None:
    address = Address(sbdf >> 16, sbdf >> 8 & 0xFF, sbdf & 0xFF)
    assert Address.parse(str(address)) == address
    assert address.sbdf == sbdf


@pytest.mark.parametrize(
    "name", ["", "0000:00:00", "0:0:0.0", "0000:00:20.0", "0000:00:00.8", "10000:e1:00.0", "0000:00:00.0\n"]
)
def test_what_is_no_address(name: str) -> None:
    assert Address.parse(name) is None


def test_whether_a_domain_could_have_a_device() -> None:
    with Host() as host:
        domains = [d.domid for d in host.world.domains_from(0) if host.has(f"domains/{d.domid}/passthrough")]
        assert domains == [7]
        place = host.at("domains/7/passthrough/test")
        answers = {name: host.put(place, name) for name in (b"0000:00:1f.0", b"00:1f.0\n", b"01:00.0", b"02:00.0")}
        assert list(answers.values()) == [b"1\n", b"1\n", b"0\n", b"1\n"]
        assert "no such device" in str(refuse(host, place, b"00:1e.0"))
        host.world.bus.give((0x00F8,), 3)
        assert host.put(place, b"00:1f.0") == b"0\n"


def test_devices_of_the_device_tree() -> None:
    with Host("arch=arm64,smmu=on") as host:
        test, change = host.at("domains/7/passthrough/test"), "domains/7/passthrough/dt"
        assert host.put(test, b"/soc/mmc@2\n") == b"1\n"
        host.write(change, "+/soc/mmc@2")
        assert host.put(test, b"/soc/mmc@2") == b"0\n"
        assert refused_write(host, change, "+/soc/mmc@2").errno == errno.EBUSY
        host.write(change, "-/soc/mmc@2")
        for text in ("-/soc/mmc@2", "+/nothing"):
            problem = refused_write(host, change, text)
            assert (problem.errno, "no such node" in str(problem)) == (errno.ERANGE, True), text
        assert refused_write(host, change, "+/chosen").errno == errno.EINVAL, "no IOMMU knows it"
        assert not host.has("domains/7/passthrough/pci")
        assert "no such device" in str(refuse(host, test, b"00:02.0"))
    with Host("arch=arm64") as host:
        assert not host.has("domains/7/passthrough"), "without an SMMU"
    with Host() as host:
        assert not host.has(change)
        assert "no device tree" in str(refuse(host, host.at("domains/7/passthrough/test"), b"/soc/mmc@2"))


def refused_write(host: Host, path: str, text: str) -> XenfsError:
    with pytest.raises(XenfsError) as caught:
        host.write(path, text)
    return caught.value


def test_what_would_be_booted_next() -> None:
    with Host("cpus=70") as host:
        assert (host.value("host/kexec/loaded"), host.value("host/kexec/crash_loaded")) == ("0", "1")
        before = host.counts.copy()
        rows = [line.split() for line in host.value("host/kexec/ranges").splitlines()]
        assert host.asked(before)["multicall"] == 3 + 6  # a batch of CPUs, and each other kind alone
        assert [row[0] for row in rows] == ["crash", "xen", *(f"cpu{n}" for n in range(70)), "vmcoreinfo"]
        assert rows[0] == ["crash", "start=0x30000000", "size=268435456"]


def test_counters_for_guests() -> None:
    with Host("profile=full") as host:
        assert (host.value("host/pmu/mode"), host.value("host/pmu/features")) == ("self", "0x0")
        host.write("host/pmu/mode", "all\n")
        host.write("host/pmu/features", "0x5")
        assert (host.value("host/pmu/mode"), host.value("host/pmu/features")) == ("all", "0x5")
        host.world.pmu.in_use = True
        host.write("host/pmu/mode", "all")  # as it is: nothing to ask for
        for path, value in (("mode", "off"), ("features", "0")):
            with pytest.raises(XenfsError) as caught:
                host.write(f"host/pmu/{path}", value)
            assert caught.value.errno == errno.EBUSY
        for path, value in (("mode", b"Self"), ("features", b"8")):
            refuse(host, host.at(f"host/pmu/{path}"), value)
    with Host("profile=full", Options()) as host:
        assert host.at("host/pmu/mode").node.mode & 0o777 == 0o444


@pytest.mark.parametrize("release", ["4.14", "4.22"])
def test_symbols_are_asked_for_once(release: str) -> None:
    with Host(f"xen={release}") as host:
        text = host.read("host/xensyms")
        lines = text.splitlines()
        assert lines[0] == "ffff82d040200000 T _stext"
        assert lines[-1].endswith(" B _end")
        assert all(re.fullmatch(r"[0-9a-f]{16} [a-zA-Z] \S+", line) for line in lines)
        assert len(lines) == len(set(lines)) == 309
        assert lines == sorted(lines)
        before = host.counts.copy()
        assert host.read("host/xensyms") == text
        assert not host.asked(before)
        assert len(list(symbols.symbols(host.xen))) == 309


def test_xen_s_clock() -> None:
    with Host() as host:
        first = int(host.value("host/time/system_ns"))
        host.advance(2.5)
        assert int(host.value("host/time/system_ns")) == first + 2_500_000_000
        assert abs(int(host.value("host/time/boot_s")) - (time.time() - first / 1e9 - 2.5)) <= 2


def test_a_line_for_the_console() -> None:
    with Host() as host:
        place = host.at("host/console/tty")
        for text in ("hello", "gr\u00fc\u00dfe, \tWelt\n", "one\ntwo"):
            before = host.counts.copy()
            host.write("host/console/tty", text)
            assert host.asked(before) == {"console_io write": 1}
            assert host.read("host/console/log").endswith(text.removesuffix("\n") + "\n")
        for bad in (b"", b"\n", b"\x1b[2J", b"a\rb", b"\x07", b"\0", "\x9b1m".encode(), b"\xff", b"x" * 4097, b"\x7f"):
            refuse(host, place, bad)
        host.write("host/console/tty", "x" * 4096)
        assert place.node.mode & 0o777 == 0o200


def test_virtual_nodes() -> None:
    with Host() as host:
        assert [d.domid for d in host.world.domains_from(0) if host.has(f"domains/{d.domid}/memory/vnuma")] == [3]
        assert host.value("domains/3/memory/vnuma").splitlines() == [
            "vnode0 distance=10,21 vcpus=0,2",
            "vnode1 distance=21,10 vcpus=1,3",
            "range0 vnode=0 start=0x0 end=0xc0000000 flags=0x0",
            "range1 vnode=1 start=0x100000000 end=0x1c0000000 flags=0x0",
        ]
        held = host.world.domains[3].kept["vnuma"]
        found = vnuma.topology(host.xen, 3)
        assert (found.distances, found.vcpu_nodes) == (held.distances, held.vcpu_nodes)


def test_run_states_of_one_s_own() -> None:
    with Host() as host:
        own = [d.domid for d in host.world.domains_from(0) if host.has(f"domains/{d.domid}/vcpus/0/runstate")]
        assert own == [0]
        flat = host.flat("domains/0/vcpus/1/runstate")
        times = [int(flat[f"{name}_ns"]) for name in ("running", "runnable", "blocked", "offline")]
        assert sum(times) == host.world.clock.now()
        assert flat["state"] in ("running", "blocked")
        assert times[0] == int(host.value("domains/0/vcpus/1/cpu_time_ns"))


def test_what_the_firmware_left() -> None:
    with Host() as host:
        assert host.value("host/firmware/efi/vendor") == "American Megatrends"
        assert host.flat("host/firmware/efi/config_table") == {"addr": "0xbe7f0018", "nent": "14"}
        assert host.flat("host/efi/variable_info")["remain_store_size"] == str(0x9A40)
        assert host.value("host/mtrr/ranges").splitlines()[1:] == [
            "reg01: base=0x080000000 ( 2048MB), size= 1024MB, count=1: write-back",
            "reg02: base=0x0c0000000 ( 3072MB), size= 1024MB, count=1: uncachable",
        ]
        assert host.value("host/vm_event_version") == "7"
    with Host(options=Options()) as host:
        assert not any(host.has(f"host/{name}") for name in ("firmware", "efi", "mtrr"))
        assert host.has("host/vm_event_version")


@pytest.mark.parametrize(("efi", "flags"), [("on", "0x0"), ("off", "0x20")])
def test_the_shift_keys_are_the_bioss(efi: str, flags: str) -> None:
    with Host(f"efi={efi}") as host:
        assert host.value("host/firmware/kbd_shift_flags") == flags


def test_where_trace_buffers_are() -> None:
    with Host() as host:
        assert host.flat("host/trace/info") == {"size_pages": "0", "buffer_mfn": "0", "evt_mask": "0xffff000"}
        found = host.world.host.tracing
        found.mask, found.mfn, found.info_bytes = 0x1000, 4711, 3 * 4096
        assert host.flat("host/trace/info") == {"size_pages": "3", "buffer_mfn": "4711", "evt_mask": "0x1000"}
