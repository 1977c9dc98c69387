"""A caller of the simulator: memory with an address, and hypercalls made of raw bytes in the measured layouts."""

from __future__ import annotations

from typing import Any

from xenfs.errors import BadAddress
from xenfs.simulator import Simulator
from xenfs.simulator.layouts import ARCHES, releases

COMBINATIONS = [(release, arch) for arch in ARCHES for release in releases(arch)]
SECOND = 10**9


class Arena:
    """Memory as the simulator sees it. Between two pieces there is always a gap that belongs to nobody."""

    def __init__(self) -> None:
        self.pieces: dict[int, bytearray] = {}
        self._next = 0x7F00_0000_0000

    def take(self, content: int | bytes) -> tuple[int, memoryview]:
        """(address, bytes) of a new piece: so many zeros, or these bytes."""
        piece = bytearray(content)
        address, self._next = self._next, self._next + len(piece) + 4096
        self.pieces[address] = piece
        return address, memoryview(piece)

    def locate(self, address: int, nbytes: int) -> memoryview:
        """What the pool promises: bytes of one live piece, or BadAddress."""
        for start, piece in self.pieces.items():
            if start <= address and address + nbytes <= start + len(piece):
                return memoryview(piece)[address - start : address - start + nbytes]
        raise BadAddress(address, nbytes)


class Time:
    """A clock in the test's hand: nanoseconds, standing still until told otherwise."""

    def __init__(self) -> None:
        self.now = 10**12

    def __call__(self) -> int:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


class Caller:
    """Makes hypercalls on a simulator the way a program does: structs filled by member, in its release's layout."""

    def __init__(self, settings: str = "") -> None:
        self.time = Time()
        self.sim = Simulator.from_settings(settings, self.time)
        self.world, self.layouts = self.sim.world, self.sim.layouts
        self.constant = self.layouts.constant
        self.arena = Arena()
        self.sim.attach(self.arena)
        self.arch = self.sim.arch
        self.x86 = self.arch == "x86_64"
        self.release = self.sim.machine.release

    def call(self, hypercall: str, *args: int) -> int:
        return self.sim.hypercall(self.constant(f"__HYPERVISOR_{hypercall}"), args)

    def struct(self, name: str, /, **members: Any) -> tuple[int, memoryview]:
        address, memory = self.arena.take(self.layouts.size(name))
        self.layouts.put(memory, name, **members)
        return address, memory

    def read(self, memory: memoryview, name: str, *members: str) -> Any:
        values = self.layouts.get(memory, name, *members)
        return values[0] if len(members) == 1 else values

    def bitmap(self, holder: memoryview, struct: str, member: str, bits: int, nr_bits: int) -> memoryview:
        """Point a struct xenctl_bitmap at new memory that holds these bits."""
        nbytes = -(-nr_bits // 8)
        address, memory = self.arena.take(bits.to_bytes(nbytes, "little"))
        at = self.layouts.offset(struct, member)
        self.layouts.put(holder[at:], "xenctl_bitmap", bitmap=address, nr_bits=nr_bits)
        return memory

    def _commanded(
        self, hypercall: str, outer: str, cmd: str, version: int, arm: str, /, **members: Any
    ) -> tuple[int, memoryview]:
        address, memory = self.struct(outer, cmd=self.constant(cmd), interface_version=version)
        body = memory[self.layouts.offset(outer, "u") :]
        if arm:
            self.layouts.put(body, arm, **members)
        return address, memory

    def sysctl(self, name: str, arm: str | None = None, /, **members: Any) -> tuple[int, memoryview]:
        """(result, the union's bytes) of a sysctl; `arm` where the struct is not called as the operation."""
        address, memory = self._commanded(
            "sysctl", "xen_sysctl", f"XEN_SYSCTL_{name}", self.layouts.interfaces["sysctl"],
            arm if arm is not None else f"xen_sysctl_{name}", **members,
        )  # fmt: skip
        return self.call("sysctl", address), memory[self.layouts.offset("xen_sysctl", "u") :]

    def platform(self, name: str, arm: str, /, **members: Any) -> tuple[int, memoryview]:
        address, memory = self._commanded(
            "platform_op", "xen_platform_op", f"XENPF_{name}", self.layouts.interfaces["platform"], arm, **members
        )
        return self.call("platform_op", address), memory[self.layouts.offset("xen_platform_op", "u") :]

    def domctl_struct(
        self, name: str, domid: int, arm: str = "", /, **members: Any
    ) -> tuple[int, memoryview, memoryview]:
        version = 0 if name == "get_domain_state" else self.layouts.interfaces["domctl"]
        address, memory = self._commanded("domctl", "xen_domctl", f"XEN_DOMCTL_{name}", version, arm, **members)
        self.layouts.put(memory, "xen_domctl", domain=domid)
        return address, memory, memory[self.layouts.offset("xen_domctl", "u") :]

    def domctl(self, name: str, domid: int, arm: str = "", /, **members: Any) -> tuple[int, memoryview]:
        """(result, the union's bytes) of a domctl."""
        address, _, body = self.domctl_struct(name, domid, arm, **members)
        return self.call("domctl", address), body

    def info(self, domid: int, *members: str) -> Any:
        """Members of struct xen_domctl_getdomaininfo of a domain that must exist."""
        result, body = self.domctl("getdomaininfo", domid)
        assert result == 0
        assert self.read(body, "xen_domctl_getdomaininfo", "domain") == domid
        return self.read(body, "xen_domctl_getdomaininfo", *members)

    def flags(self, domid: int) -> set[str]:
        """Names of the XEN_DOMINF_ flags that are set."""
        value = self.info(domid, "flags")
        names = ("dying", "hvm_guest", "shutdown", "paused", "blocked", "running", "debugged", "xs_domain", "hap")
        return {name for name in names if value & self.constant(f"XEN_DOMINF_{name}")}

    def create(self, domid: int, *, vcpus: int = 2, wanted: dict[str, Any] | None = None) -> tuple[int, int]:
        """(result, domid) of createdomain, with what this release insists on filled in."""
        layouts, struct = self.layouts, "xen_domctl_createdomain"
        address, memory, body = self.domctl_struct("createdomain", domid)
        hvm_hap = self.constant("XEN_DOMCTL_CDF_hvm") | self.constant("XEN_DOMCTL_CDF_hap")
        values: dict[str, Any] = {"flags": hvm_hap, "max_vcpus": vcpus, "handle": bytes(range(16)), "grant_opts": 1}
        for member, value in (values | (wanted or {})).items():
            if layouts.has(struct, member):
                layouts.put(body, struct, **{member: value})
        if self.x86 and layouts.get(body, struct, "flags")[0]:
            arch = body[layouts.offset(struct, "arch") :]
            layouts.put(arch, "xen_arch_domainconfig", emulation_flags=self.constant("XEN_X86_EMU_LAPIC"))
        result = self.call("domctl", address)
        return result, self.read(memory, "xen_domctl", "domain")
