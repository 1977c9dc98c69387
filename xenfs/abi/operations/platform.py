"""platform_op: what the owner of the hardware may ask of it. On Arm it is settime64 alone."""

from __future__ import annotations

from xenfs.abi.numbers import (
    CoreParking,
    EfiCall,
    Firmware,
    FirmwareEfi,
    Hypercall,
    Interface,
    Platform,
    PmInfo,
    ResourceOp,
)
from xenfs.abi.operations.grammar import Declared, Family, changes, looks, one_of
from xenfs.abi.operations.model import NONE, X86

_TABLE = Family(
    Hypercall.platform_op, struct="struct xen_platform_op", union="u", cmd="cmd", version="interface_version",
    speaks=Interface.XENPF_INTERFACE_VERSION,
    simulated="read_memtype get_cpu_version efi_runtime_call:query_variable_info firmware_info:EFI_INFO:VERSION"
    " firmware_info:EFI_INFO:CONFIG_TABLE firmware_info:EFI_INFO:VENDOR firmware_info:EFI_INFO:RT_VERSION get_cpuinfo"
    " firmware_info:KBD_SHIFT_FLAGS"
    " core_parking resource_op get_symbol get_ucode_revision microcode_update microcode_update2",
)  # fmt: skip

_UNASKED = "as sysctl cpu_hotplug: Xen does not survive some of it"
_FIRMWARE_ARMS = {
    FirmwareEfi.VERSION: "version",
    FirmwareEfi.RT_VERSION: "version",
    FirmwareEfi.CONFIG_TABLE: "cfg",
    FirmwareEfi.VENDOR: "vendor",
    FirmwareEfi.MEM_INFO: "mem",
    FirmwareEfi.PCI_ROM: "pci_rom",
    FirmwareEfi.APPLE_PROPERTIES: "apple_properties",
}
_FIRMWARE_TAKES = {
    FirmwareEfi.MEM_INFO: "u.efi_info.mem.addr u.efi_info.mem.size",
    FirmwareEfi.PCI_ROM: "u.efi_info.pci_rom.segment u.efi_info.pci_rom.bus u.efi_info.pci_rom.devfn",
}
_FIRMWARE_BOTH = {FirmwareEfi.VENDOR: "u.efi_info.vendor.bufsz", FirmwareEfi.MEM_INFO: "u.efi_info.mem"}


def _firmware(index: FirmwareEfi) -> Declared:
    arm = f"u.efi_info.{_FIRMWARE_ARMS[index]}"
    both, takes = _FIRMWARE_BOTH.get(index, ""), _FIRMWARE_TAKES.get(index, "")
    if index is FirmwareEfi.MEM_INFO:
        both, takes = takes, ""
    return looks(index, inner=arm, gives=arm, takes=takes, both=both)


def _efi(call: EfiCall, verb_looks: bool, *, inner: str = "", gives: str = "", both: str = "") -> Declared:
    arm = f"u.{inner or call.name}"
    verb = looks if verb_looks else changes
    return verb(call, inner=arm, gives=f"status {gives}".strip(), both=f"misc {both}".strip())


