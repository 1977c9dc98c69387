"""What the CPUID instruction says on the pretended host: the raw policy."""

from __future__ import annotations

from xenfs.simulator.world.host import Host
from xenfs.simulator.world.policies import ARCH_CAPABILITIES, PLATFORM_INFO, Limits, Policy
from xenfs.simulator.world.processor import NO_SUBLEAF, Processor, Registers

LINE = 64  # bytes of a cache line
MONITORED = (LINE, LINE, 3, 0x11)


def raw(cpu: Processor, host: Host, known: Limits) -> Policy:
    """Everything that the first CPU says, as far as this Xen has a place for it."""
    policy = Policy({}, {PLATFORM_INFO: cpu.platform_info}, known)
    for leaf, registers in _simple(cpu, host).items():
        policy.leaves[leaf, NO_SUBLEAF] = registers
    for subleaf, registers in enumerate(cpu.caches):
        policy.leaves[4, subleaf] = registers
    policy.leaves[7, 0] = (2 if cpu.words[13] else 0, 0, 0, 0)
    for subleaf, registers in enumerate(_topology(host)):
        policy.leaves[0xB, subleaf] = registers
    _extended_state(policy, cpu)
    policy.msrs[ARCH_CAPABILITIES] = 0
    policy.words = list(cpu.words)
    policy.msrs[ARCH_CAPABILITIES] = cpu.words[16] | cpu.words[17] << 32
    return policy


def _simple(cpu: Processor, host: Host) -> dict[int, Registers]:
    """The leaves without subleaves; features come on top."""
    threads = host.threads * host.cores
    found = {
        0: cpu.vendor_registers(cpu.max_leaf),
        1: (cpu.signature, threads << 16 | LINE // 8 << 8, 0, 0),
        5: MONITORED,
        6: (cpu.thermal, 2 if cpu.thermal & 1 else 0, 1, 0),
        0x80000000: cpu.vendor_registers(cpu.max_extended),
        0x80000008: (cpu.address_bits | 0x3000, 0, threads - 1, 0),
        0x8000000A: cpu.svm,
    }
    if cpu.caches:  # Intel has these leaves, AMD those below
        found[2] = (0x00FEFF01, 0x000000F0, 0, 0)
        found[0xA] = (0x08300805, 0, 0xF, 0x8603)
        found[0x80000000] = (cpu.max_extended, 0, 0, 0)
    else:
        found[0x80000001] = (cpu.signature, 0x40000000, 0, 0)
        found[0x80000005] = (0xFF40FF40, 0xFF40FF40, 0x20080140, 0x20080140)
        found[0x80000006] = (0x48002200, 0x68004200, 0x02006140, cpu.l3_kib // 512 << 18 | 0x9140)
    return found | {leaf: cpu.brand_registers(leaf) for leaf in (0x80000002, 0x80000003, 0x80000004)}


def _topology(host: Host) -> tuple[Registers, Registers]:
    """Leaf 0xb: threads of a core, then all of a socket; the highest APIC id bits that tell them apart."""
    cores = max(1, (host.cores - 1).bit_length())
    return (1, host.threads, 0x100, 0), (cores + 1, host.threads * host.cores, 0x201, 0)


def _extended_state(policy: Policy, cpu: Processor) -> None:
    size = max((size + offset for size, offset in cpu.xstates.values()), default=576)
    policy.leaves[0xD, 0] = (cpu.xcr0, size, size, 0)
    policy.leaves[0xD, 1] = (0, size, 0, 0)
    for number, (nbytes, offset) in cpu.xstates.items():
        policy.leaves[0xD, number] = (nbytes, offset, 2 if number in (17, 18) else 0, 0)
