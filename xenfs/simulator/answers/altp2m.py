"""hvm_op altp2m: alternate views of an HVM domain's memory, on Intel's CPUs."""

from __future__ import annotations

from errno import EBUSY, EINVAL, EOPNOTSUPP, EPERM, ESRCH

from xenfs.simulator.answers.hvm import parameter
from xenfs.simulator.answers.memory_op import frames_of
from xenfs.simulator.answers.pages import EVERYWHERE, Accesses
from xenfs.simulator.machine import Answer, Answers, Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.refused import Refused

STRUCT = "xen_hvm_altp2m_op"
MOST_VIEWS = 10
KEPT = "altp2m"


class Views:
    """The views that a domain has, which it may use itself, and which each vCPU uses."""

    def __init__(self, xen: Machine, domain: Domain) -> None:
        self.rights = {0: Accesses(xen, domain)}
        self.visible = {0}
        self.used = {vcpu.id: 0 for vcpu in domain.existing()}

    def require(self, view: int) -> Accesses:
        """The rights in a view; EINVAL without it."""
        if view not in self.rights:
            raise Refused(EINVAL)
        return self.rights[view]


def altp2m(xen: Machine, address: int) -> int:
    """The checks that are the same for all, then each operation."""
    if xen.settings.processor != "intel":
        return -EOPNOTSUPP
    op = xen.struct(address, STRUCT)
    version, cmd, domid, pad1, pad2 = xen.get(op, STRUCT, "version", "cmd", "domain", "pad1", "pad2")
    if pad1 or pad2 or version != xen.constant("HVMOP_ALTP2M_INTERFACE_VERSION"):
        return -EINVAL
    name, answer = {xen.constant(f"HVMOP_altp2m_{name}"): (name, each) for name, each in _OPERATIONS.items()}.get(
        cmd, ("", None)
    )
    if answer is None:
        return -EOPNOTSUPP
    domain = xen.world.any_domain(domid)
    if domain is None:
        return -ESRCH
    if not domain.hvm or (KEPT not in domain.kept and not name.endswith("domain_state")):
        return -EOPNOTSUPP
    if not parameter(xen, domain, "ALTP2M"):
        return -EINVAL
    return -EPERM if domain.domid == 0 else answer(xen, domain, op[xen.layouts.offset(STRUCT, "u") :])


def _get_domain_state(xen: Machine, domain: Domain, op: memoryview) -> int:
    xen.put(op, "xen_hvm_altp2m_domain_state", state=int(KEPT in domain.kept))
    return 0


def _set_domain_state(xen: Machine, domain: Domain, op: memoryview) -> int:
    (wanted,) = xen.get(op, "xen_hvm_altp2m_domain_state", "state")
    if not wanted:
        domain.kept.pop(KEPT, None)
    elif KEPT not in domain.kept:
        domain.kept[KEPT] = Views(xen, domain)
    return 0


def _create_p2m(xen: Machine, domain: Domain, op: memoryview) -> int:
    (access,) = xen.get(op, "xen_hvm_altp2m_view", "hvmmem_default_access")
    views = _views(domain)
    free = next((view for view in range(MOST_VIEWS) if view not in views.rights), None)
    if free is None or access > xen.constant("XENMEM_access_default"):
        return -EINVAL
    views.rights[free] = Accesses(xen, domain)
    if access != xen.constant("XENMEM_access_default"):
        views.rights[free].default = access
    views.visible.add(free)
    xen.put(op, "xen_hvm_altp2m_view", view=free)
    return 0


def _destroy_p2m(xen: Machine, domain: Domain, op: memoryview) -> int:
    (view,) = xen.get(op, "xen_hvm_altp2m_view", "view")
    views = _views(domain)
    if not view or view not in views.rights or view in views.used.values():
        return -EBUSY
    del views.rights[view]
    views.visible.discard(view)
    return 0


def _switch_p2m(xen: Machine, domain: Domain, op: memoryview) -> int:
    (view,) = xen.get(op, "xen_hvm_altp2m_view", "view")
    views = _views(domain)
    if view not in views.visible:
        return -EINVAL
    views.used = dict.fromkeys(views.used, view)
    return 0


def _get_mem_access(xen: Machine, domain: Domain, op: memoryview) -> int:
    view, pad, frame = xen.get(op, "xen_hvm_altp2m_mem_access", "view", "pad", "gfn")
    rights = _views(domain).require(view)
    if pad:
        return -EINVAL
    if frame != EVERYWHERE and frame >= frames_of(domain):
        return -ESRCH
    xen.put(op, "xen_hvm_altp2m_mem_access", access=rights.get(frame))
    return 0


def _set_mem_access(xen: Machine, domain: Domain, op: memoryview) -> int:
    view, access, pad, frame = xen.get(op, "xen_hvm_altp2m_mem_access", "view", "access", "pad", "gfn")
    rights = _views(domain).require(view)
    if pad:
        return -EINVAL
    if frame >= frames_of(domain):
        return -ESRCH
    rights.set([frame], [access])
    return 0


def _set_mem_access_multi(xen: Machine, domain: Domain, op: memoryview) -> int:
    struct = "xen_hvm_altp2m_set_mem_access_multi"
    view, pad, count, done, frames, words = xen.get(
        op, struct, "view", "pad", "nr", "opaque", "pfn_list", "access_list"
    )
    rights = _views(domain).require(view)
    if pad or done > count:
        return -EINVAL
    numbers = xen.at(frames, 8 * count).cast("Q").tolist()
    if any(number >= frames_of(domain) for number in numbers):
        return -ESRCH
    rights.set(numbers, list(xen.at(words, count)))
    return 0


def _get_p2m_idx(xen: Machine, domain: Domain, op: memoryview) -> int:
    struct = "xen_hvm_altp2m_get_vcpu_p2m_idx"
    (number,) = xen.get(op, struct, "vcpu_id")
    views = _views(domain)
    if number not in views.used:
        return -EINVAL
    xen.put(op, struct, altp2m_idx=views.used[number])
    return 0


def _set_visibility(xen: Machine, domain: Domain, op: memoryview) -> int:
    view, visible, pad = xen.get(op, "xen_hvm_altp2m_set_visibility", "altp2m_idx", "visible", "pad")
    views = _views(domain)
    views.require(view)
    if pad:
        return -EINVAL
    (views.visible.add if visible else views.visible.discard)(view)
    return 0


def _views(domain: Domain) -> Views:
    views: Views = domain.kept[KEPT]
    return views


_OPERATIONS: dict[str, Answer] = {
    "get_domain_state": _get_domain_state,
    "set_domain_state": _set_domain_state,
    "create_p2m": _create_p2m,
    "destroy_p2m": _destroy_p2m,
    "switch_p2m": _switch_p2m,
    "get_mem_access": _get_mem_access,
    "set_mem_access": _set_mem_access,
    "set_mem_access_multi": _set_mem_access_multi,
    "get_p2m_idx": _get_p2m_idx,
    "set_visibility": _set_visibility,
}
OPERATIONS_X86: Answers = {"HVMOP_altp2m": altp2m}
