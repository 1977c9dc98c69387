"""The tree of every release and architecture, entry by entry: what is there reads, obeys the format rules, and is
listed once; what it prints, it takes back."""

from __future__ import annotations

import errno
import re
import stat
from collections import Counter
from collections.abc import Iterator

import pytest
from worlds import COMBINATIONS, EVERYTHING, MORE_COMBINATIONS, RELEASES, Host, Place

from xenfs.errors import HypercallError, XenfsError
from xenfs.nodes import tree
from xenfs.nodes.tables import reference
from xenfs.nodes.tables.base import Dir, Exchange, File, Link, Stream
from xenfs.options import Options

# What their format says, all but text that Xen has in its hypfs: see `many_lines`.
LONG_TEXT = ("hypfs/buildinfo/config",)
NUMBER_BY_NAME = re.compile(
    r"(?!version/|.*/affected_cpus).*(?<!l3_cache_size)(_kb|_bytes|_ns|_us|_ms|_khz|_id|_cpus|_vcpus|_domains|_mfn)|.*/(freeze|online|cpu|weight|cap)"
)
LISTS_BY_NAME = re.compile(
    r".*/(cpus|free_cpus|cpulist|present|node_affinity|affinity_\w+(\.effective)?)|host/cpus/online"
)
LIST = re.compile(r"(\d+(-\d+)?(,\d+(-\d+)?)*)?")
# Xen may refuse what it says itself: a pool with CPUs keeps its granularity, an "ept" that was never set is "", and a
# domain that has run keeps its CPUID policy.
KEPT_BY_XEN = re.compile(r".*/sched-gran|.*/params/ept|domains/\d+/cpuid/policy")
NOT_WRITTEN_BACK = re.compile(r"domains/\d+/request")  # it shows what came of a request


@pytest.fixture(scope="module", params=MORE_COMBINATIONS, ids="-".join)
def each(request: pytest.FixtureRequest) -> Iterator[Host]:
    """The default host of each release and architecture in turn, with every option."""
    release, arch = request.param
    with Host(f"xen={release},arch={arch}") as host:
        yield host


@pytest.fixture(scope="module")
def contents(each: Host) -> list[tuple[Place, bytes]]:
    """Every file of that host with what it says, read once for all tests that only look."""
    return [(place, content(each, place)) for place in each.files()]


def content(host: Host, place: Place) -> bytes:
    assert isinstance(place.node, File)
    return place.node.produce(host.xen, place.ids)


def many_lines(place: Place) -> bool:
    """Whether it may be more than one line: every other file is a single value on a single line."""
    words = reference.format_of(place.node)
    return place.path in LONG_TEXT or bool(re.search(r"\blines?\b|\btable\b|\bgrowing text\b", words))


def may_be_unknown(place: Place) -> bool:
    """Whether it is empty where xenstore says nothing of the domain."""
    return "or empty" in reference.format_of(place.node)


def test_every_file_reads_by_the_rules(contents: list[tuple[Place, bytes]]) -> None:
    seen = 0
    for place, data in contents:
        if isinstance(place.node, File) and place.node.binary:
            continue
        text = data.decode("utf-8")
        seen += 1
        assert "\0" not in text, place.path
        assert not text or text.endswith("\n"), place.path
        assert not text.endswith("\n\n"), place.path
        if not many_lines(place):
            assert text.count("\n") <= 1, place.path
            assert text == text.strip(" \t\r\n") + "\n" * bool(text), place.path
    assert seen > 500


def test_numbers_are_numbers(contents: list[tuple[Place, bytes]]) -> None:
    for place, data in contents:
        assert isinstance(place.node, File)
        if isinstance(place.node, Exchange) or place.node.binary or place.node.mode & 0o444 == 0:
            continue
        value = data.decode().removesuffix("\n")
        if LISTS_BY_NAME.fullmatch(place.path):
            assert LIST.fullmatch(value), (place.path, value)
        elif NUMBER_BY_NAME.fullmatch(place.path):
            unknown = not value and may_be_unknown(place)
            assert unknown or re.fullmatch(r"-?[0-9]+", value), (place.path, value)


