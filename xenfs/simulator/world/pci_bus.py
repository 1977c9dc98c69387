"""The PCI devices of the pretended host: their names in dom0, on which node each is, and who has it."""

from __future__ import annotations

from dataclasses import dataclass

IN_XEN = -2  # hidden: Xen keeps it for itself
FREE = -1  # neither dom0's nor a guest's: quarantined, to be given away


@dataclass
class Device:
    """A function: its number as in domctls, its node (None: nobody knows), the domain that has it, its group."""

    sbdf: int
    node: int | None
    owner: int
    group: int

    @property
    def name(self) -> str:
        """As in /sys/bus/pci/devices."""
        return f"{self.sbdf >> 16:04x}:{self.sbdf >> 8 & 0xFF:02x}:{self.sbdf >> 3 & 0x1F:02x}.{self.sbdf & 7}"


class Bus:
    """What is plugged in. The first few are what every PC has; the graphics card can be given to a desktop."""

    GRAPHICS = (0x0100, 0x0101)

    def __init__(self, count: int, nodes: int) -> None:
        last = nodes - 1
        first = [
            Device(0x0000, None, 0, 0),
            Device(0x0010, 0, 0, 1),
            Device(0x00A0, 0, 0, 2),
            Device(0x00F8, 0, 0, 3),
            Device(0x00FA, 0, 0, 3),
            *(Device(sbdf, last, 0, 4) for sbdf in self.GRAPHICS),
            Device(0x0200, last, FREE, 5),
            Device(0x0208, last, IN_XEN, 5),
        ]
        functions = [Device(0x0300 + number, last, 0, 6 + number) for number in range(max(0, count - len(first)))]
        self.devices = {device.sbdf: device for device in (first + functions)[:count]}
        # Devices of a device tree, and who has them: /chosen is none that an IOMMU would know.
        self.nodes: dict[str, int | None] = {"/chosen": None, "/soc/ethernet@1": FREE, "/soc/mmc@2": FREE}
        self.overlays: dict[bytes, list[str]] = {}  # of the device tree: a blob, and the nodes that it has added
        # A device behind a bridge that only dom0 looks through: its domain is beyond what Xen can name.
        self.unknown_to_xen = ["10000:e1:00.0"] if count else []

    def give(self, devices: tuple[int, ...], domid: int) -> None:
        """Let a domain have these devices, as far as they are there."""
        for sbdf in devices:
            if sbdf in self.devices:
                self.devices[sbdf].owner = domid

    def has_node(self, path: str) -> bool:
        """Whether the device tree has it: the root, a device, or what one lies below."""
        return any(f"{node}/".startswith(f"{path.rstrip('/')}/") for node in self.nodes)

    def names(self) -> list[str]:
        """What dom0 lists, in no order."""
        return self.unknown_to_xen + [device.name for device in reversed(self.devices.values())]
