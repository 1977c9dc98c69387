"""Which domain xenfs runs in: from xenstore, and while that is away, from Xen itself."""

from __future__ import annotations

import errno

import pytest
from worlds import Host

from xenfs.connect.own import own_domid
from xenfs.errors import BadInput, XenfsError
from xenfs.xenstore import FakeXenstore


class Away(FakeXenstore):
    """A xenstored that is being restarted."""

    def read(self, path: str | bytes) -> bytes | None:
        raise XenfsError("xenstore is not reachable", errno.ECONNREFUSED)

    def read_many(self, paths: object) -> list[bytes | None]:
        raise XenfsError("xenstore is not reachable", errno.ECONNREFUSED)


@pytest.mark.parametrize("settings", ["", "xen=4.14", "xen=4.22,arch=arm64"])
def test_without_xenstore_xen_is_asked(settings: str) -> None:
    with Host(settings) as host:
        host.xen.store, host.xen.own_domid = Away({}), None
        assert own_domid(host.xen) == 0
        assert host.xen.own_domid == 0, "learned once"
        with pytest.raises(BadInput):
            host.write("domains/0/kill", "1")
        host.write("domains/1/freeze", "1")
        assert host.value("domains/1/freeze") == "1"
        assert "kill" in host.names("domains/1")
        assert own_domid(host.xen) == 0


@pytest.mark.parametrize("said", [b"", b"one", b"-1", b"65535", b"9" * 4000, b"\xb2"])
def test_nonsense_is_not_believed(said: bytes) -> None:
    with Host() as host:
        host.xen.store, host.xen.own_domid = FakeXenstore({"domid": said}), None
        assert own_domid(host.xen) == 0


def test_it_is_learned_at_the_start_and_never_asked_for_again(host: Host) -> None:
    assert host.xen.own_domid == 0
    host.xen.store = Away({})
    host.counts.clear()
    assert own_domid(host.xen) == 0
    assert not host.counts
