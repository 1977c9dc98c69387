"""raw/: what Xen, or the firmware below it, would not survive or would answer beyond a buffer's end is not asked."""

from __future__ import annotations

import errno

import pytest
from worlds import Host, ask

from xenfs.abi.numbers import Domctl, Hypercall
from xenfs.errors import BadInput, Stale
from xenfs.nodes.raw.operations import by_path

_NAME = "platform_op/efi_runtime_call:get_next_variable_name"
_SIZE, _WHERE = "u.get_next_variable_name.size", "u.get_next_variable_name.name"


def refused(host: Host, path: str, text: str) -> BadInput:
    """Refused before Xen hears of it, with no buffer left on loan."""
    before = host.counts.copy()
    with pytest.raises(BadInput) as caught:
        ask(host, path, text)
    op = by_path()[path]
    assert (op.whole or op).name not in host.asked(before)
    assert host.xen.pool.stat()["in_use"] == 0
    return caught.value


def test_xen_goes_by_counts_of_its_own() -> None:
    """A buffer for fewer states than a CPU has is refused: Xen fills in all of them, whatever the question says."""
    with Host("xen=4.17,cpus=2,cpufreq=acpi") as host:
        path = "sysctl/get_pmstat:get_pxstat"
        many = int(ask(host, "sysctl/get_pmstat:get_max_px", "cpuid=1")["u.getpx.total"])
        assert many > 1
        for total in (0, 1, many - 1):
            room = f"u.getpx.pt=out:{32 * max(1, total)} u.getpx.trans_pt=out:{8 * max(1, total) ** 2}"
            with pytest.raises(BadInput, match=f"Xen fills in {many}") as caught:
                ask(host, path, f"cpuid=1 u.getpx.total={total} {room}")
            assert caught.value.at == 8
        with pytest.raises(BadInput, match="fills in"):
            host.put(host.at("raw/multicall"), f"{path} cpuid=1".encode())
        room = f"u.getpx.pt=out:{32 * many} u.getpx.trans_pt=out:{8 * many**2}"
        assert ask(host, path, f"cpuid=1 u.getpx.total={many} {room}")["u.getpx.usable"] == str(many)


def test_xen_fills_in_every_cpu() -> None:
    """Fewer than are online have a real Xen write past an array of its own: seen on 4.17, which ended."""
    with Host("xen=4.17,cpus=2") as host:
        with pytest.raises(BadInput, match="Xen fills in 2"):
            ask(host, "mca/physcpuinfo", "ncpus=1 info.0.mc_cpunr=0")
        assert ask(host, "mca/physcpuinfo", "ncpus=2 info.0.mc_cpunr=0")["info.0.mc_cpunr"] == "0"
        assert ask(host, "mca/physcpuinfo", "")["ncpus"] == "2"


def test_cpus_may_come_online_between_the_look_and_the_call() -> None:
    """So there has to be room for all that there can be, and not only for those that are online."""
    with Host("xen=4.17,cpus=4,profile=full") as host:
        for cpu in (2, 3):
            host.world.host.cpus[cpu].online = False
        host.world.host.nr_online = 2
        assert ask(host, "mca/physcpuinfo", "")["ncpus"] == "2"
        with pytest.raises(BadInput, match="Xen fills in 4"):
            ask(host, "mca/physcpuinfo", "ncpus=3 info.0.mc_cpunr=0")
        assert ask(host, "mca/physcpuinfo", "ncpus=4 info.0.mc_cpunr=0")["ncpus"] == "2"
        path = "sysctl/perfc_op:query"
        told = ask(host, path, "")
        counters, values = int(told["nr_counters"]), int(told["nr_vals"])
        assert "nr_vals has to do for all CPUs" in host.value(f"raw/{path}")

        def room(nr_vals: int) -> str:
            buffers = f"desc=out:{counters * 96} val=out:{4 * nr_vals}"
            return f"nr_counters={counters} nr_vals={nr_vals} {buffers}"

        for less in (values, values + 4 * counters - 1):
            with pytest.raises(BadInput, match=f"Xen fills in {values + 4 * counters}"):
                ask(host, path, room(less))
        assert ask(host, path, room(values + 4 * counters))["result"] == "0"


def test_a_live_patch_that_takes_the_place_of_another() -> None:
    """Between the look and the call: the version that Xen gives tells, and the answer is not given."""
    path = "sysctl/livepatch_op:LIST"
    with Host("xen=4.17") as host:
        whole = ask(host, path)
        names, metadata = (int(whole[f"u.list.{each}_total_size"]) for each in ("name", "metadata"))
        question = (
            f"u.list.nr=2 u.list.status=out:64 u.list.len=out:64 u.list.metadata_len=out:64"
            f" u.list.name_total_size={names} u.list.name=out:{names}"
            f" u.list.metadata_total_size={metadata} u.list.metadata=out:{metadata}"
        )
        asked = host.sim.hypercall
        calls = 0

        def meanwhile(number: int, args: tuple[int, ...]) -> int:
            nonlocal calls
            calls += 1
            if calls == 2:
                host.world.livepatches.version += 1
            return asked(number, args)

        host.sim.hypercall = meanwhile  # type: ignore[method-assign]
        with pytest.raises(Stale):
            ask(host, path, question)
        assert ask(host, path, question)["result"] == "2"


