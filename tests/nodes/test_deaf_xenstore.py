"""A xenstored that is alive and says nothing, as one that is of another Xen: names are not there, all else is."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from worlds import Host

from xenfs.errors import XenfsError
from xenfs.xenstore import FakeXenstore
from xenfs.xenstore.base import Path
from xenfs.xenstore.wire import ErrorReply, Message, Op


class Deaf(FakeXenstore):
    """Answers until it is told to stop."""

    deaf = False
    private = ""
    refusal = errno.EACCES

    def read(self, path: Path) -> bytes | None:
        if self.private and str(path).startswith(self.private):
            request = Message(Op.READ, 1, 0, str(path).encode())
            raise ErrorReply(request, errno.errorcode[self.refusal].encode())
        if self.deaf:
            raise XenfsError("xenstore did not answer within 5 s", errno.ETIMEDOUT)
        return super().read(path)

    def directory(self, path: Path) -> list[bytes] | None:
        self.read(path)
        return super().directory(path)


@pytest.fixture
def host() -> Host:
    made = Host()
    assert isinstance(made.xen.store, FakeXenstore)
    made.xen.store = Deaf(made.xen.store.nodes)
    return made


@pytest.mark.logs("xenstore does not answer: by-name/ and devices/ are empty until it does")
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


def test_a_name_that_is_refused_hides_no_other(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    """Who refuses is not silent: other names are there, and the log says nothing, however often they are listed."""
    store = host.xen.store
    assert isinstance(store, Deaf)
    everybody = set(host.names("domains/by-name"))
    assert host.value("domains/3/name") == "database"
    store.private = "/local/domain/3/name"
    host.xen.names.changed(3)  # its permissions are others: a watch fires
    for _ in range(3):
        assert set(host.names("domains/by-name")) == everybody - {"database"}
        assert host.names("cpupools/by-name")
    assert host.value("domains/3/state")
    store.private = "/local"  # an old xenstored may say so of what is above, or say something else
    store.refusal = errno.EINVAL
    for domid in range(20):
        host.xen.names.changed(domid)
    for _ in range(3):
        host.names("domains/by-name")
        host.names("cpupools/by-name")
    assert not [record for record in caplog.records if record.name == "xenfs.xenstore.names"]
    host.xen.close()


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param("deaf", marks=pytest.mark.logs("xenstore does not answer: by-name/ and devices/ are empty")),
        "refused",
    ],
)
def test_devices_nobody_tells_of_are_an_empty_directory(host: Host, fault: str) -> None:
    """A walk over the tree goes on; who asks for one device hears why it cannot be had."""
    store = host.xen.store
    assert isinstance(store, Deaf)
    numbers = host.names("domains/3/devices/vif")
    assert numbers
    store.deaf, store.private = fault == "deaf", "/" if fault == "refused" else ""
    assert host.names("domains/3/devices/vif") == host.names("domains/3/devices/vbd") == []
    with pytest.raises(XenfsError) as problem:
        host.value(f"domains/3/devices/vif/{numbers[0]}/backend")
    assert problem.value.errno == (errno.ETIMEDOUT if fault == "deaf" else errno.EACCES)
    store.deaf, store.private = False, ""
    assert host.names("domains/3/devices/vif") == numbers
    host.xen.close()


@pytest.mark.parametrize("path", ["domains/1/name", "domains/names", "metrics/xen.prom", "cpupools/by-name"])
def test_who_waits_for_xenstore_says_so(host: Host, path: str) -> None:
    """So that others may compute meanwhile."""
    store = host.xen.store
    assert isinstance(store, Deaf)
    order: list[str] = []
    read_many = store.read_many
    store.read_many = lambda paths: order.append("asked") or read_many(paths)  # type: ignore[method-assign]

    @contextmanager
    def waiting() -> Iterator[None]:
        order.append("waits")
        yield
        order.append("goes on")

    host.xen.names.waiting = waiting
    assert host.names(path) if path.endswith("by-name") else host.value(path)
    asked = [at for at, what in enumerate(order) if what == "asked"]
    assert asked
    assert all(order[at - 1 : at + 2] == ["waits", "asked", "goes on"] for at in asked)
