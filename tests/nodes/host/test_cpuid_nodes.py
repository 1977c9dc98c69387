"""host/cpuid/, domains/<d>/cpuid/, and what host/cpus/ and host/sockets/ tell of processors."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import RELEASES, Host

from xenfs.calls import mca, msr
from xenfs.calls.cpuid import Leaf, Msr, Policy
from xenfs.errors import BadInput, HypercallError, XenfsError
from xenfs.nodes.domains.cpuid import parse_change
from xenfs.nodes.host.cpuid import policy_text
from xenfs.options import Options
from xenfs.simulator.answers import mca_op, policy_op
from xenfs.simulator.machine import Machine
from xenfs.simulator.world import hotplug, policies, settled

SETS = {
    "raw": "raw",
    "host": "host",
    "pv": "pv_default",
    "hvm": "hvm_default",
    "pv_max": "pv_max",
    "hvm_max": "hvm_max",
}
LINE = re.compile(r"[0-9a-f]{8}:[0-9a-f]{8} ->( [0-9a-f]{8}){4}|[0-9a-f]{8} -> [0-9a-f]{16}")


@pytest.fixture(params=RELEASES)
def each(request: pytest.FixtureRequest) -> Iterator[Host]:
    with Host(f"xen={request.param},processor=intel") as host:
        yield host


def test_featuresets_and_policies(each: Host) -> None:
    known = policy_op.host_policies(each.sim.machine)
    assert each.names("host/cpuid/featuresets") == list(SETS)
    for name, policy in SETS.items():
        assert each.value(f"host/cpuid/featuresets/{name}") == ":".join(f"{word:08x}" for word in known[policy].words)
    for name, policy in known.items():
        shown = each.value(f"host/cpuid/policies/{name}").splitlines()
        assert all(LINE.fullmatch(line) for line in shown)
        wanted = [f"{n:08x}:{s:08x} -> " + " ".join(f"{r:08x}" for r in regs) for n, s, regs in policy.listed()]
        assert shown == wanted + [f"{number:08x} -> {policy.msrs[number]:016x}" for number in (0xCE, 0x10A)]


@pytest.mark.parametrize(
    ("release", "words", "sets"),
    [("4.14.4", 11, 4), ("4.14.5", 14, 4), ("4.14.6", 18, 6), ("4.17.1", 16, 4), ("4.17.3", 18, 6), ("4.17.7", 19, 6)],
)
def test_point_releases(release: str, words: int, sets: int) -> None:
    with Host(f"xen={release}") as host:
        assert host.names("host/cpuid/featuresets") == list(SETS)[:sets]
        assert host.value("host/cpuid/featuresets/host").count(":") == words - 1
        late = "sysctl get_cpu_featureset pv_max EINVAL"
        assert (late in host.value("xenfs/missing").splitlines()) == (sets == 4)


def test_hw_caps_are_the_first_words(each: Host) -> None:
    assert each.value("host/cpuid/featuresets/host").startswith(each.value("host/hw_caps"))


def test_domains(each: Host) -> None:
    for domain in each.world.domains_from(0):
        shown = each.value(f"domains/{domain.domid}/cpuid/policy").splitlines()
        found = parse_change("\n".join(shown)).lines
        own = policy_op.of_domain(each.sim.machine, domain)
        assert [(x.leaf, x.subleaf, (x.a, x.b, x.c, x.d)) for x in found.leaves] == own.listed()
        kind = "hvm" if domain.hvm else "pv"
        most = policy_op.host_policies(each.sim.machine)[f"{kind}_max"].words
        again = [{2: policies.COMMON, 5: settled.FOLDED}.get(n, 0) for n in range(len(most))]
        assert all(not word & ~(limit | more) for word, limit, more in zip(own.words, most, again, strict=True))
        assert not own.words[1] & policies.VMX


def build(host: Host) -> str:
    """A domain that has not run yet; its directory."""
    return f"domains/{host.world.build(host.world.free_domid(), bytes(range(16)), 'pvh').domid}"


def test_a_policy_is_written_before_the_domain_runs(each: Host) -> None:
    at = build(each)
    text = each.read(f"{at}/cpuid/policy")
    each.write(f"{at}/cpuid/policy", text)
    assert each.read(f"{at}/cpuid/policy") == text
    line = next(line for line in text.splitlines() if line.startswith("00000007:00000000"))
    changed = line[:-8] + f"{int(line[-8:], 16) & ~(1 << 4):08x}"  # FSRM, which nothing is built on
    assert changed != line
    each.write(f"{at}/cpuid/policy", changed)
    assert each.read(f"{at}/cpuid/policy") == text.replace(line, changed)
    each.write(f"{at}/cpuid/policy", "  " + line.replace(" ", ":").replace(":->:", " -> "))
    assert each.read(f"{at}/cpuid/policy") == text, "as xen-cpuid prints it"


@pytest.mark.parametrize(
    ("text", "code", "named"),
    [
        ("00000012:ffffffff -> 00000000 00000000 00000000 00000000", errno.ERANGE, "CPUID leaf 0x12"),
        ("00000007:00000005 -> 00000000 00000000 00000000 00000000", errno.ERANGE, "CPUID leaf 0x7, subleaf 0x5"),
        ("00000000:ffffffff -> 00000020 00000000 00000000 00000000", errno.EINVAL, "CPUID leaf 0x0"),
        ("0000001b -> 0", errno.ERANGE, "MSR 0x1b"),
        ("000000ce -> 1", errno.EINVAL, "MSR 0xce"),
    ],
)  # fmt: skip
def test_what_xen_takes_offence_at_is_in_the_error_log(host: Host, text: str, code: int, named: str) -> None:
    at = build(host)
    before = host.read(f"{at}/cpuid/policy")
    with pytest.raises(XenfsError) as caught:
        host.write(f"{at}/cpuid/policy", text)
    assert caught.value.errno == code
    assert named in host.value("xenfs/error_log")
    assert host.read(f"{at}/cpuid/policy") == before


def test_too_many_leaves(host: Host) -> None:
    lines = [f"0000000d:{n:08x} -> 00000000 00000000 00000000 00000000" for n in range(200)]
    with pytest.raises(XenfsError) as caught:
        host.write(f"{build(host)}/cpuid/policy", "\n".join(lines))
    assert caught.value.errno == errno.E2BIG


def test_domains_that_have_run_keep_theirs(host: Host) -> None:
    text = host.read("domains/1/cpuid/policy")
    with pytest.raises(BadInput, match="has run") as caught:
        host.write("domains/1/cpuid/policy", text)
    assert caught.value.errno == errno.EEXIST
    with pytest.raises(BadInput, match="itself"):
        host.write("domains/0/cpuid/policy", text)
    at = build(host)
    host.world.unpause(int(at.split("/")[1]))
    with pytest.raises(BadInput, match="has run"):
        host.write(f"{at}/cpuid/policy", text)


def test_policies_are_written_with_debug_only() -> None:
    with Host("", Options()) as host:
        assert host.at("domains/1/cpuid/policy").node.mode & 0o777 == 0o444
    with Host("", Options(debug=True)) as host:
        assert host.at("domains/1/cpuid/policy").node.mode & 0o777 == 0o644


words32, words64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
leaves = st.lists(st.builds(Leaf, *[words32] * 6), max_size=5, unique_by=lambda leaf: leaf[:2])
msrs = st.lists(st.builds(Msr, words32, words64), max_size=3, unique_by=lambda each: each.idx)


@given(leaves, msrs)
def test_any_policy_is_read_as_it_was_printed(some: list[Leaf], more: list[Msr]) -> None:
    if some or more:
        assert parse_change(policy_text(Policy(some, more))) == (Policy(some, more), {})


def features(host: Host, at: str) -> set[str]:
    return set(host.value(f"{at}/cpuid/features").split())


def test_features_by_name(each: Host) -> None:
    """As the words have them: of each set, and of domains."""
    for name in SETS:
        words = [int(word, 16) for word in each.value(f"host/cpuid/featuresets/{name}").split(":")]
        named = set(each.value(f"host/cpuid/features/{name}").split())
        assert ("aesni" in named) == bool(words[1] >> 25 & 1)
        assert ("nx" in named) == bool(words[2] >> 20 & 1)
        assert ("avx512f" in named) == bool(words[5] >> 16 & 1)
    assert {"fpu", "sse2", "lm", "hypervisor"} <= features(each, "domains/1")
    assert "vmx" in set(each.value("host/cpuid/features/host").split()) - features(each, "domains/1")


def test_features_are_taken_and_given_by_name(each: Host) -> None:
    at = build(each)
    text, before = each.read(f"{at}/cpuid/policy"), features(each, at)
    assert {"aesni", "vaes", "fsrm", "popcnt"} <= before
    each.write(f"{at}/cpuid/policy", "-fsrm\n -popcnt \n")
    assert features(each, at) == before - {"fsrm", "popcnt"}
    each.write(f"{at}/cpuid/policy", "+popcnt\n+fsrm")
    assert each.read(f"{at}/cpuid/policy") == text
    each.write(f"{at}/cpuid/policy", "-aes")
    assert features(each, at) == before - {"aesni", "vaes"}, "by xl's old name, and what is built on it goes too"
    each.write(f"{at}/cpuid/policy", "+vaes\n+aesni")
    assert each.read(f"{at}/cpuid/policy") == text
    line = next(line for line in text.splitlines() if line.startswith("00000001:"))
    each.write(f"{at}/cpuid/policy", f"-popcnt\n{line}\n-sse4_2")
    assert features(each, at) == before - {"popcnt", "sse4-2"}, "lines come first, whatever the order"
    each.write(f"{at}/cpuid/policy", "-monitor")
    assert features(each, at) == before - {"popcnt", "sse4-2"}, "what is not there can be taken, too"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("-avx22", "no feature is called avx22; is avx2 meant?"),
        ("+qqqqqqqqqq", "no feature is called qqqqqqqqqq"),
        ("-aesni\n+aes", "aesni is there twice"),
        ("+svm", "no HVM or PVH domain can have svm on this host; host/cpuid/features/hvm_max has what one can"),
        ("+vmx", "Xen shows vmx with what it builds on, and only to domains that may have it; nothing was changed"),
        ("-aesni\n+vaes", "Xen shows vaes with what it builds on"),
    ],
)
def test_features_that_cannot_be(text: str, named: str) -> None:
    with Host("xen=4.20,processor=intel") as host:
        at = build(host)
        before = host.read(f"{at}/cpuid/policy")
        with pytest.raises(XenfsError) as caught:
            host.write(f"{at}/cpuid/policy", text)
        assert caught.value.errno == errno.EINVAL
        assert named in host.value("xenfs/error_log")
        assert host.read(f"{at}/cpuid/policy") == before


def test_what_is_every_cpu_s_stays() -> None:
    with Host("xen=4.20,processor=intel") as host:
        at = build(host)
        assert "no-fpu-sel" in features(host, at)
        with pytest.raises(BadInput, match="shows no-fpu-sel to every domain; nothing was changed"):
            host.write(f"{at}/cpuid/policy", "-no-fpu-sel\n-popcnt")
        assert {"no-fpu-sel", "popcnt"} <= features(host, at)


def test_a_feature_of_a_leaf_that_is_not_shown() -> None:
    with Host("xen=4.20,processor=intel") as host:
        at = build(host)
        leaf = next(
            line for line in host.read(f"{at}/cpuid/policy").splitlines() if line.startswith("00000007:00000000")
        )
        host.write(f"{at}/cpuid/policy", leaf.replace("-> 00000002", "-> 00000000"))
        assert "fzrm" not in features(host, at)
        with pytest.raises(BadInput, match="not shown leaf 0x7, subleaf 0x1, where fzrm is"):
            host.write(f"{at}/cpuid/policy", "+fzrm")
        host.write(f"{at}/cpuid/policy", "-fzrm")


def test_features_of_a_domain_that_has_run(host: Host) -> None:
    for text in ("-popcnt", "+popcnt", "-monitor"):
        with pytest.raises(BadInput, match="has run") as caught:
            host.write("domains/1/cpuid/policy", text)
        assert caught.value.errno == errno.EEXIST
    with pytest.raises(BadInput, match="itself"):
        host.write("domains/0/cpuid/policy", "-popcnt")


def test_microcode(each: Host) -> None:
    at, cpu = "host/cpus/2/microcode", each.world.host.processor
    assert each.has(at) == (each.xen.abi.release >= (4, 18))
    if each.has(at):
        assert each.value(f"{at}/version") == f"{cpu.revision:#x}"
        assert each.value(f"{at}/signature") == "0x806f8"
        assert each.value(f"{at}/processor_flags") == f"{cpu.platform_flags:#x}"


def test_mca(each: Host) -> None:
    flat = each.flat("host/cpus/5/mca")
    machine = each.world.host
    assert flat["cpunr"] == "5"
    assert flat["apicid"] == str(machine.apic_id(machine.cpus[5]))
    assert flat["brandid"] == machine.processor.brand
    assert flat["vendorid"] == "GenuineIntel"
    assert [flat[name] for name in ("family", "model", "step", "ncores", "nthreads")] == ["6", "143", "8", "2", "2"]
    assert each.value("host/hw_caps").startswith(flat["cpu_caps"])
    assert flat["msr.0x179"] == f"{machine.processor.mcg_cap:#x}"
    assert not any(name.startswith("msrvalues") for name in flat)
    for settings in ("dom0=pvh", "arch=arm64"):
        with Host(settings) as host:
            assert not host.has("host/cpus/0/mca")


def test_mca_gives_room_for_every_cpu_there_is(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every online CPU writes into an array that Xen makes as long as is asked for: never ask for fewer."""
    real, asked = mca_op.physcpuinfo, []

    def watched(xen: Machine, op: memoryview) -> int:
        asked.append(xen.get(op, "xen_mc_physcpuinfo", "ncpus")[0])
        return real(xen, op)

    monkeypatch.setitem(mca_op.ANSWERS, "physcpuinfo", watched)
    host.world.pools.remove_cpu(0, 3)
    hotplug.set_online(host.world, 3, False)
    assert [cpu for cpu in range(9) if mca.logical_cpu(host.xen, cpu) is None] == [3, 8]
    assert set(asked) == {8}


