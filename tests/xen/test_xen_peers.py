"""Field by field: what xenfs shows beside what dom0's own tools say."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import xen_peers
from xen_guests import Guest
from xen_mount import Mount
from xen_peers import Comparison, Values, colon, columns, first_said, in_short, listed, ours, said

pytestmark = pytest.mark.usefixtures("peers")

TRIES = 8  # of values that change by themselves
Same = Callable[[str, str, str], bool]


def unchanged(before: str, theirs: str, after: str) -> bool:
    """The peer says what xenfs says, just before or just after."""
    return theirs in (before, after)


def between(slack: float) -> Same:
    """The peer's number is between ours of before and after, but for its rounding."""

    def same(before: str, theirs: str, after: str) -> bool:
        low, high = sorted((float(before), float(after)))
        return low - slack <= float(theirs) <= high + slack

    return same


def plain(value: str) -> str:
    return value.strip()


@dataclass(frozen=True)
class Row:
    """A node, the peer's command, how to find its values in what that says; `shown` brings ours into its form."""

    node: str
    command: str
    theirs: Callable[[str], Values]
    shown: Callable[[str], str] = plain
    same: Same = unchanged
    but: tuple[str, ...] = ()  # keys of ours that are left out

    def mine(self, mount: Mount) -> Values:
        return {key: self.shown(value) for key, value in ours(mount, self.node).items() if key not in self.but}


def info(key: str) -> Callable[[str], Values]:
    """A line of `xl info`."""
    return lambda text: {"": colon(text)[key]}


def numa(column: int) -> Callable[[str], Values]:
    """A column of the node table in `xl info -n`; the last one is the distances."""

    def theirs(text: str) -> Values:
        rows = re.findall(r"^ +(\d+): +(\d+) +(\d+) +([\d,]+)$", text.partition("numa_info")[2], re.M)
        return {row[0]: row[column] for row in rows}

    return theirs


def domain(field: str) -> Callable[[str], Values]:
    """A column of `xl list -v`."""
    return lambda text: {row.domid: getattr(row, field) for row in listed(text)}


def domain_state(text: str) -> Values:
    """xl's six letters rbpscd in our words."""
    order = ((5, "dying"), (4, "crashed"), (3, "shutdown"), (2, "paused"), (0, "running"), (1, "blocked"))
    return {row.domid: next((word for at, word in order if row.state[at] != "-"), "runnable") for row in listed(text)}


def configured(*path: str) -> Callable[[str], Values]:
    """A member of the configurations in `xl list -l`, of those domains that have it."""
    import json

    def theirs(text: str) -> Values:
        found: Values = {}
        for one in json.loads(text):
            value = one["config"]
            for name in path:
                value = value.get(name, {})
            if value != {}:
                found[str(one["domid"])] = str(value)
        return found

    return theirs


def vcpu(field: str) -> Callable[[str], Values]:
    """A column of `xl vcpu-list`."""
    return lambda text: {f"{row.domid}/{row.vcpu}": getattr(row, field) for row in xen_peers.vcpus(text)}


def vcpu_state(text: str) -> Values:
    words = {"r": "running", "b": "blocked", "p": "offline"}
    return {
        f"{row.domid}/{row.vcpu}": next((words[letter] for letter in row.state if letter != "-"), "runnable")
        for row in xen_peers.vcpus(text)
    }


def as_xl_affinity(value: str) -> str:
    return "all" if value == ALL_CPUS else value


def topology(column: int) -> Callable[[str], Values]:
    """A column of `xenpm get-cpu-topology`."""
    return lambda text: {row[0]: row[column] for row in re.findall(r"^CPU(\d+)\s+(\d+)\s+(\d+)\s+(\d+)$", text, re.M)}


def pool_cpus(text: str) -> Values:
    return {"0": text.splitlines()[1].split()[1]}


