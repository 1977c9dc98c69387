"""Operations that hardly anybody makes, through raw/: each does on a real Xen what it is for, or says Xen's errno.

No run of all tests has these: name the file. See CONTRIBUTING.md. What may end the host is set to what is there.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from xen_guests import Guest
from xen_mount import CHECKOUT, Mount, failure
from xen_raw import FRAME, Made, ask, bare, frames_of_pv, made, refused, unpacked, words
from xen_seen import is_in_vain

from xenfs.abi.operations import Does
from xenfs.nodes.raw.operations import by_path

SELF, DOM0 = 0x7FF0, 0
LINE = 5  # an interrupt line of an emulated PC that nothing uses
SHARED, GRANTS = 0x60000, 0x61000  # frames in a domain for the page it shares with Xen, and for its grant table
WALLCLOCK = 3076  # wc_sec in struct shared_info of x86_64
RAM_RW, RAM_RO, IOREQ_SERVER = 0, 1, 4  # HVMMEM_*
PORTS, MEMORY = 0, 1  # XEN_DMOP_IO_RANGE_*
READ_ONLY, PERMIT = 4, 1  # of a grant's flags
DEVICE_MAP = 1  # GNTMAP_device_map: nothing is mapped into the kernel


@pytest.fixture
def x86(raw: Mount) -> None:
    if "arm64" in raw.value("xenfs/interface"):
        pytest.skip("an operation of x86")


@pytest.fixture
def hvm(raw: Mount, x86: None) -> Iterator[Made]:
    with made(raw, "hvm", 64) as one:
        yield one


@pytest.fixture
def pv(raw: Mount, x86: None) -> Iterator[Made]:
    with made(raw, "pv") as one:
        yield one


def test_every_reason_holds(raw: Mount, guest: Guest) -> None:
    """What docs/coverage.md says that these machines lack: what only looks is asked, and refused indeed."""
    answered = []
    for line in (CHECKOUT / "docs/coverage.md").read_text(encoding="utf-8").splitlines():
        hypercall, word, *cells = [*line.strip("| ").split(" | "), ""]
        op = by_path().get(path := f"{hypercall}/{word.replace(' ', ':')}")
        if not op or "no: it takes" not in cells[-2] or op.does is not Does.LOOKS or not raw.has(f"raw/{path}"):
            continue
        with suppress(OSError):
            answer = raw.ask(f"raw/{path}", f"{op.domain}={guest.domid}\n" if op.domain else "\n")
            if not is_in_vain(path, answer):
                answered.append(line)
    assert not answered


def test_a_held_buffer_is_used_where_it_lies(raw: Mount, buffer: str) -> None:
    """Only the struct itself is copied, whatever comes back: the pool's own counters say so."""
    raw.write("raw/buffers/rare/size", "65536")

    def copied() -> int:
        counts = raw.flat("xenfs/buffers/stat")
        return int(counts["bytes_in"]) + int(counts["bytes_out"])

    before = copied()
    assert int(ask(raw, "sysctl/getdomaininfolist", "max_domains=64 buffer=%rare")["num_domains"]) > 1
    assert copied() - before < 1024
    assert int.from_bytes(raw.path(buffer).read_bytes()[:2], "little") == DOM0
    asked = ask(raw, "sysctl/getdomaininfolist", "max_domains=64 buffer=out:65536")
    assert copied() - before > 65536, "what is lent for one question is copied"
    assert int(asked["num_domains"]) > 1


# --- the host ---


def test_the_console_is_cleared(raw: Mount) -> None:
    """What was in it comes back once more, and then no more."""
    had = ask(raw, "sysctl/readconsole:clear", "count=16384 buffer=out:16384")
    assert int(had["count"]) > 0
    ask(raw, "sysctl/debug_keys", "keys=text:h nr_keys=1")
    left = ask(raw, "sysctl/readconsole", "count=16384 buffer=out:16384")
    assert 0 < int(left["count"]) < 16384
    assert bytes.fromhex(left["buffer"])[:40] != bytes.fromhex(had["buffer"])[:40]


@pytest.mark.parametrize("operation", ["settime64", "settime32"])
def test_the_time_of_day(raw: Mount, pvh: Made, operation: str, x86: None) -> None:
    """As a domain sees it; afterwards it is what it was."""
    ask(raw, "memory_op/add_to_physmap", f"domid={pvh.domid} space=0 idx=0 gpfn={SHARED}")
    assert operation != "settime64" or refused(raw, f"platform_op/{operation}", "secs=1 mbz=1") == errno.EINVAL

    def told() -> int:
        return int.from_bytes(pvh.page(SHARED)[WALLCLOCK : WALLCLOCK + 4], "little")

    now, since_start = time.time_ns(), int(ask(raw, "hvm_op/get_time")["now"])
    then = f"secs={now // 10**9} nsecs={now % 10**9} system_time={since_start}"
    ask(raw, f"platform_op/{operation}", f"secs={1 << 30}")
    try:
        assert told() == 1 << 30
    finally:
        ask(raw, f"platform_op/{operation}", then)
    assert told() == (now - since_start) // 10**9, "when Xen began"


def test_a_range_of_memory_of_a_type(raw: Mount, x86: None) -> None:
    """Far above all memory there is."""
    before = raw.value("host/mtrr/ranges")
    added = ask(raw, "platform_op/add_memtype", "mfn=0x1000000 nr_mfns=0x100 type=0")
    try:
        assert f"reg{int(added['reg']):02}: base=0x1000000000" in raw.value("host/mtrr/ranges")
    finally:
        ask(raw, "platform_op/del_memtype", f"reg={added['reg']} handle={added['handle']}")
    assert raw.value("host/mtrr/ranges") == before
    assert refused(raw, "platform_op/add_memtype", "mfn=0x1000001 nr_mfns=0x100 type=0") == errno.EINVAL