def test_flat_files_are_flat(each: Host) -> None:
    for path in ("host/info", "domains/0/info", "domains/0/vcpus/0/info", "xenfs/interface", "xenfs/buffers/stat"):
        lines = each.value(path).splitlines()
        assert lines
        assert all(re.fullmatch(r"[\w.]+ \S.*", line) for line in lines), path
        keys = [line.split(" ")[0] for line in lines]
        assert len(keys) == len(set(keys)), path


def test_listing_and_lookup_agree(each: Host) -> None:
    for place in (Place("", each.root, ()), *each.walk()):
        if not isinstance(place.node, Dir):
            continue
        children = list(place.node.children(each.xen, place.ids))
        names = [name for name, _, _ in children]
        assert len(names) == len(set(names)), place.path
        for name, node, ids in children:
            assert place.node.child(each.xen, place.ids, name) == (node, ids), f"{place.path}/{name}"
            assert name, place.path
            assert "/" not in name, place.path
            assert name not in (".", ".."), place.path
            assert len(name.encode("utf-8", "surrogateescape")) <= 255


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "nonsense",
        "00",
        "01",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1_0",
        "٣",
        "32752",
        "65535",
        "65536",
        "99999",
        "9" * 400,
        "0x1",
    ],
)
def test_names_that_are_not_there(each: Host, name: str) -> None:
    for path in (
        "domains",
        "domains/0/vcpus",
        "host/cpus",
        "host/nodes",
        "cpupools",
        "domains/by-name",
        "domains/by-uuid",
    ):
        assert not each.has(f"{path}/{name}"), path


def test_modes_follow_from_the_functions(each: Host) -> None:
    for place in each.walk():
        node, mode = place.node, stat.S_IMODE(place.node.mode)
        if isinstance(node, Exchange):
            assert mode == (0o600 if node.private or node.restricted else 0o644), place.path
        elif isinstance(node, File):
            assert bool(mode & 0o444) == (node.read is not None), place.path
            assert bool(mode & 0o222) == (node.write is not None), place.path
            assert not mode & 0o133, place.path


def test_what_a_node_prints_it_accepts_and_prints_again(each: Host) -> None:
    tried = 0
    for place in each.files():
        node = place.node
        if isinstance(node, (Exchange, Stream)) or stat.S_IMODE(node.mode) != 0o644 or place.path == "xenfs/error_log":
            continue
        before = content(each, place)
        if NOT_WRITTEN_BACK.fullmatch(place.path) or (before == b"" and may_be_unknown(place)):
            continue
        try:
            each.put(place, before)
        except XenfsError as problem:
            assert KEPT_BY_XEN.fullmatch(place.path), (place.path, before, problem)  # noqa: PT017
            assert isinstance(problem.__cause__, HypercallError), place.path  # noqa: PT017
        assert content(each, place) == before, place.path
        tried += 1
    assert tried > 100


def test_write_only_files_read_as_empty(each: Host) -> None:
    """root is asked for no permission, and grep -r has to come through."""
    found = [place for place in each.files() if stat.S_IMODE(place.node.mode) == 0o200]
    assert {"host/debug_keys", "host/console/log_clear", "domains/0/kill"} <= {place.path for place in found}
    assert all(content(each, place) == b"" for place in found)


def test_walking_and_reading_changes_nothing(each: Host) -> None:
    def state() -> tuple[object, ...]:
        world = each.world
        return (
            [
                (d.domid, d.pause_count, d.dying, d.max_pages, d.tot_pages, d.weight, d.cap, d.handle)
                for d in world.domains_from(0)
            ],
            [[(v.hard, v.soft) for v in d.existing()] for d in world.domains_from(0)],
            world.console.begins,
            world.console.ends,
            world.host.online,
            sorted(world.host.offlined),
        )

    before = state()
    for place in each.files():
        content(each, place)
    assert state() == before


