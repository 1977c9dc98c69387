"""Finding a hypervisor, and finding out which one it is: the way to a `Hypervisor` that is ready for use."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable

from xenfs import abi, pool
from xenfs.abi.numbers import Hypercall
from xenfs.abi.releases import DEVELOPMENT, DOMCTLS, INTERFACES, RELEASES, SYSCTLS, releases_speaking
from xenfs.abi.select import Version
from xenfs.calls import sysctl, version
from xenfs.connect.own import own_domid
from xenfs.connect.probing import spoken
from xenfs.connect.sanity import doubts
from xenfs.errors import HypercallError, StartError
from xenfs.hypervisor.base import Backend, Hypervisor
from xenfs.hypervisor.privcmd import Privcmd, under_xen

log = logging.getLogger(__name__)


def backend(spec: str = "auto", *, hypercall_device: bool = True) -> Backend:
    """The backend that `--hypervisor` names: auto, privcmd, simulator or simulator:SETTINGS."""
    kind, _, settings = spec.partition(":")
    if kind == "auto":
        kind = "privcmd" if under_xen() else "simulator"
    if kind == "privcmd" and not settings:
        return Privcmd(hypercall_device=hypercall_device)
    if kind == "simulator":
        from xenfs.simulator import Simulator  # not loaded on a host that has the real thing

        return Simulator.from_settings(settings)
    raise StartError(
        f"there is no hypervisor {spec!r}: say auto, privcmd, simulator or simulator:SETTINGS", errno.EINVAL
    )


def faulty(spec: str, rules: str, *, hypercall_device: bool = True) -> Backend:
    """The backend that `--hypervisor` names, with faults on purpose; StartError where it is not named in so many words.

    Nobody is to try this on a real Xen because there happens to be one.
    """
    from xenfs import faults  # for those who ask for it

    plan = faults.parse(rules)
    if spec.partition(":")[0] not in ("privcmd", "simulator"):
        raise StartError("--faults wants --hypervisor simulator beside it (or privcmd, to be meant for a real Xen)",
                         errno.EINVAL)  # fmt: skip
    return faults.Faulty(backend(spec, hypercall_device=hypercall_device), plan)


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
        memory = found.make_pool(max_bytes=pool_max, check=pool_check, on_violation=on_violation)
        found.attach(memory)
        xen = _introduced(found, memory)
        xen.store = found.xenstore()
        own_domid(xen)
    except BaseException:
        found.close()
        raise
    return xen


def _introduced(found: Backend, memory: pool.Pool) -> Hypervisor:
    """Ask for the release, which needs no version and no privilege, then for the versions; judge, if they are odd."""
    newest = abi.load(RELEASES[-1], found.arch)
    try:
        release = version.release(Hypervisor(found, memory, newest))
    except HypercallError as problem:
        raise StartError(f"this hypervisor does not answer: {problem}") from None
    own = abi.load(release if release in INTERFACES else RELEASES[-1], found.arch)
    asking = Hypervisor(found, memory, own)
    answers = {
        "sysctl": spoken(asking, Hypercall.sysctl, _first(own.sysctl, SYSCTLS)),
        "domctl": spoken(asking, Hypercall.domctl, _first(own.domctl, DOMCTLS)),
    }
    numbers = (answers["domctl"].version, answers["sysctl"].version)
    missing = [name for name, answer in answers.items() if answer.version is None]
    xen = Hypervisor(found, memory, _layouts(release, found.arch, *numbers))
    xen.release = release
    xen.accepted = answers.keys() - {*missing} | ({"platform_op"} if release in INTERFACES else set())
    xen.unusable = {name: f"Xen {_text(release)}: {answers[name].why}" for name in missing}
    if any(answers[name].version not in (None, getattr(own, name)) for name in answers) or release not in INTERFACES:
        xen.doubt = _doubt(release, xen.abi.release, *numbers)
    elif any(not answers[name].absent for name in missing):
        xen.doubt = f"Xen {_text(release)} does not accept the interface versions of that release"
    _require_privilege(xen, denied=answers["sysctl"].denied)
    if xen.doubt:
        _judge(xen)
    for why in xen.unusable.values():
        log.warning("%s; everything that needs it is left out", why)
    return xen


def _first(likely: int, all_versions: tuple[int, ...]) -> list[int]:
    return [likely, *(v for v in reversed(all_versions) if v != likely)]


def _layouts(release: Version, arch: str, domctl: int | None, sysctl: int | None) -> abi.Abi:
    """Those of the release that speaks these numbers; of several, and of none, of the nearest to the one it says."""
    speaking = releases_speaking(domctl, sysctl) or releases_speaking(domctl) or list(RELEASES)
    nearest = min(speaking, key=lambda each: (abs(each[0] - release[0]), abs(each[1] - release[1])))
    return abi.load(nearest, arch, domctl=domctl, sysctl=sysctl)


def _doubt(release: Version, taken_for: Version, domctl: int | None, sysctl: int | None) -> str:
    """In words: what is odd about this Xen, and what it is taken for."""
    named = (("domctl", domctl), ("sysctl", sysctl))
    numbers = " and ".join(f"{name} {number:#x}" for name, number in named if number is not None)
    if release in INTERFACES:
        theirs = releases_speaking(domctl, sysctl)
        whose = f"which belong to Xen {_text(taken_for)}" if theirs else "which belong to no release together"
        return f"this says it is Xen {_text(release)} but speaks {numbers or 'no known version'}, {whose}: a vendor's?"
    if not numbers:
        return f"xenfs does not know Xen {_text(release)}"
    as_found = ", as its development branch was" if DEVELOPMENT.get(release) == (domctl, sysctl) else ""
    return f"xenfs does not know Xen {_text(release)}, which speaks {numbers}: taken for {_text(taken_for)}{as_found}"


def _judge(xen: Hypervisor) -> None:
    """A Xen that is not known for certain: it is not verified, and what sounds implausible is left out."""
    xen.verified = False
    log.warning("%s; unverified", xen.doubt)
    for name, why in doubts(xen).items():
        xen.unusable[name] = f"{name} is accepted, but its answers are not plausible: {why}"


def _text(release: Version) -> str:
    return ".".join(map(str, release))


def _require_privilege(xen: Hypervisor, *, denied: bool) -> None:
    """Refuse to start where Xen says EPERM to the most harmless question about the host."""
    if denied:
        log.warning("the XSM policy of this Xen denies this domain even harmless questions: expect EACCES")
    if denied or "sysctl" in xen.unusable:
        return
    try:
        sysctl.sched_id(xen)
    except HypercallError as problem:
        if problem.errno == errno.EPERM:
            raise StartError(
                "Xen refuses this domain: xenfs must run in the control domain (or its XSM policy must allow it)",
                errno.EPERM,
            ) from None
        raise
