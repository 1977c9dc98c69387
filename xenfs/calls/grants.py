"""grant_table_op: how large a domain's grant table is."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

from xenfs.abi.numbers import GrantOp, GrantStatus
from xenfs.abi.operations import operation
from xenfs.calls.multicall import in_a_row
from xenfs.calls.rows import Rows
from xenfs.errors import HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.operation import hint

QUERY_SIZE = operation(GrantOp.query_size)
GET_VERSION = operation(GrantOp.get_version)

# This hypercall has statuses of its own; what they are called everywhere else.
_SIZE = "struct gnttab_query_size"
_BATCH = 512
_ERRNO = {GrantStatus.bad_domain: errno.ESRCH, GrantStatus.permission_denied: errno.EPERM}


def size(xen: Hypervisor, domid: int) -> Any:
    """struct gnttab_query_size: nr_frames that the table has, max_nr_frames that it may grow to; query_size.

    ESRCH for a domain that does not exist, EPERM where the XSM policy forbids it.
    """
    with xen.pool.take(xen.abi.sizeof(_SIZE)) as buf:
        view = xen.abi.view(_SIZE, buf)
        view.dom = domid
        xen.hypercall(QUERY_SIZE, GrantOp.query_size, buf, 1, domid=domid)
        if view.status < 0:
            raise HypercallError(QUERY_SIZE.name, _ERRNO.get(view.status, errno.EIO))
        return xen.abi.copy(view)


def sizes(xen: Hypervisor, domids: Sequence[int]) -> list[tuple[int, int] | None]:
    """(frames, most frames) of many domains, None for one that is gone or not to be asked; query_size, in batches."""
    answers = Rows(xen.abi, _SIZE, ("status", "nr_frames", "max_nr_frames"))
    found: list[tuple[int, int] | None] = []
    for first in range(0, len(domids), _BATCH):
        batch = domids[first : first + _BATCH]
        with xen.pool.take(answers.stride * len(batch)) as structs:
            structs.fill(b"".join(domid.to_bytes(2, "little").ljust(answers.stride, b"\0") for domid in batch))
            results = in_a_row(xen, QUERY_SIZE, structs, answers.stride, len(batch), GrantOp.query_size, after=(1,))
            _raised(xen, results)
            for result, (status, frames, most) in zip(results, answers(bytes(structs), len(batch)), strict=True):
                found.append(None if result < 0 or status < 0 else (frames, most))
    return found


def _raised(xen: Hypervisor, results: Sequence[int]) -> None:
    """Say what went wrong where nothing at all was answered, such as that this Xen has no grant tables."""
    if results and all(result < 0 for result in results):
        raise HypercallError(QUERY_SIZE.name, -results[0], hint(QUERY_SIZE, -results[0], xen.abi))


def version(xen: Hypervisor, domid: int) -> int:
    """Which layout a domain's grant table has, 1 or 2; get_version."""
    with xen.pool.take(xen.abi.sizeof("struct gnttab_get_version")) as buf:
        view = xen.abi.view("struct gnttab_get_version", buf)
        view.dom = domid
        xen.hypercall(GET_VERSION, GrantOp.get_version, buf, 1, domid=domid)
        return int(view.version)
