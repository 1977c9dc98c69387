"""Domctls on whole domains: their life, their memory, their nodes and what they are called."""

from __future__ import annotations

from errno import EACCES, EBUSY, EEXIST, EINVAL, ENOMEM, ENOSYS, EOPNOTSUPP, ESRCH

from xenfs.simulator.answers import createdomain
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain, Vcpu
from xenfs.simulator.world.host import MAX_NODES
from xenfs.simulator.world.physmap import PAGE
from xenfs.simulator.world.refused import Refused
from xenfs.simulator.world.world import FIRST_RESERVED

DOMID_ANY = 0x7FF5
UINT_MAX = 0xFFFFFFFF
MIN_MEMPOOL_PAGES = 64


def create(xen: Machine, memory: memoryview) -> int:
    """A new domain with the id asked for, or with any: for whatever is no id; since 4.22 for 0x7FF5 only."""
    (wanted,) = xen.get(memory, "xen_domctl", "domain")
    if xen.release >= (4, 22):
        choose = wanted == DOMID_ANY
        if not choose and (wanted >= FIRST_RESERVED or wanted in xen.world.domains):
            return -EEXIST
    else:
        choose = not 0 < wanted < FIRST_RESERVED
        if wanted in xen.world.domains and not choose:
            return -EEXIST
    config = createdomain.read(xen, memory[xen.layouts.offset("xen_domctl", "u") :])
    domain = createdomain.build(xen, _free_domid(xen) if choose else wanted, config)
    xen.put(memory, "xen_domctl", domain=domain.domid)
    return 0


def _free_domid(xen: Machine) -> int:
    try:
        return xen.world.free_domid()
    except Refused:
        raise Refused(EEXIST if xen.release >= (4, 21) else ENOMEM) from None


