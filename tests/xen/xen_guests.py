"""Domains for the tests: real guests made by xl, bare ones made by the test's own hypercalls, or simulated ones."""

from __future__ import annotations

import contextlib
import errno
import subprocess
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from xenfs.abi.numbers import CreateFlag, Domctl, X86Emulation
from xenfs.abi.operations import operation
from xenfs.calls import domctl as calls
from xenfs.calls.control import domctl
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

CREATE = operation(Domctl.createdomain)
MAX_VCPUS = operation(Domctl.max_vcpus)
SET_ADDRESS_SIZE = operation(Domctl.set_address_size)
PAUSE_S = 0.1
ANY = 0  # what a test says for a number of Xen's choosing
DOMID_ANY = 0x7FF5  # how it is said since 4.22; before, 0 was it, which no domain but the first can have
FREE_S = 60.0
BOOT_S = 400.0  # under emulation, beside other guests


@dataclass
class Guest:
    """A domain that a test may do with as it likes."""

    domid: int
    name: str = ""
    destroy: Callable[[], None] = field(default=lambda: None, repr=False)

    def node(self, name: str = "") -> str:
        """The path of one of its nodes."""
        return f"domains/{self.domid}/{name}".rstrip("/")


def eventually(holds: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait until `holds()`; the seconds that it took."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < within_s, f"not after {within_s} s: {what}"
        time.sleep(PAUSE_S)
    return time.monotonic() - started


def bare(xen: Hypervisor, domid: int, handle: bytes = b"", vcpus: int = 1, *, hvm: bool = False) -> Guest:
    """A domain with vCPUs but without memory, paused, under an id of our choice; what no toolstack lets us choose."""
    arm = xen.abi.arch == "arm64"
    body: dict[str, object] = {
        "flags": CreateFlag.hvm | CreateFlag.hap if arm or hvm else 0,
        "max_vcpus": vcpus, "max_evtchn_port": 1023, "max_grant_frames": 4, "max_maptrack_frames": 4,
    }  # fmt: skip
    if xen.abi.domctl >= 0x14:
        body["grant_opts"] = 1
    with xen.pool.take(xen.abi.sizeof("struct xen_domctl")) as buf:
        view = xen.abi.view("struct xen_domctl", buf)
        chosen = DOMID_ANY if domid == ANY and xen.abi.release >= (4, 22) else domid
        view.cmd, view.interface_version, view.domain = CREATE.cmd, xen.abi.domctl, chosen
        for name, value in body.items():
            setattr(view.u.createdomain, name, value)
        if hvm and not arm:
            view.u.createdomain.arch.emulation_flags = X86Emulation.LAPIC
        xen.abi.ffi.buffer(view.u.createdomain.handle)[:] = handle or uuid.uuid4().bytes
        _when_it_is_free(lambda: xen.hypercall(CREATE, buf, domid=domid))
        made = int(view.domain)
    domctl(xen, MAX_VCPUS, made, "max_vcpus", max=vcpus)
    if arm:  # its registers are those of 32 bits until then
        domctl(xen, SET_ADDRESS_SIZE, made, "address_size", size=64)
    return Guest(made, "", lambda: end(xen, made))


def _when_it_is_free(create: Callable[[], object]) -> None:
    """Create a domain: its number is free again only when the one that had it is finally destroyed."""

    def created() -> bool:
        try:
            create()
        except HypercallError as problem:
            if problem.errno != errno.EEXIST:
                raise
            return False
        return True

    eventually(created, FREE_S, "the number is free")


def end(xen: Hypervisor, domid: int) -> None:
    """Destroy a domain; that there is none is as good."""
    try:
        for _ in range(100):  # until 4.15 Xen says ERESTART, later EAGAIN is possible for large ones
            try:
                calls.destroy(xen, domid)
            except HypercallError as problem:
                if problem.errno != errno.EAGAIN:
                    raise
            else:
                return
    except HypercallError as problem:
        if problem.errno != errno.ESRCH:
            raise


def created_by_xl(name: str, config: str, *more: str, booted: bool = False) -> Guest:
    """A guest with a kernel in it: paused at its first instruction, or up, idle and safe to be paused.

    A kernel on a slow machine may find its clocks broken, all the more when it is paused meanwhile, and reboot: it is
    another domain then. So one that is to be up is asked for its number when it is.
    """
    words = [config, f'name="{name}"', *([] if booted else ['on_reboot="destroy"']), *more]
    _console(name).unlink(missing_ok=True)
    subprocess.run(["xl", "create", *([] if booted else ["-p"]), *words], check=True, timeout=120, capture_output=True)
    if booted:
        eventually(lambda: _is_up(name), BOOT_S, "it is up")
    return _known_to_xl(name)


def of_on_xen(name: str) -> Guest | None:
    """The guest of that name that has booted before the tests began; none without --guest, and none that an emulated
    machine has lost since."""
    with contextlib.suppress(subprocess.CalledProcessError):
        return _known_to_xl(name) if _is_up(name) else None
    return None


def _known_to_xl(name: str) -> Guest:
    said = subprocess.run(["xl", "domid", name], check=True, timeout=60, capture_output=True, text=True)
    domid = said.stdout.strip()

    def destroy() -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["xl", "destroy", domid], check=True, timeout=120, capture_output=True)

    return Guest(int(domid), name, destroy)


def _is_up(name: str) -> bool:
    """Whether what boots there has said so."""
    return _console(name).exists() and b"GUEST-UP" in _console(name).read_bytes()


def _console(name: str) -> Path:
    """Where xenconsoled writes what a guest says."""
    return Path(f"/var/log/xen/console/guest-{name}.log")
