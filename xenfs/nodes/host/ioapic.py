"""host/ioapic/: registers of the machine's I/O APICs, as a PV control domain may read them."""

from __future__ import annotations

from collections.abc import Sequence

from xenfs.calls import physdev
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.conditions import every, known, recent, x86
from xenfs.nodes.tables.cost import Cost

_apics, _numbers = recent(physdev.apics), recent(physdev.registers)


def _list(xen: Hypervisor) -> Sequence[tuple[str, int]]:
    return [(f"{address:#x}", address) for address in _apics(xen)]


def _registers(xen: Hypervisor, address: int) -> Sequence[tuple[str, int]]:
    return [(f"{number:#04x}", number) for number in _numbers(xen, address)]


_APIC = Dir(
    "<addr>",
    "The one at this physical address",
    (
        Each(
            label="<reg>",
            list=_registers,
            find=lambda xen, address, name: dict(_registers(xen, address)).get(name),
            node=File(
                "<reg>", "A register, by its number: 0x00 id, 0x01 version, from 0x10 on two for each line",
                read=physdev.apic_read, show=show.hexa, tier="C", call=physdev.APIC_READ.name,
            ),
        ),
    ),
)  # fmt: skip

IOAPIC = Dir(
    "ioapic",
    "I/O APICs, by physical address",
    (Each(label="<addr>", list=_list, find=lambda xen, name: dict(_list(xen)).get(name), node=_APIC),),
    when=every(x86, known(lambda xen: physdev.apic_read(xen, 0xFEC00000, 1))),
    option="debug",
    grows=Cost.LENGTH,
    find_grows=Cost.LENGTH,
)
