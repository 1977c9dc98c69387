"""Live patches, PCI devices, kexec, counters, firmware, symbols: what the pretended Xen says of its machine."""

from __future__ import annotations

from errno import E2BIG, EBUSY, EFAULT, EINVAL, ENOBUFS, ENODEV, ENOENT, ENOSYS, EOPNOTSUPP, ERANGE, ESRCH

import pytest
from caller import Caller

from xenfs.simulator.answers.pci_op import HostIsDown
from xenfs.simulator.world.livepatches import Livepatch

OP, LIST = "xen_sysctl_livepatch_op", "xen_sysctl_livepatch_list"
INVALID = 0x7FF4
GRAPHICS = 0x0100


def livepatch(
    xen: Caller, cmd: str, arm: str, /, word: int = 0, text: bytes = b"", **members: int
) -> tuple[int, memoryview]:
    """(result, the arm's bytes) of a livepatch_op; `word` is what stands beside its command, `text` the name that the
    arm begins with."""
    outer = xen.layouts.offset("xen_sysctl", "u")
    address, memory = xen.struct(
        "xen_sysctl", cmd=xen.constant("XEN_SYSCTL_livepatch_op"), interface_version=xen.layouts.interfaces["sysctl"]
    )
    op = memory[outer:]
    beside = "flags" if xen.layouts.has(OP, "flags") else "pad"
    xen.layouts.put(op, OP, cmd=xen.constant(f"XEN_SYSCTL_LIVEPATCH_{cmd}"), **{beside: word})
    body = op[xen.layouts.offset(OP, "u") :]
    xen.layouts.put(body, arm, **members)
    if text:
        xen.layouts.put(body, "xen_livepatch_name", name=xen.arena.take(text)[0], size=len(text))
    return xen.call("sysctl", address), body


def room(xen: Caller, count: int, names: int, metadata: int) -> tuple[dict[str, int], dict[str, memoryview]]:
    """Members of a list request with buffers of these sizes, and the buffers."""
    sizes = {"status": 8 * count, "name": names, "len": 4 * count, "metadata": metadata, "metadata_len": 4 * count}
    taken = {name: xen.arena.take(size) for name, size in sizes.items()}
    asked = {name: address for name, (address, _) in taken.items()}
    asked |= {"nr": count, "name_total_size": names, "metadata_total_size": metadata}
    return asked, {name: memory for name, (_, memory) in taken.items()}


def test_how_much_room_live_patches_need(xen: Caller) -> None:
    loaded = xen.world.livepatches.loaded
    result, body = livepatch(xen, "LIST", LIST)
    assert result == 0
    assert xen.read(body, LIST, "version", "nr", "name_total_size", "metadata_total_size") == (
        xen.world.livepatches.version,
        len(loaded),
        sum(len(patch.name) + 1 for patch in loaded),
        sum(len(patch.metadata) for patch in loaded),
    )


def test_live_patches_are_listed_as_far_as_there_is_room(xen: Caller) -> None:
    first, second = xen.world.livepatches.loaded
    asked, memory = room(xen, 1, 128, 128)
    assert livepatch(xen, "LIST", LIST, **asked)[0] == 1
    assert bytes(memory["name"][: len(first.name) + 1]) == first.name + b"\0"
    assert bytes(memory["metadata"][: len(first.metadata)]) == first.metadata
    asked, memory = room(xen, 2, 128, 128)
    result, body = livepatch(xen, "LIST", LIST, **asked)
    assert (result, xen.read(body, LIST, "nr")) == (2, 0)
    assert memory["status"].cast("i").tolist() == [first.state, first.rc, second.state, second.rc]
    result, body = livepatch(xen, "LIST", LIST, **asked, idx=1)
    assert (result, xen.read(body, LIST, "nr")) == (1, 0)


def test_a_buffer_for_names_that_is_too_short(xen: Caller) -> None:
    """From 4.21 Xen stops, and counts the one that did not fit as asked for; before it writes on."""
    first = xen.world.livepatches.loaded[0]
    asked, _ = room(xen, 2, len(first.name) + 1, 128)
    result, body = livepatch(xen, "LIST", LIST, **asked)
    if xen.release >= (4, 21):
        assert result == -ENOBUFS
        assert xen.read(body, LIST, "nr", "name_total_size") == (0, len(first.name) + 1)
    else:
        assert result == -EFAULT


