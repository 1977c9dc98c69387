"""xenpmu_op: to whom the processors' performance counters are open. Only where Xen was booted so, and not to PVH."""

from __future__ import annotations

from errno import EBUSY, EINVAL

from xenfs.simulator.machine import Answers, Machine

PARAMS = "xen_pmu_params"
MAJOR, MINOR = 0, 1


def mode_get(xen: Machine, address: int) -> int:
    """The mode, and the version of the interface with it."""
    op = xen.struct(address, PARAMS)
    op[:] = bytes(len(op))
    xen.put(op, PARAMS, val=xen.world.pmu.mode, **{"version.maj": MAJOR, "version.min": MINOR})
    return 0


def mode_set(xen: Machine, address: int) -> int:
    """At most one of the three; between the first two even while domains count."""
    value = _given(xen, address, ("MODE_SELF", "MODE_HV", "MODE_ALL"))
    if value is None or value.bit_count() > 1:
        return -EINVAL
    pmu = xen.world.pmu
    both = xen.constant("XENPMU_MODE_SELF") | xen.constant("XENPMU_MODE_HV")
    if pmu.in_use and value not in (pmu.mode, pmu.mode ^ both):
        return -EBUSY
    pmu.mode = value
    return 0


def feature_get(xen: Machine, address: int) -> int:
    """The features; nothing else of the struct is touched."""
    xen.put(xen.struct(address, PARAMS), PARAMS, val=xen.world.pmu.features)
    return 0


def feature_set(xen: Machine, address: int) -> int:
    """Any of the three."""
    value = _given(xen, address, ("FEATURE_INTEL_BTS", "FEATURE_IPC_ONLY", "FEATURE_ARCH_ONLY"))
    if value is None:
        return -EINVAL
    pmu = xen.world.pmu
    if pmu.in_use and value != pmu.features:
        return -EBUSY
    pmu.features = value
    return 0


def _given(xen: Machine, address: int, names: tuple[str, ...]) -> int | None:
    """The value, where the version is right and no other bit is set."""
    major, value = xen.get(xen.struct(address, PARAMS), PARAMS, "version.maj", "val")
    known = sum(xen.constant(f"XENPMU_{name}") for name in names)
    return None if major != MAJOR or value & ~known else int(value)


OPERATIONS: Answers = {
    "XENPMU_mode_get": mode_get,
    "XENPMU_mode_set": mode_set,
    "XENPMU_feature_get": feature_get,
    "XENPMU_feature_set": feature_set,
}
