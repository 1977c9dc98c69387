"""A slip in a declaration shows: in what a recording of a real Xen replays to, and in the simulator's tree.

tests/layouts finds every slip by measuring. This finds that the declarations are what the nodes really go by.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from replayed import FOLDER, recorded, replay
from worlds import Host, one_moment

import xenfs.abi
from xenfs.connect import opening
from xenfs.errors import XenfsError
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.contents import about_xen
from xenfs.recording.recorder import Recording
from xenfs.recording.replay import Mismatch

Slip = Callable[[str], str]


def swap(one: str, other: str) -> Slip:
    return lambda text: text.replace(one, "\0").replace(other, one).replace("\0", other)


def put(old: str, new: str) -> Slip:
    return lambda text: text.replace(old, new)


SLIPS = [
    pytest.param("domain.h", swap("tot_pages", "max_pages"), id="members of getdomaininfo swapped"),
    pytest.param("domain.h", put("domctl >= 0x14", "domctl >= 0x19"), id="getdomaininfo too short"),
    pytest.param("domain.h", swap("nr_online_vcpus", "max_vcpu_id"), id="vCPU counts swapped"),
    pytest.param("physinfo.h", put("sysctl >= 0x15", "sysctl >= 0x17"), id="physinfo as before 4.17"),
    pytest.param("physinfo.h", swap("total_pages", "free_pages"), id="page counters swapped"),
    pytest.param("physinfo.h", swap("nr_cpus", "max_cpu_id"), id="CPU counts swapped"),
    pytest.param("domctl.h", put("interface_version", "domain_version"), id="a misspelt member"),
]


@pytest.fixture
def slipped(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Slip], None]:
    """Makes a slip in a header, for all that is loaded from now on."""
    right = xenfs.abi._read

    def make(header: str, slip: Slip) -> None:
        assert slip(right(header)) != right(header), "the slip changes nothing"
        monkeypatch.setattr(opening, "abi", xenfs.abi)  # worlds.py keeps what was loaded before
        monkeypatch.setattr(xenfs.abi, "_read", lambda name: slip(right(name)) if name == header else right(name))

    return make


def texts() -> dict[str, bytes]:
    """Every file of a simulated host with its clock stopped, and that of this machine as well."""
    with one_moment(), Host("xen=4.17,domains=3,cpus=4") as host:
        return {
            place.path: place.node.produce(host.xen, place.ids)
            for place in host.files()
            if isinstance(place.node, File) and about_xen(place.path) and not place.path.startswith("xenfs/")
        }


def test_nothing_changes_without_a_slip() -> None:
    assert texts() == texts()


@pytest.mark.parametrize(("header", "slip"), SLIPS)
def test_the_replay_shows_it(slipped: Callable[[str, Slip], None], header: str, slip: Slip) -> None:
    recording = Recording.load(FOLDER / "4.17-x86_64.json.gz")
    assert replay(recording) == recorded(recording)
    slipped(header, slip)
    with contextlib.suppress(Mismatch, XenfsError, AttributeError, ValueError):  # then not even the questions match
        assert replay(recording) != recorded(recording)


@pytest.mark.parametrize(("header", "slip"), SLIPS)
@pytest.mark.filterwarnings("ignore")
def test_the_simulator_shows_it(slipped: Callable[[str, Slip], None], header: str, slip: Slip) -> None:
    right = texts()
    slipped(header, slip)
    with contextlib.suppress(XenfsError, AttributeError, ValueError, KeyError):
        assert texts() != right
