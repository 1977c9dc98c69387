"""What the firmware left, as Xen remembers it: EFI's tables and variables, and the memory type registers. x86."""

from __future__ import annotations

import errno
from typing import Any, NamedTuple

from xenfs.abi.numbers import EfiCall, Firmware, FirmwareEfi, Platform
from xenfs.abi.operations import operation
from xenfs.calls.control import platform
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.sources import asks

FIRMWARE_INFO = operation(Platform.firmware_info)
KBD_SHIFT_FLAGS = operation(Platform.firmware_info, "KBD_SHIFT_FLAGS")
EFI_RUNTIME_CALL = operation(Platform.efi_runtime_call, "query_variable_info").as_whole()
READ_MEMTYPE = operation(Platform.read_memtype)

_VENDOR_BYTES = 512  # UTF-16
_USUAL = 0x7  # non-volatile, readable at boot and at run time: the kind that efibootmgr writes
_MOST_REGISTERS = 256


@asks(KBD_SHIFT_FLAGS)
def kbd_shift_flags(xen: Hypervisor) -> int:
    """The keyboard's shift state as the BIOS had it when Xen began, 0 where EFI booted it; firmware_info."""
    arm = platform(xen, KBD_SHIFT_FLAGS)  # what is inside lives no longer than it
    return int(arm.u.kbd_shift_flags)


def efi(xen: Hypervisor, what: FirmwareEfi, **given: Any) -> Any:
    """union xenpf_efi_info for one question; ENOSYS where EFI did not boot Xen. platform_op firmware_info."""
    wanted = {"efi_info": given} if given else {}
    arm = platform(xen, FIRMWARE_INFO, "firmware_info", type=Firmware.EFI_INFO, index=what, u=wanted)
    return xen.abi.copy(arm.u.efi_info)


def efi_vendor(xen: Hypervisor) -> tuple[int, str]:
    """(revision, name) of the firmware; EOPNOTSUPP where Xen did not keep it. platform_op firmware_info."""
    with xen.pool.take(_VENDOR_BYTES) as name:
        found = efi(xen, FirmwareEfi.VENDOR, vendor={"bufsz": _VENDOR_BYTES, "name": (name, _VENDOR_BYTES)})
        text = bytes(name.memory).decode("utf-16-le", "replace").split("\0", 1)[0]
        return int(found.vendor.revision), text


def variable_space(xen: Hypervisor) -> Any:
    """Bytes for EFI variables: max_store_size, remain_store_size, max_size; efi_runtime_call query_variable_info.

    EOPNOTSUPP without run-time services or with ones older than 2.0. EIO where the firmware itself fails.
    """
    arm = platform(
        xen, EFI_RUNTIME_CALL, "efi_runtime_call",
        function=EfiCall.query_variable_info, u={"query_variable_info": {"attr": _USUAL}},
    )  # fmt: skip
    if arm.status:
        raise HypercallError(EFI_RUNTIME_CALL.name, errno.EIO, f"the firmware says {arm.status:#x}")
    return xen.abi.copy(arm.u.query_variable_info)


class Register(NamedTuple):
    """A memory type range register that is in use: its number, its first frame, how many, and the type."""

    number: int
    mfn: int
    nr_mfns: int
    type: int


def memory_types(xen: Hypervisor) -> list[Register]:
    """Those of the registers that are in use; platform_op read_memtype, EINVAL past the last one."""
    found = []
    for number in range(_MOST_REGISTERS):
        try:
            arm = platform(xen, READ_MEMTYPE, "read_memtype", reg=number)
        except HypercallError as problem:
            if problem.errno == errno.EINVAL and number:
                break
            raise
        if arm.nr_mfns:
            found.append(Register(number, int(arm.mfn), int(arm.nr_mfns), int(arm.type)))
    return found