def test_nothing_is_read_that_xen_lacks(each: Host, contents: object) -> None:
    """An absent file beats one that always fails: after a walk nothing is missing but what was asked for to know."""
    asked_to_know = {
        "memory_op sharing_op",
        "memory_op machine_memory_map",
        "memory_op memory_map",
        "sysctl dt_overlay ADD",
        "memory_op reserved_device_memory_map",
        "memory_op get_sharing_freed_pages",
        "platform_op get_cpuinfo",
        "multicall batch",
        "dm_op nr_vcpus",
        "platform_op get_cpu_version",
        "platform_op core_parking GET",
        "sysctl get_pmstat get_max_px",
        "sysctl get_pmstat get_max_cx",
        "sysctl pm_op GET_CPUFREQ_PARA",
        "sysctl pm_op get_max_cstate",
        "domctl shadow_op",
        "xsm_op GETENFORCE",
        "domctl test_assign_device",
        "domctl get_device_group",
        "memory_op get_vnumainfo",
        "hvm_op get_time",
        "xenpmu_op mode_get",
        "sysctl pcitopoinfo",
        "domctl gdbsx_domstatus",
        "domctl audit_p2m",
        "hvm_op altp2m get_domain_state",
        "sysctl perfc_op query",
        "sysctl lockprof_op query",
        "sysctl coverage_op get_size",
        "sysctl psr_cmt_op",
        *(f"sysctl psr_alloc {each}" for each in ("get_l3_info", "get_l2_info", "get_mba_info")),
        *(f"platform_op resource_op {each}" for each in ("THERM_STATUS", "PACKAGE_THERM_STATUS")),
    }
    assert {name for name, _ in each.xen.calls.missing()} <= asked_to_know


def test_pool_is_whole_after_a_walk(each: Host, contents: object) -> None:
    assert each.xen.pool.stat()["in_use"] == 0


def pattern(row: str) -> re.Pattern[str]:
    words = {"<d>": r"\d+", "<v>": r"\d+", "<c>": r"\d+", "<n>": r"\d+", "<p>": r"\d+", "<uuid>": r"[0-9a-f-]{36}"}
    parts = [re.escape(word) if not word.startswith("<") else words.get(word, r"[^/]+") for word in row.split("/")]
    return re.compile("/".join(parts))


def test_reference_has_every_path_once() -> None:
    rows = [row.path for row in tree.reference()]
    assert [path for path, times in Counter(rows).items() if times > 1] == []
    patterns = {row: pattern(row) for row in rows}
    used: set[str] = set()
    hosts = [f"xen={release},arch={arch},profile=full" for release, arch in COMBINATIONS]
    # One thing drives the frequency of all CPUs; the full profile has HWP.
    hosts += ["processor=intel", "xen=4.22,cpufreq=amd-cppc-epp"]
    for settings in (
        *(f"{each},domains=4,cpus=4" for each in hosts),
        "profile=full,dom0=pvh",
        "arch=arm64,profile=full",
    ):
        with Host(settings) as host:
            if host.has("host/cpus/1/cpufreq/scaling_governor"):
                host.write("host/cpus/1/cpufreq/scaling_governor", "userspace")
            if host.has("domains/2/hvm/altp2m/enabled"):
                host.write("domains/2/hvm/altp2m/enabled", "1")
            host.xen.held.make("one", 0)
            host.xen.templates.make("one")
            for place in host.walk():
                if isinstance(place.node, Dir):
                    continue
                path = re.sub(r"^hypfs/.+", "hypfs/<name>", place.path)
                matches = [row for row, shape in patterns.items() if shape.fullmatch(path)]
                assert matches, f"{place.path} is not in the reference"
                used.update(matches)
    # No pool of the default host has this scheduler, and what is as long as a guest's memory is in no listing.
    unseen = set(rows) - used
    assert all(
        re.fullmatch(
            r"domains/<d>/((vcpus/<v>/)?sched/(period_us|budget_us|extratime)|memory/(physical|machine|virtual/0)"
            r"|vcpus/<v>/vmtrace/buffer)",
            row,
        )
        for row in unseen
    ), unseen


def test_reference_lines_have_five_parts(host: Host) -> None:
    lines = host.value("xenfs/nodes").splitlines()
    assert len(lines) == len(list(tree.reference()))
    for line in lines:
        assert re.fullmatch(r"\S+ 0[0-7]{3} [ABCD] \S+ \S.*", line), line


def paths(options: Options) -> dict[str, int]:
    with Host("domains=4,cpus=4", options) as host:
        return {place.path: place.node.mode for place in host.walk()}


