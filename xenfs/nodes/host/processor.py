"""host/cpus/<c>/: what a CPU is, its microcode and how warm it is."""

from __future__ import annotations

from typing import Any

from xenfs.calls import mca, msr
from xenfs.calls.msr import Msr
from xenfs.calls.platform import is_online, ucode_revision
from xenfs.errors import there
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.host.sockets import has_sensor, temperature
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, File, field
from xenfs.nodes.tables.conditions import answers, every, since, x86
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.members import members


def _mca(xen: Hypervisor, cpu: int) -> str:
    found = there(mca.logical_cpu(xen, cpu), f"CPU online: {cpu}")
    rows = {name.removeprefix("mc_"): value for name, value in members(xen.abi, found)}
    spare = [name for name in rows if name.startswith("msrvalues.")]
    return show.flat({name: value for name, value in rows.items() if name not in spare} | _registers(found))


def _registers(found: Any) -> dict[str, str]:
    """The registers that are read with it, by number: what the CPU's banks can do, and its inventory number."""
    return {f"msr.{each.reg:#x}": show.hexa(each.value) for each in found.mc_msrvalues[0 : found.mc_nmsrvals]}


PROCESSOR = (
    Dir(
        "microcode",
        "Its microcode",
        (
            field(ucode_revision, "version", show.hexa, "Revision", of="revision", since="4.18"),
            field(ucode_revision, "signature", show.hexa, "What CPUID leaf 1 has in eax", since="4.18"),
            field(ucode_revision, "processor_flags", show.hexa, "Bit of its platform id", of="pf", since="4.18"),
        ),
        when=every(x86, since(4, 18), answers(lambda xen: ucode_revision(xen, 0))),
        only=is_online,
    ),
    File(
        "mca", "What the machine check code knows of it, with its name; a PV control domain only", read=_mca, tier="B",
        grows=Cost.CPUS,
        format="key value lines", call=mca.PHYSCPUINFO.name, when=every(x86, answers(mca.nr_online)), only=is_online,
    ),
    File(
        "temp1_input", "Its temperature, thousandths of a degree C", show=show.dec, since="4.22", only=is_online,
        read=lambda xen, cpu: temperature(xen, cpu, Msr.THERM_STATUS), call=msr.RESOURCE_OP.name, when=has_sensor,
    ),
)  # fmt: skip
