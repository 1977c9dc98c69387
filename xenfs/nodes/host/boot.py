"""host/kexec/, host/firmware/, host/efi/ and host/mtrr/: how Xen was booted, and what would be booted next."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from typing import Any

from xenfs.abi.numbers import FirmwareEfi, KexecRange, KexecType
from xenfs.calls import firmware, kexec
from xenfs.calls.sysctl import nr_cpu_ids
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.host.bootable import image
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import answers, every, x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.members import members
from xenfs.nodes.tables.payload import Payload

_TYPES = {0: "uncachable", 1: "write-combining", 4: "write-through", 5: "write-protect", 6: "write-back"}
_PAGE_KIB = 4


def _ranges(xen: Hypervisor) -> str:
    return show.nested(
        (name, {"start": f"{found.start:#x}", "size": found.size}) for name, found in _each_range(xen) if found
    )


def _each_range(xen: Hypervisor) -> Iterator[tuple[str, kexec.Range | None]]:
    for which in KexecRange:
        if which != KexecRange.CPU:
            yield which.name.lower(), kexec.memory(xen, which)
        else:
            for cpu, found in enumerate(kexec.crash_notes(xen, nr_cpu_ids(xen))):
                yield f"cpu{cpu}", found


_BY_NAME = {"default": KexecType.DEFAULT, "crash": KexecType.CRASH}
_FILES = {KexecType.DEFAULT: "load", KexecType.CRASH: "crash_load"}
_MOST_BYTES = 32 << 20


def _load(which: KexecType) -> Callable[[Hypervisor, bytes], None]:
    def load(xen: Hypervisor, data: bytes) -> None:
        kexec.load(xen, which, *image(data))

    return load


def _keep(which: KexecType) -> Callable[[Hypervisor, bool], None]:
    """0 forgets an image; 1 is what the file says of one that is there, and makes none."""

    def keep(xen: Hypervisor, wanted: bool) -> None:
        if not wanted:
            kexec.unload(xen, which)
        elif not kexec.loaded(xen, which):
            raise BadInput(f"write the image to {_FILES[which]}: that loads it", word="1", at=0)

    return keep


def _execute(xen: Hypervisor, name: str) -> None:
    if not kexec.loaded(xen, _BY_NAME[name]):
        raise BadInput(f"no image is loaded for {name}", errno.ENOENT, word=name)
    kexec.execute(xen, _BY_NAME[name])


_LOADS: dict[str, Any] = {
    "most": _MOST_BYTES, "format": "binary", "tier": "C", "option": "debug", "write_grows": Cost.WAITS,
    "call": f"({kexec.STATUS.name}), {kexec.LOAD.name}", "errnos": "EFBIG EINVAL EINTR",
}  # fmt: skip
_UNLOADS: dict[str, Any] = {
    "show": show.flag, "parse": parse.switch, "write_option": "debug",
    "call": f"{kexec.STATUS.name}, {kexec.UNLOAD.name}",
}  # fmt: skip

KEXEC = Dir(
    "kexec",
    "What Xen would boot instead of itself",
    (
        File(
            "loaded", "Whether an image for an ordinary reboot is loaded; write 0 to forget it",
            read=lambda xen: kexec.loaded(xen, KexecType.DEFAULT),
            write=_keep(KexecType.DEFAULT), **_UNLOADS,
        ),
        File(
            "crash_loaded", "Whether an image for a crash is loaded; write 0 to forget it",
            read=lambda xen: kexec.loaded(xen, KexecType.CRASH),
            write=_keep(KexecType.CRASH), **_UNLOADS,
        ),
        Payload(
            "load", "Write an ELF file for x86: it is kept to be booted at an ordinary reboot",
            write=_load(KexecType.DEFAULT), **_LOADS,
        ),
        Payload(
            "crash_load", "Write an ELF file for x86 that lies in what is kept for a crash: it is booted in one",
            write=_load(KexecType.CRASH), **_LOADS,
        ),
        File(
            "exec", "Boot an image that is loaded, now: this ends the host as it is, without a shutdown of anything",
            write=_execute, parse=parse.one_of(_BY_NAME), tier="C", option="debug", write_grows=Cost.WAITS,
            errnos="ENOENT", call=f"({kexec.STATUS.name}), {kexec.KEXEC.name}",
        ),
        File(
            "ranges", "Where memory is kept for a crash, where Xen is, and each CPU's notes: start and bytes",
            read=_ranges, grows=Cost.CPUS, call=f"{kexec.GET_RANGE.name}, sysctl physinfo", tier="B",
            format='"name start=0x... size=..." lines',
        ),
    ),
    when=every(x86, answers(lambda xen: kexec.loaded(xen, KexecType.CRASH))),
)  # fmt: skip


def _version(which: FirmwareEfi) -> Any:
    return lambda xen: firmware.efi(xen, which).version


def _tables(xen: Hypervisor) -> str:
    found = firmware.efi(xen, FirmwareEfi.CONFIG_TABLE)
    return show.flat({"addr": f"{found.cfg.addr:#x}", "nent": found.cfg.nent})


def _variable_info(xen: Hypervisor) -> str:
    return show.flat((name, text) for name, text in members(xen.abi, firmware.variable_space(xen)) if name != "attr")


def _has(which: FirmwareEfi) -> Any:
    return every(x86, answers(lambda xen: firmware.efi(xen, which)))


_C: dict[str, Any] = {"tier": "C"}
_INFO: dict[str, Any] = {"call": firmware.FIRMWARE_INFO.name, **_C}

FIRMWARE = Dir(
    "firmware",
    "What the firmware told Xen",
    (
        File(
            "kbd_shift_flags", "Shift keys and locks as the BIOS had them, bits of its INT 16h", show=show.hexa,
            read=firmware.kbd_shift_flags, option="debug", when=every(x86, answers(firmware.kbd_shift_flags)), **_C,
        ),
        Dir(
            "efi",
            "EFI, where it booted Xen",
            (
                File("version", "Version of EFI", read=_version(FirmwareEfi.VERSION), show=show.hexa, **_INFO),
                File("config_table", "Where its table of tables is, and how many are in it", read=_tables,
                     format='"key value" lines', **_INFO),
                File(
                    "vendor", "Who made it", read=lambda xen: firmware.efi_vendor(xen)[1],
                    when=answers(firmware.efi_vendor), **_INFO,
                ),
                File(
                    "rt_version", "Version of its run-time services", read=_version(FirmwareEfi.RT_VERSION),
                    show=show.hexa, when=_has(FirmwareEfi.RT_VERSION), **_INFO,
                ),
            ),
            option="debug",
            when=_has(FirmwareEfi.VERSION),
        ),
    ),
)  # fmt: skip

EFI = Dir(
    "efi",
    "EFI's run-time services",
    (
        File(
            "variable_info", "Room for variables: all of it, what is left, the largest one; bytes", grows=Cost.WAITS,
            read=_variable_info, call=firmware.EFI_RUNTIME_CALL.name, format='"key value" lines', **_C,
        ),
    ),
    option="debug",
    when=every(x86, answers(firmware.variable_space)),
)  # fmt: skip


def _mtrr(xen: Hypervisor) -> str:
    return show.lines(
        f"reg{found.number:02}: base={found.mfn << 12:#011x} ({found.mfn >> 8:5}MB), size={_size(found.nr_mfns)}, "
        f"count=1: {_TYPES.get(found.type, found.type)}"
        for found in firmware.memory_types(xen)
    )


def _size(pages: int) -> str:
    return f"{pages >> 8:5}MB" if pages >> 8 else f"{pages * _PAGE_KIB:5}kB"


MTRR = Dir(
    "mtrr",
    "Memory type range registers",
    (
        File(
            "ranges", "Those in use, as /proc/mtrr has them", read=_mtrr, call=firmware.READ_MEMTYPE.name,
            format="a line for each", **_C,
        ),
    ),
    option="debug",
    when=every(x86, answers(firmware.memory_types)),
)  # fmt: skip
