"""What the processors can do beside what xen-cpuid, xen-ucode and dom0's own kernel say; and what they cannot do."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from xen_guests import Guest
from xen_mount import Mount, failure
from xen_peers import Comparison, colon, in_short, said

from xenfs.abi.features import FEATURES
from xenfs.hypervisor.base import Hypervisor

pytestmark = pytest.mark.usefixtures("peers")


class Beside(NamedTuple):
    """A node, the tool that says the same, and what that calls it."""

    node: str
    command: str
    name: str


SETS = [
    Beside("host/cpuid/featuresets/raw", "xen-cpuid", "Raw"),
    Beside("host/cpuid/featuresets/host", "xen-cpuid", "Host"),
    Beside("host/cpuid/featuresets/pv", "xen-cpuid", "PV Default"),
    Beside("host/cpuid/featuresets/hvm", "xen-cpuid", "HVM Default"),
    Beside("host/cpuid/featuresets/pv_max", "xen-cpuid", "PV Max"),
    Beside("host/cpuid/featuresets/hvm_max", "xen-cpuid", "HVM Max"),
]
POLICIES = [
    Beside("host/cpuid/policies/raw", "xen-cpuid -p", "Raw"),
    Beside("host/cpuid/policies/host", "xen-cpuid -p", "Host"),
    Beside("host/cpuid/policies/pv_max", "xen-cpuid -p", "PV Max"),
    Beside("host/cpuid/policies/hvm_max", "xen-cpuid -p", "HVM Max"),
    Beside("host/cpuid/policies/pv_default", "xen-cpuid -p", "PV Default"),
    Beside("host/cpuid/policies/hvm_default", "xen-cpuid -p", "HVM Default"),
]
MICROCODE = [
    Beside("host/cpus/0/microcode/version", "xen-ucode show-cpu-info", r"revision (0x[0-9a-f]+)"),
    Beside("host/cpus/0/microcode/signature", "xen-ucode show-cpu-info", r"raw (0x[0-9a-f]+)"),
]


@pytest.fixture(autouse=True)
def _x86(xen: Hypervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian has some tools beside Xen's libraries, a folder for each release."""
    if xen.abi.arch != "x86_64":
        pytest.skip("operations of x86")
    release = ".".join(map(str, xen.abi.release))
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}:/usr/lib/xen-{release}/bin")


def run(command: str) -> str:
    """What a tool says; there may be none."""
    if not shutil.which(command.split()[0]):
        pytest.skip(f"no {command.split()[0]} here")
    return said(command)


def check(row: Beside, mine: str, theirs: str, compared: list[Comparison]) -> None:
    """Note what was compared, and that it agrees."""
    compared.append(Comparison(row.node, row.command, in_short({"": mine}), in_short({"": theirs}), mine == theirs))
    assert mine == theirs


@pytest.mark.parametrize("row", SETS, ids=lambda row: row.node)
def test_featuresets(row: Beside, mount: Mount, compared: list[Comparison]) -> None:
    text = run(row.command).partition("Dynamic sets")[2]
    words = dict(re.findall(r"^(\S[\w ]*?) +([0-9a-f:]{8,})$", text, re.M))
    if not mount.has(row.node):
        pytest.skip("this Xen does not tell it")
    check(row, mount.value(row.node), words[row.name], compared)