def test_a_quirk_that_the_machine_has_not(raw: Mount, x86: None) -> None:
    ask(raw, "platform_op/platform_quirk", "quirk_id=3")  # its I/O APIC is good
    assert refused(raw, "platform_op/platform_quirk", "quirk_id=99") == errno.EINVAL


def test_what_a_driver_of_processors_may_do(raw: Mount, x86: None) -> None:
    """Xen says what of it is its own affair."""
    bits = ask(
        raw, "platform_op/set_processor_pminfo:PDC", f"id=0xffffffff u.pdc=inout:{words(1, 1, 2**32 - 1, size=4)}"
    )
    assert unpacked(bits["u.pdc"], 4)[2] < 2**16
    other = f"id=0xffffffff u.pdc=inout:{words(2, 1, 2**32 - 1, size=4)}"
    assert refused(raw, "platform_op/set_processor_pminfo:PDC", other) == errno.EINVAL, "no such revision"


def test_what_dom0_would_say_of_its_machine(raw: Mount, x86: None) -> None:
    """physdev_op of a control domain: what is said once more, of lines and devices as they are."""
    assert ask(raw, "physdev_op/alloc_irq_vector", f"irq={LINE}")["vector"]
    ask(raw, "physdev_op/setup_gsi", f"gsi={LINE} triggering=0 polarity=0")
    register = f"apic_physbase=0xfec00000 reg={0x10 + 2 * LINE}"
    value = ask(raw, "physdev_op/apic_read", register)["value"]
    assert int(value) & 1 << 16, "nobody uses it: it is masked"
    ask(raw, "physdev_op/apic_write", f"{register} value={value}")
    after = int(ask(raw, "physdev_op/apic_read", register)["value"])
    assert after | 1 << 16 == int(value), "Xen masks those that are triggered by level alone"
    for step in ("RESET_PREPARE", "RESET_DONE"):
        ask(raw, f"physdev_op/dbgp_op:{step}", "bus=1")
    free = int(ask(raw, "physdev_op/get_free_pirq", "type=1")["pirq"])
    assert free > 0
    assert int(ask(raw, "physdev_op/get_free_pirq", "type=1")["pirq"]) == free + 1, (
        "the first is taken, and of lines Xen looks upwards"
    )
    for pirq in (free, free - 1):
        refused(raw, "physdev_op/unmap_pirq", f"domid={SELF} pirq={pirq}")
    assert refused(raw, "physdev_op/pci_mmcfg_reserved", "address=0xb0000000 end_bus=255") == errno.ENODEV, "an old PC"


def test_interrupts_of_the_control_domain(raw: Mount, x86: None) -> None:
    pirq = ask(raw, "physdev_op/map_pirq", f"domid={SELF} type=1 index={LINE} pirq={LINE}")["pirq"]
    try:
        port = ask(raw, "event_channel_op/bind_pirq", f"pirq={pirq} flags=1")["port"]
        assert ask(raw, "event_channel_op/status", f"dom={SELF} port={port}")["status"] == "3"
        ask(raw, "physdev_op/eoi", f"irq={pirq}")
        assert refused(raw, "event_channel_op/bind_pirq", f"pirq={pirq} flags=1") == errno.EEXIST
        ask(raw, "event_channel_op/close", f"port={port}")
    finally:
        refused(raw, "physdev_op/unmap_pirq", f"domid={SELF} pirq={pirq}")
    assert refused(raw, "physdev_op/eoi", "irq=60000") == errno.EINVAL


def test_a_pci_device_is_taken_away_and_told_again(raw: Mount, x86: None) -> None:
    """The host's bridge, which has no driver and no interrupt."""
    known = "num_devs=1 devs.0.seg=0 devs.0.bus=0 devs.0.devfn=0 nodes=out:4"

    def is_known() -> bool:
        return ask(raw, "sysctl/pcitopoinfo", known)["nodes"] != "feffffff"

    ways = {
        "manage_pci_remove": ("manage_pci_add", "bus=0 devfn=0"),
        "pci_device_remove": ("pci_device_add", "seg=0 bus=0 devfn=0"),
    }
    assert is_known()
    for away, (back, device) in ways.items():
        ask(raw, f"physdev_op/{away}", device)
        assert not is_known()
        ask(raw, f"physdev_op/{back}", device)
        assert is_known()
    ask(raw, "physdev_op/manage_pci_add_ext", "bus=0 devfn=0")
    ask(raw, "physdev_op/restore_msi", "bus=0 devfn=0")
    ask(raw, "physdev_op/restore_msi_ext", "seg=0 bus=0 devfn=0")
    absent = "seg=0 bus=0 devfn=0xf8"
    assert refused(raw, "physdev_op/restore_msi_ext", absent) == errno.ENODEV
    for step in ("prepare_msix", "release_msix"):  # of a device without MSI-X Xen would follow a null pointer
        assert refused(raw, f"physdev_op/{step}", absent) == errno.ENODEV
    if raw.has("raw/physdev_op/pci_device_reset"):
        ask(raw, "physdev_op/pci_device_reset", "dev.seg=0 dev.bus=0 dev.devfn=0")
        assert refused(raw, "physdev_op/pci_device_reset", "dev.seg=0 dev.bus=0 dev.devfn=0xf8") == errno.ENODEV


