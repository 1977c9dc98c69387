"""A wrong layout in the act: a Xen that writes past what its caller made room for is told of, in `error_log` too."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import cffi
import pytest

from xenfs import abi
from xenfs.calls import domains
from xenfs.connect.opening import open_hypervisor
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes import tree
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.refusals import Refusals
from xenfs.options import Options
from xenfs.simulator import Simulator

FFI = cffi.FFI()
ROW = "struct xen_domctl_getdomaininfo"


class NoBounds:
    """The caller's memory as a real Xen sees it: every byte of the process is as good as the next."""

    def locate(self, address: int, nbytes: int) -> memoryview:
        return memoryview(FFI.buffer(FFI.cast("char *", address), nbytes))


@pytest.fixture
def refusals() -> Refusals:
    return Refusals()


@pytest.fixture
def xen(refusals: Refusals) -> Iterator[Hypervisor]:
    """A 4.17 with more domains than one batch has, as `xenfs mount -o pool_check` opens it."""
    sim = Simulator.from_settings("xen=4.17,domains=600")
    made = open_hypervisor(sim, pool_check=True, on_violation=refusals.add_violation)
    sim.attach(NoBounds())
    yield made
    made.close()


def error_log(xen: Hypervisor, refusals: Refusals) -> str:
    node = tree.build(xen, Options(), refusals)
    for name in ("xenfs", "error_log"):
        assert isinstance(node, Dir)
        found = node.child(xen, (), name)
        assert found is not None
        node = found[0]  # type: ignore[assignment]
    assert isinstance(node, File)
    return node.produce(xen, ()).decode()


def test_the_right_stride_is_left_alone(xen: Hypervisor, refusals: Refusals) -> None:
    assert len(domains.infos(xen)) == 600
    assert error_log(xen, refusals) == ""


@pytest.mark.logs("write past the end of")
def test_a_stride_of_4_15_on_a_domain_list_of_4_17(
    xen: Hypervisor, refusals: Refusals, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = abi.load((4, 15)), abi.load((4, 17))
    short = old.sizeof(ROW)
    assert short < new.sizeof(ROW)
    old.sysctl = new.sysctl  # the version that this Xen takes, with the layouts of one that it does not
    mistaken = Hypervisor(xen.backend, xen.pool, old)
    with caplog.at_level(logging.ERROR):
        domains.infos(mistaken)
    line = error_log(xen, refusals).splitlines()[0]
    for text in (line, caplog.text):
        assert f"of {512 * short} bytes, last used by sysctl getdomaininfolist: byte {512 * short} and on is" in text
        assert "write past the end of buffer" in text
    assert " xenfs/buffers: EFAULT: " in line
    hits = xen.pool.stat()["red_zone_hits"]
    assert hits >= 1
    assert len(domains.infos(xen)) == 600
    again = [xen.pool.take(512 * short).name for _ in range(4)]
    assert xen.pool.stat()["red_zone_hits"] == hits
    number = line.split("buffer ")[1].split(".")[0]
    assert not any(name.startswith(f"buffer {number}.") for name in again)  # it is retired, the others serve on
    for block in xen.pool._stock.blocks():
        if block.lent:
            block.lent.release()
