"""Overlays of the device tree (Arm): a blob's nodes come into the tree, go again, or are a domain's to use."""

from __future__ import annotations

import struct
from errno import EINVAL, ENOMEM, EOPNOTSUPP

from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.domains import Domain
from xenfs.simulator.world.pci_bus import FREE

MOST = 500 << 10
NOT_FOUND = 1  # an error of libfdt's, which Xen hands on as it is


def sysctl(xen: Machine, op: memoryview) -> int:
    """Add a blob's nodes, or remove what this same blob has added."""
    name = "xen_sysctl_dt_overlay"
    what, blob = _blob(
        xen, op, name, *xen.layouts.constants("XEN_SYSCTL_DT_OVERLAY_ADD", "XEN_SYSCTL_DT_OVERLAY_REMOVE")
    )
    if blob is None:
        return what
    bus = xen.world.bus
    if what == xen.constant("XEN_SYSCTL_DT_OVERLAY_REMOVE"):
        paths = bus.overlays.get(blob)
        if paths is None or any(bus.nodes[path] not in (FREE, 0) for path in paths):
            return -EINVAL
        del bus.overlays[blob]
        for path in paths:
            del bus.nodes[path]
        return 0
    found = _fragments(blob)
    if not any(nodes for _, nodes in found):
        return -ENOMEM
    if any(target is None and xen.release < (4, 22) for target, _ in found):
        return -EINVAL
    if any(target is None or not bus.has_node(target) for target, _ in found):
        return -NOT_FOUND
    paths = [f"{str(target).rstrip('/')}/{node}" for target, nodes in found for node in nodes]
    if any(path in bus.nodes for path in paths):
        return -EINVAL
    bus.overlays[blob] = paths
    bus.nodes |= dict.fromkeys(paths, FREE)
    return 0


def attach(xen: Machine, domain: Domain, op: memoryview) -> int:
    """What an overlay brought is the domain's to use: that can be the control domain alone."""
    what, blob = _blob(xen, op, "xen_domctl_dt_overlay", xen.constant("XEN_DOMCTL_DT_OVERLAY_ATTACH"))
    if blob is None:
        return what
    if domain.domid:
        return -EOPNOTSUPP
    if blob not in xen.world.bus.overlays:
        return -EINVAL
    xen.world.bus.nodes |= dict.fromkeys(xen.world.bus.overlays[blob], domain.domid)
    return 0


def _blob(xen: Machine, op: memoryview, name: str, *known: int) -> tuple[int, bytes | None]:
    """Which operation with what; or an error and nothing."""
    address, size, what, pad = xen.get(op, name, "overlay_fdt", "overlay_fdt_size", "overlay_op", "pad")
    if not xen.settings.overlays or what not in known:
        return -EOPNOTSUPP, None
    if not 0 < size <= MOST or any(pad):
        return -EINVAL, None
    blob = bytes(xen.at(address, size))
    if len(blob) < 40 or struct.unpack_from(">II", blob) != (0xD00DFEED, size):
        return -EINVAL, None
    return what, blob


def _fragments(blob: bytes) -> list[tuple[str | None, list[str]]]:
    """Of each node below the root: the path that it is for, and the names of the nodes that it brings."""
    at, strings = struct.unpack_from(">II", blob, 8)
    way: list[str] = []
    targets: dict[str, str] = {}
    nodes: dict[str, list[str]] = {}
    while True:
        (token,) = struct.unpack_from(">I", blob, at)
        at += 4
        if token == 1:
            end = blob.index(0, at)
            way.append(blob[at:end].decode("latin-1"))
            at += (end - at) // 4 * 4 + 4
            if len(way) > 2 and way[2] == "__overlay__":
                nodes.setdefault(way[1], []).extend(way[3:] if len(way) == 4 else [])
        elif token == 2:
            way.pop()
        elif token == 3:
            size, name = struct.unpack_from(">II", blob, at)
            value = blob[at + 8 : at + 8 + size]
            at += 8 + -(-size // 4) * 4
            if len(way) == 2 and blob[strings + name :].startswith(b"target-path\0"):
                targets[way[1]] = value.rstrip(b"\0").decode("latin-1")
        elif token == 9:
            return [(targets.get(fragment), found) for fragment, found in nodes.items()]


SYSCTL: Answers = {"XEN_SYSCTL_dt_overlay": sysctl}
DOMCTL: Answers = {"XEN_DOMCTL_dt_overlay": attach}