def test_where_guests_of_32_bits_find_their_table(raw: Mount, x86: None) -> None:
    """The compat table of all pages; a Xen without PV guests of 32 bits has none, which from 4.16 on it says."""
    question = "memory_op/machphys_compat_mfn_list", "max_extents=1 extent_start=out:8"
    outcome = refused(raw, *question)
    assert outcome == 0 or (outcome == errno.EOPNOTSUPP and int(raw.value("version/minor")) > 14)
    if not outcome:
        found = ask(raw, *question)
        assert found["nr_extents"] == "1"
        assert 0 < unpacked(found["extent_start"])[0] <= int(raw.value("host/memory/max_mfn"))


def test_firmware_of_an_old_pc(raw: Mount, x86: None) -> None:
    """What there is of disks and screen by its BIOS; nothing there is ESRCH."""
    info = "platform_op/firmware_info:"
    disk = f"{info}DISK_INFO", "index=0 u.disk_info.edd_params=inout:4a00" + "00" * 72
    print({each[0]: errno.errorcode.get(refused(raw, *each), "made") for each in (
        disk, (f"{info}DISK_MBR_SIGNATURE", "index=0"), (f"{info}VBEDDC_INFO", "u.vbeddc_info.edid=out:128"),
    )})  # fmt: skip
    assert refused(raw, f"{info}DISK_MBR_SIGNATURE", "index=200") == errno.ESRCH


def test_kernels_of_the_old_kind(raw: Mount, x86: None) -> None:
    if not raw.has("raw/kexec_op/kexec_unload_v1"):
        pytest.skip("no kexec here")
    assert refused(raw, "kexec_op/kexec_unload_v1", "type=7") == errno.EINVAL
    before = raw.value("host/kexec/loaded")
    ask(raw, "kexec_op/kexec_unload_v1", "type=0")
    assert raw.value("host/kexec/loaded") != before, "Xen's word turns with each load and unload, of nothing too"
    ask(raw, "kexec_op/kexec_unload_v1", "type=0")
    assert raw.value("host/kexec/loaded") == before


def test_profiling(raw: Mount, x86: None) -> None:
    """The whole life of it: events counted for a moment, of the control domain and of nobody."""
    if not raw.has("raw/xenoprof_op/init"):
        pytest.skip("until Xen 4.21")
    refusal = refused(raw, "xenoprof_op/init")
    if refusal:
        assert refusal in (errno.ENODEV, errno.EOPNOTSUPP), refusal
        pytest.skip("no counters here that Xen knows")
    begun = ask(raw, "xenoprof_op/init")
    assert begun["is_primary"] == "1"
    ask(raw, "xenoprof_op/get_ibs_caps")
    buffer = ask(raw, "xenoprof_op/get_buffer", "max_samples=64")
    assert int(buffer["nbuf"]) > 0
    for step in ("reset_active_list", "reset_passive_list"):
        ask(raw, f"xenoprof_op/{step}")
    with made(raw, "pvh", 1) as watched:
        assert int(ask(raw, "xenoprof_op/set_passive", f"domain_id={watched.domid} max_samples=64")["nbuf"]) > 0
        ask(raw, "xenoprof_op/set_active", f"domid={DOM0}")
        assert refused(raw, "xenoprof_op/start") == errno.EPERM, "nothing is set up"
        ask(raw, "xenoprof_op/reserve_counters")
        ask(raw, "xenoprof_op/counter", "ind=0 count=100000 enabled=0 event=0x76 kernel=1")
        ibs = refused(raw, "xenoprof_op/ibs_counter")
        print(f"ibs_counter: {errno.errorcode.get(ibs, 'made')}")
        backtrace = refused(raw, "xenoprof_op/set_backtrace", "depth=0")
        assert backtrace in (0, errno.EINVAL)
        for step in ("setup_events", "enable_virq", "start", "stop", "disable_virq", "release_counters", "shutdown"):
            ask(raw, f"xenoprof_op/{step}")
    assert refused(raw, "xenoprof_op/shutdown") == errno.EPERM


def test_counters_of_the_machine(raw: Mount, x86: None) -> None:
    """Only with vpmu= on Xen's command line."""
    refusal = refused(raw, "xenpmu_op/mode_get")
    if refusal:
        assert refusal == errno.EOPNOTSUPP
        pytest.skip("Xen was booted without vpmu")
    mode = ask(raw, "xenpmu_op/mode_get")["val"]
    ask(raw, "xenpmu_op/mode_set", f"val={mode}")
    assert ask(raw, "xenpmu_op/mode_get")["val"] == mode
    features = ask(raw, "xenpmu_op/feature_get")["val"]
    ask(raw, "xenpmu_op/mode_set", "val=0")  # features are set while it is off
    ask(raw, "xenpmu_op/feature_set", f"val={features}")
    assert ask(raw, "xenpmu_op/feature_get")["val"] == features
    ask(raw, "xenpmu_op/mode_set", f"val={mode}")


def test_what_a_command_line_allows(raw: Mount, x86: None) -> None:
    """dom0_vcpus_pin and cpufreq=dom0-kernel: with one of them it answers."""
    line = raw.value("version/commandline")
    physid = refused(raw, "vcpu_op/get_physid", "vcpu=0")
    assert physid == (0 if "dom0_vcpus_pin" in line else errno.EINVAL)
    idle = refused(raw, "platform_op/getidletime", "cpumap_nr_cpus=2 cpumap_bitmap=inout:03 idletime=out:16")
    assert idle == (0 if "cpufreq=dom0-kernel" in line else errno.EOPNOTSUPP)


# --- events ---


