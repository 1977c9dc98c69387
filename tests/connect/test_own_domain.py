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
        there, host.xen.store, host.xen.own_domid = host.xen.store, Away({}), None
        assert own_domid(host.xen) == 0
        assert host.xen.own_domid is None, "asked again later"
        with pytest.raises(BadInput):
            host.write("domains/0/kill", "1")
        host.write("domains/1/freeze", "1")
        assert host.value("domains/1/freeze") == "1"
        assert "kill" in host.names("domains/1")
        host.xen.store = there
        assert own_domid(host.xen) == 0
        assert host.xen.own_domid == 0
