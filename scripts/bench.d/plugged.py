"""xenfs on the simulator, with the counters of its networks and disks in files as dom0 has them in /sys and /proc."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from xenfs.cli import mount
from xenfs.hypervisor.devices import BLOCK, Counters, SysfsCounters
from xenfs.simulator import Simulator
from xenfs.simulator.settings import parse
from xenfs.simulator.world.devices import DISK_STEP, FIRST_DISK

SETTINGS = "domains={},vcpus=4,cpus=64,devices=4"
NUMBER = "1234567890\n"
_COLUMNS = 16  # of /proc/net/dev


class Plugged(Simulator):
    """A pretended host whose dom0 has its counters below `root`."""

    root = ""

    def counters(self) -> Counters | None:
        """Those of the files."""
        if not hasattr(self, "_files"):
            self._files = SysfsCounters(self.root)
        return self._files


@contextmanager
def tree(domains: int) -> Iterator[str]:
    """Two networks and two disks of each domain, in memory, as Linux shows them to whoever counts."""
    with TemporaryDirectory(prefix="xenfs-bench-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as root:
        os.chmod(root, 0o755)  # the daemon gives up being root
        backends, lines = Path(root, "sys/bus/xen-backend/devices"), ["Inter-|   Receive", " face |bytes"]
        for domid in range(1, domains):
            for number in (0, 1):
                (backends / f"vif-{domid}-{number}" / "net").mkdir(parents=True)
                lines.append(f"vif{domid}.{number}: " + " ".join([NUMBER.strip()] * _COLUMNS))
            for number in (FIRST_DISK, FIRST_DISK + DISK_STEP):
                statistics = backends / f"vbd-{domid}-{number}" / "statistics"
                statistics.mkdir(parents=True)
                for name in BLOCK:
                    (statistics / name).write_text(NUMBER)
        Path(root, "proc/1/net").mkdir(parents=True)
        Path(root, "proc/1/net/dev").write_text("\n".join(lines) + "\n")
        yield root


def a_number(root: str) -> str:
    """The path of one of the files below `root`."""
    return f"{root}/sys/bus/xen-backend/devices/vbd-1-{FIRST_DISK}/statistics/rd_req"


def main() -> None:
    """Serve as `xenfs mount` does, with --domains and --counters in the place of --hypervisor."""
    parser = ArgumentParser(description=__doc__)
    mount.add_arguments(parser)
    parser.add_argument("--domains", type=int, required=True)
    parser.add_argument("--counters", required=True)
    args = parser.parse_args()
    args.hypervisor = Plugged(parse(SETTINGS.format(args.domains)))
    args.hypervisor.root = args.counters
    mount.run(args)


if __name__ == "__main__":
    main()
