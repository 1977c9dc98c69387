"""Monitoring agents and everyday tools: Zabbix, collectd, curl, watch and inotifywait, on the mount as it is."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

from mounting import Mount
from patience import PATIENCE_S
from programs import Started, needs, run, until


def test_zabbix_agent(mount: Mount, tmp_path: Path) -> None:
    program = needs("zabbix_agentd", "zabbix-agent")
    config = tmp_path / "zabbix.conf"
    config.write_text("Server=127.0.0.1\nHostname=host\nLogType=console\nAllowRoot=1\n")

    def value(key: str) -> str:
        said = run(program, "-c", config, "-t", key).strip()
        found = re.fullmatch(r".* \[[tsud]\|(.*)\]", said, re.DOTALL)
        assert found, said
        return found[1]

    assert value(f"vfs.file.contents[{mount.where}/host/memory/free_kb]") == mount.read("host/memory/free_kb").strip()
    assert value(f'vfs.file.regexp[{mount.where}/domains/stat,"^12 state=([a-z]+)",,,,\\1]') == "crashed"
    assert value(f'vfs.file.regmatch[{mount.where}/domains/stat,"state=crashed"]') == "1"
    # Of a file beyond 64 kB the agent takes no contents, but goes through its lines.
    assert value(f'vfs.file.regexp[{mount.where}/metrics/xen.prom,"^xen_up ([01])",,,,\\1]') == "1"


COLLECTD = """
Hostname "host"
BaseDir "{scratch}"
PIDFile "{scratch}/pid"
PluginDir "{plugins}"
TypesDB "/usr/share/collectd/types.db"
Interval 1
LoadPlugin csv
<Plugin csv>
  DataDir "{scratch}/csv"
</Plugin>
LoadPlugin table
<Plugin table>
  <Table "{mount}/host/cpu_stat">
    Plugin "xen"
    Instance "idle"
    Separator " "
    <Result>
      Type "derive"
      InstancesFrom 0
      ValuesFrom 1
    </Result>
  </Table>
  <Table "{mount}/domains/3/memory/current_kb">
    Plugin "xen"
    Instance "current_kb"
    Separator " "
    <Result>
      Type "gauge"
      ValuesFrom 0
    </Result>
  </Table>
</Plugin>
"""


def test_collectd(mount: Mount, started: Started, tmp_path: Path) -> None:
    program = needs("collectd", "collectd-core")
    plugins = next(path for path in (Path("/usr/lib/collectd"), *Path("/usr/lib").glob("*/collectd")) if path.is_dir())
    config = tmp_path / "collectd.conf"
    config.write_text(COLLECTD.format(scratch=tmp_path, mount=mount.where, plugins=plugins))
    started.start(program, "-f", "-C", config)

    def rows(pattern: str) -> list[list[str]]:
        found = [line.split(",") for path in tmp_path.glob(pattern) for line in path.read_text().splitlines()[1:]]
        return found if len(found) >= 2 else []

    idle = until(lambda: rows("csv/host/xen-idle/derive-cpu0-*"), "collectd writes what it reads")
    (_, first), (_, second) = idle[:2]
    assert 0 < int(second) - int(first) < 60e9
    memory = until(lambda: rows("csv/host/xen-current_kb/gauge-*"), "collectd writes what it reads")
    assert {float(value) for _, value in memory} == {float(mount.read("domains/3/memory/current_kb"))}


def test_curl(mount: Mount) -> None:
    needs("curl", "curl")
    assert "xen_up 1\n" in run("curl", "-s", f"file://{mount.where}/metrics/xen.prom")


def test_watch_sees_a_value_change(mount: Mount) -> None:
    """watch -g ends when what it shows is not what it showed before; it wants a terminal."""
    program = needs("watch", "procps")
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [program, "-g", "-t", "-n", "0.2", "cat", mount.where / "domains/3/cpu_time_ns"],
        stdin=its, stdout=its, stderr=its, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    try:
        assert process.wait(PATIENCE_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(its)
        os.close(ours)


def test_inotify_sees_what_is_written_through_the_mount(mount: Mount, started: Started) -> None:
    program = needs("inotifywait", "inotify-tools")
    weight = mount.where / "domains/3/sched/weight"
    started.start(program, "-m", "-e", "modify", "-e", "close_write", "--format", "%e", weight)
    until(lambda: "Watches established" in started.said(), "inotifywait is ready")
    before = mount.read("domains/3/sched/weight").strip()
    mount.write("domains/3/sched/weight", "777")
    until(lambda: "MODIFY" in started.said() and "CLOSE_WRITE" in started.said(), "inotifywait says so")
    mount.write("domains/3/sched/weight", before)


def test_inotify_does_not_see_what_xen_changes(mount: Mount) -> None:
    """The kernel tells of system calls, and nobody makes one when a guest uses CPU time: status 2, time is up."""
    program = needs("inotifywait", "inotify-tools")
    value = mount.read("domains/3/cpu_time_ns")
    done = subprocess.run(
        [program, "-q", "-t", "2", "-e", "modify", "-e", "attrib", mount.where / "domains/3/cpu_time_ns"],
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert mount.read("domains/3/cpu_time_ns") != value


def test_cp_reads_to_the_end_and_tar_goes_by_size(mount: Mount, tmp_path: Path) -> None:
    """As with sysfs: what takes the size, a page, at its word fills up with NULs, and says that something is odd."""
    copied = tmp_path / "copied"
    run("cp", mount.where / "host/cpu_khz", copied)
    assert copied.read_text() == mount.read("host/cpu_khz")
    words = ["tar", "-C", str(mount.where), "-cf", str(tmp_path / "x.tar"), "host/cpu_khz"]
    packed = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert packed.returncode == 1
    assert "File shrank" in packed.stderr
    run("tar", "-C", tmp_path, "-xf", tmp_path / "x.tar")
    assert (tmp_path / "host/cpu_khz").read_text().rstrip("\0") == mount.read("host/cpu_khz")
