"""domains/<d>/address_size and tsc/: of x86."""

from __future__ import annotations

from xenfs.calls import guest_type, lifecycle
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.sources import asks
from xenfs.nodes.domains.own import is_other, is_pv
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import Dir, File, field
from xenfs.nodes.tables.conditions import x86

_LEAST_KHZ, _MOST_KHZ = 1000, 10**8
_SETTABLE = ("default", "always_emulate", "native")
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


_khz = parse.or_word(parse.integer(_LEAST_KHZ, _MOST_KHZ, "frequency in kHz"), "0", 0)
tsc = parse.fields(
    ("mode", parse.one_of(_SETTABLE)), ("khz", _khz), ("incarnation", parse.integer(0, 2**32 - 2, "number of moves")),
    ("elapsed_ns", parse.integer(0, 2**63 - 1, "number of ns")),
)  # fmt: skip


def _set_tsc(xen: Hypervisor, domain: Domain, given: tuple[str, int, int, int]) -> None:
    mode, khz, incarnation, elapsed_ns = given
    guest_type.set_tsc(xen, domain.domid, _SETTABLE.index(mode), khz, incarnation, elapsed_ns)


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
        File(
            "set",
            "Write \"mode khz incarnation elapsed_ns\"; 0 kHz is the host's. The guest's clock jumps",
            tier="C",
            option="debug",
            write=_set_tsc,
            parse=tsc,
            call=guest_type.SETTSCINFO.name,
        ),
    ),
    when=x86,
    only=is_other,
)

TIME = Dir(
    "time",
    "Its wall clock",
    (
        File(
            "offset_s", "Write how far it is from the host's, s; Xen does not tell", tier="C", option="debug",
            write=lambda xen, domain, seconds: lifecycle.set_time_offset(xen, domain.domid, seconds),
            parse=parse.integer(-(2**31), 2**31 - 1, "number of seconds"), call=lifecycle.SETTIMEOFFSET.name,
        ),
    ),
    option="debug",
)  # fmt: skip
