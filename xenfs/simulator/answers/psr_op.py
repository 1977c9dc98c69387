"""The operations on shared caches and memory bandwidth: of sockets (sysctl) and of domains (domctl)."""

from __future__ import annotations

from errno import EINVAL, ENODEV, ENOSYS, EOPNOTSUPP

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.psr import BANDWIDTH, CODE, DATA, L2, L3, known

ALL_EVENTS = 0x7  # occupancy, total and local bandwidth
SHARES = {"L3_CBM": L3, "L3_CODE": CODE, "L3_DATA": DATA, "L2_CBM": L2, "MBA_THRTL": BANDWIDTH}


def cmt(xen: Machine, op: memoryview) -> int:
    """Facts about monitoring."""
    struct = "xen_sysctl_psr_cmt_op"
    psr, cpu = known(xen.world.psr), xen.world.host.processor
    cmd, flags, number = xen.get(op, struct, "cmd", "flags", "u.l3_cache.cpu")
    if flags:
        return -EINVAL
    facts = {"enabled": 1, "get_total_rmid": cpu.rmid_max, "get_l3_upscaling_factor": cpu.upscaling,
             "get_l3_event_mask": ALL_EVENTS, "get_l3_cache_size": cpu.l3_kib}  # fmt: skip
    name = next((each for each in facts if xen.constant(f"XEN_SYSCTL_PSR_CMT_{each}") == cmd), "")
    code = 0 if name else -ENOSYS
    if name == "get_l3_cache_size":
        cpus = psr.host.cpus
        code = 0 if number < len(cpus) and cpus[number].online else -ENODEV
    xen.put(op, struct, **{"u.data": facts[name] if not code else 0})
    return code


def alloc(xen: Machine, op: memoryview) -> int:
    """What can be allocated of a socket."""
    cmd, socket = xen.get(op, "xen_sysctl_psr_alloc", "cmd", "target")
    names = {"get_l3_info": L3, "get_l2_info": L2, "get_mba_info": BANDWIDTH}
    kind = next((kind for name, kind in names.items() if xen.constant(f"XEN_SYSCTL_PSR_{name}") == cmd), None)
    if kind is None:
        return -EOPNOTSUPP
    resource = known(xen.world.psr).resource(kind, socket)
    arm, most = ("u.mba_info", "thrtl_max") if kind == BANDWIDTH else ("u.cat_info", "cbm_len")
    flags = xen.constant("XEN_SYSCTL_PSR_MBA_LINEAR") if kind == BANDWIDTH else 0
    flags |= xen.constant("XEN_SYSCTL_PSR_CAT_L3_CDP") if CODE in resource.kinds else 0
    values = {most: resource.most, "cos_max": resource.cos_max, "flags": flags}
    xen.put(op, "xen_sysctl_psr_alloc", **{f"{arm}.{name}": value for name, value in values.items()})
    return 0


def domain_alloc(xen: Machine, domain: Domain, op: memoryview) -> int:
    """A domain's part, to know or to change."""
    cmd, socket, value = xen.get(op, "xen_domctl_psr_alloc", "cmd", "target", "data")
    for name, kind in SHARES.items():
        if cmd == xen.constant(f"XEN_DOMCTL_PSR_GET_{name}"):
            xen.put(op, "xen_domctl_psr_alloc", data=known(xen.world.psr).share(domain, kind, socket))
            return 0
        if cmd == xen.constant(f"XEN_DOMCTL_PSR_SET_{name}"):
            known(xen.world.psr).set_share(domain, list(xen.world.domains.values()), kind, socket, value)
            return 0
    return -EOPNOTSUPP


def domain_cmt(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Begin, end or know the monitoring of a domain."""
    psr = known(xen.world.psr)
    (cmd,) = xen.get(op, "xen_domctl_psr_cmt_op", "cmd")
    names = ("ATTACH", "DETACH", "QUERY_RMID")
    attach, detach, query = (xen.constant(f"XEN_DOMCTL_PSR_CMT_OP_{name}") for name in names)
    if cmd == attach:
        psr.attach(domain)
    elif cmd == detach:
        psr.detach(domain)
    elif cmd == query:
        xen.put(op, "xen_domctl_psr_cmt_op", data=psr.rmid(domain))
    else:
        return -ENOSYS
    return 0


SYSCTL: Answers = {"XEN_SYSCTL_psr_cmt_op": cmt, "XEN_SYSCTL_psr_alloc": alloc}
DOMCTL: Answers = {"XEN_DOMCTL_psr_cmt_op": domain_cmt, "XEN_DOMCTL_psr_alloc": domain_alloc}
