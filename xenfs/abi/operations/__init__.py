"""Every operation of Xen, declared once: what is passed, what comes back, how it behaves, since when it exists.

One table for each hypercall or family of them. All else is told by them: calls/ and raw/ what to pass, the lanes what
is slow, recordings and docs/coverage.md what there is. Open grammar.py first: it has the words of the tables.
"""

# operation(Sysctl.physinfo)                 the operation of a number
# operation(Sysctl.pm_op, "get_max_cstate")  one part of it
# operations()                               all of them, in the order of the tables
# [op for op in operations() if op.exists(abi.target)]      those of this release and architecture
# shape.members(abi, op)                     what it takes and gives: member by member, with type, way, and length
#
# To add one: its number goes into xenfs/abi/numbers/, its struct into a header beside them, with `//=` by each guest
# handle (see promises.py) and its arm in the hypercall's union; then it is one line in the table of its hypercall. Read
# its handler in Xen first: whether it changes anything, which members it writes back, when a toolstack repeats it.
# tests/abi/test_operation_tables.py holds the tables against the headers. A table is read when the first of its
# operations is asked for.

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from importlib import import_module

from xenfs.abi.operations.model import Does, Operation, Way

__all__ = ["Does", "Operation", "Way", "operation", "operations"]

# By the enum that has its numbers, the module that has the table.
_TABLES = {
    "Sysctl": "sysctl",
    "Domctl": "domctl",
    "Platform": "platform",
    "Memory": "memory",
    "DmOp": "dm",
    "HvmOp": "hvm",
    "Xenver": "guest",
    "EventOp": "guest",
    "GrantOp": "guest",
    "SchedOp": "guest",
    "VcpuOp": "guest",
    "FlaskOp": "flask",
    "McaOp": "machine",
    "KexecOp": "machine",
    "PmuOp": "machine",
    "PhysdevOp": "machine",
    "ConsoleOp": "plain",
    "HypfsOp": "plain",
    "ArgoOp": "plain",
    "VmAssist": "plain",
    "CallbackOp": "plain",
    "NmiOp": "plain",
    "XenoprofOp": "plain",
    "Hypercall": "plain",
}


def operation(number: IntEnum, part: str = "") -> Operation:
    """The operation with this number, or the part of it that has this name; KeyError where no table has it."""
    found = _table(_TABLES[type(number).__name__])[int(number), type(number).__name__]
    return found.part(part) if part else found


def operations() -> Iterator[Operation]:
    """All operations of all tables; those that have parts once, as a whole (see `Operation.leaves`)."""
    for module in dict.fromkeys(_TABLES.values()):
        yield from _table(module).values()


@cache
def _table(module: str) -> dict[tuple[int, str], Operation]:
    declared: tuple[Operation, ...] = import_module(f"{__name__}.{module}").OPERATIONS
    return {(each.cmd, type(each.number).__name__): each for each in declared}
