"""The pretended machine: CPUs that run vCPUs or idle, NUMA nodes, memory and who has it."""

from __future__ import annotations

from xenfs.simulator.settings import Settings
from xenfs.simulator.world.checks import Checks
from xenfs.simulator.world.instruments import Measured, Tracing
from xenfs.simulator.world.physmap import PAGE
from xenfs.simulator.world.processor import PROCESSORS

MAX_NODES = 64  # as Xen is built
FULL = 1024
"""What a CPU can give: rates are counted in 1024ths of it, and time in ticks of 1024 ns, so that no sum is rounded."""


class Cpu:
    """A physical CPU. `busy`: which part of it the vCPUs that are placed on it use, in 1024ths."""

    __slots__ = ("busy", "core", "id", "idle_ns", "node", "online", "selected", "since", "socket")

    def __init__(self, number: int, socket: int, core: int, node: int) -> None:
        self.id, self.socket, self.core, self.node = number, socket, core, node
        self.online = True
        self.busy = self.since = self.idle_ns = 0
        self.selected = 0  # what its counter of cache use and bandwidth is to show

    def idle(self, ticks: int) -> int:
        """Nanoseconds without a vCPU, up to this tick."""
        return self.idle_ns + (FULL - self.busy) * (ticks - self.since) if self.online else self.idle_ns

    def settle(self, ticks: int) -> None:
        """Put what has passed on the account, before the rate changes."""
        self.idle_ns, self.since = self.idle(ticks), ticks


class Host:
    """The hardware. CPU masks are integers with a bit for each CPU, as Xen's bitmaps are once read."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.x86 = settings.arch == "x86_64"
        self.processor = PROCESSORS[settings.processor]
        self.nr_nodes = settings.nr_nodes
        per_node = -(-settings.cpus // self.nr_nodes)
        self.threads = 2 if self.x86 and per_node % 2 == 0 else 1
        self.cores = per_node // self.threads if self.x86 else 1
        self.cpus = [self._cpu(number, per_node) for number in range(settings.cpus)]
        self.present = (1 << settings.cpus) - 1
        self.nr_cpus = settings.cpus
        self.nr_online = settings.cpus
        self.cpu_khz = 2_995_178 if self.x86 else 62_500
        self.total_pages = settings.memory_gib * (1 << 30) // PAGE
        self.max_mfn = self.total_pages + (1 << 30) // PAGE - 1  # memory goes on above a hole of 1 GiB below 4 GiB
        self.reserved_pages = 14_000 + self.total_pages // 128
        self.tracing, self.measured = Tracing(self.present), Measured()
        self.checks = Checks()
        self.kexec_loaded = {1}  # what is loaded: by default an image for a crash
        self.kexec_turned = set(self.kexec_loaded)  # what Xen says of that: it turns with each load and unload
        self.booted_into: int | None = None
        self.offlined: set[int] = set()
        self.offlining: set[int] = set()

    def _cpu(self, number: int, per_node: int) -> Cpu:
        if not self.x86:  # Xen on Arm knows neither sockets nor cores
            return Cpu(number, 0, 0, min(number // per_node, self.nr_nodes - 1))
        node, within = divmod(number, per_node)
        return Cpu(number, node, within // self.threads, node)

    @property
    def online(self) -> int:
        """The mask of the CPUs that are online."""
        return sum(1 << cpu.id for cpu in self.cpus if cpu.online)

    def apic_id(self, cpu: Cpu) -> int:
        """What the local APIC of a CPU calls itself: socket, core and thread beside each other."""
        core_bits = max(1, (self.cores - 1).bit_length())
        thread = cpu.id % self.threads
        return cpu.socket << (core_bits + 1) | cpu.core << 1 | thread

    def node_pages(self, node: int) -> int:
        """Pages that belong to a node; the last has the remainder."""
        share = self.total_pages // self.nr_nodes
        return self.total_pages - share * (self.nr_nodes - 1) if node == self.nr_nodes - 1 else share

    def memory_map(self) -> list[tuple[int, int, int]]:
        """(start, bytes, type) as the firmware reports it; types are those of the e820 table."""
        top = self.total_pages * PAGE
        return [
            (0x0, 0x9F000, 1),
            (0x9F000, 0x61000, 2),
            (0x100000, 0xBE9F0000 - 0x100000, 1),
            (0xBE9F0000, 0x10000, 3),
            (0xBEA00000, 0x1600000, 2),
            (0xFEC00000, 0x1000, 2),
            (0xFEE00000, 0x1000, 2),
            (0x100000000, top + (1 << 30) - 0x100000000, 1),
        ]

    def device_memory(self) -> dict[int, list[tuple[int, int]]]:
        """Reserved regions of devices, by segment, bus, device and function: [(first frame, pages)]."""
        return {0x0010: [(0xBF800, 0x800)], 0x00A0: [(0xBEBE8, 0x18)]}


def cpus_in(mask: int) -> list[int]:
    """The numbers of the bits that are set."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found
