"""Hypercall-safe memory: buffers that never fault, move, or belong to somebody else while Xen uses them.

    with Pool(best_pages()) as pool, pool.take(200) as buf:
        op = buf.view(ffi, "struct xen_sysctl")

The guarantees, and what each of them rests on, are in docs/pool.md. Open pool.py first.
"""

from xenfs.pool.blocks import address_of
from xenfs.pool.bounce import Bounce, Bounces, Way
from xenfs.pool.buffer import Address, Buffer
from xenfs.pool.custody import Flight
from xenfs.pool.held import Held, Holdings
from xenfs.pool.libc import prepare
from xenfs.pool.pages import HypercallDevice, LockedAnonymous, Pages, SimulatedPages, best_pages, is_mapped
from xenfs.pool.pool import Pool
from xenfs.pool.zones import Violation

__all__ = [
    "Address",
    "Bounce",
    "Bounces",
    "Buffer",
    "Flight",
    "Held",
    "Holdings",
    "HypercallDevice",
    "LockedAnonymous",
    "Pages",
    "Pool",
    "SimulatedPages",
    "Violation",
    "Way",
    "address_of",
    "best_pages",
    "is_mapped",
    "prepare",
]