def test_event_channels_of_the_control_domain(raw: Mount, pvh: Made) -> None:
    """Two ends in the control domain; its kernel hears of ports that it does not know, and leaves them alone."""

    def state(port: int) -> dict[str, str]:
        return ask(raw, "event_channel_op/status", f"dom={SELF} port={port}")

    far = int(ask(raw, "event_channel_op/alloc_unbound", f"dom={SELF} remote_dom={DOM0}")["port"])
    near = int(ask(raw, "event_channel_op/bind_interdomain", f"remote_dom={DOM0} remote_port={far}")["local_port"])
    try:
        assert state(near)["status"] == "2"
        ask(raw, "event_channel_op/bind_vcpu", f"port={near} vcpu=1")
        assert state(near)["vcpu"] == "1"
        assert refused(raw, "event_channel_op/bind_vcpu", f"port={near} vcpu=4000") == errno.ENOENT
        ask(raw, "event_channel_op/send", f"port={far}")
        ask(raw, "event_channel_op/unmask", f"port={near}")
        assert refused(raw, "event_channel_op/set_priority", f"port={near} priority=99") in (errno.EINVAL, errno.ENOSYS)
        ask(raw, "event_channel_op/set_priority", f"port={near} priority=7")
    finally:
        ask(raw, "event_channel_op/close", f"port={near}")
    assert state(near)["status"] == "0"
    ask(raw, "event_channel_op/close", f"port={far}")
    assert refused(raw, "event_channel_op/send", f"port={far}") == errno.EINVAL, "it is closed"
    ipi = int(ask(raw, "event_channel_op/bind_ipi", "vcpu=0")["port"])
    assert state(ipi)["status"] == "5"
    ask(raw, "event_channel_op/close", f"port={ipi}")
    unused = 11  # VIRQ_XC_RESERVED
    virq = int(ask(raw, "event_channel_op/bind_virq", f"virq={unused} vcpu=0")["port"])
    assert state(virq)["status"] == "4"
    assert refused(raw, "event_channel_op/bind_virq", f"virq={unused} vcpu=0") == errno.EEXIST
    ask(raw, "event_channel_op/close", f"port={virq}")


# --- grants ---


def granted(one: Made, ref: int, flags: int, frame: int) -> None:
    """Write an entry of its grant table, which is of the first version: to the control domain."""
    one.fill(GRANTS, flags.to_bytes(2, "little") + DOM0.to_bytes(2, "little") + frame.to_bytes(4, "little"), 8 * ref)


def test_grants_of_a_domain(raw: Mount, pvh: Made) -> None:
    """Its table is put into its memory and written by hand: one page copied to another, one mapped for a device."""
    d = pvh.domid
    batch = f"domid={d} space=1 size=1 idxs=in:{words(0)} gpfns=in:{words(GRANTS)} errs=out:4"
    assert ask(raw, "memory_op/add_to_physmap_batch", batch)["errs"] == "00000000"
    assert ask(raw, "grant_table_op/get_version", f"dom={d}")["version"] == "1"
    pvh.fill(FRAME, b"what is copied" * 10)
    granted(pvh, 8, PERMIT | READ_ONLY, FRAME)
    granted(pvh, 9, PERMIT, FRAME + 1)
    copy = f"source.u.ref=8 source.domid={d} dest.u.ref=9 dest.domid={d} dest.offset=100 len=140 flags=3"
    assert ask(raw, "grant_table_op/copy", copy)["status"] == "0"
    assert pvh.page(FRAME + 1)[100:240] == b"what is copied" * 10
    back = f"source.u.ref=9 source.domid={d} dest.u.ref=8 dest.domid={d} len=8 flags=3"
    assert int(ask(raw, "grant_table_op/copy", back)["status"]) < 0, "it may not be written"
    if "arm64" not in raw.value("xenfs/interface"):  # there the control domain's own frames are translated: -1
        _mapped_for_a_device(raw, d)


def _mapped_for_a_device(raw: Mount, d: int) -> None:
    mapped = ask(raw, "grant_table_op/map_grant_ref", f"dom={d} ref=9 flags={DEVICE_MAP}")
    assert mapped["status"] == "0"
    address, handle = mapped["dev_bus_addr"], mapped["handle"]
    assert int(address) > 0
    undone = f"dev_bus_addr={address} handle={handle}"
    assert ask(raw, "grant_table_op/unmap_grant_ref", undone)["status"] == "0"
    assert int(ask(raw, "grant_table_op/unmap_grant_ref", undone)["status"]) < 0, "it is not mapped any more"


def test_the_control_domains_own_grants_stay(raw: Mount) -> None:
    version = ask(raw, "grant_table_op/get_version", f"dom={SELF}")["version"]
    assert ask(raw, "grant_table_op/set_version", f"version={version}")["version"] == version
    assert refused(raw, "grant_table_op/set_version", "version=7") == errno.EINVAL
    assert ask(raw, "grant_table_op/swap_grant_ref", "ref_a=8 ref_b=8")["status"] == "0"
    frames = "nr_frames=1 frame_list=out:8"
    status = int(ask(raw, "grant_table_op/get_status_frames", f"dom={SELF} {frames}")["status"])
    assert status == 0 if version == "2" else status < 0, "a table of the first version has none"