OPERATIONS = _TABLE.operations(
    changes(Platform.settime32, when=X86, why="the time of day that all domains see"),
    changes(Platform.add_memtype, gives="handle reg", when=X86, dangerous=True),
    changes(Platform.del_memtype, when=X86, dangerous=True),
    looks(Platform.read_memtype, takes="reg", gives="*", when=X86),
    changes(Platform.microcode_update, arm="microcode", when=X86, dangerous=True, slow=True),
    changes(Platform.platform_quirk, when=X86, dangerous=True),
    looks(Platform.get_cpu_version, arm="pcpu_version", takes="xen_cpuid", gives="*", when=X86),
    one_of(
        Platform.efi_runtime_call, "function",
        _efi(EfiCall.get_time, True, gives="u.get_time"),
        _efi(EfiCall.set_time, False),
        _efi(EfiCall.get_wakeup_time, True, gives="u.get_wakeup_time"),
        _efi(EfiCall.set_wakeup_time, False),
        looks(EfiCall.get_next_high_monotonic_count, inner=NONE, gives="status", both="misc", repeatable=False),
        _efi(EfiCall.get_variable, True, gives="u.get_variable.data", both="u.get_variable.size"),
        changes(
            EfiCall.set_variable, inner="u.set_variable", gives="status", both="misc", dangerous=True,
            why="written to flash memory: some firmware does not start again with variables that it does not expect",
        ),
        _efi(
            EfiCall.get_next_variable_name, True,
            both="u.get_next_variable_name.size u.get_next_variable_name.name u.get_next_variable_name.vendor_guid",
        ),
        looks(
            EfiCall.query_variable_info, inner="u.query_variable_info", takes="u.query_variable_info.attr",
            gives="status u.query_variable_info", both="misc",
        ),
        _efi(
            EfiCall.query_capsule_capabilities, True,
            gives="u.query_capsule_capabilities.max_capsule_size u.query_capsule_capabilities.reset_type",
        ),
        changes(EfiCall.update_capsule, inner="u.update_capsule", gives="status", both="misc", dangerous=True),
        when=X86, slow=True,
    ),
    one_of(
        Platform.firmware_info, "type",
        looks(Firmware.DISK_INFO, inner="u.disk_info", gives="u.disk_info", both="u.disk_info.edd_params"),
        looks(Firmware.DISK_MBR_SIGNATURE, inner="u.disk_mbr_signature", gives="u.disk_mbr_signature"),
        looks(Firmware.VBEDDC_INFO, inner="u.vbeddc_info", gives="u.vbeddc_info"),
        one_of(Firmware.EFI_INFO, "index", *(_firmware(each) for each in FirmwareEfi)),
        looks(Firmware.KBD_SHIFT_FLAGS, inner="u.kbd_shift_flags", gives="u.kbd_shift_flags"),
        when=X86,
    ),
    changes(
        Platform.enter_acpi_sleep, when=X86, dangerous=True, slow=True,
        why="the last step of a suspend that dom0's kernel has prepared",
    ),
    changes(Platform.change_freq, when=X86, repeatable=True),
    looks(Platform.getidletime, gives="idletime now", both="cpumap_bitmap", when=X86),
    one_of(
        Platform.set_processor_pminfo, "type",
        changes(PmInfo.CX, inner="u.power", dangerous=True),
        changes(PmInfo.PX, inner="u.perf", dangerous=True),
        changes(PmInfo.PDC, inner="u.pdc", both="u.pdc"),
        changes(PmInfo.CPPC, inner="u.cppc_data", when="xen >= 4.21"),
        arm="set_pminfo", when=X86,
    ),
    looks(Platform.get_cpuinfo, arm="pcpu_info", takes="xen_cpuid", gives="*", when=X86),
    changes(Platform.cpu_online, arm="cpu_ol", when=X86, slow=True, dangerous=True, why=_UNASKED),
    changes(Platform.cpu_offline, arm="cpu_ol", when=X86, slow=True, dangerous=True, why=_UNASKED),
    changes(Platform.cpu_hotadd, arm="cpu_add", when=X86, dangerous=True),
    changes(Platform.mem_hotadd, arm="mem_add", when=X86, dangerous=True, slow=True),
    one_of(
        Platform.core_parking, "type",
        changes(CoreParking.SET, slow=True, dangerous=True, why=_UNASKED),
        looks(CoreParking.GET, gives="idle_nums"),
        when=X86,
    ),
    one_of(
        Platform.resource_op, "",
        looks(ResourceOp.MSR_READ),
        changes(ResourceOp.MSR_WRITE),
        both="entries", when=X86, each="entries.u.cmd", arms="u.cmd u.ret",
    ),
    changes(Platform.settime64, word="settime64", why="the time of day that all domains see"),
    looks(Platform.get_symbol, arm="symdata", gives="name address type", both="namelen symnum", slow=True, when=X86),
    looks(Platform.get_dom0_console, arm="dom0_console", gives="*", when=f"{X86} and xen >= 4.18"),
    looks(
        Platform.get_ucode_revision, arm="ucode_revision", takes="cpu", gives="*", when=f"{X86} and xen >= 4.18"
    ),
    changes(
        Platform.microcode_update2, arm="microcode2", when=f"{X86} and xen >= 4.20", dangerous=True, slow=True
    ),
)  # fmt: skip