def test_options_cut_the_tree() -> None:
    whole, default = paths(EVERYTHING), paths(Options())
    read_only = paths(Options(ro=True, lifecycle=True, debug=True, raw=True))
    assert "domains/1/kill" in whole
    assert "domains/1/kill" not in default
    assert "domains/1/kill" in paths(Options(lifecycle=True))
    debugging = {
        "host/debug_keys",
        "host/memory/page_status",
        "host/memory/soft_offline_page",
        "host/memory/online_page",
    }
    assert debugging <= paths(Options(debug=True)).keys()
    assert not debugging & default.keys()
    assert default.keys() <= whole.keys()
    writable = [path for path, mode in read_only.items() if stat.S_ISREG(mode) and mode & 0o222]
    assert [path for path in writable if not path.startswith("raw/")] == [], (
        "raw/ has what only looks: see tests/nodes/raw"
    )
    assert "host/console/log_clear" not in read_only
    assert "host/memory/availheap" not in read_only, "a question is a write, which the kernel refuses with EROFS"
    assert stat.S_IMODE(default["domains/1/freeze"]) == 0o644
    assert stat.S_IMODE(read_only["domains/1/freeze"]) == 0o444


def test_directories_are_writable_where_rmdir_works() -> None:
    assert stat.S_IMODE(paths(Options(lifecycle=True))["domains/1"]) & 0o222 == 0
    with Host("domains=4", Options(lifecycle=True)) as host:
        assert stat.S_IMODE(host.at("domains").node.mode) == 0o755
    with Host("domains=4") as host, Host("domains=4", Options()) as plain:
        assert plain.at("domains/1").node.remove is None  # type: ignore[attr-defined]
        assert host.at("domains/1").node.remove is not None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "absent"),
    [
        ("hypfs=off", ["hypfs", "host/params", "version/config"]),
        ("sharing=off", ["host/memory/sharing/audit"]),
        ("arch=arm64", ["host/memory/e820", "host/memory/rmrr", "host/memory/sharing"]),
        ("xen=4.14", ["cpupools/0/sched_gran", "host/pci/0000:00:1f.0/assigned"]),
        ("livepatch=off", ["host/livepatch"]),
        ("kexec=off", ["host/kexec"]),
        ("dom0=pvh", ["host/kexec"]),
        ("efi=off", ["host/efi", "host/firmware/efi"]),
        ("iommu=off", ["host/pci/0000:00:1f.0/assigned", "domains/7/passthrough"]),
        ("arch=arm64", ["host/pci", "host/time", "host/xensyms", "host/mtrr", "domains/0/vcpus/0/runstate"]),
    ],
)
def test_what_this_xen_lacks_is_absent(settings: str, absent: list[str]) -> None:
    with Host(settings) as host:
        assert [path for path in absent if host.has(path)] == []
    with Host() as host:
        assert [path for path in absent if not host.has(path)] == []


def test_links_lead_to_directories(each: Host) -> None:
    for place in each.walk():
        if isinstance(place.node, Link):
            target = place.node.target(each.xen, *place.ids)
            assert isinstance(each.at(f"domains/{target.rsplit('/', 1)[-1]}").node, Dir), place.path
            assert target.startswith("../") == (place.path != "domains/self")


def test_tall_and_empty_hosts() -> None:
    for settings in ("domains=1,cpus=1,nodes=1", "domains=3,cpus=300,nodes=64", "domains=40,cpus=3,nodes=3"):
        with Host(settings) as host:
            for place in host.files():
                content(host, place)


def test_unprivileged_words_of_releases() -> None:
    for release in RELEASES:
        with Host(f"xen={release},domains=1,cpus=1") as host:
            assert host.value("version/full").startswith(release)
            assert host.flat("xenfs/interface")["state"] == "verified"


def test_errno_of_a_directory_that_is_no_file(host: Host) -> None:
    with pytest.raises(XenfsError) as caught:
        host.at("domains/1/freeze").node.apply(host.xen, host.at("domains/1").ids, b"7")  # type: ignore[attr-defined]
    assert caught.value.errno == errno.EINVAL
