"""What the console ring holds before anybody asks for anything: the pretended Xen booting."""

from __future__ import annotations

from xenfs.simulator.answers.version_op import commandline, identity, release
from xenfs.simulator.machine import Machine
from xenfs.simulator.world.cpupools import SCHEDULERS


def write(xen: Machine) -> None:
    """Print the banner and the boot messages."""
    about, world, host = identity(xen), xen.world, xen.world.host
    builder = f"{about['compile_by']}@{about['compile_domain']}"
    world.banner = [
        f"Xen version {release(xen)} ({builder}) ({about['compiler']}) debug=n {about['compile_date']}",
        f"Latest ChangeSet: {about['changeset']}",
        f"build-id: {world.digest('build', xen.settings.xen, size=20).hex()}",
        f"Command line: {commandline(xen)}",
    ]
    world.console.print(*world.banner)
    for start, nbytes, kind in host.memory_map() if xen.x86 else ():
        kinds = {1: "usable", 2: "reserved", 3: "ACPI data"}
        world.console.print(f" [{start:016x}, {start + nbytes - 1:016x}] ({kinds[kind]})")
    world.console.print(
        f"System RAM: {host.total_pages // 256}MB ({host.total_pages * 4}kB)",
        f"SMP: Allowing {host.nr_cpus} CPUs (0 hotplug CPUs)",
        f"Using scheduler: SMP {SCHEDULERS[world.pools.by_id[0].scheduler]} Scheduler",
        f"Detected {host.cpu_khz // 1000}.{host.cpu_khz % 1000:03} MHz processor.",
        f"Brought up {host.nr_cpus} CPUs",
        "Scheduling granularity: cpu, 1 CPU per sched-resource",
        "*** Building a {} Dom0 ***".format({"pv": "PV", "pvh": "PVH"}[world.domains[0].kind]),
        "*** Serial input to DOM0 (type 'CTRL-a' three times to switch input)",
    )
