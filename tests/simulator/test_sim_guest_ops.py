"""The simulator's grant tables, event channels, remote shutdown and device model operations, in raw bytes."""

from __future__ import annotations

from errno import EFAULT, EINVAL, ENOSYS, EOPNOTSUPP, EPERM, ESRCH

import pytest
from caller import Caller

SELF, NOBODY = 0x7FF0, 999


def grant_size(xen: Caller, domid: int) -> tuple[int, ...]:
    address, memory = xen.struct("gnttab_query_size", dom=domid)
    assert xen.call("grant_table_op", xen.constant("GNTTABOP_query_size"), address, 1) == 0
    return tuple(xen.read(memory, "gnttab_query_size", "nr_frames", "max_nr_frames", "status"))


def test_grant_tables(xen: Caller) -> None:
    assert grant_size(xen, 1) == (5, 64, 0)
    assert grant_size(xen, SELF) == grant_size(xen, 0)
    assert grant_size(xen, NOBODY)[2] == -2 & 0xFFFF
    address, memory = xen.struct("gnttab_get_version", dom=1)
    assert xen.call("grant_table_op", xen.constant("GNTTABOP_get_version"), address, 1) == 0
    assert xen.read(memory, "gnttab_get_version", "version") == 1
    address, _ = xen.struct("gnttab_get_version", dom=NOBODY)
    assert xen.call("grant_table_op", xen.constant("GNTTABOP_get_version"), address, 1) == -ESRCH


def port(xen: Caller, domid: int, number: int) -> tuple[int, memoryview]:
    address, memory = xen.struct("evtchn_status", dom=domid, port=number)
    return xen.call("event_channel_op", xen.constant("EVTCHNOP_status"), address), memory


def test_ports(xen: Caller) -> None:
    result, memory = port(xen, 1, 1)
    assert result == 0
    assert xen.read(memory, "evtchn_status", "status") == xen.constant("EVTCHNSTAT_interdomain")
    assert xen.read(memory, "evtchn_status", "u.interdomain.dom", "u.interdomain.port") == (0, 34)
    assert xen.read(port(xen, 1, 0)[1], "evtchn_status", "status") == 0
    assert port(xen, 1, 64)[0] == -EINVAL
    assert port(xen, 1, 0xFFFFFFFF)[0] == -EINVAL
    assert port(xen, NOBODY, 1)[0] == -ESRCH
    assert port(xen, SELF, 1)[0] == 0


def test_remote_shutdown(xen: Caller) -> None:
    operation = xen.constant("SCHEDOP_remote_shutdown")
    address, _ = xen.struct("sched_remote_shutdown", domain_id=1, reason=xen.constant("SHUTDOWN_crash"))
    assert xen.call("sched_op", operation, address) == 0
    assert "shutdown" in xen.flags(1)
    assert xen.world.domains[1].shutdown_code == xen.constant("SHUTDOWN_crash")
    address, _ = xen.struct("sched_remote_shutdown", domain_id=1, reason=0)
    assert xen.call("sched_op", operation, address) == 0
    assert xen.world.domains[1].shutdown_code == xen.constant("SHUTDOWN_crash"), "the first reason stays"
    address, _ = xen.struct("sched_remote_shutdown", domain_id=NOBODY)
    assert xen.call("sched_op", operation, address) == -ESRCH


def nr_vcpus(xen: Caller, domid: int, *, size: int | None = None, cmd: int = 20) -> tuple[int, int]:
    inner, body = xen.struct("xen_dm_op", op=cmd)
    buffers, _ = xen.struct("xen_dm_op_buf", h=inner, size=len(body) if size is None else size)
    result = xen.call("dm_op", domid, 1, buffers)
    return result, int.from_bytes(body[xen.layouts.offset("xen_dm_op", "u") :][:4], "little")


def test_device_model_operations(xen: Caller) -> None:
    if not xen.x86:
        assert nr_vcpus(xen, 3)[0] == -ENOSYS
    elif xen.release == (4, 14):
        assert nr_vcpus(xen, 3)[0] == -EOPNOTSUPP
    else:
        assert nr_vcpus(xen, 3) == (0, 4)
        assert nr_vcpus(xen, 3, cmd=19)[0] == -EOPNOTSUPP


@pytest.mark.parametrize(("domid", "errno"), [(0, EPERM), (NOBODY, ESRCH), (1, EINVAL)])
def test_whom_a_device_model_serves(x86: Caller, domid: int, errno: int) -> None:
    assert nr_vcpus(x86, domid)[0] == -errno


def test_short_buffers_of_a_device_model(x86: Caller) -> None:
    assert nr_vcpus(x86, 3, size=8)[0] == -EFAULT
    assert x86.call("dm_op", 3, 0, 0) == -EFAULT
