"""Platform operations about what the firmware left and what Xen was linked from; x86 only."""

from __future__ import annotations

from errno import EINVAL, ENOSYS, ERANGE, ESRCH

from xenfs.simulator.machine import Answers, Machine

INFO, CALL, MEMTYPE, SYMBOL = "xenpf_firmware_info", "xenpf_efi_runtime_call", "xenpf_read_memtype", "xenpf_symdata"
EFI_VERSION = 0x2_0046  # 2.70
TABLES = (0xBE7F0018, 14)
VENDOR, VENDOR_REVISION = "American Megatrends", 0x5_000E
VARIABLES = (0x1_3000, 0x9_A40, 0x8_000)
UNCACHABLE, WRITE_BACK = 0, 6
REGISTERS = ((0, 0, 0x80000, WRITE_BACK), (1, 0x80000, 0x40000, WRITE_BACK), (2, 0xC0000, 0x40000, UNCACHABLE))
NR_REGISTERS = 8
NUM_LOCK = 0x20
SYMBOLS = (
    ("_stext", "T"), ("__start", "T"), ("hypercall_page", "t"), ("do_sysctl", "T"), ("do_domctl", "T"),
    ("livepatch.c#payload_lock", "d"), ("domain_list_lock", "D"), ("per_cpu__runqueue", "d"), ("_end", "B"),
)  # fmt: skip
FUNCTIONS = 300


def symbols(xen: Machine) -> list[tuple[int, str, str] | None]:
    """(address, type, name) by number. From 4.21 on the ends of some functions have a number too, and no name."""
    numbered = [(f"function_{number}", "t") for number in range(FUNCTIONS)]
    found: list[tuple[int, str, str] | None] = []
    for index, (name, kind) in enumerate((*SYMBOLS[:-1], *numbered, SYMBOLS[-1])):
        found.append((0xFFFF82D040200000 + index * 0x140, kind, name))
        if xen.release >= (4, 21) and index % 7 == 3:
            found.append(None)
    return found


def get_symbol(xen: Machine, op: memoryview) -> int:
    """The symbol with a number, or the next one, and the number after it; at the end an empty name."""
    number, room, address = _three(xen, op)
    table = symbols(xen)
    if number > len(table):
        return -ERANGE
    while number < len(table) and table[number] is None:
        number += 1
    found = table[number] if number < len(table) else None
    name = (found[2] if found else "").encode() + b"\0"
    xen.copy_out(address, name[:room])
    xen.put(op, SYMBOL, namelen=len(name))
    if found:
        xen.put(op, SYMBOL, address=found[0], type=ord(found[1]))
        number += 1
        if number + 1 < len(table) and table[number] is None:
            number += 1
    xen.put(op, SYMBOL, symnum=number)
    return 0


def _three(xen: Machine, op: memoryview) -> tuple[int, int, int]:
    room, number, address = xen.get(op, SYMBOL, "namelen", "symnum", "name")
    return number, room, address


def firmware_info(xen: Machine, op: memoryview) -> int:
    """What EFI tells, where it booted Xen, and what the BIOS knew of the keyboard."""
    kind, index = xen.get(op, INFO, "type", "index")
    if kind == xen.constant("XEN_FW_KBD_SHIFT_FLAGS"):
        xen.put(op, INFO, **{"u.kbd_shift_flags": 0 if xen.settings.efi else NUM_LOCK})
        return -ESRCH if index else 0
    if kind != xen.constant("XEN_FW_EFI_INFO"):
        return -EINVAL
    if not xen.settings.efi:
        return -ENOSYS
    names = ("VERSION", "CONFIG_TABLE", "VENDOR", "RT_VERSION")
    what = {xen.constant(f"XEN_FW_EFI_{name}"): name for name in names}.get(index)
    body = op[xen.layouts.offset(INFO, "u.efi_info") :]
    if what in ("VERSION", "RT_VERSION"):
        xen.put(body, "xenpf_efi_info", version=EFI_VERSION)
    elif what == "CONFIG_TABLE":
        xen.put(body, "xenpf_efi_info", **{"cfg.addr": TABLES[0], "cfg.nent": TABLES[1]})
    elif what == "VENDOR":
        _vendor(xen, body)
    else:
        return -EINVAL
    return 0


def _vendor(xen: Machine, body: memoryview) -> None:
    """The name as far as there is room for whole characters; its end mark only if it fits."""
    room, address = xen.get(body, "xenpf_efi_info", "vendor.bufsz", "vendor.name")
    text = (VENDOR + "\0").encode("utf-16-le")[: room // 2 * 2]
    xen.copy_out(address, text)
    xen.put(body, "xenpf_efi_info", **{"vendor.revision": VENDOR_REVISION})


def efi_runtime_call(xen: Machine, op: memoryview) -> int:
    """Of the firmware's services only how much room there is for variables."""
    function, flags = xen.get(op, CALL, "function", "misc")
    if not xen.settings.efi:
        return -ENOSYS
    if function != xen.constant("XEN_EFI_query_variable_info") or flags:
        return -EINVAL
    names = ("max_store_size", "remain_store_size", "max_size")
    values = {f"u.query_variable_info.{name}": value for name, value in zip(names, VARIABLES, strict=True)}
    xen.put(op, CALL, status=0, **values)
    return 0


def read_memtype(xen: Machine, op: memoryview) -> int:
    """One memory type range register."""
    (number,) = xen.get(op, MEMTYPE, "reg")
    if number >= NR_REGISTERS:
        return -EINVAL
    used = {register: (mfn, count, kind) for register, mfn, count, kind in REGISTERS}
    mfn, count, kind = used.get(number, (0, 0, UNCACHABLE))
    xen.put(op, MEMTYPE, mfn=mfn, nr_mfns=count, type=kind)
    return 0


OPERATIONS_X86: Answers = {
    "XENPF_get_symbol": get_symbol,
    "XENPF_firmware_info": firmware_info,
    "XENPF_efi_runtime_call": efi_runtime_call,
    "XENPF_read_memtype": read_memtype,
}
