"""Model specific registers of a CPU, as far as Xen lets the control domain at them; platform_op resource_op. x86."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from xenfs.abi.numbers import Platform, ResourceOp
from xenfs.abi.operations import operation
from xenfs.calls.control import fill
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import PLATFORM_VERSION
from xenfs.pool import Buffer

RESOURCE_OP = operation(Platform.resource_op, "MSR_READ").as_whole()
_ENTRY = "struct xenpf_resource_entry"
_MOST_ENTRIES = 3  # RESOURCE_ACCESS_MAX_ENTRIES: what Xen does in one go on one CPU


class Msr(IntEnum):
    """The registers that have a file, by the names of Intel's and AMD's manuals."""

    PPIN = 0x4F
    THERM_STATUS = 0x19C
    TEMPERATURE_TARGET = 0x1A2
    PACKAGE_THERM_STATUS = 0x1B1
    QM_EVTSEL = 0xC8D
    QM_CTR = 0xC8E
    AMD_PPIN = 0xC00102F1


class Step(NamedTuple):
    """One access: a read, or a write of `value`."""

    op: ResourceOp
    msr: Msr
    value: int = 0


class MsrRefused(HypercallError):
    """Xen made the call but refused one register; `operation` names both."""

    def __init__(self, msr: Msr, code: int) -> None:
        super().__init__(f"{RESOURCE_OP.name} {msr.name}", code)
        self.msr = msr


def access(xen: Hypervisor, cpu: int, steps: Sequence[Step]) -> list[int]:
    """Carry out up to three steps on one CPU with nothing between them, and return the value of each.

    ENODEV for a CPU that is not online. Of a register, as MsrRefused: EPERM (EACCES before 4.16) where Xen does not
    allow it, another errno where the CPU does not have it. platform_op resource_op.
    """
    if len(steps) > _MOST_ENTRIES:
        raise ValueError(f"{len(steps)} steps, Xen takes {_MOST_ENTRIES} in one call")
    with xen.pool.take(xen.abi.sizeof(_ENTRY) * len(steps)) as buf:
        entries = xen.abi.array(_ENTRY, len(steps), buf)
        for entry, step in zip(entries, steps, strict=True):
            entry.u.cmd, entry.idx, entry.val = step
        done = _made(xen, cpu, buf, len(steps))
        if done < len(steps):
            raise MsrRefused(steps[done].msr, -entries[done].u.ret or errno.EIO)
        return [int(entry.val) for entry in entries]


def _made(xen: Hypervisor, cpu: int, entries: Buffer, count: int) -> int:
    """How many of the entries were carried out: the result of the hypercall."""
    with xen.pool.take(xen.abi.sizeof("struct xen_platform_op")) as buf:
        view = xen.abi.view("struct xen_platform_op", buf)
        view.cmd, view.interface_version = RESOURCE_OP.cmd, PLATFORM_VERSION
        fill(xen.abi, buf, view.u.resource_op, {"nr_entries": count, "cpu": cpu, "entries": entries})
        return xen.hypercall(RESOURCE_OP, buf)


def read(xen: Hypervisor, cpu: int, *msrs: Msr) -> list[int]:
    """The values of up to three registers of a CPU, read at the same time."""
    return access(xen, cpu, [Step(ResourceOp.MSR_READ, msr) for msr in msrs])
