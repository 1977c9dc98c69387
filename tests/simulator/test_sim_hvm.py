"""The simulator's HVM parameters, saved state, registers, paging pools and populate-on-demand, in raw bytes."""

from __future__ import annotations

from errno import EEXIST, EINVAL, ENOBUFS, ENODATA, ENOENT, ENOSPC, ENOSYS, EPERM, ESRCH

import pytest
from caller import Caller

NOBODY = 999


def param(xen: Caller, what: str, domid: int, index: int, value: int = 0) -> tuple[int, int]:
    address, memory = xen.struct("xen_hvm_param", domid=domid, index=index, value=value)
    result = xen.call("hvm_op", xen.constant(f"HVMOP_{what}_param"), address)
    return result, xen.read(memory, "xen_hvm_param", "value")


def test_hvm_parameters(xen: Caller) -> None:
    pfn = xen.constant("HVM_PARAM_STORE_PFN")
    assert param(xen, "get", 3, pfn) == (0, 0xFEFFE)
    assert param(xen, "set", 3, pfn, 7)[0] == 0
    assert param(xen, "get", 3, pfn) == (0, 7)
    assert param(xen, "get", NOBODY, pfn)[0] == -ESRCH
    assert param(xen, "get", 3, 39)[0] == -EINVAL
    nested = 0 if xen.x86 and xen.release == (4, 14) else -EINVAL
    assert param(xen, "get", 3, 24)[0] == nested, "NESTEDHVM is gone since 4.15"
    assert param(xen, "get", 3, xen.constant("HVM_PARAM_TIMER_MODE"))[0] == (0 if xen.x86 else -EINVAL)
    if xen.x86:
        assert param(xen, "get", 1, pfn)[0] == -EINVAL, "a PV domain"
        assert param(xen, "set", 3, 35, 1)[0] == (-EEXIST if xen.release >= (4, 19) else 0)


def test_what_a_domain_may_ask_of_itself() -> None:
    xen = Caller("dom0=pvh")
    assert param(xen, "get", 0, xen.constant("HVM_PARAM_STORE_PFN"))[0] == 0
    assert param(xen, "get", 0, xen.constant("HVM_PARAM_TIMER_MODE"))[0] == -EPERM


def test_saved_state_needs_a_buffer_of_its_size(xen: Caller) -> None:
    struct = "xen_domctl_hvmcontext"
    result, body = xen.domctl("gethvmcontext", 3, struct)
    if not xen.x86:
        assert result == -ENOSYS
        return
    assert result == 0
    size = xen.read(body, struct, "size")
    address, _ = xen.arena.take(size)
    assert xen.domctl("gethvmcontext", 3, struct, size=size, buffer=address)[0] == 0
    assert xen.domctl("gethvmcontext", 3, struct, size=100, buffer=address)[0] == -ENOSPC
    for domid in (0, 1, 15):
        assert xen.domctl("gethvmcontext", domid, struct)[0] == -EINVAL


@pytest.mark.parametrize(
    ("kind", "instance", "errno"), [(1, 0, EINVAL), (0, 0, EINVAL), (2, 9, ENOENT), (99, 0, ENOENT)]
)
def test_records_that_are_not_there(x86: Caller, kind: int, instance: int, errno: int) -> None:
    struct = "xen_domctl_hvmcontext_partial"
    assert x86.domctl("gethvmcontext_partial", 3, struct, type=kind, instance=instance)[0] == -errno


def test_a_record(x86: Caller) -> None:
    struct = "xen_domctl_hvmcontext_partial"
    result, body = x86.domctl("gethvmcontext_partial", 3, struct, type=2)
    assert (result, x86.read(body, struct, "bufsz")) == (0, 1032)
    address, memory = x86.arena.take(1032)
    assert x86.domctl("gethvmcontext_partial", 3, struct, type=2, bufsz=1031, buffer=address)[0] == -ENOBUFS
    assert x86.domctl("gethvmcontext_partial", 3, struct, type=2, bufsz=1032, buffer=address)[0] == 0
    assert x86.read(memory, "hvm_hw_cpu", "rflags") == 0x246


def test_registers(xen: Caller) -> None:
    struct = "xen_domctl_vcpucontext"
    address, memory = xen.arena.take(xen.layouts.size("vcpu_guest_context"))
    assert xen.domctl("getvcpucontext", 2, struct, vcpu=1, ctxt=address)[0] == 0
    assert any(memory)
    assert xen.domctl("getvcpucontext", 2, struct, vcpu=9, ctxt=address)[0] == -EINVAL
    assert xen.domctl("getvcpucontext", 0, struct, vcpu=0, ctxt=address)[0] == -EINVAL
    xen.world.domains[2].existing()[0].online = False
    assert xen.domctl("getvcpucontext", 2, struct, vcpu=0, ctxt=address)[0] == -ENODATA


def shadow(xen: Caller, domid: int, what: str, mib: int = 0) -> tuple[int, int]:
    struct = "xen_domctl_shadow_op"
    result, body = xen.domctl("shadow_op", domid, struct, op=xen.constant(f"XEN_DOMCTL_SHADOW_OP_{what}"), mb=mib)
    return result, xen.read(body, struct, "mb")


def test_paging_pools_in_mib(xen: Caller) -> None:
    if not xen.x86:
        assert shadow(xen, 3, "GET_ALLOCATION")[0] == -ENOSYS
        return
    assert shadow(xen, 3, "GET_ALLOCATION") == (0, 4)
    assert shadow(xen, 3, "SET_ALLOCATION", 9) == (0, 9)
    assert xen.world.domains[3].mempool_bytes == 9 << 20
    assert shadow(xen, 0, "GET_ALLOCATION")[0] == -EINVAL
    assert shadow(xen, 3, "ENABLE_TEST")[0] == -EINVAL


def test_time_stamp_counters(xen: Caller) -> None:
    result, body = xen.domctl("gettscinfo", 1)
    assert result == (0 if xen.x86 else -ENOSYS)
    if xen.x86:
        assert xen.read(body, "xen_domctl_tsc_info", "gtsc_khz") == xen.world.host.cpu_khz
        assert xen.domctl("gettscinfo", 0)[0] == -EINVAL


def test_populate_on_demand(xen: Caller) -> None:
    struct = "xen_pod_target"
    address, memory = xen.struct(struct, domid=3)
    result = xen.call("memory_op", xen.constant("XENMEM_get_pod_target"), address)
    assert result == (0 if xen.x86 else -ENOSYS)
    if xen.x86:
        assert xen.read(memory, struct, "tot_pages") == xen.world.domains[3].tot_pages
        for domid, errno in ((1, EINVAL), (NOBODY, ESRCH)):
            address, _ = xen.struct(struct, domid=domid)
            assert xen.call("memory_op", xen.constant("XENMEM_get_pod_target"), address) == -errno
        address, _ = xen.struct(struct, domid=3, target_pages=1 << 40)
        assert xen.call("memory_op", xen.constant("XENMEM_set_pod_target"), address) == -EINVAL