def test_a_cache_is_cleaned(raw: Mount) -> None:
    """On Arm: of a page of the control domain's kernel, whose frames are the machine's."""
    if not raw.has("raw/grant_table_op/cache_flush"):
        pytest.skip("an operation of Arm")
    with open("/proc/iomem", encoding="ascii") as file:
        first = next(int(line.split("-")[0], 16) for line in file if "System RAM" in line)
    assert first, "root is told where memory is"
    path, page = "grant_table_op/cache_flush", f"a.dev_bus_addr={first}"
    ask(raw, path, f"{page} offset=64 length=128 op=1")
    for wrong in (f"{page} length=5000 op=1", f"{page} offset=4000 length=128 op=1", f"{page} length=64 op=8"):
        assert refused(raw, path, wrong) == errno.EINVAL, wrong
        assert "grant_table_op cache_flush: EINVAL" in raw.value("xenfs/error_log"), "by Xen, and not before"
    nowhere = f"a.dev_bus_addr={1 << 44} length=64 op=1"
    assert refused(raw, path, nowhere) == errno.EINVAL


# --- domains of x86 ---


def test_pages_for_a_pv_domain(raw: Mount, pv: Made) -> None:
    """More of them, one for another, and all kinds of page tables."""
    d = pv.domid
    one = ask(raw, "memory_op/increase_reservation", f"domid={d} nr_extents=1 extent_start=inout:{words(0)}")
    assert one["result"] == "1"
    assert pv.pages() == 1
    (mfn,) = unpacked(one["extent_start"])
    sides = f"in.domid={d} in.nr_extents=1 in.extent_start=in:{words(mfn)} out.domid={d} out.nr_extents=1"
    other = ask(raw, "memory_op/exchange", f"{sides} out.extent_start=inout:{words(FRAME)}")
    assert other["nr_exchanged"] == "1"
    assert unpacked(other["out.extent_start"]) != [mfn]
    assert pv.pages() == 1


UNPIN, PINNED = 4, 1 << 31


def test_page_tables_of_all_levels(raw: Mount, pv: Made) -> None:
    d = pv.domid
    frames = frames_of_pv(pv, 5)
    on = f"foreigndom={d} count=1 requests.0"

    def kind(mfn: int) -> int:
        return unpacked(ask(raw, "domctl/getpageframeinfo3", f"domain={d} num=1 array=inout:{words(mfn)}")["array"])[0]

    for level, mfn in enumerate(frames[:4]):
        ask(raw, "mmuext_op/CLEAR_PAGE", f"{on}.cmd=16 requests.0.arg1.mfn={mfn}")
        ask(raw, f"mmuext_op/PIN_L{level + 1}_TABLE", f"{on}.cmd={level} requests.0.arg1.mfn={mfn}")
        assert kind(mfn) & PINNED, f"pinned as a table of level {level + 1}"
    table, data = frames[0], frames[4]
    owner = d | (d + 1) << 16
    for cmd, (name, value) in {
        0: ("NORMAL_PT_UPDATE", data << 12 | 0x67), 2: ("PT_UPDATE_PRESERVE_AD", data << 12 | 0x65),
        3: ("PT_UPDATE_NO_TRANSLATE", 0),
    }.items():  # fmt: skip
        update = f"foreigndom={owner} count=1 requests.0.ptr={table << 12 | cmd} requests.0.val={value} done=out:4"
        assert ask(raw, f"mmu_update/{name}", update)["done"] == "01000000", name
    for mfn in frames[:4]:
        ask(raw, "mmuext_op/UNPIN_TABLE", f"{on}.cmd={UNPIN} requests.0.arg1.mfn={mfn}")
        assert not kind(mfn) & PINNED


def test_what_a_vcpu_has_in_its_caches(raw: Mount, x86: None) -> None:
    """Of the control domain's own: nothing of it is changed, only read again. It has no local descriptors."""
    own = f"foreigndom={SELF} count=1 requests.0"
    steps = {
        "TLB_FLUSH_LOCAL": "cmd=6", "INVLPG_LOCAL": "cmd=7 requests.0.arg1.linear_addr=0x400000",
        "TLB_FLUSH_MULTI": f"cmd=8 requests.0.arg2.vcpumask=in:{words(3)}",
        "INVLPG_MULTI": f"cmd=9 requests.0.arg1.linear_addr=0x400000 requests.0.arg2.vcpumask=in:{words(3)}",
        "TLB_FLUSH_ALL": "cmd=10", "INVLPG_ALL": "cmd=11 requests.0.arg1.linear_addr=0x400000",
        "FLUSH_CACHE": "cmd=12", "SET_LDT": "cmd=13", "FLUSH_CACHE_GLOBAL": "cmd=18",
    }  # fmt: skip
    for name, said in steps.items():
        assert ask(raw, f"mmuext_op/{name}", f"{own}.{said} done=out:4")["done"] == "01000000", name
    for name, cmd in {"MARK_SUPER": 19, "UNMARK_SUPER": 20}.items():
        assert refused(raw, f"mmuext_op/{name}", f"{own}.cmd={cmd}") in (errno.EOPNOTSUPP, errno.ENOSYS), name


def test_what_a_domain_is_given_of_the_machine(raw: Mount, pvh: Made, x86: None) -> None:
    """Both have to have the right to it: the control domain has, the other is given it."""
    d, frame, ports = pvh.domid, 0xE0000, "first_gport=0x378 first_mport=0x378 nr_ports=8"
    pages = f"domain={d} first_gfn=0x50000 first_mfn={frame} nr_mfns=1"
    assert refused(raw, "domctl/memory_mapping:add", pages) == errno.EPERM
    ask(raw, "domctl/iomem_permission", f"domain={d} first_mfn={frame} nr_mfns=1 allow_access=1")
    assert ask(raw, "memory_op/maximum_gpfn", f"domid={d}")["result"] != str(0x50000)
    ask(raw, "domctl/memory_mapping:add", pages)
    assert ask(raw, "memory_op/maximum_gpfn", f"domid={d}")["result"] == str(0x50000)
    ask(raw, "domctl/memory_mapping:remove", pages)
    beyond = "first_gport=0x378 first_mport=0xfffc nr_ports=8"
    assert refused(raw, "domctl/ioport_mapping:add", f"domain={d} {beyond}") == errno.EINVAL
    ask(raw, "domctl/ioport_permission", f"domain={d} first_port=0x378 nr_ports=8 allow_access=1")
    ask(raw, "domctl/ioport_mapping:add", f"domain={d} {ports}")
    ask(raw, "domctl/ioport_mapping:remove", f"domain={d} {ports}")