def test_what_a_list_refuses(xen: Caller) -> None:
    assert livepatch(xen, "LIST", LIST, nr=1025)[0] == -E2BIG
    assert livepatch(xen, "LIST", LIST, pad=1)[0] == -EINVAL
    assert livepatch(xen, "LIST", LIST, idx=2)[0] == -EINVAL
    assert livepatch(xen, "LIST", LIST, word=1)[0] == (-EINVAL if xen.release < (4, 19) else 0)
    assert livepatch(xen, "LIST", LIST, word=2)[0] == -EINVAL
    xen.world.livepatches.loaded = []
    assert livepatch(xen, "LIST", LIST, idx=2)[0] == 0
    assert livepatch(xen, "UPLOAD", LIST)[0] == -EINVAL


def test_one_live_patch(xen: Caller) -> None:
    def status(text: bytes, size: int | None = None) -> tuple[int, tuple[int, int]]:
        address, _ = xen.arena.take(text)
        wanted = {"name": address, "size": len(text) if size is None else size}
        result, body = livepatch(xen, "GET", "xen_livepatch_name", **wanted)
        at = xen.layouts.offset("xen_sysctl_livepatch_get", "status")
        return result, xen.read(body[at:], "xen_livepatch_status", "state", "rc")

    xen.world.livepatches.upload(Livepatch(b"new", 1, -11))
    assert status(b"new\0") == (0, (1, 2**32 - 11))
    assert status(b"xsa-470\0") == (0, (2, 0))
    assert status(b"neu\0")[0] == -ENOENT
    assert status(b"new")[0] == -EINVAL
    assert status(b"new\0", 0)[0] == -EINVAL
    assert status(bytes(129))[0] == -EINVAL


def test_a_live_patch_is_unloaded_unless_it_is_applied(xen: Caller) -> None:
    def act(text: bytes, action: str = "UNLOAD", **more: int) -> int:
        cmd = xen.constant(f"LIVEPATCH_ACTION_{action}")
        return livepatch(xen, "ACTION", "xen_sysctl_livepatch_action", text=text, cmd=cmd, **more)[0]

    xen.world.livepatches.upload(Livepatch(b"busy", 1, -11))
    assert act(b"nobody\0") == -ENOENT
    assert act(b"busy\0") == -EBUSY
    assert act(b"xsa-470\0") == -EINVAL
    assert act(b"hotfix/console\0", pad=1) == -EINVAL
    assert act(b"hotfix/console\0", "APPLY") == -EINVAL, "it was built for a Xen without xsa-470"
    assert act(b"busy\0", "APPLY") == -EBUSY
    assert act(b"hotfix/console\0") == 0
    assert act(b"hotfix/console\0") == -ENOENT


def test_a_xen_without_live_patches() -> None:
    assert livepatch(Caller("livepatch=off"), "LIST", LIST)[0] == -ENOSYS


def topology(xen: Caller, *devices: int) -> tuple[int, int, list[int]]:
    """(result, how many were answered, the words) of pcitopoinfo."""
    packed = b"".join((d >> 16).to_bytes(2, "little") + bytes((d >> 8 & 0xFF, d & 0xFF)) for d in devices)
    address, _ = xen.arena.take(packed or bytes(1))
    nodes, words = xen.arena.take(4 * max(1, len(devices)))
    result, body = xen.sysctl("pcitopoinfo", num_devs=len(devices), devs=address, nodes=nodes)
    done = xen.read(body, "xen_sysctl_pcitopoinfo", "num_devs")
    return result, done, words.cast("I").tolist()[:done]


def test_nodes_of_devices(xen: Caller) -> None:
    result, done, words = topology(xen, 0x0000, 0x0010, 0xFF00)
    if not xen.x86:
        assert result == -ENOSYS
        return
    assert (result, done) == (0, 3)
    assert words == [0xFFFFFFFF, 0, 0xFFFFFFFE]
    assert topology(xen)[:2] == (0, 0)
    assert topology(xen, *range(65))[:2] == (0, 64)
    assert topology(xen, *range(64))[:2] == (0, 64)
    assert xen.sysctl("pcitopoinfo", num_devs=1)[0] == -EINVAL


