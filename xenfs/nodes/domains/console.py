"""domains/<d>/console: what a guest has said, to Xen's log and to its console ring."""

from __future__ import annotations

import errno
from struct import Struct

from xenfs.abi.numbers import HvmParam
from xenfs.calls import hvm, sysctl
from xenfs.errors import XenfsError, answered_by
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.nodes.domains.own import is_hvm, is_other
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.cost import Cost

_OUT, _LENGTH = 1024, 2048  # of struct xencons_interface: where the guest's output lies, a ring
_INDEXES, _AT = Struct("<2I"), 3080  # out_cons, out_prod


def _logged(xen: Hypervisor, domid: int) -> list[str]:
    """The lines of Xen's log that it has tagged as this id's, of whichever life."""
    tag = f"(d{domid}) "
    lines = sysctl.console(xen, None)[0].decode("utf-8", "replace").splitlines()
    return [line.partition(tag)[2] for line in lines if tag in line]


def _ring(xen: Hypervisor, domain: Domain) -> list[str]:
    """The last 2 KiB that it has put into its console ring, read by whoever serves it or not; x86 and Arm, not PV."""
    frame = 0
    if is_hvm(xen, domain):
        with answered_by(errno.EINVAL, errno.EPERM):
            frame = hvm.param(xen, domain.domid, HvmParam.CONSOLE_PFN)
    if not frame:
        return []
    try:
        with xen.foreign(domain.domid, [frame]) as found:
            page = found.pages[0]
            return [] if page is None else _said(bytes(page))
    except XenfsError as problem:
        if problem.errno != errno.EOPNOTSUPP:  # a recording has no pages
            raise
        return []


def _said(page: bytes) -> list[str]:
    _, end = _INDEXES.unpack_from(page, _AT)
    out, at = page[_OUT : _OUT + _LENGTH], end % _LENGTH
    whole = out[at:] + out[:at] if end > _LENGTH else out[:at] if end < _LENGTH else out
    return whole.decode("utf-8", "replace").replace("\0", "").replace("\r", "").splitlines()


def _console(xen: Hypervisor, domain: Domain) -> str:
    return show.lines(_logged(xen, domain.domid) + _ring(xen, domain)).rstrip("\n")


CONSOLE = File(
    "console", "What it has said: its lines in Xen's log, then the end of its console ring",
    read=_console, format="one a line", private=True,
    grows=Cost.LENGTH, only=is_other, option="debug", tier="C", call=f"{sysctl.READCONSOLE.name}, {hvm.GET_PARAM.name}",
)  # fmt: skip
