"""Overlays of the device tree, on a simulated arm64 Xen that was built with them."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess

import pytest
from device_tree import overlay
from worlds import Host

from xenfs.errors import XenfsError
from xenfs.nodes.host.device_tree import checked

GOOD = overlay({"/soc": ("serial@4", "gpio@5")})


@pytest.fixture(params=["4.18", "4.22"])
def arm(request: pytest.FixtureRequest) -> Host:
    return Host(f"xen={request.param},arch=arm64,overlays=on,smmu=on")


def refused(host: Host, path: str, blob: bytes) -> XenfsError:
    with pytest.raises(XenfsError) as caught:
        host.write(path, blob)
    return caught.value


def test_nodes_come_and_go(arm: Host) -> None:
    arm.write("host/dt_overlay/add", GOOD)
    assert {"/soc/serial@4", "/soc/gpio@5"} <= set(arm.world.bus.nodes)
    again = refused(arm, "host/dt_overlay/add", GOOD)
    assert (again.errno, "is there already" in str(again)) == (errno.EINVAL, True)
    other = refused(arm, "host/dt_overlay/remove", overlay({"/soc": ("serial@4",)}))
    assert (other.errno, "these bytes were not added" in str(other)) == (errno.EINVAL, True)
    arm.world.bus.nodes["/soc/gpio@5"] = 7
    assert "a guest has a node" in str(refused(arm, "host/dt_overlay/remove", GOOD))
    arm.world.bus.nodes["/soc/gpio@5"] = 0
    arm.write("host/dt_overlay/remove", GOOD)
    assert "/soc/serial@4" not in arm.world.bus.nodes


def test_an_error_of_libfdt_is_no_errno(arm: Host) -> None:
    """1 is what it calls not found, and EPERM."""
    problem = refused(arm, "host/dt_overlay/add", overlay({"/nowhere": ("serial@4",)}))
    assert (problem.errno, str(problem)) == (errno.EINVAL, "libfdt's error 1: a target is not there")


def test_an_overlay_is_a_domain_s() -> None:
    with Host("xen=4.20,arch=arm64,overlays=on") as host:
        assert refused(host, "domains/0/dt_overlay", GOOD).errno == errno.EINVAL
        host.write("host/dt_overlay/add", GOOD)
        host.write("domains/0/dt_overlay", GOOD)
        problem = refused(host, "domains/1/dt_overlay", GOOD)
        assert (problem.errno, "not those of the machine" in str(problem)) == (errno.EOPNOTSUPP, True)
    with Host("xen=4.18,arch=arm64,overlays=on") as host:
        assert host.has("host/dt_overlay/add")
        assert not host.has("domains/0/dt_overlay")


def torn() -> list[bytes]:
    """What Xen would read beyond, or go down into without an end."""
    lies = [GOOD[:at] + b"\0\0\x7f\xff" + GOOD[at + 4 :] for at in (0, 4, 8, 12, 16, 24, 32, 36)]
    at = GOOD.index(b"\0\0\0\x03")
    return [
        *lies, GOOD[:-1], GOOD[:40], GOOD + b"\0", GOOD[:at] + b"\0\0\0\x07" + GOOD[at + 4 :],
        GOOD[: at + 4] + b"\0\1\0\0" + GOOD[at + 8 :], GOOD[: at + 8] + b"\0\1\0\0" + GOOD[at + 12 :],
        GOOD[:-1] + b"x", GOOD.replace(b"\0\0\0\x09", b"\0\0\0\x04"), GOOD.replace(b"\0\0\0\x02", b"\0\0\0\x04", 1),
        overlay({}), overlay({"/soc": ()}), overlay({"/soc": ("a",)}, deep=40),
        overlay({"/soc": ("a",)}, target="tarred-path"),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(len(torn())))
def test_what_xen_would_stumble_over(number: int) -> None:
    with Host("xen=4.20,arch=arm64,overlays=on") as host:
        before = host.counts.copy()
        for path in ("host/dt_overlay/add", "host/dt_overlay/remove", "domains/0/dt_overlay"):
            assert refused(host, path, torn()[number]).errno == errno.EINVAL
        assert not any("overlay" in name for name in host.asked(before))


def test_any_bytes_are_refused_in_words() -> None:
    for length in (0, 39, 40, 200):
        with pytest.raises(XenfsError, match="this is no overlay"):
            checked(os.urandom(length))
    for at in range(0, len(GOOD), 2):  # one bit is another, anywhere
        try:
            checked(GOOD[:at] + bytes([GOOD[at] ^ 0x10]) + GOOD[at + 1 :])
        except XenfsError as problem:
            assert problem.errno == errno.EINVAL  # noqa: PT017


SOURCE = """/dts-v1/; /plugin/;
/ { fragment@0 { target-path = "/soc"; __overlay__ { serial@4 { x = <1>; label: below { }; }; }; }; };
"""


@pytest.mark.skipif(shutil.which("dtc") is None, reason="there is no dtc here")
def test_what_dtc_makes() -> None:
    made = subprocess.run(
        ["dtc", "-@", "-I", "dts", "-O", "dtb"], input=SOURCE.encode(), capture_output=True, check=True
    )
    with Host("xen=4.20,arch=arm64,overlays=on") as host:
        host.write("host/dt_overlay/add", made.stdout)
        assert "/soc/serial@4" in host.world.bus.nodes


def test_a_xen_without_them() -> None:
    for settings in ("xen=4.20,arch=arm64", "xen=4.17,arch=arm64,overlays=on", "xen=4.20"):
        with Host(settings) as host:
            assert not host.has("host/dt_overlay")
            assert not host.has("domains/0/dt_overlay")