def test_offline_cpus_have_less(host: Host) -> None:
    with Host("xen=4.22,processor=intel") as newest:
        newest.world.pools.remove_cpu(0, 3)
        hotplug.set_online(newest.world, 3, False)
        assert {"microcode", "mca", "temp1_input"} <= set(newest.names("host/cpus/2"))
        assert not {"microcode", "mca", "temp1_input"} & set(newest.names("host/cpus/3"))


@pytest.mark.parametrize(
    ("settings", "cpu", "socket"),
    [
        ("xen=4.22,processor=intel", True, True),
        ("xen=4.22,processor=amd", False, False),
        ("xen=4.21,processor=intel", False, False),
        ("xen=4.15,processor=intel", False, False),
    ],
)
def test_temperatures(settings: str, cpu: bool, socket: bool) -> None:
    with Host(settings) as host:
        assert [host.has("host/cpus/0/temp1_input"), host.has("host/sockets/0/temp1_input")] == [cpu, socket]
        if cpu:
            each = [int(host.value(f"host/cpus/{n}/temp1_input")) for n in range(4)]
            assert all(30_000 < degrees < 100_000 and degrees % 1000 == 0 for degrees in each)
            assert int(host.value("host/sockets/0/temp1_input")) == max(each)
        else:
            missing = host.value("xenfs/missing").splitlines()
            code = "EACCES" if "4.15" in settings else "EPERM"
            assert f"platform_op resource_op THERM_STATUS {code}" in missing
            assert f"platform_op resource_op PACKAGE_THERM_STATUS {code}" in missing