def assigning(xen: Caller, domid: int, sbdf: int, *, dev: int = 0, flags: int = 0) -> int:
    members = {"dev": dev, "flags": flags, "u.pci.machine_sbdf": sbdf}
    return xen.domctl("test_assign_device", domid, "xen_domctl_assign_device", **members)[0]


def test_which_devices_can_be_given_away(xen: Caller) -> None:
    if xen.release == (4, 14):
        with pytest.raises(HostIsDown):
            assigning(xen, INVALID, 0)
        return
    if not xen.x86:
        assert assigning(xen, INVALID, 0) == -EOPNOTSUPP
        return
    assert assigning(xen, INVALID, 0x0010) == 0
    assert assigning(xen, INVALID, GRAPHICS) == -EINVAL  # the desktop has it
    assert assigning(xen, INVALID, 0x0200) == 0  # nobody has it
    assert assigning(xen, INVALID, 0xFFFF) == -EINVAL  # there is none
    assert assigning(xen, INVALID, 0x0010, flags=2) == -EINVAL
    assert assigning(xen, INVALID, 0x0010, dev=1) == -ENODEV


def test_to_which_domain(xen: Caller) -> None:
    if not xen.x86:
        assert assigning(xen, 7, 0x0010) == -EOPNOTSUPP
        return
    assert assigning(xen, 7, 0x0010) == 0
    assert assigning(xen, 7, GRAPHICS) == -EINVAL
    assert assigning(xen, 1, 0x0010) == -EOPNOTSUPP  # made without an IOMMU
    assert assigning(xen, 0, 0x0010) == -EINVAL
    assert assigning(xen, 999, 0x0010) == -ESRCH


def test_a_host_without_an_iommu() -> None:
    xen = Caller("iommu=off")
    assert assigning(xen, INVALID, 0x0010) == -EOPNOTSUPP
    assert assigning(xen, 7, 0x0010) == -EOPNOTSUPP
    caps = xen.read(xen.sysctl("physinfo")[1], "xen_sysctl_physinfo", "capabilities")
    assert not caps & xen.constant("XEN_SYSCTL_PHYSCAP_directio")
    assert Caller().read(Caller().sysctl("physinfo")[1], "xen_sysctl_physinfo", "capabilities")


@pytest.mark.parametrize(
    ("release", "bears"), [("4.15.2", False), ("4.15.3", True), ("4.16.1", False), ("4.16.2", True)]
)
def test_point_releases_that_bear_a_question_about_nobody(release: str, bears: bool) -> None:
    xen = Caller(f"xen={release}")
    if bears:
        assert assigning(xen, INVALID, 0x0010) == 0
    else:
        with pytest.raises(HostIsDown):
            assigning(xen, INVALID, 0x0010)


def test_groups_of_devices(xen: Caller) -> None:
    address, words = xen.arena.take(16)
    struct = "xen_domctl_get_device_group"
    result, body = xen.domctl("get_device_group", 0, struct, machine_sbdf=0x00F8, max_sdevs=4, sdev_array=address)
    if not xen.x86:
        assert result == -EOPNOTSUPP
        return
    assert (result, xen.read(body, struct, "num_sdevs")) == (0, 1)
    assert words.cast("I")[0] == 0x00FA << 8
    assert xen.domctl("get_device_group", 0, struct, machine_sbdf=0x00F8)[0] == 0
    assert xen.domctl("get_device_group", 1, struct, machine_sbdf=0x00F8)[0] == -EOPNOTSUPP


def kexec(xen: Caller, op: str, struct: str, **members: int) -> tuple[int, memoryview]:
    address, memory = xen.struct(struct, **members)
    return xen.call("kexec_op", xen.constant(f"KEXEC_CMD_{op}"), address), memory


def test_what_is_loaded_to_be_booted(xen: Caller) -> None:
    loaded = [kexec(xen, "kexec_status", "xen_kexec_status", type=kind)[0] for kind in (0, 1, 2)]
    assert loaded == ([0, 1, -EINVAL] if xen.x86 else [-ENOSYS] * 3)


