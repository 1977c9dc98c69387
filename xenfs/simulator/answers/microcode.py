"""Platform operations that load microcode: what is right for the pretended CPUs is taken from a vendor's file."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from errno import EEXIST, EINVAL, ENOENT

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.refused import Refused

AMD_MAGIC, AMD_TABLE, AMD_PATCH = 0x00414D44, 0, 1
_AMD_PART, _AMD_EQUIVALENT, _AMD_HEADER = struct.Struct("<II"), struct.Struct("<IIIHH"), struct.Struct("<II16xH")
INTEL_HEADER = struct.Struct("<9I12x")  # version, revision, date, signature, checksum, loader, flags, data, total
_INTEL_DATA = 2000  # bytes, where the header says 0


def microcode_update(xen: Machine, op: memoryview) -> int:
    """Load what is newer."""
    data, length = xen.get(op, "xenpf_microcode_update", "data", "length")
    return _load(xen, bytes(xen.at(data, length)), forced=False)


def microcode_update2(xen: Machine, op: memoryview) -> int:
    """The same, of any age with a flag; since 4.20."""
    flags, length, data = xen.get(op, "xenpf_microcode_update2", "flags", "length", "data")
    force = xen.constant("XENPF_UCODE_FORCE")
    return -EINVAL if flags & ~force else _load(xen, bytes(xen.at(data, length)), forced=bool(flags))


def _load(xen: Machine, blob: bytes, *, forced: bool) -> int:
    host = xen.world.host
    found = [rev for signature, rev in _revisions(xen, blob) if signature == host.processor.signature]
    if not found:
        return -ENOENT
    if max(found) <= host.processor.revision and not forced:
        return -EEXIST if xen.release >= (4, 17) else -ENOENT
    host.processor = replace(host.processor, revision=max(found))
    return 0


def _revisions(xen: Machine, blob: bytes) -> Iterator[tuple[int, int]]:
    """(signature, revision) of each in a file; Refused where it is not one of the maker of these CPUs."""
    try:
        yield from _of_intel(blob) if xen.world.host.processor.vendor == b"GenuineIntel" else _of_amd(blob)
    except struct.error:
        raise Refused(EINVAL) from None


def _of_intel(blob: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(blob):
        _, revision, _, signature, _, _, _, data, total = INTEL_HEADER.unpack_from(blob, at)
        data, total = data or _INTEL_DATA, total if data else _INTEL_DATA + INTEL_HEADER.size
        checked = blob[at : at + INTEL_HEADER.size + data]
        if total & 1023 or data & 3 or data > total - INTEL_HEADER.size or at + total > len(blob):
            raise Refused(EINVAL)
        if sum(memoryview(checked).cast("I")) & 0xFFFFFFFF:
            raise Refused(EINVAL)
        yield signature, revision
        at += total


def _of_amd(blob: bytes) -> Iterator[tuple[int, int]]:
    (magic,) = struct.unpack_from("<I", blob)
    kind, length = _AMD_PART.unpack_from(blob, 4)
    if magic != AMD_MAGIC or kind != AMD_TABLE or length % _AMD_EQUIVALENT.size:
        raise Refused(EINVAL)
    table = blob[12 : 12 + length]
    signatures = {stands_for: cpu for cpu, _, _, stands_for, _ in _AMD_EQUIVALENT.iter_unpack(table) if cpu}
    at = 12 + length
    while at < len(blob):
        kind, length = _AMD_PART.unpack_from(blob, at)
        _, revision, processor = _AMD_HEADER.unpack_from(blob, at + _AMD_PART.size)
        if kind != AMD_PATCH or at + _AMD_PART.size + length > len(blob):
            raise Refused(EINVAL)
        yield signatures.get(processor, 0), revision
        at += _AMD_PART.size + length


OPERATIONS_X86: Answers = {
    "XENPF_microcode_update": microcode_update, "XENPF_microcode_update2": microcode_update2,
}  # fmt: skip