def answering(host: Host, monkeypatch: pytest.MonkeyPatch, **registers: int) -> None:
    """Have registers say this, and refuse the others."""

    def access(xen: object, cpu: int, steps: list[msr.Step]) -> list[int]:
        for step in steps:
            if step.msr.name not in registers:
                raise msr.MsrRefused(step.msr, errno.EPERM)
        return [registers[step.msr.name] for step in steps]

    monkeypatch.setattr(msr, "access", access)


def test_a_cpu_that_does_not_tell_its_highest_temperature(monkeypatch: pytest.MonkeyPatch) -> None:
    with Host("xen=4.22,processor=intel") as host:
        answering(host, monkeypatch, THERM_STATUS=1 << 31 | 40 << 16)
        assert host.value("host/cpus/0/temp1_input") == "60000"
        answering(host, monkeypatch, THERM_STATUS=1 << 31 | 40 << 16, TEMPERATURE_TARGET=85 << 16)
        assert host.value("host/cpus/0/temp1_input") == "45000"
        answering(host, monkeypatch, THERM_STATUS=40 << 16, TEMPERATURE_TARGET=85 << 16)
        with pytest.raises(XenfsError) as caught:
            host.value("host/cpus/0/temp1_input")
        assert caught.value.errno == errno.EAGAIN
        answering(host, monkeypatch)
        with pytest.raises(HypercallError, match="THERM_STATUS: EPERM"):
            host.value("host/cpus/0/temp1_input")


def test_inventory_numbers(each: Host) -> None:
    numbers = [each.value(f"host/sockets/{socket}/ppin") for socket in (0, 1)]
    assert all(re.fullmatch("0x[0-9a-f]+", number) for number in numbers)
    assert len(set(numbers)) == 2
    assert each.at("host/sockets/0/ppin").node.mode & 0o777 == 0o400
    with Host("processor=amd") as host:
        assert host.value("host/sockets/0/ppin") == numbers[0], "the same of AMD's register"


def test_no_such_thing_on_arm() -> None:
    with Host("arch=arm64") as host:
        for path in (
            "host/cpuid",
            "host/psr",
            "host/sockets",
            "domains/1/cpuid",
            "domains/1/psr",
            "host/cpus/0/microcode",
        ):
            assert not host.has(path), path


def test_three_accesses_at_most(host: Host) -> None:
    with pytest.raises(ValueError, match="4 steps"):
        msr.read(host.xen, 0, *[msr.Msr.PPIN] * 4)
