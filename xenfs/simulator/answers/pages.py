"""What single pages of a domain are and may be used for: domctl, hvm_op and memory_op of several kinds."""

from __future__ import annotations

from errno import E2BIG, EBUSY, EINVAL, ENODEV, ENOSYS, EOPNOTSUPP, EPERM, ESRCH, EXDEV

from xenfs.simulator.answers.foreign import pv_frames
from xenfs.simulator.answers.memory_op import frames_of, is_gone
from xenfs.simulator.answers.pci_op import has_iommu
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import ALIVE, Domain
from xenfs.simulator.world.refused import Refused

MOST_FRAMES = 1024
EVERYWHERE = (1 << 64) - 1
LISTENER, ACCESSES, SHARES, PARENT = "listener", "accesses", "shares", "fork_parent"
TABLES = ("L4TAB", "L3TAB", "L2TAB", "L1TAB", "L1TAB")  # of a PV domain, the last of its frames downwards


def getpageframeinfo3(xen: Machine, domain: Domain, op: memoryview) -> int:
    """The types of frames, of the machine for a PV domain, over their numbers: a few page tables, the root pinned."""
    count, address = xen.get(op, "xen_domctl_getpageframeinfo3", "num", "array")
    if count > MOST_FRAMES:
        return -E2BIG
    words = xen.at(address, 8 * count).cast("Q")
    for at, frame in enumerate(words):
        words[at] = _type(xen, domain, frame)
    return 0


def _type(xen: Machine, domain: Domain, frame: int) -> int:
    def kind(name: str) -> int:
        return xen.constant(f"XEN_DOMCTL_PFINFO_{name}")

    own = frame if domain.hvm else pv_frames(domain).pfn(frame)
    if own is None or is_gone(domain, own):
        return kind("XTAB")
    above = frames_of(domain) - 1 - own
    if domain.hvm or above >= len(TABLES):
        return kind("NOTAB")
    return kind(TABLES[above]) | (kind("LPINTAB") if not above else 0)


