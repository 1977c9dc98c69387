"""What Xen keeps for a domain in pages of its own: its grant table, what processors trace (acquire_resource)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from xenfs.abi.numbers import Memory, Resource
from xenfs.abi.operations import Does, operation
from xenfs.calls.control import numbered
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.foreign import MOST_OF_RESOURCE, PAGE, Wanted

OPERATIONS = {
    each: operation(Memory.acquire_resource, each.name) for each in (Resource.grant_table, Resource.vmtrace_buf)
}
_SIZES = {each: replace(op, does=Does.LOOKS) for each, op in OPERATIONS.items()}  # without a list of frames


def nr_frames(xen: Hypervisor, domid: int, kind: Resource, number: int) -> int:
    """How many frames there can be, since 4.15. EINVAL for none, EPERM of one's own domain."""
    return int(numbered(xen, _SIZES[kind], domid, domid=domid, type=kind, id=number).nr_frames)


def pages(xen: Hypervisor, domid: int, kind: Resource, number: int, frames: range) -> Iterator[bytes]:
    """Each of these frames, mapped a few at a time. EINVAL for what is not there; a grant table grows up to there."""
    for first in range(frames.start, frames.stop, MOST_OF_RESOURCE):
        part = range(first, min(first + MOST_OF_RESOURCE, frames.stop))
        with xen.resource(domid, Wanted(kind, number, part)) as found:
            copied = [bytes(PAGE) if page is None else bytes(page) for page in found.pages]
        yield from copied
