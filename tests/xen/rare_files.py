"""Files that hardly anybody writes, each tried on a domain of its own or on pages that nobody has.

No run of all tests has these: name the file. See CONTRIBUTING.md.
"""

from __future__ import annotations

import errno
import os
import subprocess

import pytest
from xen_guests import Guest, of_on_xen
from xen_mount import Mount, failure
from xen_raw import FRAME, Made, ask, frames_of_pv, made, refused

RING = 28  # HVM_PARAM_MONITOR_RING_PFN


@pytest.fixture
def arm(raw: Mount) -> bool:
    return "arm64" in raw.value("xenfs/interface")


def test_a_page_goes_offline_and_comes_back(raw: Mount, arm: bool) -> None:
    """One that nobody has at once, one that a domain has when it gives it up."""
    if arm:
        pytest.skip("populate_physmap does not tell a page's number in the machine here")
    with made(raw, "pv") as one:
        free, owned = frames_of_pv(one, 2)
        where = f"extent_start=in:{free.to_bytes(8, 'little').hex()}"
        assert ask(raw, "memory_op/decrease_reservation", f"domid={one.domid} nr_extents=1 {where}")["result"] == "1"
        assert raw.ask("host/memory/page_status", str(free)).split()[1] == "online"
        assert raw.ask("host/memory/soft_offline_page", str(free)).split()[1].startswith("offlined")
        assert "offlined" in raw.ask("host/memory/page_status", str(free))
        assert "onlined" in raw.ask("host/memory/online_page", str(free))
        assert raw.ask("host/memory/page_status", str(free)).split()[1] == "online"
        said = raw.ask("host/memory/soft_offline_page", str(owned))
        assert f"owner={one.domid}" in said
        assert "pending" in said
        assert "onlined" in raw.ask("host/memory/online_page", str(owned))
    beyond = int(raw.value("host/memory/max_mfn")) + 0x100000
    assert failure(lambda: raw.ask("host/memory/page_status", str(beyond))) == errno.EINVAL


def test_another_uuid(raw: Mount, pvh: Made) -> None:
    raw.write(pvh.node("uuid"), "12345678-1234-5678-1234-567812345678")
    assert raw.value(pvh.node("uuid")) == "12345678-1234-5678-1234-567812345678"


def test_a_global_interrupt_is_given_and_taken(raw: Mount, pvh: Made) -> None:
    node = pvh.node("access/gsi")
    if not raw.has(node):
        pytest.skip("since Xen 4.20, on x86")
    raw.write(node, "+5")
    raw.write(node, "-5")
    assert failure(lambda: raw.write(node, "+60000")) in (errno.EINVAL, errno.EPERM, errno.ERANGE)


def test_a_domain_for_the_devices_of_another(raw: Mount, pvh: Made, arm: bool) -> None:
    with made(raw, "pv") as model:
        raw.write(model.node("target"), str(pvh.domid))
        assert failure(lambda: raw.write(model.node("target"), str(pvh.domid))) == errno.EINVAL, "it has one"
    if not arm:
        with made(raw, "pv") as other, made(raw, "pv") as third:
            assert failure(lambda: raw.write(other.node("target"), str(third.domid))) == errno.EOPNOTSUPP


def test_who_gets_an_interrupt_of_the_hosts(raw: Mount, pvh: Made) -> None:
    """One that nobody has bound; it is the control domain's again when its new owner ends."""
    raw.write(pvh.node("evtchn/virq_handler"), "mem_event")
    raw.write(pvh.node("evtchn/virq_handler"), "mem_event")  # it has it
    assert refused(raw, "domctl/set_virq_handler", f"domain={pvh.domid} virq=0") == errno.EINVAL, "each vCPU has one"


def test_what_has_shut_down_begins_anew(raw: Mount, pvh: Made) -> None:
    node = pvh.node("soft_reset")
    if not raw.has(node):
        assert "arm64" in raw.value("xenfs/interface")
        return
    assert failure(lambda: raw.write(node, "1")) == errno.EINVAL, "it has not shut down"
    port = ask(raw, "event_channel_op/alloc_unbound", f"dom={pvh.domid}")["port"]
    raw.write(pvh.node("shutdown"), "soft_reset")
    assert raw.value(pvh.node("shutdown_reason")) == "soft_reset"
    raw.write(node, "1")
    assert raw.value(pvh.node("shutdown_reason")) == ""
    status = ask(raw, "event_channel_op/status", f"dom={pvh.domid} port={port}")["status"]
    assert status == "0", "its event channels are closed"


