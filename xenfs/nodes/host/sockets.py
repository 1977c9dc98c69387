"""host/sockets/: what a socket has as a whole; and which CPUs are in it."""

from __future__ import annotations

import errno

from xenfs.calls import msr
from xenfs.calls.msr import Msr
from xenfs.calls.platform import is_online
from xenfs.calls.sysctl import cpu_topology
from xenfs.errors import HypercallError, XenfsError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.conditions import allowed, every, x86
from xenfs.nodes.tables.cost import Cost

_VALID = 1 << 31  # of a thermal status: what it reads is a temperature
_TJ_MAX = 100  # degrees C, of CPUs that do not say: all but some Atoms
_FIELD = 0xFF  # bits 16 and up of all three registers


def sockets(xen: Hypervisor) -> list[tuple[str, int]]:
    """Every socket that has a CPU which Xen can place: one that is offline it may have forgotten."""
    places = cpu_topology(xen).values()
    return [(str(socket), socket) for socket in sorted({place.socket for place in places if place.known})]


def find_socket(xen: Hypervisor, name: str) -> int | None:
    """The socket of this name."""
    return dict(sockets(xen)).get(name)


def online_cpus(xen: Hypervisor) -> dict[int, list[int]]:
    """The online CPUs of each socket."""
    found: dict[int, list[int]] = {}
    for cpu, place in cpu_topology(xen).items():
        if not place.known:
            continue
        found.setdefault(place.socket, []).extend([cpu] if is_online(xen, cpu) else [])
    return found


def any_cpu(xen: Hypervisor, socket: int) -> int:
    """A CPU of the socket that is online; ENODEV where none is."""
    for cpu, place in cpu_topology(xen).items():
        if place.socket == socket and is_online(xen, cpu):
            return cpu
    raise XenfsError(f"no CPU of socket {socket} is online", errno.ENODEV)


def temperature(xen: Hypervisor, cpu: int, status: Msr) -> int:
    """Thousandths of a degree C, from how far a sensor is below the highest temperature; EAGAIN with no reading yet."""
    try:
        word, target = msr.read(xen, cpu, status, Msr.TEMPERATURE_TARGET)
    except msr.MsrRefused as problem:
        if problem.msr == status:
            raise
        (word,), target = msr.read(xen, cpu, status), 0
    if not word & _VALID:
        raise XenfsError(f"CPU {cpu} has no valid temperature at the moment", errno.EAGAIN)
    highest = (target >> 16 & _FIELD) or _TJ_MAX
    return 1000 * (highest - (word >> 16 & _FIELD))


def _ppin(xen: Hypervisor, socket: int) -> int:
    """The number of the processor, from Intel's register or AMD's: Xen allows the one that there is."""
    cpu = any_cpu(xen, socket)
    try:
        return msr.read(xen, cpu, Msr.PPIN)[0]
    except HypercallError:
        return msr.read(xen, cpu, Msr.AMD_PPIN)[0]


def _has_cpu(xen: Hypervisor, socket: int) -> bool:
    return bool(online_cpus(xen).get(socket))


_first = 0  # the CPU that Xen booted on, which never goes offline

has_sensor = every(x86, allowed(lambda xen: msr.read(xen, _first, Msr.THERM_STATUS)))

SOCKET = Dir(
    "<s>",
    "A socket",
    (
        File(
            "temp1_input", "Its temperature, thousandths of a degree C", show=show.dec, since="4.22",
            read=lambda xen, socket: temperature(xen, any_cpu(xen, socket), Msr.PACKAGE_THERM_STATUS),
            only=_has_cpu, call=msr.RESOURCE_OP.name, grows=Cost.CPUS,
            when=every(x86, allowed(lambda xen: msr.read(xen, _first, Msr.PACKAGE_THERM_STATUS))),
        ),
        File(
            "ppin", "Inventory number that the processor was made with", read=_ppin, show=show.hexa, private=True,
            only=_has_cpu, call=msr.RESOURCE_OP.name, grows=Cost.CPUS, tier="C",
            when=every(x86, allowed(lambda xen: _ppin(xen, 0))),
        ),
    ),
    grows=Cost.CPUS,
    find_grows=Cost.CPUS,
)  # fmt: skip

SOCKETS = Dir(
    "sockets", "Sockets", (Each(label="<s>", list=sockets, find=find_socket, node=SOCKET),), when=x86,
    grows=Cost.CPUS, find_grows=Cost.CPUS,
)  # fmt: skip
