"""grant_table_op: how large a domain's grant table is; and what is in it, read from its pages."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, NamedTuple

from xenfs.abi.numbers import GrantOp, GrantStatus, Resource
from xenfs.abi.operations import operation
from xenfs.calls.lists import batches
from xenfs.calls.many import BATCH, asked
from xenfs.calls.resources import pages
from xenfs.calls.rows import Rows, repeated
from xenfs.errors import HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import PAGE
from xenfs.hypervisor.operation import refusal

QUERY_SIZE = operation(GrantOp.query_size)
GET_VERSION = operation(GrantOp.get_version)

_SHARED, _STATUS = 0, 1  # XENMEM_resource_grant_table_id_*
_V1 = Struct("<HHI")  # flags domid frame
_V2 = Struct("<HHHHQ")  # flags domid page_off length frame; of a transitive one flags domid trans_domid - gref
_MOST_FRAMES = 1024  # half a million entries
_TYPES = 3  # GTF_type_mask

_SIZE = "struct gnttab_query_size"
# This hypercall has statuses of its own; what they are called everywhere else.
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
    answers = Rows(xen.abi, _SIZE, ("nr_frames", "max_nr_frames", "status"))
    found, refused = list[tuple[int, int] | None](), list[int]()
    for some in batches(domids, BATCH):
        questions = repeated(xen.abi, _SIZE, bytes(answers.stride), {"dom": some})
        both = asked(xen, QUERY_SIZE, questions, answers, GrantOp.query_size, after=(1,))
        for result, (frames, most, status) in both:
            found.append(None if result < 0 or status < 0 else (frames, most))
            if result < 0:
                refused.append(result)
    if found and len(refused) == len(found):  # such as that this Xen has no grant tables
        raise refusal(QUERY_SIZE, refused[0], xen.abi)
    return found


def version(xen: Hypervisor, domid: int) -> int:
    """Which layout a domain's grant table has, 1 or 2; get_version."""
    with xen.pool.take(xen.abi.sizeof("struct gnttab_get_version")) as buf:
        view = xen.abi.view("struct gnttab_get_version", buf)
        view.dom = domid
        xen.hypercall(GET_VERSION, GrantOp.get_version, buf, 1, domid=domid)
        return int(view.version)


class Grant(NamedTuple):
    """An entry in use: its number, its GTF_* word with what a version 2 keeps elsewhere, and to whom it grants what.

    `start` and `length` are of a part of a page. Of a transitive one `start` is the other domain, `frame` its grant.
    """

    ref: int
    flags: int
    domid: int
    frame: int
    start: int
    length: int


def entries(xen: Hypervisor, domid: int) -> Iterator[Grant]:
    """All that a domain grants now, read from its table, which stays as large as it is; get_version, query_size.

    EFBIG for a table of more than 1024 frames, EPERM of one's own, and what a mapping says.
    """
    layout, frames = version(xen, domid), int(size(xen, domid).nr_frames)
    if frames > _MOST_FRAMES:
        raise XenfsError(f"a grant table of {frames} frames: more than {_MOST_FRAMES} are not shown", errno.EFBIG)
    table = pages(xen, domid, Resource.grant_table, _SHARED, range(frames))
    if layout == 1:
        yield from _version_1(table)
    else:
        yield from _version_2(table, _in_use(xen, domid, frames))


def _version_1(table: Iterator[bytes]) -> Iterator[Grant]:
    for at, page in enumerate(table):
        for ref, (flags, domid, frame) in enumerate(_V1.iter_unpack(page), at * (PAGE // _V1.size)):
            if flags & _TYPES:
                yield Grant(ref, flags, domid, frame, 0, 0)


def _version_2(table: Iterator[bytes], in_use: memoryview) -> Iterator[Grant]:
    for at, page in enumerate(table):
        for ref, (flags, domid, start, length, frame) in enumerate(_V2.iter_unpack(page), at * (PAGE // _V2.size)):
            if flags & _TYPES:
                yield Grant(ref, flags | in_use[ref], domid, frame, start, length)


def _in_use(xen: Hypervisor, domid: int, frames: int) -> memoryview:
    """The words that say of each entry whether it is read or written, as version 2 has them."""
    nbytes = frames * (PAGE // _V2.size) * 2
    found = pages(xen, domid, Resource.grant_table, _STATUS, range(-(-nbytes // PAGE)))
    return memoryview(b"".join(found)).cast("H")
