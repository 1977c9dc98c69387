"""Which operation a hypercall is, told from its numbers and bytes alone, as Xen tells it."""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from xenfs.abi.numbers import (
    ConsoleOp,
    DmOp,
    Domctl,
    EventOp,
    FlaskOp,
    GrantOp,
    HvmOp,
    Hypercall,
    HypfsOp,
    KexecOp,
    McaOp,
    Memory,
    PhysdevOp,
    Platform,
    PmuOp,
    SchedOp,
    Sysctl,
    VcpuOp,
    Xenver,
)
from xenfs.errors import BadAddress
from xenfs.pool import Pool

# The sub-operation is the first word of the struct that the first argument points to ...
_IN_STRUCT: dict[Hypercall, type[IntEnum]] = {
    Hypercall.sysctl: Sysctl, Hypercall.domctl: Domctl, Hypercall.platform_op: Platform, Hypercall.xsm_op: FlaskOp,
    Hypercall.mca: McaOp,
}  # fmt: skip
# ... or the first argument itself ...
_IN_ARGUMENT: dict[Hypercall, type[IntEnum]] = {
    Hypercall.xen_version: Xenver, Hypercall.memory_op: Memory, Hypercall.hvm_op: HvmOp, Hypercall.hypfs_op: HypfsOp,
    Hypercall.grant_table_op: GrantOp, Hypercall.event_channel_op: EventOp, Hypercall.sched_op: SchedOp,
    Hypercall.vcpu_op: VcpuOp, Hypercall.console_io: ConsoleOp, Hypercall.kexec_op: KexecOp,
    Hypercall.xenpmu_op: PmuOp, Hypercall.physdev_op: PhysdevOp,
}  # fmt: skip
# ... but for dm_op, where it is in the first of an array of buffers.
_ALL: dict[Hypercall, type[IntEnum]] = {**_IN_STRUCT, **_IN_ARGUMENT, Hypercall.dm_op: DmOp}

_COMMAND, _DOMAIN, _WORD = Struct("<I"), Struct("<8xH"), Struct("<Q")


class Asked(NamedTuple):
    """An operation such as "domctl:pausedomain", and the domain that it is about where the call itself says so."""

    name: str
    domid: int | None = None


MEMORY = Asked("pool:take")
"""Not a hypercall: taking a buffer from the pool."""


def asked(number: int, args: tuple[int, ...], pool: Pool) -> Asked:
    """What a hypercall asks for; what no release knows has its number for a name."""
    try:
        hypercall = Hypercall(number)
    except ValueError:
        return Asked(f"hypercall:{number}")
    try:
        command, domid = _command(hypercall, args, pool)
    except (BadAddress, IndexError):  # Xen will say so itself
        return Asked(f"{hypercall.name}:?")
    names = _ALL.get(hypercall)
    if names is None:
        return Asked(f"{hypercall.name}:batch" if hypercall == Hypercall.multicall else f"{hypercall.name}:?")
    try:
        return Asked(f"{hypercall.name}:{names(command).name}", domid)
    except ValueError:
        return Asked(f"{hypercall.name}:{command}", domid)


def _command(hypercall: Hypercall, args: tuple[int, ...], pool: Pool) -> tuple[int, int | None]:
    if hypercall in _IN_STRUCT:
        (command,) = _COMMAND.unpack(pool.locate(args[0], _COMMAND.size))
        return command, _DOMAIN.unpack(pool.locate(args[0], _DOMAIN.size))[0] if hypercall == Hypercall.domctl else None
    if hypercall == Hypercall.dm_op:
        (body,) = _WORD.unpack(pool.locate(args[2], _WORD.size))
        return _COMMAND.unpack(pool.locate(body, _COMMAND.size))[0], args[0]
    return args[0], None


def names() -> list[str]:
    """Every name that `asked` can give to what some release knows."""
    found = [f"{hypercall.name}:{member.name}" for hypercall, members in _ALL.items() for member in members]
    return [*found, f"{Hypercall.multicall.name}:batch", MEMORY.name]