def max_vcpus(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Make the vCPUs, as many as createdomain was told; they stay down until they are given registers."""
    (count,) = xen.get(op, "xen_domctl_max_vcpus", "max")
    if domain.domid == 0 or count != domain.max_vcpus:
        return -EINVAL
    everywhere = xen.world.host.present
    for number, vcpu in enumerate(domain.vcpus):
        if vcpu is None:
            domain.vcpus[number] = Vcpu(domain, number, everywhere, online=False)
    xen.world.placement.start(domain, xen.world.clock.ticks())
    return 0


def pausedomain(xen: Machine, domain: Domain, op: memoryview) -> int:
    """One more pause; the control domain cannot pause itself."""
    xen.world.pause(domain.domid)
    return 0


def unpausedomain(xen: Machine, domain: Domain, op: memoryview) -> int:
    """One pause less."""
    xen.world.unpause(domain.domid)
    return 0


def destroydomain(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Kill it."""
    xen.world.destroy(domain.domid)
    return 0


def resumedomain(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Undo a shutdown."""
    xen.world.resume(domain.domid)
    return 0


def max_mem(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The limit in kB, cut to pages; it may be below what the domain has."""
    (kilobytes,) = xen.get(op, "xen_domctl_max_mem", "max_memkb")
    domain.max_pages = min(kilobytes * 1024 // PAGE, UINT_MAX)
    domain.changed()
    return 0


def setdomainhandle(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Another UUID."""
    (domain.handle,) = xen.get(op, "xen_domctl_setdomainhandle", "handle")
    domain.changed()
    return 0


def setnodeaffinity(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The nodes to take memory from; all 64 mean: as the CPUs are."""
    nodes = xen.read_bitmap(op, "xen_domctl_nodeaffinity", "nodemap", MAX_NODES)
    everywhere = (1 << xen.world.host.nr_nodes) - 1
    if not nodes & everywhere:
        return -EINVAL
    domain.auto_node_affinity = nodes == (1 << MAX_NODES) - 1
    domain.node_affinity = everywhere if domain.auto_node_affinity else nodes
    return 0


def getnodeaffinity(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The nodes it takes memory from."""
    xen.write_bitmap(op, "xen_domctl_nodeaffinity", "nodemap", domain.node_affinity, MAX_NODES)
    return 0


def get_paging_mempool_size(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Bytes of memory for its page tables, since 4.17; PV domains have none."""
    if domain.kind == "pv":
        return -EOPNOTSUPP
    xen.put(op, "xen_domctl_paging_mempool", size=domain.mempool_bytes)
    return 0


def set_paging_mempool_size(xen: Machine, domain: Domain, op: memoryview) -> int:
    """So many bytes from now on, whole pages; not less than is in use."""
    (size,) = xen.get(op, "xen_domctl_paging_mempool", "size")
    if domain.kind == "pv":
        return -EOPNOTSUPP
    if size % PAGE or size // PAGE > UINT_MAX:
        return -EINVAL
    if size > xen.world.free_pages * PAGE:
        return -ENOMEM
    domain.mempool_bytes = max(size, MIN_MEMPOOL_PAGES * PAGE)
    return 0


def get_address_size(xen: Machine, domain: Domain, op: memoryview) -> int:
    """64, of a PV domain; the others choose for themselves."""
    if domain.hvm:
        return -EOPNOTSUPP
    xen.put(op, "xen_domctl_address_size", size=domain.kept.get("address_size", 64))
    return 0


def set_address_size_arm(xen: Machine, domain: Domain, op: memoryview) -> int:
    """32 or 64, of a domain that has no memory yet."""
    (bits,) = xen.get(op, "xen_domctl_address_size", "size")
    if bits not in (32, 64):
        return -EINVAL
    if domain.tot_pages:
        return -EBUSY
    domain.kept["address_size"] = bits
    return 0


def set_address_size(xen: Machine, domain: Domain, op: memoryview) -> int:
    """32 or 64, of a PV domain that has no memory yet."""
    (bits,) = xen.get(op, "xen_domctl_address_size", "size")
    if domain.hvm:
        return -EOPNOTSUPP
    if bits == domain.kept.get("address_size", 64):
        return 0
    if bits != 32:
        return -EINVAL
    if domain.tot_pages:
        return -EACCES
    domain.kept["address_size"] = bits
    return 0


def set_llc_colors(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Once, of those that there are; EOPNOTSUPP of a Xen that was booted without."""
    count, pad, address = xen.get(op, "xen_domctl_set_llc_colors", "num_llc_colors", "pad", "llc_colors")
    there = 0 if xen.x86 else xen.settings.llc_colors
    if pad or not there:
        return -EINVAL if pad else -EOPNOTSUPP
    if "llc_colors" in domain.kept:
        return -EEXIST
    colors = xen.at(address, 4 * count).cast("I").tolist()
    if count > there or any(color >= there for color in colors):
        return -EINVAL
    domain.kept["llc_colors"] = colors
    return 0


def sendtrigger(xen: Machine, domain: Domain, op: memoryview) -> int:
    """An NMI to a vCPU, or a press on the power or sleep button of an HVM domain."""
    trigger, number = xen.get(op, "xen_domctl_sendtrigger", "trigger", "vcpu")
    vcpu = domain.vcpu(number)
    if vcpu is None:
        return -ESRCH
    nmi, power, sleep = (xen.constant(f"XEN_DOMCTL_SENDTRIGGER_{name}") for name in ("NMI", "POWER", "SLEEP"))
    if trigger == nmi:
        vcpu.nmi_pending = True
        return 0
    if trigger not in (power, sleep):
        return -ENOSYS
    if not domain.hvm:
        return -EINVAL
    if domain.runs and domain.kind == "hvm":
        xen.world.shutdown(domain.domid, xen.constant("SHUTDOWN_poweroff" if trigger == power else "SHUTDOWN_suspend"))
    return 0


OPERATIONS: Answers = {
    "XEN_DOMCTL_max_vcpus": max_vcpus,
    "XEN_DOMCTL_pausedomain": pausedomain,
    "XEN_DOMCTL_unpausedomain": unpausedomain,
    "XEN_DOMCTL_destroydomain": destroydomain,
    "XEN_DOMCTL_resumedomain": resumedomain,
    "XEN_DOMCTL_max_mem": max_mem,
    "XEN_DOMCTL_setdomainhandle": setdomainhandle,
    "XEN_DOMCTL_setnodeaffinity": setnodeaffinity,
    "XEN_DOMCTL_getnodeaffinity": getnodeaffinity,
    "XEN_DOMCTL_get_paging_mempool_size": get_paging_mempool_size,
    "XEN_DOMCTL_set_paging_mempool_size": set_paging_mempool_size,
    "XEN_DOMCTL_set_llc_colors": set_llc_colors,
}
OPERATIONS_X86: Answers = {
    "XEN_DOMCTL_get_address_size": get_address_size,
    "XEN_DOMCTL_set_address_size": set_address_size,
    "XEN_DOMCTL_sendtrigger": sendtrigger,
}
OPERATIONS_ARM: Answers = {"XEN_DOMCTL_set_address_size": set_address_size_arm}
OPERATIONS_WITHOUT: Answers = {"XEN_DOMCTL_createdomain": create}
"""Those that take the whole struct, because the domain in it need not exist."""

STABLE = ("XEN_DOMCTL_get_domain_state",)
"""Those whose interface version is 0, now and for ever."""
