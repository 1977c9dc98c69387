"""xen_version: what this Xen is. Readable by any domain, and never in need of an interface version."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import Limit, Xenver
from xenfs.abi.operations import operation
from xenfs.calls.control import numbered
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor

_OPS = {cmd: operation(cmd) for cmd in Xenver}
_FEATURE_WORDS = 1  # XENFEAT_NR_SUBMAPS
_LONGEST = 65536


def release(xen: Hypervisor) -> tuple[int, int]:
    """(major, minor); XENVER_version."""
    packed = xen.hypercall(_OPS[Xenver.version], Xenver.version, 0)
    return packed >> 16, packed & 0xFFFF


def pagesize(xen: Hypervisor) -> int:
    """Bytes of a page; XENVER_pagesize."""
    return xen.hypercall(_OPS[Xenver.pagesize], Xenver.pagesize, 0)


def _fixed(xen: Hypervisor, cmd: Xenver, nbytes: int) -> bytes:
    with xen.pool.take(nbytes) as buf:
        xen.hypercall(_OPS[cmd], cmd, buf)
        return bytes(buf).split(b"\0", 1)[0]


def _text(xen: Hypervisor, long: Xenver, short: Xenver, nbytes: int) -> bytes:
    """The whole text from the variable-length form (Xen 4.20), else the fixed one, which cuts it short."""
    if xen.abi.release >= (4, 20):
        try:
            return _varbuf(xen, long)
        except HypercallError as problem:
            if problem.errno not in (errno.ENOSYS, errno.EPERM):
                raise
    return _fixed(xen, short, nbytes)


def _varbuf(xen: Hypervisor, cmd: Xenver) -> bytes:
    length = min(xen.hypercall(_OPS[cmd], cmd, 0), _LONGEST)
    with xen.pool.take(4 + length) as buf:
        view = xen.abi.view("struct xen_varbuf", buf)
        view.len = length
        filled = xen.hypercall(_OPS[cmd], cmd, buf)
        return bytes(buf)[4 : 4 + filled].rstrip(b"\0")


def extra(xen: Hypervisor) -> bytes:
    """What follows major.minor, such as b".6"; XENVER_extraversion2 (4.20) or XENVER_extraversion."""
    return _text(xen, Xenver.extraversion2, Xenver.extraversion, Limit.XEN_EXTRAVERSION_LEN)


def capabilities(xen: Hypervisor) -> bytes:
    """Guest types that Xen can run, space separated; XENVER_capabilities2 (4.20) or XENVER_capabilities."""
    return _text(xen, Xenver.capabilities2, Xenver.capabilities, Limit.XEN_CAPABILITIES_INFO_LEN).strip()


def commandline(xen: Hypervisor) -> bytes:
    """The command line that Xen was booted with; XENVER_commandline2 (4.20) or XENVER_commandline."""
    return _text(xen, Xenver.commandline2, Xenver.commandline, 1024)


def changeset(xen: Hypervisor) -> bytes:
    """The commit that Xen was built from; XENVER_changeset2 (4.20) or XENVER_changeset."""
    return _text(xen, Xenver.changeset2, Xenver.changeset, Limit.XEN_CHANGESET_INFO_LEN)


def compile_info(xen: Hypervisor) -> Any:
    """struct xen_compile_info: compiler, compile_by, compile_domain, compile_date; XENVER_compile_info."""
    return numbered(xen, _OPS[Xenver.compile_info])


def build_id(xen: Hypervisor) -> bytes:
    """The linker's build id; XENVER_build_id. ENODATA where Xen was built without one."""
    length = xen.hypercall(_OPS[Xenver.build_id], Xenver.build_id, 0)
    with xen.pool.take(4 + length) as buf:
        xen.abi.view("struct xen_build_id", buf).len = length
        xen.hypercall(_OPS[Xenver.build_id], Xenver.build_id, buf)
        return bytes(buf)[4 : 4 + length]


def features(xen: Hypervisor) -> list[int]:
    """Numbers of the XENFEAT_ features that this domain has; XENVER_get_features."""
    found = []
    for index in range(_FEATURE_WORDS):
        submap = numbered(xen, _OPS[Xenver.get_features], submap_idx=index).submap
        found += [32 * index + bit for bit in range(32) if submap >> bit & 1]
    return found


def virt_start(xen: Hypervisor) -> int:
    """Where Xen's own mapping begins, 0 for a caller that is not PV; XENVER_platform_parameters."""
    return int(numbered(xen, _OPS[Xenver.platform_parameters]).virt_start)