def test_what_is_kept_for_a_crash(x86: Caller) -> None:
    def found(which: str, number: int = 0) -> tuple[int, int]:
        kind = x86.constant(f"KEXEC_RANGE_MA_{which}")
        result, memory = kexec(x86, "kexec_get_range", "xen_kexec_range", range=kind, nr=number)
        return result, x86.read(memory, "xen_kexec_range", "size")

    for which in ("CRASH", "XEN", "VMCOREINFO", "CPU"):
        result, size = found(which)
        assert result == 0
        assert size
    assert found("CPU", x86.world.host.nr_cpus)[0] == -ERANGE
    for which in ("XENHEAP", "BOOT_PARAM", "EFI_MEMMAP"):
        assert found(which)[0] == -EINVAL
    unknown = -EOPNOTSUPP if x86.release >= (4, 19) else -EINVAL
    assert x86.call("kexec_op", 99, 0) == unknown


@pytest.mark.parametrize("settings", ["kexec=off", "dom0=pvh"])
def test_a_xen_without_kexec(settings: str) -> None:
    assert kexec(Caller(settings), "kexec_status", "xen_kexec_status")[0] == -ENOSYS


def pmu(xen: Caller, op: str, value: int = 0, major: int = 0) -> tuple[int, int]:
    address, memory = xen.struct("xen_pmu_params", val=value, **{"version.maj": major})
    result = xen.call("xenpmu_op", xen.constant(f"XENPMU_{op}"), address)
    return result, xen.read(memory, "xen_pmu_params", "val")


def test_counters() -> None:
    xen = Caller("vpmu=on")
    assert pmu(xen, "mode_get") == (0, 1)
    assert pmu(xen, "mode_set", 4)[0] == 0
    assert pmu(xen, "mode_get") == (0, 4)
    assert pmu(xen, "mode_set", 3)[0] == -EINVAL
    assert pmu(xen, "mode_set", 8)[0] == -EINVAL
    assert pmu(xen, "mode_set", 1, major=1)[0] == -EINVAL
    assert pmu(xen, "feature_set", 7)[0] == 0
    assert pmu(xen, "feature_get") == (0, 7)
    assert pmu(xen, "feature_set", 8)[0] == -EINVAL
    assert xen.call("xenpmu_op", 99, 0) == -EINVAL


def test_counters_in_use() -> None:
    xen = Caller("vpmu=on")
    xen.world.pmu.in_use = True
    assert pmu(xen, "mode_set", 2)[0] == 0  # from one's own to Xen's, too
    assert pmu(xen, "mode_set", 4)[0] == -EBUSY
    assert pmu(xen, "feature_set", 1)[0] == -EBUSY


@pytest.mark.parametrize("settings", ["", "vpmu=on,dom0=pvh"])
def test_no_counters(settings: str) -> None:
    assert pmu(Caller(settings), "mode_get")[0] == -EOPNOTSUPP


def symbol(xen: Caller, number: int, size: int = 128) -> tuple[int, int, bytes]:
    address, name = xen.arena.take(size)
    result, body = xen.platform("get_symbol", "xenpf_symdata", symnum=number, namelen=size, name=address)
    length, following = xen.read(body, "xenpf_symdata", "namelen", "symnum")
    return result, following, bytes(name[: min(length, size)])


def test_symbols(xen: Caller) -> None:
    if not xen.x86:
        assert symbol(xen, 0)[0] == -ENOSYS
        return
    number, names = 0, []
    while True:
        result, following, name = symbol(xen, number)
        assert result == 0
        if name == b"\0":
            break
        assert following > number
        number = following
        names.append(name)
    assert following == number
    assert len(names) == len(set(names)) == 309
    assert symbol(xen, number + 1)[0] == -ERANGE
    assert symbol(xen, 0, 3)[2] == names[0][:3]  # cut, without an end mark
    if xen.release >= (4, 21):  # the number of an end gives what follows it
        assert symbol(xen, 4) == symbol(xen, 5)


def test_what_efi_left(x86: Caller) -> None:
    kind = x86.constant("XEN_FW_EFI_INFO")
    result, body = x86.platform(
        "firmware_info", "xenpf_firmware_info", type=kind, index=x86.constant("XEN_FW_EFI_VERSION")
    )
    assert (result, x86.read(body[8:], "xenpf_efi_info", "version")) == (0, 0x20046)
    assert x86.platform("firmware_info", "xenpf_firmware_info", type=kind, index=99)[0] == -EINVAL
    assert x86.platform("firmware_info", "xenpf_firmware_info", type=99)[0] == -EINVAL
    function = x86.constant("XEN_EFI_query_variable_info")
    assert x86.platform("efi_runtime_call", "xenpf_efi_runtime_call", function=function)[0] == 0
    assert x86.platform("efi_runtime_call", "xenpf_efi_runtime_call", function=function, misc=2)[0] == -EINVAL