def test_a_domain_that_is_to_stay_here(raw: Mount, pvh: Made) -> None:
    """Xen only remembers it, for whether its clock may be said to run evenly; no operation tells it."""
    if not raw.has("raw/domctl/disable_migrate"):
        pytest.skip("until Xen 4.14")
    for wanted in (1, 0):
        ask(raw, "domctl/disable_migrate", f"domain={pvh.domid} disable={wanted}")
    assert refused(raw, "domctl/disable_migrate", "domain=0x7000 disable=1") == errno.ESRCH


def test_a_page_for_hypercalls(raw: Mount, pvh: Made, x86: None) -> None:
    assert not any(pvh.page(FRAME))
    ask(raw, "domctl/hypercall_init", f"domain={pvh.domid} gmfn={FRAME}")
    assert pvh.page(FRAME)[::32][:2] == b"\xb8\xb8", "a number goes into a register, for each hypercall"
    assert refused(raw, "domctl/hypercall_init", f"domain={pvh.domid} gmfn=0x7000000") in (errno.EACCES, errno.EINVAL)


def test_a_page_that_is_broken(raw: Mount, pvh: Made, x86: None) -> None:
    types = pvh.node("memory/pfn_types")
    assert raw.ask(types, str(FRAME + 5)) == f"{FRAME + 5:#x} notab"
    ask(raw, "domctl/set_broken_page_p2m", f"domain={pvh.domid} pfn={FRAME + 5}")
    assert raw.ask(types, str(FRAME + 5)) in (f"{FRAME + 5:#x} broken", f"{FRAME + 5:#x} xtab"), "it cannot be had"
    assert refused(raw, "domctl/set_broken_page_p2m", f"domain={pvh.domid} pfn=0x7000000") == errno.EINVAL


def test_more_of_a_vcpu_is_set(raw: Mount, pv: Made) -> None:
    where = f"domain={pv.domid} vcpu=0"
    had = ask(raw, "domctl/get_ext_vcpucontext", where)
    names = [name for name in had if name not in ("result", "domain", "vcpu")]
    given = {name: had[name] for name in names} | {"sysenter_callback_eip": str(0xFFFF880000001000)}
    ask(raw, "domctl/set_ext_vcpucontext", f"{where} {' '.join(f'{name}={text}' for name, text in given.items())}")
    assert ask(raw, "domctl/get_ext_vcpucontext", where)["sysenter_callback_eip"] == given["sysenter_callback_eip"]
    assert refused(raw, "domctl/set_ext_vcpucontext", f"{where} size=3") == errno.EINVAL


def test_the_floating_point_state_is_set(raw: Mount, guest: Guest, x86: None) -> None:
    """Of a guest that has run: what it has, once more. Of a CPU without XSAVE that is only that there is none."""
    raw.write(guest.node("freeze"), "1")
    try:
        where = f"domain={guest.domid} vcpu=0"
        told = ask(raw, "domctl/getvcpuextstate", where)
        question = f"{where} xfeature_mask={told['xfeature_mask']} size={told['size']} buffer=out:{told['size']}"
        have = ask(raw, "domctl/getvcpuextstate", question)
        print(f"XSAVE: mask {told['xfeature_mask']}, room {told['size']}, {have['size']} bytes")
        same = f"{where} xfeature_mask={told['xfeature_mask']} size={have['size']}"
        ask(raw, "domctl/setvcpuextstate", f"{same} buffer=in:{have['buffer'][: 2 * int(have['size'])]}")
        assert ask(raw, "domctl/getvcpuextstate", question)["buffer"] == have["buffer"]
        short = f"{where} xfeature_mask={told['xfeature_mask']} size=8 buffer=in:{'00' * 8}"
        assert refused(raw, "domctl/setvcpuextstate", short) == errno.EINVAL
    finally:
        raw.write(guest.node("freeze"), "0")


@pytest.mark.parametrize("way", ["ENABLE_TEST", "ENABLE"])
def test_shadow_page_tables_of_a_pv_guest(raw: Mount, guest: Guest, way: str, x86: None) -> None:
    """Where Xen has shadow paging, which Debian's 4.20 has not for PV."""
    if raw.value(guest.node("type")) != "pv":
        pytest.skip("of a PV guest")
    raw.write(guest.node("freeze"), "1")
    try:
        question = f"domain={guest.domid}"
        refusal = refused(raw, f"domctl/shadow_op:{way}", question)
        if "shadow" not in raw.value("host/virt_caps").split():
            assert refusal in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
            return
        assert refusal == 0
        assert refused(raw, f"domctl/shadow_op:{way}", question) == errno.EINVAL, "it has them"
        assert int(ask(raw, "domctl/shadow_op:GET_ALLOCATION", question)["mb"]) > 0
        ask(raw, "domctl/shadow_op:OFF", question)
    finally:
        raw.write(guest.node("freeze"), "0")


# --- what a device model does ---


def context(one: Made) -> bytes:
    """All that Xen keeps of it, its interrupt lines among them."""
    return one.mount.read(one.node("hvm/context"))


