"""memory_op: maps and counts of the machine's memory."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from xenfs.abi.numbers import Domid, Memory, RdmFlag, SharingOp
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import fill
from xenfs.calls.multicall import wide
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

MAXIMUM_RAM_PAGE = operation(Memory.maximum_ram_page)
MACHINE_MEMORY_MAP = operation(Memory.machine_memory_map)
MEMORY_MAP = operation(Memory.memory_map)
SET_MEMORY_MAP = operation(Memory.set_memory_map)
RESERVED_DEVICE_MEMORY_MAP = operation(Memory.reserved_device_memory_map)
SHARING_FREED = operation(Memory.get_sharing_freed_pages)
SHARING_SHARED = operation(Memory.get_sharing_shared_pages)
SHARING_OP = operation(Memory.sharing_op, "audit").as_whole()

_E820 = struct.Struct("<QQI")  # packed: start, size, type
_MOST_E820 = 1024


def maximum_ram_page(xen: Hypervisor) -> int:
    """The highest machine frame number of RAM; memory_op maximum_ram_page, through a multicall for its width.

    Xen answers with the number after it, whatever its header says; physinfo's max_mfn is the last one itself.
    """
    return wide(xen, MAXIMUM_RAM_PAGE, Memory.maximum_ram_page, 0) - 1


class Range(NamedTuple):
    """A piece of the machine's address space and its E820 type; the end is exclusive."""

    start: int
    end: int
    type: int


def machine_memory_map(xen: Hypervisor) -> list[Range]:
    """The firmware's memory map as Xen keeps it; memory_op machine_memory_map (x86)."""
    return _map(xen, MACHINE_MEMORY_MAP)


def own_memory_map(xen: Hypervisor) -> list[Range]:
    """The map of the domain that xenfs runs in; ENOSYS where it was given none, as a PV dom0. memory_op memory_map."""
    return _map(xen, MEMORY_MAP)


def _map(xen: Hypervisor, op: Operation) -> list[Range]:
    with xen.pool.take(_E820.size * _MOST_E820) as entries:
        count = _memory_op(
            xen, op, "struct xen_memory_map", lambda arg: arg.nr_entries, nr_entries=_MOST_E820, buffer=entries
        )
        data = bytes(entries.memory[: _E820.size * count])
    return [Range(start, start + size, kind) for start, size, kind in _E820.iter_unpack(data)]


def set_memory_map(xen: Hypervisor, domid: int, ranges: Sequence[Range]) -> None:
    """Give a domain a map to ask for; EINVAL for more than 1024 entries, ESRCH, ENOMEM. memory_op set_memory_map."""
    data = b"".join(_E820.pack(each.start, each.end - each.start, each.type) for each in ranges)
    with xen.pool.take(len(data)) as entries:
        entries.fill(data)
        given = {"nr_entries": len(ranges), "buffer": entries}
        _memory_op(xen, SET_MEMORY_MAP, "struct xen_foreign_memory_map", lambda _: 0, domid=domid, map=given)


def reserved_device_memory(xen: Hypervisor, device: tuple[int, int, int] | None = None) -> list[tuple[int, int]]:
    """(first frame, number of frames) of every range that a device claims; reserved_device_memory_map (x86).

    With a device, as (segment, bus, devfn), only of its own.
    """
    wanted: dict[str, Any] = {"flags": RdmFlag.ALL}
    if device is not None:
        wanted = {"flags": 0, "dev": {"pci": dict(zip(("seg", "bus", "devfn"), device, strict=True))}}
    count = 64
    while True:
        with xen.pool.take(16 * count) as entries:
            try:
                filled = _memory_op(
                    xen, RESERVED_DEVICE_MEMORY_MAP, "struct xen_reserved_device_memory_map",
                    lambda arg: arg.nr_entries, nr_entries=count, buffer=entries, **wanted,
                )  # fmt: skip
            except HypercallError as problem:
                if problem.errno != errno.ENOBUFS or count > 4096:
                    raise
                count *= 4
                continue
            words = entries.memory[: 16 * filled].cast("Q").tolist()
            return list(zip(words[::2], words[1::2], strict=True))


def sharing_freed_pages(xen: Hypervisor) -> int:
    """Pages that sharing has saved; memory_op get_sharing_freed_pages (x86)."""
    return wide(xen, SHARING_FREED, Memory.get_sharing_freed_pages, 0)


def sharing_shared_pages(xen: Hypervisor) -> int:
    """Pages that are shared; memory_op get_sharing_shared_pages (x86)."""
    return wide(xen, SHARING_SHARED, Memory.get_sharing_shared_pages, 0)


def sharing_audit(xen: Hypervisor) -> int:
    """How many errors an audit of page sharing finds; memory_op sharing_op audit (x86, MEM_SHARING builds)."""
    with xen.pool.take(xen.abi.sizeof("struct xen_mem_sharing_op")) as buf:
        view = xen.abi.view("struct xen_mem_sharing_op", buf)
        view.op, view.domain = SharingOp.audit, Domid.SELF
        return xen.hypercall(SHARING_OP, Memory.sharing_op, buf)


def _memory_op(xen: Hypervisor, op: Any, name: str, answer: Callable[[Any], int], **given: Any) -> int:
    with xen.pool.take(xen.abi.sizeof(name)) as buf:
        view = xen.abi.view(name, buf)
        fill(xen.abi, buf, view, given)
        xen.hypercall(op, op.cmd, buf)
        return answer(view)