def test_a_debugger_stops_one_vcpu(raw: Mount, pvh: Made) -> None:
    if not raw.has(pvh.node("debug/status")):
        assert refused(raw, "domctl/gdbsx_domstatus", f"domain={pvh.domid}") in (
            errno.ENOSYS,
            errno.EOPNOTSUPP,
            errno.ENOENT,
        )
        pytest.skip("this Xen was built without what gdbsx asks")
    assert raw.ask(pvh.node("debug/status"), "1").splitlines()[0] == "paused 1"
    stop = pvh.node("vcpus/0/debug/paused")
    raw.write(stop, "1")
    raw.write(stop, "0")
    assert failure(lambda: raw.write(stop, "0")) == errno.EINVAL
    with_code = of_on_xen("gpvh")
    if with_code:
        before = raw.value(with_code.node("freeze"))
        raw.write(with_code.node("freeze"), "1")
        address = int(raw.flat(with_code.node("vcpus/0/regs"))["rip"], 16)
        said = ask(raw, "domctl/gdbsx_guestmemio:read", f"domain={with_code.domid} gva={address} len=16 uva=out:16")
        assert said["remain"] == "0"
        text = said["uva"]
        written = ask(
            raw, "domctl/gdbsx_guestmemio:write", f"domain={with_code.domid} gva={address} len=16 uva=in:{text}"
        )
        assert written["remain"] == "0"
        raw.write(with_code.node("freeze"), before)


KINDS_OF_EVENTS = {
    "cpuid": ("1", "0"), "software_breakpoint": ("1", "0"), "write_ctrlreg": ("cr3 onchange", "off cr3"),
    "guest_request": ("on", "off"), "debug_exception": ("on", "off"), "mov_to_msr": ("0x176", "off 0x176"),
    "desc_access": ("1", "0"), "emul_unimplemented": ("1", "0"), "inguest_pagefault": ("1", "0"),
    "vmexit": ("on", "off"), "io": ("1", "0"), "privileged_call": ("1", "0"), "singlestep": ("1", "0"),
}  # fmt: skip


def test_every_event_with_a_listener(raw: Mount, pvh: Made, arm: bool) -> None:
    """Each that this Xen has for it: told from then on, and no more. Some can be only where somebody listens."""
    d = pvh.domid
    raw.write(pvh.node("freeze"), "1")
    can = set(raw.value(pvh.node("monitor/capabilities")).split()) - {"interrupt"}
    assert can <= set(KINDS_OF_EVENTS)
    assert "privileged_call" in can if arm else "mov_to_msr" in can
    ask(raw, "hvm_op/set_param", f"domid={d} index={RING} value={FRAME}")
    assert int(ask(raw, "domctl/vm_event_op:ENABLE:MONITOR", f"domain={d}")["u.enable.port"]) > 0
    assert refused(raw, "domctl/vm_event_op:ENABLE:MONITOR", f"domain={d}") == errno.EBUSY
    try:
        for name in sorted(can):
            on, off = KINDS_OF_EVENTS[name]
            node = pvh.node(f"monitor/{name}")
            raw.write(node, on)
            raw.write(node, off)
            again = (
                f"{'off ' if ' ' in off else ''}"  # turned off twice is as good, by the file; Xen itself says EEXIST
            )
            raw.write(node, f"{again}{off.removeprefix('off ')}")
        if not arm:
            raw.write(pvh.node("monitor/emulate_each_rep"), "1")
            raw.write(pvh.node("monitor/emulate_each_rep"), "0")
            raw.write(pvh.node("monitor/control_registers"), "1")
        elif raw.has(pvh.node("memory/access")):
            _accesses(raw, pvh)
        ask(raw, "domctl/vm_event_op:RESUME:MONITOR", f"domain={d}")
    finally:
        ask(raw, "domctl/vm_event_op:DISABLE:MONITOR", f"domain={d}")
    if "mov_to_msr" in can:
        assert failure(lambda: raw.write(pvh.node("monitor/mov_to_msr"), "0x176")) == errno.ENXIO, "nobody listens"


def _accesses(raw: Mount, pvh: Made) -> None:
    """On x86 these take a CPU of Intel's, on Arm a Xen that was built with memory access: Debian's is not."""
    node, frame = pvh.node("memory/access"), FRAME + 8
    assert raw.ask(node, f"{frame:#x} 2") == f"{frame:#x} rwx\n{frame + 1:#x} rwx"
    raw.ask(node, f"{frame:#x} 2 rx")
    assert raw.ask(node, f"{frame:#x} 2") == f"{frame:#x} rx\n{frame + 1:#x} rx"
    raw.ask(node, f"{frame:#x} 2 rwx")
    default = pvh.node("memory/access_default")
    assert raw.ask(default, "?") == "rwx"
    raw.ask(default, "rw")
    assert raw.ask(default, "?") == "rw"


