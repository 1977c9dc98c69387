"""The checks of `xenfs doctor`. Each gives a line, changes nothing, and needs no other to have passed."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from xenfs.errors import XenfsError

NEEDED = {"pyfuse3": (3, 4), "trio": (0, 25), "cffi": (1, 15)}
POLL_SINCE = (3, 5)
MOST_POOL_KIB = 64 * 1024
CAP_SYS_ADMIN, CAP_IPC_LOCK = 21, 14


class Check(NamedTuple):
    """One line: status is "ok", "warn" (works, with a limit) or "FAIL" (keeps xenfs from being mounted)."""

    status: str
    what: str
    detail: str


@dataclass(frozen=True)
class Host:
    """The machine to examine; tests examine a directory that looks like one."""

    root: Path = Path("/")

    def path(self, name: str) -> Path:
        """Where an absolute path of the machine is."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str:
        """A small file's text, empty where it cannot be read."""
        try:
            return self.path(name).read_text("utf-8", "replace").strip("\0\n ")
        except OSError:
            return ""

    @property
    def privcmd(self) -> str:
        """The device for hypercalls; the empty string where there is none."""
        return next((name for name in ("/dev/xen/privcmd", "/proc/xen/privcmd") if self.path(name).exists()), "")

    @property
    def under_xen(self) -> bool:
        """Whether a Xen runs underneath that this domain was given a device to call."""
        return bool(self.privcmd) and self.text("/sys/hypervisor/type") in ("xen", "")

    def capable(self, capability: int) -> bool:
        """Whether this process holds a capability."""
        held = [line.split()[1] for line in self.text("/proc/self/status").splitlines() if line.startswith("CapEff")]
        return bool(held) and bool(int(held[0], 16) >> capability & 1)

    def open_error(self, name: str) -> int:
        """0 when the device opens for reading and writing, else the errno."""
        try:
            os.close(os.open(self.path(name), os.O_RDWR | os.O_CLOEXEC))
        except OSError as problem:
            return problem.errno or errno.EIO
        return 0


def examine(host: Host) -> list[Check]:
    """Every check that means something on this host, in the order in which a person would mend things."""
    found = [
        python(),
        *(package(name) for name in NEEDED),
        *poll(),
        fuse_device(host),
        mounter(host),
        hypervisor(host),
    ]
    if host.under_xen:
        found += [privcmd(host), hypercall_device(host), memlock(host), *xen(), xenstore_answers()]
    return found


def python() -> Check:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Check("ok", "Python", f"{version} ({sys.executable})")


def package(name: str) -> Check:
    """One of the packages that xenfs imports."""
    needed = ".".join(map(str, NEEDED[name]))
    version = _installed(name)
    if not version:
        return Check("FAIL", name, f"not installed for {sys.executable}; scripts/run installs it")
    if _numbers(version) < NEEDED[name]:
        return Check("FAIL", name, f"{version} is too old, xenfs needs {needed}; scripts/run installs a newer one")
    return Check("ok", name, version)


def poll() -> list[Check]:
    """Whether programs can wait for files to grow."""
    version = _installed("pyfuse3")
    if not version:
        return []
    if _numbers(version) < POLL_SINCE:
        return [Check("warn", "poll(2)", "needs pyfuse3 3.5; programs that wait read again instead")]
    return [Check("ok", "poll(2)", "growing files can be waited for")]


def fuse_device(host: Host) -> Check:
    """The kernel's side of FUSE."""
    problem = host.open_error("/dev/fuse")
    advice = {
        errno.ENOENT: "is missing; load the module: modprobe fuse",
        errno.ENODEV: "is there but the kernel has no FUSE; load the module: modprobe fuse",
        errno.EACCES: "may not be opened; run as root, or let users open it (mode 0666 is usual)",
        errno.EPERM: "may not be opened: this container is not allowed to",
    }
    if problem:
        return Check("FAIL", "/dev/fuse", advice.get(problem, f"does not open: {os.strerror(problem)}"))
    return Check("ok", "/dev/fuse", "opens")


def mounter(host: Host) -> Check:
    """Who calls mount(2): this process, or the set-user-ID helper."""
    helper = shutil.which("fusermount3")
    if host.capable(CAP_SYS_ADMIN):
        extra = "" if helper else "; users would need fusermount3 (package fuse3)"
        return Check("ok", "right to mount", f"CAP_SYS_ADMIN{extra}")
    if helper is None:
        return Check("FAIL", "right to mount", "neither root nor fusermount3: install the package fuse3")
    if not os.stat(helper).st_mode & stat.S_ISUID:
        return Check("FAIL", "right to mount", f"{helper} is not set-user-ID root and this is not root")
    if not host.path("/etc/mtab").exists():
        advice = "which it needs to unmount again: ln -s ../proc/self/mounts /etc/mtab"
        return Check("warn", "right to mount", f"through {helper}, but there is no /etc/mtab, {advice}")
    return Check("ok", "right to mount", f"through {helper}")


