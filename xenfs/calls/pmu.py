"""xenpmu_op: whether guests may use the processors' performance counters. EOPNOTSUPP unless Xen was booted with vpmu,
and to a PVH control domain; x86."""

from __future__ import annotations

from xenfs.abi.numbers import PmuOp
from xenfs.abi.operations import Operation, operation
from xenfs.calls.control import numbered
from xenfs.hypervisor.base import Hypervisor

MODE_GET = operation(PmuOp.mode_get)
MODE_SET = operation(PmuOp.mode_set)
FEATURE_GET = operation(PmuOp.feature_get)
FEATURE_SET = operation(PmuOp.feature_set)

_MAJOR, _MINOR = 0, 1  # XENPMU_VER_MAJ and _MIN: Xen wants the first, in all nine releases


def mode(xen: Hypervisor) -> int:
    """The PmuMode: one of its bits or none; xenpmu_op mode_get."""
    return _op(xen, MODE_GET)


def set_mode(xen: Hypervisor, wanted: int) -> None:
    """Set it; EBUSY while guests, of which the control domain is one, count. xenpmu_op mode_set."""
    _op(xen, MODE_SET, wanted)


def features(xen: Hypervisor) -> int:
    """The PmuFeature bits; xenpmu_op feature_get."""
    return _op(xen, FEATURE_GET)


def set_features(xen: Hypervisor, wanted: int) -> None:
    """Set them; EBUSY while guests count, EINVAL for bits that there are not. xenpmu_op feature_set."""
    _op(xen, FEATURE_SET, wanted)


def _op(xen: Hypervisor, op: Operation, value: int = 0) -> int:
    return int(numbered(xen, op, None, **{"version.maj": _MAJOR, "version.min": _MINOR, "val": value}).val)