def test_lines_of_a_pc(raw: Mount, hvm: Made) -> None:
    """Each is seen in what Xen saves of the domain."""
    steps = {
        "set_pci_intx_level": ("device=3 intx=1 level=1", "device=3 intx=1 level=0", "device=3 intx=4"),
        "set_isa_irq_level": ("isa_irq=3 level=1", "isa_irq=3 level=0", "isa_irq=16"),
        "set_pci_link_route": ("link=1 isa_irq=5", "link=1 isa_irq=0", "link=4"),
    }
    for name, (there, back, wrong) in steps.items():
        before = context(hvm)
        ask(raw, f"dm_op/{name}", f"domid={hvm.domid} {there}")
        assert context(hvm) != before, name
        ask(raw, f"dm_op/{name}", f"domid={hvm.domid} {back}")
        assert refused(raw, f"dm_op/{name}", f"domid={hvm.domid} {wrong}") == errno.EINVAL, name


def test_a_server_for_io(raw: Mount, hvm: Made) -> None:
    """Its pages where the domain keeps some for it, and what it is asked for."""
    d = hvm.domid
    ask(raw, "hvm_op/set_param", f"domid={d} index=32 value={FRAME + 16}")
    ask(raw, "hvm_op/set_param", f"domid={d} index=33 value=4")
    number = ask(raw, "dm_op/create_ioreq_server", f"domid={d} handle_bufioreq=2")["id"]
    server = f"domid={d} id={number}"
    found = ask(raw, "dm_op/get_ioreq_server_info", server)
    pages = {int(found[name]) for name in ("ioreq_gfn", "bufioreq_gfn")}
    assert len(pages) == 2
    assert pages <= set(range(FRAME + 16, FRAME + 20))
    assert ask(raw, "dm_op/get_ioreq_server_info:no_gfns", server)["bufioreq_port"] == found["bufioreq_port"]
    for kind, span in ((PORTS, "start=0x300 end=0x307"), (MEMORY, "start=0xf0000000 end=0xf0000fff")):
        taken = f"{server} type={kind} {span}"
        ask(raw, "dm_op/map_io_range_to_ioreq_server", taken)
        assert refused(raw, "dm_op/map_io_range_to_ioreq_server", taken) == errno.EEXIST
        ask(raw, "dm_op/unmap_io_range_from_ioreq_server", taken)
        assert refused(raw, "dm_op/unmap_io_range_from_ioreq_server", taken) == errno.ENOENT
    ask(raw, "dm_op/map_mem_type_to_ioreq_server", f"{server} type={IOREQ_SERVER} flags=2")
    ask(raw, "dm_op/map_mem_type_to_ioreq_server", f"{server} type={IOREQ_SERVER}")
    assert refused(raw, "dm_op/map_mem_type_to_ioreq_server", f"{server} type={RAM_RW} flags=2") == errno.EINVAL
    other = ask(raw, "dm_op/create_ioreq_server", f"domid={d}")["id"]
    frames = ask(
        raw,
        "memory_op/acquire_resource:ioreq_server",
        f"domid={d} id={other} nr_frames=1 frame=1 frame_list=inout:{words(0)}",
    )
    assert unpacked(frames["frame_list"])[0] > 0
    for each in (number, other):
        ask(raw, "dm_op/destroy_ioreq_server", f"domid={d} id={each}")


def test_memory_as_a_device_model_sees_it(raw: Mount, hvm: Made) -> None:
    d = hvm.domid

    def kind(frame: int) -> int:
        return int(ask(raw, "hvm_op/get_mem_type", f"domid={d} pfn={frame}")["mem_type"])

    ask(raw, "dm_op/set_mem_type", f"domid={d} nr=2 mem_type={RAM_RO} first_pfn={FRAME}")
    assert (kind(FRAME), kind(FRAME + 1), kind(FRAME + 2)) == (RAM_RO, RAM_RO, RAM_RW)
    ask(raw, "dm_op/set_mem_type", f"domid={d} nr=2 mem_type={RAM_RW} first_pfn={FRAME}")
    assert kind(FRAME) == RAM_RW
    assert refused(raw, "dm_op/set_mem_type", f"domid={d} nr=1 mem_type=99 first_pfn={FRAME}") == errno.EINVAL
    hvm.fill(FRAME + 4, b"moved")
    ask(raw, "dm_op/relocate_memory", f"domid={d} size=1 src_gfn={FRAME + 4} dst_gfn=0x200")
    assert hvm.page(0x200)[:5] == b"moved"
    cached = f"domid={d} start={FRAME << 12} end={(FRAME << 12) + 4095}"
    ask(raw, "dm_op/pin_memory_cacheattr", f"{cached} type=6")
    assert refused(raw, "dm_op/pin_memory_cacheattr", f"{cached} type=99") == errno.EINVAL
    bits = ask(raw, "dm_op/track_dirty_vram", f"domid={d} first_pfn={FRAME + 8} nr=16 dirty_bitmap=out:2")[
        "dirty_bitmap"
    ]
    assert len(bits) == 4
    ask(raw, "dm_op/track_dirty_vram", f"domid={d} first_pfn=0 nr=0 dirty_bitmap=out:1")


def test_a_device_model_shuts_its_domain_down(raw: Mount, hvm: Made) -> None:
    ask(raw, "dm_op/remote_shutdown", f"domid={hvm.domid} reason=1")
    assert raw.value(hvm.node("shutdown_reason")) == "reboot"


# --- Arm ---


