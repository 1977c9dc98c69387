"""contrib/xenfs.service under a real systemd, on a real Xen: start, death, restart, the journal, stop."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import under_systemd
from xen_guests import bare

from xenfs.calls.domctl import unpause
from xenfs.hypervisor.base import Hypervisor

SECONDS = 900  # it starts Python a dozen times, under emulation
pytestmark = [
    pytest.mark.timeout(SECONDS + 120),
    pytest.mark.once("what systemd makes of the unit; scripts/package --on-xen starts it under Debian 13's"),
]

_END = """
import sys
from xenfs.calls import domctl
from xenfs.connect.opening import open_hypervisor
domctl.destroy(open_hypervisor("privcmd"), int(sys.argv[1]))
"""
_doomed: list[int] = []


@pytest.fixture(scope="module")
def said(xen: Hypervisor) -> dict[str, str]:
    """What came of each section of the script, in which a domain ends while the daemon is dead."""
    guest, doomed = bare(xen, 0), bare(xen, 0)
    try:
        unpause(xen, guest.domid)  # harmless: its vCPU is down
        _doomed.append(doomed.domid)
        end = f"cd $CHECKOUT && {sys.executable} -c '{_END}' {doomed.domid}"
        return under_systemd.said(guest.domid, SECONDS, after_both=f"1 gone {doomed.domid}", meanwhile=end)
    finally:
        guest.destroy()
        doomed.destroy()


@pytest.mark.parametrize("holds", under_systemd.CLAIMS, ids=lambda claim: claim.__name__)
def test_unit(said: dict[str, str], holds: Callable[[dict[str, str]], None]) -> None:
    holds(said)


def test_who_watches_is_told_what_happened_meanwhile(said: dict[str, str]) -> None:
    assert said["both"].count(f" gone {_doomed[0]} ") == 1, said["both"]
    assert " created " not in said["both"], "the others are the same as before"
