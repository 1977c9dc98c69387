"""What Xen keeps for a guest in pages of its own, on a real Xen: its grant table, and what a processor traces."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest
from xen_guests import Guest, of_on_xen
from xen_mount import Mount


def _table(mount: Mount, guest: Guest) -> dict[str, list[str]]:
    """The words of each line by its first; that Xen did not make the table larger for it."""
    frames = mount.value(guest.node("grants/frames"))
    found = {ref: words for ref, *words in map(str.split, mount.value(guest.node("grants/table")).splitlines())}
    assert mount.value(guest.node("grants/frames")) == frames
    return found


@pytest.mark.usefixtures("at_home")
def test_a_guest_grants_its_rings(mount: Mount, guest: Guest, real: bool) -> None:
    """To who serves them, at the frames that xenstore knows: of the machine for a PV guest."""
    guests = [guest]
    if real and (other := of_on_xen("gpvh")) is not None and other.domid != guest.domid:
        guests.append(other)
    for each in guests:
        before = mount.flat("xenfs/mappings")["mappings"]
        table = _table(mount, each)
        assert int(mount.flat("xenfs/mappings")["mappings"]) > int(before)
        for ref, ring in (("0", "console"), ("1", "store")):
            flags, domid, frame = table[ref]
            assert (flags.split(",")[0], domid) == ("access", "0")
            if real:
                path = f"/local/domain/{each.domid}/{ring}/ring-ref"
                said = subprocess.run(["xenstore-read", path], check=True, timeout=60, capture_output=True, text=True)
                assert int(frame, 16) == int(said.stdout), (each.name, ring)


def test_a_domain_that_grants_nothing(mount: Mount, doomed: Callable[..., Guest], real: bool) -> None:
    guest = doomed()
    if mount.has(guest.node("grants/table")):  # on Arm not before 4.15
        assert bool(_table(mount, guest)) != real, "a bare domain has done nothing yet"
    assert not mount.has("domains/0/grants/table"), "Xen gives nobody its own"


def test_no_traces_without_a_processor_that_writes_them(mount: Mount, guest: Guest) -> None:
    if "vmtrace" not in mount.value("host/virt_caps").split():
        assert not mount.has(guest.node("vcpus/0/vmtrace/buffer"))