def test_a_console_of_arm(raw: Mount) -> None:
    """A PL011 for a domain that has not run yet; its interrupt is the first of those that are shared."""
    if not raw.has("raw/domctl/vuart_op:INIT"):
        pytest.skip("an operation of Arm")
    with made(raw, "arm", 4, "arch.nr_spis=32") as one:
        found = ask(raw, "domctl/vuart_op:INIT", f"domain={one.domid} console_domid=0 gfn={FRAME + 1}")
        assert int(found["evtchn"]) > 0
        assert refused(raw, "domctl/vuart_op:INIT", f"domain={one.domid} gfn={FRAME + 1} type=7") == errno.EOPNOTSUPP


# --- by raw/hypercall alone ---


@pytest.fixture
def buffer(raw: Mount) -> Iterator[str]:
    raw.path("raw/buffers/rare").mkdir()
    yield "raw/buffers/rare/data"
    os.rmdir(raw.path("raw/buffers/rare"))


def put(raw: Mount, node: str, data: bytes) -> None:
    with open(raw.path(node), "r+b", buffering=0) as file:
        file.write(data)


def test_what_has_no_file(raw: Mount, buffer: str) -> None:
    """Of those that only raw/hypercall reaches: what says again how the control domain's kernel is set up already."""
    arm = "arm64" in raw.value("xenfs/interface")
    assert bare(raw, "sched_op:yield", "29 0 0") == 0
    put(raw, buffer, bytes(24))  # no ports, and a time that is over
    put(raw, buffer, bytes(8) + (0).to_bytes(8, "little") + (1).to_bytes(8, "little"))
    assert bare(raw, "sched_op:poll", "29 3 %rare") == 0
    assert bare(raw, "vm_assist:enable", "21 0 5") == 0  # that times of vCPUs say when they are being written
    assert failure(lambda: raw.ask("raw/hypercall", "21 0 60\n")) == errno.EINVAL
    if not arm:
        _of_pv(raw, buffer)


def _of_pv(raw: Mount, buffer: str) -> None:
    assert bare(raw, "vcpu_op:up", "24 1 0 0") == 0
    assert failure(lambda: raw.ask("raw/hypercall", "24 1 4000 0\n")) == errno.ENOENT
    assert bare(raw, "sched_op_compat", "6 0 0") == 0
    assert bare(raw, "fpu_taskswitch", "5 0") == 0
    assert bare(raw, "get_debugreg", "9 0") == 0, "nobody debugs here"
    assert bare(raw, "set_debugreg", "8 0 0") == 0
    assert failure(lambda: raw.ask("raw/hypercall", "8 0 0xffff800000000000\n")) == errno.EPERM
    put(raw, buffer, (1_000_000_000).to_bytes(8, "little"))
    assert bare(raw, "vcpu_op:set_periodic_timer", "24 6 0 %rare") == 0
    assert bare(raw, "vcpu_op:stop_periodic_timer", "24 7 0 0") == 0
    put(raw, buffer, (1000).to_bytes(8, "little"))
    assert failure(lambda: raw.ask("raw/hypercall", "24 6 0 %rare\n")) == errno.EINVAL, "too often"
    put(raw, buffer, (1).to_bytes(8, "little"))
    assert bare(raw, "physdev_op:set_iopl", "33 6 %rare") == 0  # the kernel's own level
    put(raw, buffer, (7).to_bytes(8, "little"))
    assert failure(lambda: raw.ask("raw/hypercall", "33 6 %rare\n")) == errno.EINVAL
    put(raw, buffer, bytes(16))
    assert bare(raw, "physdev_op:set_iobitmap", "33 7 %rare") == 0
    put(raw, buffer, bytes.fromhex(words(5, SELF, 1, size=4)) + bytes(32))
    assert bare(raw, "event_channel_op_compat", "16 %rare") == 0  # the state of a port
    put(raw, buffer, (5).to_bytes(8, "little") + LINE.to_bytes(8, "little") + bytes(32))
    assert bare(raw, "physdev_op_compat", "19 %rare") == 0  # whether a line has to be acknowledged
    assert bare(raw, "hvm_op:guest_request_vm_event", "34 24 0") == 0  # nobody listens
    put(raw, buffer, (0xFFFFFFFF).to_bytes(8, "little"))
    assert failure(lambda: raw.ask("raw/hypercall", "29 7 %rare\n")) == errno.EINVAL, "it is not pinned so"


def test_an_interrupt_that_cannot_be_masked(raw: Mount, x86: None) -> None:
    """Last: the control domain's kernel says that it does not know why, and goes on."""
    assert refused(raw, "vcpu_op/send_nmi", "vcpu=4000") == errno.ENOENT
    ask(raw, "vcpu_op/send_nmi", "vcpu=1")
    assert raw.value("version/major") == "4"


def test_a_cpu_that_is_plugged_in(raw: Mount, x86: None) -> None:
    """Last, as none is ever taken out. Xen only notes it; there is room where the machine has announced some."""
    added = "apic_id=2 acpi_id=2"
    outcome = refused(raw, "platform_op/cpu_hotadd", added)
    assert outcome in (0, errno.ENOSPC)
    assert refused(raw, "platform_op/cpu_hotadd", "apic_id=0 acpi_id=0") == errno.EEXIST
    assert refused(raw, "platform_op/cpu_hotadd", f"{added} pxm=256") == errno.EINVAL
    if not outcome:
        told = ask(raw, "platform_op/get_cpuinfo", "xen_cpuid=2")
        assert (told["apic_id"], told["acpi_id"], int(told["flags"]) & 1) == ("2", "2", 0), "there, and not online"
        assert refused(raw, "platform_op/cpu_hotadd", added) == errno.EEXIST