def audit_p2m(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Only in a debug build, and nothing is wrong."""
    if not xen.settings.instruments:
        return -EOPNOTSUPP
    if domain.domid == 0:
        return -EPERM
    xen.put(op, "xen_domctl_audit_p2m", orphans=0, m2p_bad=0, p2m_bad=0)
    return 0


def get_mem_type(xen: Machine, address: int) -> int:
    """Memory up to the highest frame of an HVM domain, a device's beyond."""
    struct = "xen_hvm_get_mem_type"
    op = xen.struct(address, struct)
    domid, frame = xen.get(op, struct, "domid", "pfn")
    domain = xen.world.any_domain(domid)
    if domain is None:
        return -ESRCH
    if not domain.hvm:
        return -EINVAL
    kind = "ram_rw" if frame < frames_of(domain) and not is_gone(domain, frame) else "mmio_dm"
    xen.put(op, struct, mem_type=xen.constant(f"HVMMEM_{kind}"))
    return 0


def access_op(xen: Machine, address: int) -> int:
    """What a domain may do with frames: only with somebody who listens to its events, on Intel's CPUs and Arm's."""
    struct = "xen_mem_access_op"
    op = xen.struct(address, struct)
    what, access, domid, count, frame, frames, words = xen.get(
        op, struct, "op", "access", "domid", "nr", "pfn", "pfn_list", "access_list"
    )
    domain = xen.world.remote(domid)
    if domain.dying != ALIVE or (xen.x86 and not (domain.hvm and xen.settings.processor == "intel")):
        return -EINVAL
    if not domain.kept.get(LISTENER):
        return -ENODEV
    kept = Accesses.of(xen, domain)
    if what == xen.constant("XENMEM_access_op_get_access"):
        xen.put(op, struct, access=kept.get(frame))
    elif what == xen.constant("XENMEM_access_op_set_access"):
        kept.set(range(frame, frame + count) if frame != EVERYWHERE else [frame], [access] * max(1, count))
    elif what == xen.constant("XENMEM_access_op_set_access_multi"):
        kept.set(xen.at(frames, 8 * count).cast("Q").tolist(), list(xen.at(words, count)))
    else:
        return -ENOSYS
    return 0


class Accesses:
    """What a domain may do with its frames, in one view of its memory."""

    def __init__(self, xen: Machine, domain: Domain) -> None:
        self.default, self.frames, self._domain = xen.constant("XENMEM_access_rwx"), dict[int, int](), domain
        self._highest = xen.constant("XENMEM_access_default")

    @classmethod
    def of(cls, xen: Machine, domain: Domain, view: int = 0) -> Accesses:
        """Those of one view; 0 is what all domains have."""
        views: dict[int, Accesses] = domain.kept.setdefault(ACCESSES, {})
        return views.setdefault(view, cls(xen, domain))

    def get(self, frame: int) -> int:
        """What was said of a frame, or of all."""
        if frame == EVERYWHERE:
            return self.default
        if frame >= frames_of(self._domain):
            raise Refused(EINVAL)
        return self.frames.get(frame, self.default)

    def set(self, frames: range | list[int], accesses: list[int]) -> None:
        """Say so; EINVAL beyond the last frame, and for an access that there is not."""
        if any(access > self._highest for access in accesses):
            raise Refused(EINVAL)
        if isinstance(frames, range) and frames and frames[-1] >= frames_of(self._domain):
            raise Refused(EINVAL)
        for frame, access in zip(frames, accesses, strict=False):
            if frame == EVERYWHERE:
                self.default = access
            else:
                self.frames[frame] = self.default if access == self._highest else access


def mem_sharing_op(xen: Machine, domain: Domain, op: memoryview) -> int:
    """Whether its pages may be shared, in a build that can."""
    what, wanted = xen.get(op, "xen_domctl_mem_sharing_op", "op", "u.enable")
    if not xen.settings.sharing or what != xen.constant("XEN_DOMCTL_MEM_SHARING_CONTROL"):
        return -ENOSYS
    return _share(xen, domain, bool(wanted), 0)


def _share(xen: Machine, domain: Domain, wanted: bool, flags: int) -> int:
    if wanted:
        if not domain.hvm or xen.settings.processor != "intel":
            return -EOPNOTSUPP
        if not domain.hap:
            return -ENODEV
        if has_iommu(xen, domain) and not flags & xen.constant("XENMEM_FORK_WITH_IOMMU_ALLOWED"):
            return -EXDEV
    domain.kept[SHARES] = wanted
    return 0


def sharing_op(xen: Machine, address: int) -> int:
    """The audit, which counts mistakes and finds none; forks, and how they go back to what they came from."""
    op = xen.struct(address, "xen_mem_sharing_op")
    wanted, domid = xen.get(op, "xen_mem_sharing_op", "op", "domain")
    if wanted == xen.constant("XENMEM_sharing_op_audit"):
        return 0
    domain = xen.world.remote(domid)
    if domain.dying != ALIVE:
        return -EINVAL
    problem = 0 if domain.kept.get(SHARES) else _share(xen, domain, True, 0)
    if problem:
        return problem
    body = op[xen.layouts.offset("xen_mem_sharing_op", "u") :]
    if wanted == xen.constant("XENMEM_sharing_op_fork"):
        return _fork(xen, domain, *xen.get(body, "mem_sharing_op_fork", "parent_domain", "flags", "pad"))
    if wanted == xen.constant("XENMEM_sharing_op_fork_reset"):
        return _fork_reset(xen, domain, *xen.get(body, "mem_sharing_op_fork", "flags", "pad"))
    return -ENOSYS


def _fork(xen: Machine, domain: Domain, parent: int, flags: int, pad: int) -> int:
    allowed = xen.constant("XENMEM_FORK_WITH_IOMMU_ALLOWED") | xen.constant("XENMEM_FORK_BLOCK_INTERRUPTS")
    if pad or flags & ~allowed:
        return -EINVAL
    other = xen.world.remote(parent)
    if other.dying != ALIVE or other.max_vcpus != domain.max_vcpus:
        return -EINVAL
    problem = 0 if other.kept.get(SHARES) else _share(xen, other, True, flags)
    if not problem and not domain.pause_count:
        return -EBUSY
    if not problem:
        domain.kept[PARENT] = other.domid
        domain.kept["fork_resets"] = []
    return problem


def _fork_reset(xen: Machine, domain: Domain, flags: int, pad: int) -> int:
    if xen.layouts.defines("XENMEM_FORK_RESET_STATE"):
        allowed = xen.constant("XENMEM_FORK_RESET_STATE") | xen.constant("XENMEM_FORK_RESET_MEMORY")
        if pad or not flags or flags & ~allowed:
            return -EINVAL
    elif pad or flags:
        return -EINVAL
    if PARENT not in domain.kept:
        return -ENOSYS
    domain.kept["fork_resets"].append(flags)
    return 0


DOMCTL_X86: Answers = {
    "XEN_DOMCTL_getpageframeinfo3": getpageframeinfo3,
    "XEN_DOMCTL_audit_p2m": audit_p2m,
    "XEN_DOMCTL_mem_sharing_op": mem_sharing_op,
}
HVM_X86: Answers = {"HVMOP_get_mem_type": get_mem_type}
MEMORY: Answers = {"XENMEM_access_op": access_op}
MEMORY_SHARING: Answers = {"XENMEM_sharing_op": sharing_op}