def hypervisor(host: Host) -> Check:
    """Whether there is a Xen, and whether this domain controls it."""
    kind = host.text("/sys/hypervisor/type")
    if kind and kind != "xen":
        return Check("ok", "hypervisor", f"{kind}, not Xen: the simulator will be served")
    if not kind and not host.privcmd:
        return Check("ok", "hypervisor", "no Xen underneath: the simulator will be served")
    if not host.privcmd:
        return Check("warn", "hypervisor", "Xen without a privcmd device (modprobe xen-privcmd): the simulator it is")
    if host.path("/proc/xen/capabilities").exists() and "control_d" not in host.text("/proc/xen/capabilities"):
        return Check("warn", "hypervisor", "Xen, but this is not the control domain: most calls will be refused")
    return Check("ok", "hypervisor", "Xen, and this is the control domain" if kind else "a privcmd device")


def privcmd(host: Host) -> Check:
    """The device that hypercalls go through."""
    problem = host.open_error(host.privcmd)
    if problem in (errno.EACCES, errno.EPERM):
        return Check("FAIL", "privcmd", f"{host.privcmd} may not be opened: run as root")
    if problem:
        return Check("FAIL", "privcmd", f"{host.privcmd} does not open ({os.strerror(problem)}): booted under Xen?")
    return Check("ok", "privcmd", f"{host.privcmd} opens")


def hypercall_device(host: Host) -> Check:
    """The device for memory that Xen can always reach."""
    problem = host.open_error("/dev/xen/hypercall")
    if problem:
        return Check(
            "warn",
            "hypercall buffers",
            f"/dev/xen/hypercall does not open ({os.strerror(problem)}): locked pages instead",
        )
    return Check("ok", "hypercall buffers", "/dev/xen/hypercall opens: pages that never fault")


def memlock(host: Host) -> Check:
    """How much memory may be locked, which matters without /dev/xen/hypercall."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    limit = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft // 1024} KiB"
    if soft == resource.RLIM_INFINITY or host.capable(CAP_IPC_LOCK) or soft >= MOST_POOL_KIB * 1024:
        return Check("ok", "lockable memory", f"enough (limit {limit})")
    status = "warn" if host.open_error("/dev/xen/hypercall") else "ok"
    return Check(status, "lockable memory", f"limit {limit}, the pool may want {MOST_POOL_KIB} KiB: see ulimit -l")


def xen() -> Iterator[Check]:
    """What Xen itself answers: its version, the interfaces, and which pages carry the arguments."""
    try:
        # imported here, since it needs cffi, which may be what is missing
        from xenfs.connect.opening import open_hypervisor

        found = open_hypervisor("privcmd")
    except (XenfsError, OSError, ImportError) as problem:
        yield Check("FAIL", "Xen answers", str(problem))
        return
    try:
        yield from _answers(found)
    finally:
        found.close()


def _answers(found: Any) -> Iterator[Check]:
    abi = found.abi
    interfaces = f"sysctl {abi.sysctl:#x}, domctl {abi.domctl:#x}"
    release, taken_for = (".".join(map(str, each)) for each in (found.release, abi.release))
    if release != taken_for:
        release += f" (taken for {taken_for})"
    yield Check("ok", "Xen answers", f"{release} on {abi.arch}, {interfaces}")
    if not found.verified:
        yield Check("warn", "release", f"{found.doubt}; unverified: read-only without -o unverified")
    for interface, why in found.unusable.items():
        yield Check("warn", interface, why)
    promise = "may fault, then the call is repeated where that is safe" if found.pool.pages.faults else "never fault"
    yield Check("ok", "pool guarantee", f"{found.pool.pages.name} pages: {promise}")


def xenstore_answers() -> Check:
    """Where domains' names come from."""
    try:
        from xenfs import xenstore
    except ImportError as problem:
        return Check("warn", "xenstore", f"not asked: {problem}")
    store = xenstore.connect(timeout_s=2.0)
    if store is None:
        return Check("warn", "xenstore", "no /dev/xen/xenbus and no socket: domains have no names")
    try:
        name = store.read("/local/domain/0/name")
    except XenfsError as problem:
        return Check("warn", "xenstore", f"{problem}: domains have no names, and by-name/ and devices/ are empty")
    finally:
        store.close()
    return Check("ok", "xenstore", f"answers; domain 0 is {(name or b'(nameless)').decode('utf-8', 'replace')}")


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, enough to compare: "3.4.0+debian" is (3, 4, 0)."""
    numbers = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)