def test_pages_that_were_written_to(raw: Mount, pvh: Made) -> None:
    """What a device model says that it has written to is dirty until it is cleaned."""
    log = pvh.node("logdirty")
    if not raw.has(log):
        assert "arm64" in raw.value("xenfs/interface")
        return
    raw.write(f"{log}/mode", "logdirty")
    try:
        extent = f"nr_extents=1 extents.0.nr=1 extents.0.first_pfn={FRAME + 3}"
        ask(raw, "dm_op/modified_memory", f"domid={pvh.domid} {extent}")
        bits = raw.read(f"{log}/peek")
        assert bits[(FRAME + 3) // 8] & 1 << (FRAME + 3) % 8
        assert raw.exchange(f"{log}/clean", "1", len(bits)) == bits
        raw.ask(f"{log}/clean", "1")
        assert not any(raw.read(f"{log}/peek"))
    finally:
        raw.write(f"{log}/mode", "off")


def test_memory_for_page_tables(raw: Mount, pvh: Made) -> None:
    node = pvh.node("memory/shadow_mb")
    if not raw.has(node):
        assert "arm64" in raw.value("xenfs/interface")
        return
    before = int(raw.value(node))
    raw.write(node, str(before + 2))
    assert int(raw.value(node)) == before + 2
    raw.write(node, str(before))
    assert int(raw.value(node)) == before


def test_registers_that_few_have(raw: Mount, guest: Guest) -> None:
    """A PV guest's: what there is is set again."""
    node = guest.node("vcpus/0/msrs")
    if not raw.has(node):
        pytest.skip("of PV domains, on x86")
    raw.write(guest.node("freeze"), "1")
    try:
        assert failure(lambda: raw.write(node, "0x10 1")) == errno.ENXIO
        taken = [msr for msr in ("0x48", "0x140", "0xc0000103", "0xc0011027", "0xc0011019") if _takes(raw, node, msr)]
        print(f"MSRs that may be set here: {taken}")
        if not taken:
            pytest.skip("a CPU without any of these MSRs")
    finally:
        raw.write(guest.node("freeze"), "0")


def _takes(raw: Mount, node: str, msr: str) -> bool:
    outcome = failure(lambda: raw.write(node, f"{msr} 0"))
    assert outcome in (0, errno.ENXIO, errno.EINVAL), outcome
    return outcome == 0


def test_neither_microcode_nor_another_kernel_is_tried(raw: Mount) -> None:
    """Only what Xen refuses: nonsense for microcode, and a kernel that nobody has loaded."""
    payload = "host/microcode/payload"
    if not raw.has(payload):
        assert "arm64" in raw.value("xenfs/interface")
        return
    assert failure(lambda: raw.write(payload, b"nonsense" * 16)) in (
        errno.EINVAL,
        errno.ENOENT,
        errno.EIO,
        errno.ENODEV,
    )
    if raw.has("host/kexec/exec"):
        assert failure(lambda: raw.write("host/kexec/exec", "default")) == errno.ENOENT


def test_a_server_for_io_is_told_of(raw: Mount, arm: bool) -> None:
    if arm:
        pytest.skip("an operation of x86")
    with made(raw, "hvm", 64) as one:
        d = one.domid
        number = ask(raw, "dm_op/create_ioreq_server", f"domid={d} handle_bufioreq=0")["id"]
        known = ask(raw, "dm_op/get_ioreq_server_info:no_gfns", f"domid={d} id={number}")
        told = raw.flat(one.node(f"dm/ioreq_servers/{number}/info"))
        assert known["bufioreq_port"] in told.values()
        ask(raw, "dm_op/destroy_ioreq_server", f"domid={d} id={number}")


def test_who_may_count_events(raw: Mount) -> None:
    """With vpmu= on Xen's command line. While somebody counts, Xen only changes between self and hv."""
    mode = "host/pmu/mode"
    if not raw.has(mode):
        pytest.skip("Xen was booted without vpmu")
    before = raw.value(mode)
    other = "hv" if before == "self" else "self"
    assert failure(lambda: raw.write(mode, other)) in (0, errno.EBUSY)
    raw.write(mode, before)
    features = raw.value("host/pmu/features")
    assert failure(lambda: raw.write("host/pmu/features", "2")) in (0, errno.EBUSY)
    raw.write("host/pmu/features", features)


@pytest.mark.usefixtures("peers")
def test_machine_checks_are_feigned_as_by_xen_mceinj(raw: Mount) -> None:
    """An error that was not corrected and asks for nothing: what Xen says to the tool, it says to the file too."""
    if not raw.has("host/mce"):
        pytest.skip("no machine checks for this control domain")
    release = f"{raw.value('version/major')}.{raw.value('version/minor')}"
    tool = f"/usr/lib/xen-{release}/bin/xen-mceinj"
    if not os.access(tool, os.X_OK):
        pytest.skip("no xen-mceinj here")
    done = subprocess.run([tool, "-t", "2", "-c", "0"], capture_output=True, text=True, timeout=60, check=False)
    print(done.stdout, done.stderr)
    registers = "0 0x17a 0 0x425 0xbc20000080000136 0x427 0x86 0x426 0x180020"
    mine = {
        "Failed to inject MSR": failure(lambda: raw.write("host/mce/inject", registers)),
        "Failed to inject MCE error": failure(lambda: raw.write("host/mce/inject", "cmci 0-1")),
    }
    theirs = next((line.partition(": ") for line in done.stderr.splitlines() if line.startswith("Failed")), None)
    print(mine, theirs, raw.ask("host/mce/log", "1"))
    if theirs:
        assert os.strerror(mine[theirs[0]]) == theirs[2]
    else:
        assert not any(mine.values())
