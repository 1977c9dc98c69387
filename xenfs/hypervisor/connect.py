"""Finding a hypervisor, and finding out which one it is: the way to a `Hypervisor` that is ready for use."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable

from xenfs import abi, pool
from xenfs.abi.numbers import Domctl, SchedId, Sysctl
from xenfs.abi.releases import DOMCTLS, INTERFACES, RELEASES, SYSCTLS
from xenfs.errors import HypercallError, StartError
from xenfs.hypervisor.base import Backend, Hypervisor
from xenfs.hypervisor.calls import sysctl, version
from xenfs.hypervisor.calls.control import domctl, domctl_op, sysctl_op
from xenfs.hypervisor.calls.control import sysctl as raw_sysctl
from xenfs.hypervisor.privcmd import Privcmd, under_xen

log = logging.getLogger(__name__)

_TRY_SYSCTL = sysctl_op(Sysctl.sched_id)
_TRY_DOMCTL = domctl_op(Domctl.getdomaininfo)


def backend(spec: str = "auto", *, hypercall_device: bool = True) -> Backend:
    """The backend that `--hypervisor` names: auto, privcmd, simulator or simulator:SETTINGS."""
    kind, _, settings = spec.partition(":")
    if kind == "auto":
        kind = "privcmd" if under_xen() else "simulator"
    if kind == "privcmd" and not settings:
        return Privcmd(hypercall_device=hypercall_device)
    if kind == "simulator":
        from xenfs.hypervisor.simulator import Simulator  # not loaded on a host that has the real thing

        return Simulator.from_settings(settings)
    raise StartError(
        f"there is no hypervisor {spec!r}: say auto, privcmd, simulator or simulator:SETTINGS", errno.EINVAL
    )


def open_hypervisor(
    spec: str | Backend = "auto",
    *,
    pool_max: int = 64 << 20,
    pool_check: bool = False,
    hypercall_device: bool = True,
    on_violation: Callable[[pool.Violation], object] | None = None,
) -> Hypervisor:
    """A hypervisor whose release and interface versions are known, with a pool and, where there is one, xenstore.

    StartError says what is missing, in a sentence for the one who started xenfs. With `pool_check`,
    `on_violation` is told when Xen, or a wrong layout, wrote past the end of a buffer.
    """
    found = spec if isinstance(spec, Backend) else backend(spec, hypercall_device=hypercall_device)
    try:
        memory = pool.Pool(found.pages, max_bytes=pool_max, check=pool_check, on_violation=on_violation)
        found.attach(memory)
        xen = _introduced(found, memory)
        xen.store = found.xenstore()
    except BaseException:
        found.close()
        raise
    return xen


def _introduced(found: Backend, memory: pool.Pool) -> Hypervisor:
    """Ask for the release, which needs no version and no privilege, then check the versions that belong to it."""
    newest = abi.load(RELEASES[-1], found.arch)
    try:
        release = version.release(Hypervisor(found, memory, newest))
    except HypercallError as problem:
        raise StartError(f"this hypervisor does not answer: {problem}") from None
    known = release in INTERFACES
    declared = abi.load(release if known else RELEASES[-1], found.arch)
    xen = Hypervisor(found, memory, declared)
    sysctls, domctls = _first(declared.sysctl, SYSCTLS), _first(declared.domctl, DOMCTLS)
    sysctl_version = next((v for v in sysctls if _accepts_sysctl(xen, v)), None)
    domctl_version = next((v for v in domctls if _accepts_domctl(xen, v)), None)
    if (sysctl_version, domctl_version) == (declared.sysctl, declared.domctl):
        xen.verified = known
        return _privileged(xen)
    return _privileged(_unfamiliar(found, memory, release, domctl_version, sysctl_version))


def _first(likely: int, all_versions: tuple[int, ...]) -> list[int]:
    return [likely, *(v for v in reversed(all_versions) if v != likely)]


def _accepts_sysctl(xen: Hypervisor, number: int) -> bool:
    trial = Hypervisor(xen.backend, xen.pool, abi.load(xen.abi.release, xen.abi.arch, sysctl=number))
    return _accepted(lambda: raw_sysctl(trial, _TRY_SYSCTL, "sched_id"))


def _accepts_domctl(xen: Hypervisor, number: int) -> bool:
    return _accepted(lambda: domctl(xen, _TRY_DOMCTL, 0, "getdomaininfo", version=number))


def _accepted(attempt: Callable[[], object]) -> bool:
    """EACCES is how Xen refuses an interface version, before it looks at anything else, privilege included."""
    try:
        attempt()
    except HypercallError as problem:
        return problem.errno not in (errno.EACCES, errno.ENOSYS)
    return True


def _unfamiliar(
    found: Backend, memory: pool.Pool, release: tuple[int, int], domctl_version: int | None, sysctl_version: int | None
) -> Hypervisor:
    """A Xen whose numbers do not belong together: use what it accepts, and say what is left out."""
    nearest = max((r for r, pair in INTERFACES.items() if domctl_version in (None, pair[0])), default=RELEASES[-1])
    declared = abi.load(nearest, found.arch, domctl=domctl_version, sysctl=sysctl_version)
    xen = Hypervisor(found, memory, declared, verified=False)
    for name, number in (("domctl", domctl_version), ("sysctl", sysctl_version)):
        if number is None:
            xen.unusable[name] = f"Xen {release[0]}.{release[1]} accepts no {name} interface version that xenfs knows"
            log.warning("%s: everything that needs it is left out", xen.unusable[name])
    return xen


def _privileged(xen: Hypervisor) -> Hypervisor:
    """Refuse to start where Xen says EPERM to the most harmless question about the host."""
    if "sysctl" in xen.unusable:
        return xen
    try:
        SchedId(sysctl.sched_id(xen))
    except HypercallError as problem:
        if problem.errno == errno.EPERM:
            raise StartError(
                "Xen refuses this domain: xenfs must run in the control domain (or its XSM policy must allow it)",
                errno.EPERM,
            ) from None
        if problem.errno != errno.ENOSYS:
            raise
    except ValueError:
        xen.verified = False
    return xen
