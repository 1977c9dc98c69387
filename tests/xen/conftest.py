"""The acceptance suite: a xenfs that is mounted, in dom0 on the real Xen, elsewhere on the simulator.

XENFS_TEST_HYPERVISOR chooses what is mounted, as --hypervisor does. Without it, that is privcmd on a dom0.
"""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import xen_peers
import xen_raw
import xen_seen
from xen_guests import Guest, bare, created_by_xl, of_on_xen
from xen_mount import CHECKOUT, Mount, mounted

from xenfs.connect.opening import open_hypervisor
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.privcmd import under_xen

HYPERVISOR = os.environ.get("XENFS_TEST_HYPERVISOR") or ("privcmd" if under_xen() else "simulator:domains=28")
REAL = HYPERVISOR == "privcmd"
MOUNTED = os.environ.get("XENFS_MOUNTED")
KINDS = ("pv", "pvh")  # the first that there is: see _at_rest
SLOW_S = 1200  # under emulation, and with other work on the machine, a test and what it needs may take minutes

_compared: list[xen_peers.Comparison] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)
    here = str(CHECKOUT / "tests" / "xen")
    for item in items:
        if str(item.path).startswith(here):
            if REAL:
                item.add_marker(pytest.mark.timeout(SLOW_S))
            if not os.access("/dev/fuse", os.R_OK | os.W_OK):
                item.add_marker(pytest.mark.skip(reason="/dev/fuse cannot be opened here"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _compared:
        terminalreporter.section("xenfs beside dom0's tools")
        for line in xen_peers.table(_compared):
            terminalreporter.write_line(line)


@pytest.fixture
def compared() -> list[xen_peers.Comparison]:
    """Where a test notes what it has compared, for the table at the end of the run."""
    return _compared


@pytest.fixture(scope="session")
def hypervisor() -> str:
    """What is mounted: privcmd, or simulator with its settings."""
    return HYPERVISOR


@pytest.fixture(scope="session")
def real() -> bool:
    """Whether a real Xen is underneath."""
    return REAL


@pytest.fixture(scope="session")
def mount(foreign: str) -> Iterator[Mount]:
    """One mount for most of the tests, with everything in it that does not need -o raw; or one that is there already.

    What only looks can be tried on the packaged unit so: scripts/package.d/in-dom0.
    """
    if MOUNTED:
        yield Mount(Path(MOUNTED))
        return
    with mounted(HYPERVISOR, "lifecycle", "debug", "pool_check", announced=["xenstore"] if foreign else []) as found:
        if REAL:
            release = f"{found.value('version/major')}.{found.value('version/minor')}"
            xen_seen.begin(release, found.flat("xenfs/interface")["arch"], found.value("host/scheduler"))
        yield found


@pytest.fixture(scope="module")
def raw(mount: Mount) -> Iterator[Mount]:
    """Another mount with raw/ too, for what a real Xen does; after `mount`, which says what Xen this is."""
    if not REAL:
        pytest.skip("what a real Xen does is asked here")
    with mounted(HYPERVISOR, "raw", "lifecycle", "debug") as found:
        yield found


@pytest.fixture(scope="module")
def as_the_unit(guest: Guest) -> Iterator[Mount]:
    """Mounted as contrib/xenfs.service does, beside a guest: another user, in a network of its own."""
    with mounted(HYPERVISOR, "run_as=nobody", inside=("unshare", "--net")) as found:
        yield found


@pytest.fixture
def pvh(raw: Mount) -> Iterator[xen_raw.Made]:
    """A PVH domain of the test's own, with pages."""
    with xen_raw.made(raw, "pvh", 64) as one:
        yield one


@pytest.fixture(scope="session")
def no_peers() -> str:
    """Why there are no tools to compare with; empty where there are."""
    return xen_peers.missing() if REAL else "the simulator has no peers"


@pytest.fixture(scope="session", autouse=True)
def _at_rest(no_peers: str) -> None:
    """Pause the PVH guest that on-xen started. On x86 QEMU's emulation of SVM loses a running one now and then, which
    reboots as another domain in the middle of a test."""
    if REAL and not no_peers and platform.machine() == "x86_64":
        subprocess.run(["xl", "pause", "gpvh"], timeout=60, capture_output=True, check=False)


@pytest.fixture
def peers(no_peers: str) -> None:
    """For tests that need dom0's tools."""
    if no_peers:
        pytest.skip(no_peers)


@pytest.fixture(scope="session")
def foreign(no_peers: str) -> str:
    """Why dom0's tools are no help with this real Xen: its xenstored may refuse all, its guests are bare. Or empty."""
    return no_peers if REAL else ""


@pytest.fixture
def at_home(foreign: str) -> None:
    """For tests that need a xenstored of this Xen's, or guests with something in them."""
    if foreign:
        pytest.skip(foreign)


@pytest.fixture(scope="session")
def xen() -> Iterator[Hypervisor]:
    """The test's own way to the real Xen, beside the mounted one."""
    if not REAL:
        pytest.skip("needs a real Xen")
    found = open_hypervisor("privcmd", pool_check=True)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="session")
def guest(request: pytest.FixtureRequest, mount: Mount, no_peers: str) -> Iterator[Guest]:
    """A guest whose settings may be changed, and which nothing else changes: where there is one, that of on-xen."""
    if not REAL:
        yield _simulated(mount, "web-2")
        return
    if no_peers:
        made = bare(request.getfixturevalue("xen"), 0, vcpus=2)
    else:
        kind = next(kind for kind in KINDS if os.path.exists(f"/guest/{kind}.cfg"))
        made = of_on_xen(f"g{kind}") or created_by_xl("changed", f"/guest/{kind}.cfg", booted=True)
    try:
        yield made
    finally:
        made.destroy()


_SPARE = ["legacy", "nightly", "build-farm", "mail", "web-1", "standby", "desktop", "database"]
_SPARE += [f"guest-{domid}" for domid in range(17, 33)]


@pytest.fixture
def doomed(request: pytest.FixtureRequest, mount: Mount) -> Iterator[Callable[..., Guest]]:
    """Makes domains to be destroyed."""
    made: list[Guest] = []

    def make(**more: object) -> Guest:
        if REAL:
            made.append(bare(request.getfixturevalue("xen"), **{"domid": 0, **more}))  # type: ignore[arg-type]
        else:
            made.append(_simulated(mount, _SPARE.pop()))
        return made[-1]

    yield make
    for one in made:
        one.destroy()


def _simulated(mount: Mount, name: str) -> Guest:
    return Guest(int(os.path.basename(os.readlink(mount.path(f"domains/by-name/{name}")))), name)
