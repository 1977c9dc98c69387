"""grant_table_op: how large a domain's grant table is."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import GrantOp, GrantStatus, Hypercall
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import operation

QUERY_SIZE = operation(Hypercall.grant_table_op, GrantOp.query_size, repeatable=True)
GET_VERSION = operation(Hypercall.grant_table_op, GrantOp.get_version, repeatable=True)

# This hypercall has statuses of its own; what they are called everywhere else.
_ERRNO = {GrantStatus.bad_domain: errno.ESRCH, GrantStatus.permission_denied: errno.EPERM}


def size(xen: Hypervisor, domid: int) -> Any:
    """struct gnttab_query_size: nr_frames that the table has, max_nr_frames that it may grow to; query_size.

    ESRCH for a domain that does not exist, EPERM where the XSM policy forbids it.
    """
    with xen.pool.take(xen.abi.sizeof("struct gnttab_query_size")) as buf:
        view = xen.abi.view("struct gnttab_query_size", buf)
        view.dom = domid
        xen.hypercall(QUERY_SIZE, GrantOp.query_size, buf, 1, domid=domid)
        if view.status < 0:
            raise HypercallError(QUERY_SIZE.name, _ERRNO.get(view.status, errno.EIO))
        return xen.abi.copy(view)


def version(xen: Hypervisor, domid: int) -> int:
    """Which layout a domain's grant table has, 1 or 2; get_version."""
    with xen.pool.take(xen.abi.sizeof("struct gnttab_get_version")) as buf:
        view = xen.abi.view("struct gnttab_get_version", buf)
        view.dom = domid
        xen.hypercall(GET_VERSION, GrantOp.get_version, buf, 1, domid=domid)
        return int(view.version)
