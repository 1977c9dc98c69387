"""A xenstored that is alive and says nothing, as one that is of another Xen: names are not there, all else is."""

from __future__ import annotations

import errno

import pytest
from worlds import Host

from xenfs.errors import XenfsError
from xenfs.xenstore import FakeXenstore
from xenfs.xenstore.base import Path


class Deaf(FakeXenstore):
    """Answers until it is told to stop."""

    deaf = False

    def read(self, path: Path) -> bytes | None:
        if self.deaf:
            raise XenfsError("xenstore did not answer within 5 s", errno.ETIMEDOUT)
        return super().read(path)


@pytest.fixture
def host() -> Host:
    made = Host()
    assert isinstance(made.xen.store, FakeXenstore)
    made.xen.store = Deaf(made.xen.store.nodes)
    return made


@pytest.mark.logs("xenstore does not answer: by-name/ is empty until it does")
def test_a_directory_of_names_is_empty_and_not_broken(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    store = host.xen.store
    assert isinstance(store, Deaf)
    assert "database" in host.names("domains/by-name")
    assert host.names("cpupools/by-name")
    store.deaf = True
    for _ in range(3):
        assert host.names("domains/by-name") == host.names("cpupools/by-name") == []
        assert not host.has("domains/by-name/database")
    said = [record for record in caplog.records if "xenstore does not answer" in record.getMessage()]
    assert len(said) == 1, "once"
    assert host.value("domains/3/state")
    assert host.names("domains/by-uuid")
    store.deaf = False
    assert "database" in host.names("domains/by-name")
    store.deaf = True
    host.names("domains/by-name")
    said = [record for record in caplog.records if "xenstore does not answer" in record.getMessage()]
    assert len(said) == 2, "once each time"
    host.xen.close()


def test_who_waits_for_xenstore_says_so_before(host: Host) -> None:
    """So that others may compute meanwhile; not where all is known."""
    store = host.xen.store
    assert isinstance(store, Deaf)
    order: list[str] = []
    read_many = store.read_many
    store.read_many = lambda paths: order.append("asked") or read_many(paths)  # type: ignore[method-assign]
    host.xen.names.waits = lambda: order.append("waits")
    assert host.value("domains/1/name")
    assert order == ["waits", "asked"]
