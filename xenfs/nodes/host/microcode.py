"""host/microcode/: microcode for all CPUs, loaded while Xen runs, as xen-ucode does."""

from __future__ import annotations

import errno

from xenfs.calls import microcode
from xenfs.errors import BadInput, meaning
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import every, since, x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.payload import Payload

_MOST_BYTES = 16 << 20  # twice what any vendor's file for all its processors has
_OF_INTEL, _OF_AMD, _HEADER_BYTES = b"\x01\0\0\0", b"DMA\0", 48
_WHY = {
    errno.EINVAL: "this is no microcode of the maker of these CPUs, or it is torn",
    errno.ENOENT: "there is no microcode for these CPUs in it",
    errno.EEXIST: "there is none in it that is newer than what the CPUs have",
}


def _load(xen: Hypervisor, blob: bytes) -> None:
    """Once it was tried, it is not forced again."""
    if len(blob) < _HEADER_BYTES or not blob.startswith((_OF_INTEL, _OF_AMD)):
        raise BadInput("this is no file of Intel's or AMD's with microcode", at=0)
    forced, xen.microcode_forced = xen.microcode_forced, False
    with meaning(_WHY, "{} (host/console/log may say more)"):
        (microcode.load_forced if forced else microcode.load)(xen, blob)


def _force(xen: Hypervisor, wanted: bool) -> None:
    xen.microcode_forced = wanted


MICROCODE = Dir(
    "microcode",
    "Loading microcode for all CPUs",
    (
        Payload(
            "payload",
            "Write the vendor's file: when it is closed all CPUs stop and load it, which may end the host",
            write=_load, most=_MOST_BYTES, format="binary", tier="C", option="debug", write_grows=Cost.WAITS,
            errnos="EFBIG EINVAL ENOENT EEXIST EINTR", call=f"{microcode.UPDATE.name}, {microcode.UPDATE2.name}",
        ),
        File(
            "force", "1: the next payload is loaded though it is no newer, or even older; it is 0 again then",
            read=lambda xen: xen.microcode_forced, show=show.flag, write=_force, parse=parse.switch, tier="C",
            option="debug", when=since(4, 20), call=f"({microcode.UPDATE2.name})",
        ),
    ),
    when=every(x86, lambda xen: "platform_op" not in xen.unusable),
)  # fmt: skip