def test_lines_of_a_batch_cannot_take_away_what_was_looked_at() -> None:
    """Of one that xenfs looks after before, nothing may stand before it that changes what was seen."""
    with Host("xen=4.17,cpufreq=acpi") as host:
        batch = host.at("raw/multicall")
        context, uuid = "domctl/gethvmcontext domain=3", host.value("domains/3/uuid")
        end = "domctl/destroydomain domain=3"
        for before in (end, "domctl/max_vcpus domain=3 max=4", "sysctl/debug_keys keys=text:h nr_keys=1"):
            with pytest.raises(BadInput, match="what the lines before it change") as caught:
                host.put(batch, f"sysctl/sched_id\n{before}\n{context}".encode())
            assert caught.value.at == len(f"sysctl/sched_id\n{before}\n")
        made = "domctl/createdomain domain=0x7ff5 max_vcpus=1 max_evtchn_port=1023 grant_opts=1"
        for before in (end, made):
            with pytest.raises(BadInput, match="may make its domain another"):
                host.put(batch, f"{before}\ndomctl/pausedomain domain=3 uuid={uuid}".encode())
        before_calls = host.counts["multicall"]
        lines = f"{context}\ndomctl/pausedomain domain=3 uuid={uuid}\ndomctl/unpausedomain domain=3 uuid={uuid}\n{end}"
        answer = host.put(batch, lines.encode()).decode()
        assert host.counts["multicall"] == before_calls + 1
        assert [line for line in answer.splitlines() if line.startswith(("1 result", "2 result"))] == [
            "1 result 0", "2 result 0",
        ]  # fmt: skip


@pytest.mark.parametrize(("release", "bounded"), [("4.20", True), ("4.21", False)])
def test_no_more_live_patches_than_there_are(release: str, bounded: bool) -> None:
    """Up to 4.20 one that is loaded between the look and the call would be written behind the buffers' end."""
    path = "sysctl/livepatch_op:LIST"
    with Host(f"xen={release}") as host:
        whole = ask(host, path)
        names, metadata = (int(whole[f"u.list.{each}_total_size"]) for each in ("name", "metadata"))
        there = int(whole["u.list.nr"])
        assert there == 2

        def room(first: int, count: int) -> str:
            return (
                f"u.list.idx={first} u.list.nr={count} u.list.status=out:64 u.list.len=out:64"
                f" u.list.metadata_len=out:64 u.list.name_total_size={names} u.list.name=out:{names}"
                f" u.list.metadata_total_size={metadata} u.list.metadata=out:{metadata}"
            )

        assert ask(host, path, room(0, there))["result"] == str(there)
        assert ask(host, path, room(1, there - 1))["result"] == str(there - 1)
        for first, count in ((0, there + 1), (1, there)):
            if bounded:
                with pytest.raises(BadInput, match=rf"is {there + 1}, and there are {there}") as caught:
                    ask(host, path, room(first, count))
                assert caught.value.at == len(f"u.list.idx={first} ")
            else:
                assert ask(host, path, room(first, count))["result"] == str(there - first)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (f"{_SIZE}=4 {_WHERE}=in:41004200", "no zero of two bytes"),
        (f"{_SIZE}=4 {_WHERE}=in:410042000000", "no zero of two bytes"),  # Xen takes four bytes of these
        (f"{_SIZE}=3 {_WHERE}=in:410000", "no zero of two bytes"),
        (f"{_SIZE}=0 {_WHERE}=in:0000", "no zero of two bytes"),
        ("", "is null"),
        (f"{_SIZE}=4", "is null"),
    ],
)
def test_firmware_reads_a_name_to_its_end(text: str, why: str) -> None:
    """On a copy of Xen's that is as long as the question says: behind it lies what is not Xen's to give."""
    with Host("xen=4.22,profile=full") as host:
        assert why in str(refused(host, _NAME, text))
        with pytest.raises(BadInput, match="not simulated"):
            ask(host, _NAME, f"{_SIZE}=6 {_WHERE}=inout:410042000000")


def test_names_of_variables_end_in_their_buffers() -> None:
    with Host("xen=4.17,profile=full") as host:
        for call in ("get_variable", "set_variable"):
            path, name = f"platform_op/efi_runtime_call:{call}", f"u.{call}.name"
            assert "no zero" in str(refused(host, path, f"{name}=in:41004200"))
            assert "no zero" in str(refused(host, path, f"{name}=in:41000042"))
            with pytest.raises(BadInput, match="not simulated"):
                ask(host, path, f"{name}=in:41000000")