def test_a_host_that_efi_did_not_boot() -> None:
    xen = Caller("efi=off")
    kind = xen.constant("XEN_FW_EFI_INFO")
    assert xen.platform("firmware_info", "xenpf_firmware_info", type=kind)[0] == -ENOSYS
    assert xen.platform("efi_runtime_call", "xenpf_efi_runtime_call", function=9)[0] == -ENOSYS


def test_memory_types(x86: Caller) -> None:
    result, body = x86.platform("read_memtype", "xenpf_read_memtype", reg=2)
    assert (result, x86.read(body, "xenpf_read_memtype", "mfn", "nr_mfns", "type")) == (0, (0xC0000, 0x40000, 0))
    assert x86.read(x86.platform("read_memtype", "xenpf_read_memtype", reg=9)[1], "xenpf_read_memtype", "nr_mfns") == 0
    assert x86.platform("read_memtype", "xenpf_read_memtype", reg=10)[0] == -EINVAL


def test_text_for_the_console(xen: Caller) -> None:
    address, _ = xen.arena.take(b"hello\n")
    write = xen.constant("CONSOLEIO_write")
    assert xen.call("console_io", write, 6, address) == 0
    assert xen.world.console.read(1 << 14, 0, False)[0].endswith(b"hello\n")
    assert xen.call("console_io", write, 7, address) == -EFAULT
    assert xen.call("console_io", 99, 0, 0) == -ENOSYS


def test_what_a_vcpu_does_with_its_time(xen: Caller) -> None:
    struct, op = "vcpu_runstate_info", xen.constant("VCPUOP_get_runstate_info")
    address, memory = xen.struct(struct)
    if not xen.x86:
        assert xen.call("vcpu_op", op, 0, address) == -EINVAL
        return
    assert xen.call("vcpu_op", op, 0, address) == 0
    times = memoryview(xen.read(memory, struct, "time")).cast("Q").tolist()
    assert sum(times) == xen.world.clock.now()
    assert times[0] > 0
    assert xen.call("vcpu_op", op, 99, address) == -ENOENT
    assert xen.call("vcpu_op", 99, 0, address) == -ENOSYS


def test_virtual_nodes(xen: Caller) -> None:
    struct, number = "xen_vnuma_topology_info", xen.constant("XENMEM_get_vnumainfo")
    members = ("nr_vnodes", "nr_vcpus", "nr_vmemranges")
    address, memory = xen.struct(struct, domid=3)
    if not xen.x86:
        assert xen.call("memory_op", number, address) == -EOPNOTSUPP
        return
    assert xen.call("memory_op", number, address) == -ENOBUFS
    assert xen.read(memory, struct, *members) == (2, 4, 2)
    buffers = {name: xen.arena.take(48) for name in ("vdistance", "vcpu_to_vnode", "vmemrange")}
    xen.layouts.put(memory, struct, **{f"{name}.h": where for name, (where, _) in buffers.items()})
    assert xen.call("memory_op", number, address) == 0
    assert buffers["vdistance"][1][:16].cast("I").tolist() == [10, 21, 21, 10]
    xen.layouts.put(memory, struct, nr_vcpus=3)
    assert xen.call("memory_op", number, address) == -ENOBUFS
    for domid, code in ((1, EOPNOTSUPP), (999, ESRCH)):
        xen.layouts.put(memory, struct, domid=domid)
        assert xen.call("memory_op", number, address) == -code
    xen.layouts.put(memory, struct, pad=1)
    assert xen.call("memory_op", number, address) == -EINVAL


def test_a_version_without_a_domain(xen: Caller) -> None:
    struct = "xen_domctl_vm_event_op"
    result, body = xen.domctl("vm_event_op", INVALID, struct, op=xen.constant("XEN_VM_EVENT_GET_VERSION"))
    assert (result, xen.read(body, struct, "u.version")) == (0, 6 if xen.release == (4, 14) else 7)
    assert xen.domctl("vm_event_op", 1, struct, op=0)[0] == -ENOSYS
