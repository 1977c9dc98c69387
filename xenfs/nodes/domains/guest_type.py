"""domains/<d>/address_size and tsc/: of x86."""

from __future__ import annotations

from xenfs.calls import guest_type
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.sources import asks
from xenfs.nodes.domains.own import is_other, is_pv
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, File, field
from xenfs.nodes.tables.conditions import x86

_MODES = {0: "default", 1: "always_emulate", 2: "native", 3: "native_paravirt"}

ADDRESS_SIZE = File(
    "address_size", "Width of its addresses: 32 or 64 bits", show=show.dec, when=x86, only=is_pv, tier="B",
    read=lambda xen, domain: guest_type.address_size(xen, domain.domid), call=guest_type.GET_ADDRESS_SIZE.name,
)  # fmt: skip


@asks(guest_type.GETTSCINFO)
def _tsc(xen: Hypervisor, domain: Domain) -> object:
    return guest_type.tsc_info(xen, domain.domid)


def _mode(number: int) -> str:
    return _MODES.get(number, str(number))


TSC = Dir(
    "tsc",
    "Its time stamp counter",
    (
        field(
            _tsc,
            "mode",
            _mode,
            f"How it is kept: {' '.join(_MODES.values())}",
            of="tsc_mode",
            tier="B",
            format="one word",
        ),
        field(_tsc, "khz", show.dec, "Its frequency, kHz", of="gtsc_khz", tier="B"),
        field(
            _tsc, "incarnation", show.dec, "How often it was set: 1, and one more for each move between hosts", tier="B"
        ),
        field(_tsc, "elapsed_ns", show.dec, "How long it has counted, ns", of="elapsed_nsec", tier="B"),
    ),
    when=x86,
    only=is_other,
)