def test_a_block_that_tells_its_own_size() -> None:
    with Host("xen=4.17,profile=full") as host:
        path, block = "platform_op/firmware_info:DISK_INFO", "u.disk_info.edd_params"
        assert "a size of more than" in str(refused(host, path, f"{block}=inout:{'4b00' + '00' * 72}"))
        with pytest.raises(BadInput, match="not simulated"):
            ask(host, path, f"{block}=inout:{'4a00' + '00' * 72}")


def _reaching(host: Host, reaches: str, said: str) -> list[str]:
    """The files whose forms say so: all that the tables name, of this release."""
    found = [path for path in by_path() if host.has(f"raw/{path}") and said in host.read(f"raw/{path}")]
    assert all(by_path()[path].reaches == reaches for path in found)
    return found


def test_a_domain_without_a_vcpu_is_not_asked_what_its_vcpu_has() -> None:
    """As every domain is for a moment while it is made: on every release Xen reaches for vCPU 0 without looking."""
    with Host("xen=4.17") as host:
        paths = _reaching(host, "vcpu", "# without a vCPU Xen would end")
        assert set(paths) == {path for path, op in by_path().items() if op.reaches == "vcpu"}
        assert {"domctl/gethvmcontext", "domctl/gethvmcontext_partial", "domctl/sethvmcontext"} <= set(paths)
        made = "domain=0x7ff5 flags=3 max_vcpus=1 max_evtchn_port=1023 grant_opts=1 arch.emulation_flags=1"
        new = int(ask(host, "domctl/createdomain", made)["domain"])
        for path in (path for path in paths if by_path()[path].simulated):
            assert f"domain {new} has no vCPU" in str(refused(host, path, f"domain={new}")), path
            assert refused(host, path, "domain=77").errno == errno.ESRCH, path
            with pytest.raises(BadInput, match="no vCPU"):
                host.put(host.at("raw/multicall"), f"{path} domain={new}".encode())
        ask(host, "domctl/max_vcpus", f"domain={new} max=1")
        assert int(ask(host, "domctl/gethvmcontext", f"domain={new}")["size"]) > 0


@pytest.mark.parametrize(("release", "many"), [("4.14", 10), ("4.16", 10), ("4.17", 9), ("4.18", 0), ("4.22", 0)])
def test_what_is_about_no_domain_is_not_asked_of_a_xen_that_dies_of_it(release: str, many: int) -> None:
    with Host(f"xen={release},profile=full") as host:
        assert len(_reaching(host, "domain", "# without such a domain Xen would end")) == many
        path = "domctl/test_assign_device:PCI"
        if many == 10:
            assert refused(host, path, "domain=0x7ff4").errno == errno.ESRCH
        else:
            assert ask(host, path, "domain=0x7ff4")["result"] == "0"


def test_what_may_end_the_host_needs_debug() -> None:
    """CPUs that go, come and change their cpupool: Xen does not survive all of it. Nodes refuse what they know of."""
    for path in (
        "sysctl/cpupool_op:ADDCPU", "sysctl/cpupool_op:RMCPU", "sysctl/cpu_hotplug:ONLINE",
        "sysctl/cpu_hotplug:OFFLINE", "sysctl/cpu_hotplug:SMT_DISABLE", "platform_op/cpu_online",
        "platform_op/cpu_offline", "platform_op/core_parking:SET", "domctl/gdbsx_guestmemio:read",
        "domctl/gdbsx_guestmemio:write", "physdev_op/prepare_msix", "physdev_op/release_msix",
    ):  # fmt: skip
        assert by_path()[path].dangerous, path


@pytest.mark.parametrize("way", ["read", "write"])
@pytest.mark.parametrize("release", ["4.14", "4.17"])
def test_a_xen_built_without_gdbsx_is_not_asked_to_follow_a_null_pointer(release: str, way: str) -> None:
    """Up to 4.16 such a Xen looks for the IOMMU of no domain: Debian's 4.14 ended so."""
    path, question = f"domctl/gdbsx_guestmemio:{way}", f"domain=1 gva={0xFFFF888000000000:#x} len=4 uva=inout:00000000"
    with Host(f"xen={release}") as host:
        assert "built without it could end" in host.read(f"raw/{path}")
        assert ask(host, path, question)["remain"] == "0"
        asked, domctl = host.sim.hypercall, int(Hypercall.domctl)

        def without(number: int, args: tuple[int, ...]) -> int:
            """As a build without it: it knows neither of them, and ends at one."""
            cmd = int.from_bytes(host.sim.machine.at(args[0], 4), "little") if number == domctl else 0
            assert cmd != Domctl.gdbsx_guestmemio, "Xen ends"
            return -errno.ENOSYS if cmd == Domctl.gdbsx_domstatus else asked(number, args)

        host.sim.hypercall = without  # type: ignore[method-assign]
        assert refused(host, path, question).errno == errno.EOPNOTSUPP
        with pytest.raises(BadInput, match="built without"):
            host.put(host.at("raw/multicall"), f"sysctl/sched_id\n{path} {question}".encode())
