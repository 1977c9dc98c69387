"""`xenfs doctor` on machines of every kind, each a directory with the files that tell."""

from __future__ import annotations

import json
import os
import socket
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from xenfs.cli import checks, doctor, main
from xenfs.cli.checks import Check, Host
from xenfs.errors import StartError
from xenfs.xenstore import XenstoreClient

Machine = Callable[..., Host]

DOM0 = {
    "dev/fuse": "",
    "dev/xen/privcmd": "",
    "dev/xen/hypercall": "",
    "sys/hypervisor/type": "xen\n",
    "proc/xen/capabilities": "control_d\n",
    "proc/self/status": "Name:\tx\nCapEff:\t000001ffffffffff\n",
}
LAPTOP = {"dev/fuse": "", "proc/self/status": "CapEff:\t000001ffffffffff\n"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Builds a machine from paths and contents; `without` leaves paths out."""

    def build(files: dict[str, str], *without: str, **also: str) -> Host:
        for name, text in {**files, **also}.items():
            if name not in without:
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / name).write_text(text)
        return Host(tmp_path)

    return build


class Answering:
    """A hypervisor as far as the doctor looks."""

    abi = types.SimpleNamespace(release=(4, 17), arch="x86_64", sysctl=0x15, domctl=0x15)
    pool = types.SimpleNamespace(pages=types.SimpleNamespace(name="hypercall", faults=False))
    unusable: dict[str, str] = {}  # noqa: RUF012
    verified, doubt, release = True, "", (4, 17)
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def xen(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """What `open_hypervisor` finds; and no xenstore."""
    found = Answering()
    monkeypatch.setattr("xenfs.connect.opening.open_hypervisor", lambda name: found)
    monkeypatch.setattr("xenfs.xenstore.connect", lambda **_: None)
    return found


def one(found: list[Check], what: str) -> Check:
    return next(check for check in found if check.what == what)


def test_dom0(machine: Machine, xen: Answering) -> None:
    host = machine(DOM0)
    found = checks.examine(host)
    assert doctor.verdict(found, host) == "xen"
    assert one(found, "Xen answers").detail == "4.17 on x86_64, sysctl 0x15, domctl 0x15"
    assert one(found, "pool guarantee").detail == "hypercall pages: never fault"
    assert one(found, "xenstore").status == "warn"
    assert xen.closed


def test_a_xenstored_that_is_alive_but_deaf(
    machine: Machine, xen: Answering, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "socket"))
        deaf.listen()
        monkeypatch.setattr(
            "xenfs.xenstore.connect", lambda **_: XenstoreClient([str(tmp_path / "socket")], timeout_s=0.1)
        )
        said = one(checks.examine(machine(DOM0)), "xenstore")
    assert said.status == "warn"
    assert "by-name/ and devices/ are empty" in said.detail


def test_laptop(machine: Machine) -> None:
    host = machine(LAPTOP)
    found = checks.examine(host)
    assert doctor.verdict(found, host) == "simulator"
    assert not any(check.what == "privcmd" for check in found)


@pytest.mark.parametrize(
    ("files", "without", "also", "what", "status", "told"),
    [
        (LAPTOP, ["dev/fuse"], {}, "/dev/fuse", "FAIL", "modprobe fuse"),
        (LAPTOP, [], {"sys/hypervisor/type": "kvm"}, "hypervisor", "ok", "kvm, not Xen"),
        (DOM0, ["dev/xen/privcmd"], {}, "hypervisor", "warn", "modprobe xen-privcmd"),
        (DOM0, [], {"proc/xen/capabilities": ""}, "hypervisor", "warn", "not the control domain"),
        (DOM0, ["dev/xen/hypercall"], {}, "hypercall buffers", "warn", "locked pages"),
        (DOM0, [], {}, "privcmd", "ok", "/dev/xen/privcmd"),
        (DOM0, ["dev/xen/privcmd"], {"proc/xen/privcmd": ""}, "privcmd", "ok", "/proc/xen/privcmd"),
    ],
)
def test_what_differs(
    machine: Machine,
    xen: Answering,
    files: dict[str, str],
    without: list[str],
    also: dict[str, str],
    what: str,
    status: str,
    told: str,
) -> None:
    check = one(checks.examine(machine(files, *without, **also)), what)
    assert check.status == status
    assert told in check.detail


def test_xen_that_refuses(machine: Machine, monkeypatch: pytest.MonkeyPatch, xen: Answering) -> None:
    def refuse(name: str) -> None:
        raise StartError("Xen refused every sysctl version")

    monkeypatch.setattr("xenfs.connect.opening.open_hypervisor", refuse)
    host = machine(DOM0)
    found = checks.examine(host)
    assert one(found, "Xen answers") == ("FAIL", "Xen answers", "Xen refused every sysctl version")
    assert doctor.verdict(found, host) == "nothing"


def test_a_xen_that_is_not_known_is_warned_of(machine: Machine, xen: Answering) -> None:
    xen.verified, xen.doubt = False, "xenfs does not know Xen 4.23"
    found = one(checks.examine(machine(DOM0)), "release")
    assert found.status == "warn"
    assert found.detail == "xenfs does not know Xen 4.23; unverified: read-only without -o unverified"
    xen.release = (4, 23)
    assert one(checks.examine(machine(DOM0)), "Xen answers").detail.startswith("4.23 (taken for 4.17) on x86_64")


def test_unusable_interfaces_are_warned_of(machine: Machine, xen: Answering) -> None:
    xen.unusable = {"domctl": "an unknown version, 0x99"}
    assert one(checks.examine(machine(DOM0)), "domctl").status == "warn"


def test_memlock(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.resource, "getrlimit", lambda which: (8 << 20, 8 << 20))
    user = {"proc/self/status": "CapEff:\t0000000000000000\n"}
    assert checks.memlock(machine(DOM0)).status == "ok", "CAP_IPC_LOCK"
    assert checks.memlock(machine(DOM0, **user)).status == "ok", "/dev/xen/hypercall needs no locking"
    (machine({}).root / "dev/xen/hypercall").unlink()
    check = checks.memlock(machine({}))
    assert check.status == "warn"
    assert "8192 KiB" in check.detail


def test_mounting_as_a_user(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    host = machine({"proc/self/status": "CapEff:\t0000000000000000\n"})
    bin_directory = tmp_path_factory.mktemp("bin")
    monkeypatch.setenv("PATH", str(bin_directory))
    assert checks.mounter(host).status == "FAIL"
    helper = bin_directory / "fusermount3"
    helper.write_text("#!/bin/sh\n")
    helper.chmod(0o755)
    assert "set-user-ID" in checks.mounter(host).detail
    helper.chmod(0o4755)
    assert checks.mounter(host).status == "warn", "a minimal container without /etc/mtab"
    assert checks.mounter(machine({"etc/mtab": ""})).status == "ok"


@pytest.mark.parametrize(
    ("installed", "status"),
    [("", "FAIL"), ("3.2.1", "FAIL"), ("3.4.0", "ok"), ("3.10", "ok"), ("3.4.0+debian", "ok")],
)
def test_package_versions(monkeypatch: pytest.MonkeyPatch, installed: str, status: str) -> None:
    monkeypatch.setattr(checks, "_installed", lambda name: installed)
    assert checks.package("pyfuse3").status == status


@pytest.mark.parametrize(("installed", "said"), [("3.5.0", ["ok"]), ("3.4.2", ["warn"]), ("", [])])
def test_poll(monkeypatch: pytest.MonkeyPatch, installed: str, said: list[str]) -> None:
    monkeypatch.setattr(checks, "_installed", lambda name: installed)
    assert [check.status for check in checks.poll()] == said


@pytest.mark.parametrize(("fuse", "status", "serves"), [(True, 0, "simulator"), (False, 1, "nothing")])
def test_report(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fuse: bool,
    status: int,
    serves: str,
) -> None:
    host = machine(LAPTOP) if fuse else machine(LAPTOP, "dev/fuse")
    monkeypatch.setattr(doctor, "Host", lambda: host)
    assert main(["doctor"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert all(line[:4] in ("ok  ", "warn", "FAIL") for line in lines[:-1])
    assert len({line.index("  - ") for line in lines[:-1]}) == 1, "aligned"
    assert main(["doctor", "--json"]) == status
    report = json.loads(capsys.readouterr().out)
    assert report["serves"] == serves
    assert {"status", "what", "detail"} == set(report["checks"][0])


def test_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) in (0, 1)
    assert "Python" in capsys.readouterr().out


def test_unreadable_device(machine: Machine) -> None:
    if os.geteuid() == 0:
        pytest.skip("root opens everything")
    host = machine(LAPTOP)
    host.path("/dev/fuse").chmod(0)
    assert "run as root" in checks.fuse_device(host).detail