def sections(text: str) -> dict[str, list[str]]:
    """The policies that xen-cpuid -p prints, by name, each as lines of ours; it leaves leaves of zeros out."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if head := re.match(r"(\S.*) policy: \d+ leaves, \d+ MSRs", line):
            lines = found.setdefault(head[1], [])
        elif leaf := re.fullmatch(r" +(\w{8}:\w{8}) -> (\w{8}):(\w{8}):(\w{8}):(\w{8})", line):
            lines.append(f"{leaf[1]} -> {' '.join(leaf.groups()[1:])}")
        elif msr := re.fullmatch(r" +(\w{8}) -> (\w{16})", line):
            lines.append(f"{msr[1]} -> {msr[2]}")
    return found


def told(text: str) -> str:
    """Lines of ours without leaves of zeros."""
    return "\n".join(line for line in text.splitlines() if not line.endswith("-> " + " ".join(["00000000"] * 4)))


@pytest.mark.parametrize("row", POLICIES, ids=lambda row: row.node)
def test_policies(row: Beside, mount: Mount, compared: list[Comparison]) -> None:
    check(row, told(mount.value(row.node)), "\n".join(sections(run(row.command))[row.name]), compared)


def test_policies_of_domains(mount: Mount, guest: Guest, compared: list[Comparison]) -> None:
    for domid in mount.numbers("domains"):
        row = Beside("domains/0/cpuid/policy", "xen-cpuid -p", f"Domain {domid}")
        theirs = sections(run(f"{row.command} {domid}"))[row.name]
        check(row, told(mount.value(f"domains/{domid}/cpuid/policy")), "\n".join(theirs), compared)


def test_a_policy_is_written_and_read_by_the_peer(
    mount: Mount, doomed: Callable[..., Guest], compared: list[Comparison]
) -> None:
    """AES is taken from a domain that has not run; what Xen refuses is named, and changes nothing."""
    domid = doomed().domid
    node = f"domains/{domid}/cpuid/policy"
    before = mount.value(node)
    line = next(line for line in before.splitlines() if line.startswith("80000001:"))
    words = line.split(" ")
    words[-1] = f"{int(words[-1], 16) & ~(1 << 27 | 1 << 20):08x}"
    mount.write(node, " ".join(words))
    assert line not in mount.value(node).splitlines()
    theirs = sections(run(f"xen-cpuid -p {domid}"))[f"Domain {domid}"]
    check(Beside("domains/0/cpuid/policy", "xen-cpuid -p", ""), told(mount.value(node)), "\n".join(theirs), compared)
    now = mount.value(node)
    zeros = " ".join(["00000000"] * 4)
    for text, code, named in (
        (f"00000012:ffffffff -> {zeros}", errno.ERANGE, "CPUID leaf 0x12"),
        (f"00000001:00000003 -> {zeros}", errno.ERANGE, "CPUID leaf 0x1, subleaf 0x3"),
        ("00000000:ffffffff -> 000000ff 00000000 00000000 00000000", errno.EINVAL, "CPUID leaf 0x0"),
        ("0000001b -> 0", errno.ERANGE, "MSR 0x1b"),
    ):
        assert failure(lambda text=text: mount.write(node, text)) == code, text  # type: ignore[misc]
        assert named in mount.value("xenfs/error_log")
    assert mount.value(node) == now


def features(mount: Mount, domid: int) -> set[str]:
    return set(mount.value(f"domains/{domid}/cpuid/features").split())


@pytest.mark.parametrize("hvm", [False, True], ids=["pv", "pvh"])
def test_features_are_taken_and_given_by_name(
    hvm: bool, mount: Mount, doomed: Callable[..., Guest], compared: list[Comparison]
) -> None:
    """Beside the bits that the peer shows of the domain; what is built on a feature goes with it."""
    domid = doomed(hvm=hvm).domid
    node = f"domains/{domid}/cpuid/policy"
    text, before = mount.value(node), features(mount, domid)
    assert {"sse2", "sse3", "lm", "cx16", "lahf-lm"} <= before

    def theirs(leaf: str, register: int, bit: int) -> str:
        lines = sections(run(f"xen-cpuid -p {domid}"))[f"Domain {domid}"]
        return str(int(next(line for line in lines if line.startswith(leaf)).split(" ")[1 + register], 16) >> bit & 1)

    def mine(name: str) -> str:
        return str(int(name in features(mount, domid)))

    mount.write(node, "-cmpxchg16\n-sse3")
    for name, leaf, register, bit in (
        ("cx16", "00000001:", 3, 13), ("sse3", "00000001:", 3, 0), ("sse2", "00000001:", 4, 26),
        ("lahf-lm", "80000001:", 3, 0), ("nx", "80000001:", 4, 20),
    ):  # fmt: skip
        check(
            Beside("domains/0/cpuid/features", "xen-cpuid -p", name), mine(name), theirs(leaf, register, bit), compared
        )
    assert features(mount, domid) == before - {"cx16", "sse3"}
    mount.write(node, "+sse3\n+cx16")
    assert mount.value(node) == text
    mount.write(node, "-sse2")
    gone = before - features(mount, domid)
    assert {"sse2", "sse3", "lm", "cx16", "lahf-lm"} <= gone
    mount.write(node, "\n".join(f"+{name}" for name in gone))
    assert mount.value(node) == text
    kind, most = ("HVM or PVH", "hvm_max") if hvm else ("PV", "pv_max")
    possible = (
        set(mount.value(f"host/cpuid/features/{most}").split()) if mount.has(f"host/cpuid/features/{most}") else before
    )
    assert "avx512f" not in possible, "an emulated processor"
    for wanted, named in (
        ("+avx512f", f"no {kind} domain can have avx512f on this host"),
        ("+svm", "Xen shows svm with what it builds on" if hvm else "no PV domain can have svm"),
        ("-sse2\n+sse3", "Xen shows sse3 with what it builds on"),
    ):
        assert failure(lambda wanted=wanted: mount.write(node, wanted)) == errno.EINVAL, wanted  # type: ignore[misc]
        assert named in mount.value("xenfs/error_log")
        assert mount.value(node) == text


def named_by_the_peer(text: str) -> dict[str, tuple[int, int]]:
    """Word and bit of each name that xen-cpuid knows, all bits being set; of words that it says twice, the first."""
    found: dict[str, tuple[int, int]] = {}
    for number, names in re.findall(r"^ +\[(\d+)\] \S+ \S+ +(.*)$", text.replace("MSR_ARCH_CAPS", "MSR x"), re.M):
        for bit, name in enumerate(names.split()):
            if not name.startswith("<"):
                found.setdefault(name, (int(number), bit))
    return found


def test_names_of_features(mount: Mount, compared: list[Comparison]) -> None:
    """What both call alike is the same bit; since 4.20 the peer has no names of its own, and calls all as we do."""
    theirs = named_by_the_peer(run(f"xen-cpuid {':'.join(['ffffffff'] * 19)}"))
    alike = {name: at for name, at in theirs.items() if name in FEATURES}
    assert len(alike) > 100
    mine = {name: tuple(FEATURES[name]) for name in alike}
    check(Beside("host/cpuid/features/*", "xen-cpuid", ""), str(mine), str(alike), compared)
    if int(mount.value("version/minor")) >= 20:
        assert not theirs.keys() - FEATURES.keys()


def test_features_of_the_host(mount: Mount, compared: list[Comparison]) -> None:
    """Beside xen-cpuid -d, where that has the same names."""
    if int(mount.value("version/minor")) < 20:
        pytest.skip("xen-cpuid had names of its own before 4.20")
    text = run("xen-cpuid -d").partition("Dynamic sets")[2]
    for row in SETS:
        part = re.split(r"^\S", text.partition(f"\n{row.name} ")[2], maxsplit=1, flags=re.M)[0]
        theirs = {name for line in part.splitlines()[1:] for name in line[31:].split() if not name.startswith("<")}
        mine = set(mount.value(row.node.replace("featuresets", "features")).split())
        check(row, " ".join(sorted(mine)), " ".join(sorted(theirs)), compared)


def test_a_domain_that_runs_keeps_its_policy(mount: Mount, guest: Guest) -> None:
    node = f"domains/{guest.domid}/cpuid/policy"
    assert failure(lambda: mount.write(node, mount.value(node))) == errno.EEXIST
    assert failure(lambda: mount.write(node, "-popcnt")) == errno.EEXIST
    assert failure(lambda: mount.write("domains/0/cpuid/policy", "-popcnt")) == errno.EINVAL
    assert failure(lambda: mount.write("domains/0/cpuid/policy", mount.value("domains/0/cpuid/policy"))) == errno.EINVAL


def test_the_first_words_are_hw_caps(mount: Mount, compared: list[Comparison]) -> None:
    """But for those that AMD has in two leaves, which Xen notes once and a policy says twice."""
    words = mount.value("host/cpuid/featuresets/host").split(":")[:8]
    words[2] = f"{int(words[2], 16) & ~0x0183F3FF:08x}"
    row = Beside("host/cpuid/featuresets/host", "xl info", "hw_caps")
    check(row, ":".join(words), colon(said(row.command))[row.name], compared)


@pytest.mark.parametrize("row", MICROCODE, ids=lambda row: row.node)
def test_microcode(row: Beside, mount: Mount, compared: list[Comparison]) -> None:
    release = tuple(int(mount.value(f"version/{name}")) for name in ("major", "minor"))
    assert mount.has("host/cpus/0/microcode") == (release >= (4, 18))
    if release < (4, 18):
        pytest.skip("came with 4.18")
    theirs = re.search(row.name, run(row.command))
    assert theirs
    check(row, f"{int(mount.value(row.node), 16):#010x}", theirs[1], compared)


def test_mca_beside_the_kernel(mount: Mount, compared: list[Comparison]) -> None:
    """A PV control domain's kernel is told the same processor by CPUID."""
    keys = {
        "vendorid": "vendor_id", "family": "cpu family", "model": "model", "step": "stepping", "brandid": "model name",
    }  # fmt: skip
    for number, block in enumerate(Path("/proc/cpuinfo").read_text().strip().split("\n\n")):
        theirs = colon(block)
        mine = mount.flat(f"host/cpus/{number}/mca")
        assert mine["cpunr"] == str(number)
        for ours, kernels in keys.items():
            row = Beside(f"host/cpus/{number}/mca", "/proc/cpuinfo", kernels)
            check(row, mine[ours].strip(), theirs[kernels], compared)


def test_what_this_machine_lacks_is_absent_and_named(mount: Mount) -> None:
    """An emulated processor shares nothing out, counts nothing, and has no sensor and no number."""
    missing = dict(line.rsplit(" ", 1) for line in mount.value("xenfs/missing").splitlines())
    old = int(mount.value("version/minor")) < 16
    for register in ("THERM_STATUS", "PACKAGE_THERM_STATUS", "AMD_PPIN"):
        assert missing[f"platform_op resource_op {register}"] == ("EACCES" if old else "EPERM")
    assert missing["sysctl psr_cmt_op"] == "ENODEV"
    for name in ("get_l3_info", "get_l2_info", "get_mba_info"):
        assert missing[f"sysctl psr_alloc {name}"] == "ENODEV"
    for path in ("host/psr/cmt", "host/psr/sockets/0", "host/sockets/0", "host/cpus/0/temp1_input", "domains/0/psr"):
        assert not os.path.lexists(mount.path(path)), path
