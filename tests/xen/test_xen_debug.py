"""What -o debug lets one write, taken by a real Xen: instruments, rights to the machine, and what debuggers set."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from xen_guests import Guest
from xen_mount import Mount, failure

Doomed = Callable[..., Guest]


def test_trace_buffers_are_made_once(mount: Mount) -> None:
    if not mount.has("host/trace"):
        pytest.skip("this Xen has no trace buffers")
    mask = mount.value("host/trace/event_mask")
    mount.write("host/trace/event_mask", "0x1000")
    assert mount.value("host/trace/event_mask") == mount.flat("host/trace/info")["evt_mask"] == "0x1000"
    mount.write("host/trace/event_mask", mask)
    mount.write("host/trace/cpu_mask", "all")
    if mount.flat("host/trace/info")["buffer_mfn"] == "0":
        assert failure(lambda: mount.write("host/trace/enabled", "1")) == errno.EINVAL
        mount.write("host/trace/size_pages", "2")
    assert int(mount.flat("host/trace/info")["size_pages"]) > 0
    assert failure(lambda: mount.write("host/trace/size_pages", "2")) == errno.EBUSY
    mount.write("host/trace/enabled", "1")
    if mount.has("host/trace/marker"):
        mount.write("host/trace/marker", "0x123 1 2 3")
    mount.write("host/trace/enabled", "0")


def test_rights_are_given_and_taken(mount: Mount, doomed: Doomed) -> None:
    guest = doomed()
    changes = {"iomem": "0xfed40-0xfed41", "ioport": "0x2e8-0x2ef", "pirq": "9"}
    for name, what in changes.items():
        if mount.has(guest.node(f"access/{name}")):
            for text in (f"+{what}", f"-{what}"):  # Xen may keep these for itself: which, is the machine's affair
                outcome = failure(lambda node=name, text=text: mount.write(guest.node(f"access/{node}"), text))  # type: ignore[misc]
                assert outcome in (0, errno.EPERM), (name, text)
    if mount.has(guest.node("access/ioport")):
        assert failure(lambda: mount.write(guest.node("access/ioport"), "+0x20")) == errno.EPERM
    assert not mount.has("domains/self/access")


def test_what_a_guest_is_told_of_time_and_suspend(mount: Mount, doomed: Doomed) -> None:
    guest = doomed()
    mount.write(guest.node("time/offset_s"), "-3600")
    mount.write(guest.node("evtchn/suspend_port"), "0")
    assert failure(lambda: mount.write(guest.node("evtchn/suspend_port"), "1022")) == errno.ERANGE
    if mount.has(guest.node("tsc/set")):
        mount.write(guest.node("tsc/set"), "always_emulate 1000000 3 5000000000")
        assert mount.value(guest.node("tsc/mode")) == "always_emulate"
        assert mount.value(guest.node("tsc/incarnation")) == "4"
        assert mount.value(guest.node("tsc/khz")) == "1000000"


def test_event_channels_of_a_paused_guest(mount: Mount, doomed: Doomed) -> None:
    guest = doomed()
    mount.write(guest.node("freeze"), "1")
    mount.write(guest.node("evtchn/reset"), "1")
    assert not mount.has("domains/self/evtchn/reset")


def test_a_debugger_stops_a_vcpu(mount: Mount, doomed: Doomed) -> None:
    guest = doomed()
    mount.write(guest.node("debug/attached"), "1")
    mount.write(guest.node("debug/attached"), "0")
    if not mount.has(guest.node("vcpus/0/debug")):
        return
    mount.write(guest.node("freeze"), "1")
    if not mount.has(guest.node("debug/status")):
        return  # a build without
    assert mount.ask(guest.node("debug/status"), "1").splitlines() == ["paused 1", "vcpu -", "event -"]
    stop = guest.node("vcpus/0/debug/paused")
    mount.write(stop, "1")
    mount.write(stop, "0")
    assert failure(lambda: mount.write(stop, "0")) == errno.EINVAL


def test_events_of_an_hvm_guest(mount: Mount) -> None:
    found = [f"domains/{each}/monitor" for each in mount.numbers("domains") if each != "0"]
    watched = next((each for each in found if mount.has(f"{each}/cpuid")), "")
    if not watched:
        pytest.skip("no guest whose events there can be")
    assert {"cpuid", "mov_to_msr", "write_ctrlreg"} <= set(mount.value(f"{watched}/capabilities").split())
    for name, on, off in (
        ("cpuid", "1", "0"), ("software_breakpoint", "1", "0"), ("write_ctrlreg", "cr3 onchange", "off cr3"),
        ("guest_request", "on", "off"), ("debug_exception", "on", "off"),
    ):  # fmt: skip
        mount.write(f"{watched}/{name}", on)
        mount.write(f"{watched}/{name}", off)
        mount.write(f"{watched}/{name}", off)
    assert failure(lambda: mount.write(f"{watched}/mov_to_msr", "0x176")) == errno.ENXIO  # nobody listens
    assert failure(lambda: mount.write(f"{watched}/emulate_each_rep", "1")) == errno.EINVAL
    mount.write(f"{watched}/access_required", "0")
    assert not mount.has(f"{watched}/interrupt")