def mib(value: str) -> str:
    return str(int(value) // 1024)


def in_order(words: str) -> str:
    return " ".join(sorted(words.split()))


def spelled_out(value: str) -> str:
    """0-2,5 as 0,1,2,5."""
    runs = [part.split("-") for part in value.split(",") if part]
    return ",".join(str(n) for run in runs for n in range(int(run[0]), int(run[-1]) + 1))


def max_kb(text: str) -> Values:
    """The column MAXMEM(k) of xentop."""
    return xentop("MAXMEM(k)", text)


def xentop(column: str, text: str) -> Values:
    """A column of xentop, by names of domains: "no limit" is two words there."""
    head, *rows = (
        line.replace("no limit", "max").replace("n/a", "- ").split() for line in text.splitlines() if line.strip()
    )
    return {row[0]: row[head.index(column)] for row in rows}


ALL_CPUS = "0-1"  # scripts/on-xen's machine has two
HOST = [
    Row("version/full", "xl info", info("xen_version")),
    Row("version/major", "xl info", info("xen_major")),
    Row("version/minor", "xl info", info("xen_minor")),
    Row("version/extra", "xl info", info("xen_extra")),
    Row("version/capabilities", "xl info", info("xen_caps")),
    Row("version/commandline", "xl info", info("xen_commandline")),
    Row("version/changeset", "xl info", info("xen_changeset")),
    Row("version/build_id", "xl info", info("build_id")),
    Row("version/pagesize", "xl info", info("xen_pagesize")),
    Row("version/virt_start", "xl info", info("platform_params"), shown=lambda value: f"virt_start={value}"),
    Row("version/compile_info:compiler", "xl info", info("cc_compiler")),
    Row("version/compile_info:compile_by", "xl info", info("cc_compile_by")),
    Row("version/compile_info:compile_domain", "xl info", info("cc_compile_domain")),
    Row("version/compile_info:compile_date", "xl info", info("cc_compile_date")),
    Row("host/info:nr_cpus", "xl info", info("nr_cpus")),
    Row("host/info:max_cpu_id", "xl info", info("max_cpu_id")),
    Row("host/info:nr_nodes", "xl info", info("nr_nodes")),
    Row("host/info:cores_per_socket", "xl info", info("cores_per_socket")),
    Row("host/info:threads_per_core", "xl info", info("threads_per_core")),
    Row("host/cpu_khz", "xl info", info("cpu_mhz"), shown=lambda khz: f"{int(khz) // 1000}.{int(khz) % 1000:03}"),
    Row("host/hw_caps", "xl info", info("hw_caps")),
    Row(
        "host/virt_caps", "xl info", lambda text: {"": in_order(colon(text)["virt_caps"])}, shown=in_order,
    ),
    Row("host/scheduler", "xl info", info("xen_scheduler")),
    Row("host/memory/total_kb", "xl info", info("total_memory"), shown=mib),
    Row("host/memory/free_kb", "xl info", info("free_memory"), shown=mib, same=between(2)),
    Row("host/memory/available_kb", "xl info", info("free_memory"), shown=mib, same=between(2)),  # less what is claimed
    Row("host/memory/claimed_kb", "xl info", info("outstanding_claims"), shown=mib),
    Row("host/memory/sharing/freed_kb", "xl info", info("sharing_freed_memory"), shown=mib),
    Row("host/memory/sharing/used_kb", "xl info", info("sharing_used_memory"), shown=mib),
    Row(
        "cpupools/free_cpus", "xl info", info("free_cpus"),
        shown=lambda cpus: str(len(spelled_out(cpus).split(",")) if cpus else 0),
    ),
    Row("host/nodes/*/meminfo:MemTotal", "xl info -n", numa(1), shown=lambda value: mib(value.split()[0])),
    Row("host/nodes/*/meminfo:MemFree", "xl info -n", numa(2), shown=lambda v: mib(v.split()[0]), same=between(2)),
    Row("host/nodes/*/distance", "xl info -n", numa(3), shown=lambda value: value.replace(" ", ",")),
    Row("host/cpus/*/topology/core_id", "xenpm get-cpu-topology", topology(1)),
    Row("host/cpus/*/topology/physical_package_id", "xenpm get-cpu-topology", topology(2)),
    Row("host/cpus/*/topology/node", "xenpm get-cpu-topology", topology(3)),
    Row("cpupools/*/cpus", "xl cpupool-list -c", pool_cpus, shown=spelled_out),
    Row("cpupools/*/scheduler", "xl cpupool-list", lambda text: {"0": text.splitlines()[1].split()[2]}),
    Row("cpupools/*/nr_domains", "xl cpupool-list", lambda text: {"0": text.splitlines()[1].split()[4]}),
    Row(
        "cpupools/*/sched/ratelimit_us", "xl sched-credit2",
        lambda text: dict.fromkeys("0", re.search(r"ratelimit=(\d+)us", text)[1]),  # type: ignore[index]
    ),
]  # fmt: skip
DOMAINS = [
    Row("domains/*/uuid", "xl list -v", domain("uuid")),
    Row("domains/*/name", "xl list -v", domain("name")),
    Row("domains/*/nr_online_vcpus", "xl list -v", domain("vcpus")),
    Row("domains/*/state", "xl list -v", domain_state),
    Row("domains/*/memory/current_kb", "xl list -v", domain("mib"), shown=mib, same=between(1)),
    Row(
        "domains/*/cpu_time_ns", "xl list -v", domain("seconds"), shown=lambda ns: f"{int(ns) / 1e9:.2f}",
        same=between(0.1),
    ),
    Row("domains/*/type", "xl list -l", configured("c_info", "type")),
    Row(
        "domains/*/max_vcpu_id", "xl list -l", configured("b_info", "max_vcpus"),
        shown=lambda number: str(int(number) + 1), but=("0",),
    ),
    Row("domains/*/sched/weight", "xl list -l", configured("b_info", "sched_params", "weight")),
    Row("domains/*/sched/weight", "xl sched-credit2", lambda text: columns(text, 1, 2)),
    Row("domains/*/sched/cap", "xl sched-credit2", lambda text: columns(text, 1, 3)),
    Row("domains/*/vcpus/*/cpu", "xl vcpu-list", vcpu("cpu")),
    Row("domains/*/vcpus/*/state", "xl vcpu-list", vcpu_state),
    Row(
        "domains/*/vcpus/*/cpu_time_ns", "xl vcpu-list", vcpu("seconds"), shown=lambda ns: f"{int(ns) / 1e9:.2f}",
        same=between(0.1),
    ),
    Row("domains/*/vcpus/*/affinity_hard", "xl vcpu-list", vcpu("hard"), shown=as_xl_affinity),
    Row("domains/*/vcpus/*/affinity_soft", "xl vcpu-list", vcpu("soft"), shown=as_xl_affinity),
]  # fmt: skip
X86_ONLY = {"host/memory/sharing/freed_kb", "host/memory/sharing/used_kb"}


def named(row: Row) -> str:
    return f"{row.node}-{row.command}".replace(" ", "_")


@pytest.mark.parametrize("row", HOST, ids=named)
def test_host(row: Row, mount: Mount, compared: list[Comparison]) -> None:
    if row.node in X86_ONLY and not mount.has(row.node):
        pytest.skip("memory sharing is not in this Xen")
    compare(row, mount, compared)


@pytest.mark.parametrize("row", DOMAINS, ids=named)
def test_domains(row: Row, mount: Mount, guest: Guest, compared: list[Comparison]) -> None:
    compare(row, mount, compared)


def compare(row: Row, mount: Mount, compared: list[Comparison]) -> None:
    """Ask xenfs, the peer, and xenfs again, until each value has agreed once; the same places on both sides.

    What the peer said to an earlier row comes first: who says the same later need not be asked anew.
    """
    differ: dict[str, tuple[str, str]] = {}
    open_keys: set[str] | None = None
    for ask in (first_said, *(said,) * TRIES):
        before = row.mine(mount)
        theirs = row.theirs(ask(row.command))
        after = row.mine(mount)
        if before.keys() != theirs.keys():
            differ = {
                key: (before.get(key, "nothing"), theirs.get(key, "nothing")) for key in before.keys() ^ theirs.keys()
            }
            continue
        open_keys = set(before) if open_keys is None else open_keys
        open_keys -= {key for key in open_keys if row.same(before[key], theirs[key], after.get(key, ""))}
        differ = {key: (before[key], theirs[key]) for key in open_keys}
        if not differ:
            break
    compared.append(Comparison(row.node, row.command, in_short(before), in_short(theirs), not differ))
    assert before, "neither side says anything"
    assert not differ, f"(xenfs, {row.command}) by place"


def test_max_memory_beside_xentop(mount: Mount, guest: Guest, compared: list[Comparison]) -> None:
    names = {mount.value(f"domains/{domid}/name"): domid for domid in mount.numbers("domains")}
    text = said("xentop -b -f -i 1")
    for node, column in (("memory/max", "MAXMEM(k)"), ("memory/current_kb", "MEM(k)")):
        theirs = xentop(column, text)
        mine = {name: mount.value(f"domains/{domid}/{node}") for name, domid in names.items()}
        compared.append(Comparison(f"domains/*/{node}", "xentop", in_short(mine), in_short(theirs), mine == theirs))
        assert mine == theirs


def hypfs_leaves(text: str) -> set[str]:
    """The paths of values in what `xenhypfs tree` prints."""
    stack: list[str] = []
    found: set[str] = set()
    for line in text.splitlines()[1:]:
        depth = (len(line) - len(line.lstrip())) // 2
        name = line.strip()
        stack[depth - 1 :] = [name.rstrip("/")]
        if not name.endswith("/"):
            found.add("/".join(stack))
    return found


def test_hypfs_beside_xenhypfs(mount: Mount, compared: list[Comparison]) -> None:
    if not mount.has("hypfs"):
        pytest.skip("this Xen has no hypfs")
    leaves = hypfs_leaves(said("xenhypfs tree"))
    mine = {str(path.relative_to(mount.path("hypfs"))) for path in mount.path("hypfs").rglob("*") if not path.is_dir()}
    assert mine == leaves
    words = {"on": "1", "off": "0", "true": "1", "false": "0"}
    theirs = {path: said(f"xenhypfs cat /{path}").rstrip("\n") for path in sorted(leaves)}
    found = {path: mount.value(f"hypfs/{path}").rstrip("\n") for path in theirs}
    differ = {path: (found[path], said) for path, said in theirs.items() if found[path] not in (said, words.get(said))}
    compared.append(Comparison("hypfs/**", "xenhypfs cat", f"{len(found)} values", f"{len(theirs)} values", not differ))
    assert differ == {}
    for path in (path for path in leaves if path.startswith("params/")):
        assert mount.value(f"host/{path}") == mount.value(f"hypfs/{path}")
    if "params/gnttab_max_frames" in leaves:
        before = mount.value("hypfs/params/gnttab_max_frames")
        said(f"xl set-parameters gnttab_max_frames={int(before) + 1}")
        assert mount.value("hypfs/params/gnttab_max_frames") == str(int(before) + 1)
        mount.write("hypfs/params/gnttab_max_frames", before)
        assert said("xenhypfs cat /params/gnttab_max_frames").strip() == before


def test_console_beside_dmesg(mount: Mount, compared: list[Comparison]) -> None:
    for _ in range(TRIES):
        mine, theirs = mount.value("host/console/log"), said("xl dmesg")
        if mine.strip() == theirs.strip():
            break
    compared.append(
        Comparison(
            "host/console/log", "xl dmesg", f"{len(mine)} bytes", f"{len(theirs)} bytes", mine.strip() == theirs.strip()
        )
    )
    assert mine.strip().splitlines() == theirs.strip().splitlines()


def test_debug_keys_reach_the_console(mount: Mount) -> None:
    """Which ones there are says h itself; as many lines as xl's own."""

    def after(press: Callable[[], object]) -> int:
        press()
        log = mount.value("host/console/log")
        assert "'h' pressed" in log
        return log.rpartition("'h' pressed")[2].count("key '")

    mine = after(lambda: mount.write("host/debug_keys", "h"))
    assert mine == after(lambda: said("xl debug-keys h")) > 5


@pytest.mark.last
def test_a_cleared_log_is_empty(mount: Mount) -> None:
    """As xl dmesg -c leaves it. It comes after all others: it takes Xen's log from them."""
    for clear in (lambda: mount.write("host/console/log_clear", "1"), lambda: said("xl dmesg -c")):
        mount.write("host/debug_keys", "h")
        assert "'h' pressed" in mount.value("host/console/log")
        clear()
        for left in (mount.value("host/console/log"), said("xl dmesg")):
            assert "'h' pressed" not in left


def test_names_beside_xenstore(mount: Mount, guest: Guest, compared: list[Comparison]) -> None:
    names = {domid: said(f"xenstore-read /local/domain/{domid}/name").strip() for domid in mount.numbers("domains")}
    mine = {domid: mount.value(f"domains/{domid}/name") for domid in names}
    compared.append(Comparison("domains/*/name", "xenstore-read", in_short(mine), in_short(names), mine == names))
    assert mine == names
    assert {name: f"../{domid}" for domid, name in names.items()} == {
        name: str(mount.path(f"domains/by-name/{name}").readlink()) for name in mount.names("domains/by-name")
    }
