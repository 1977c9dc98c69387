"""Prometheus: promtool on the file, node_exporter reading it where it lies, a server that reads node_exporter."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import pytest
from mounting import Mount
from patience import PATIENCE_S
from programs import Started, free_port, needs, run, until
from prom import Family, families
from worlds import COMBINATIONS, Host

from xenfs.xenstore.fake import FakeXenstore

CONTRIB = Path(__file__).parents[2] / "contrib" / "prometheus"
RULES = CONTRIB / "xenfs.rules.yml"


def lint(text: str) -> None:
    """Have promtool say what it thinks of it: nothing."""
    promtool = needs("promtool", "prometheus")
    done = subprocess.run([promtool, "check", "metrics"], input=text.encode(), capture_output=True, timeout=60)
    assert (done.returncode, done.stdout.decode(), done.stderr.decode()) == (0, "", "")


@pytest.mark.parametrize(("release", "arch"), COMBINATIONS[:: len(COMBINATIONS) - 1])
def test_promtool_has_no_complaint(release: str, arch: str) -> None:
    with Host(f"xen={release},arch={arch}") as host:
        lint(host.read("metrics/xen.prom"))


def test_promtool_and_hostile_names() -> None:
    names = (
        b'"} 7\nxen_up 0\n# "',
        b"\xff\xfe\xc3",
        b"\\",
        b"nul\0",
        b"\r\t\x1b",
        "\u2028".encode(),
        b"x" * 4000,
        b'"',
    )
    with Host() as host:
        domids = [domain.domid for domain in host.world.domains_from(0)]
        host.xen.store = FakeXenstore(
            {f"/local/domain/{domid}/name": name for domid, name in zip(domids, names, strict=False)}
        )
        lint(host.read("metrics/xen.prom"))


def test_promtool_on_the_mount(mount: Mount) -> None:
    lint(mount.read("metrics/xen.prom"))


def test_rules() -> None:
    promtool = needs("promtool", "prometheus")
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES)
    run(promtool, "test", "rules", CONTRIB / "xenfs.rules.test.yml")


def exporter(directory: Path, started: Started, *by: str) -> str:
    """A node_exporter with its textfile collector only, on the mount's own directory."""
    program, port = needs("prometheus-node-exporter", "prometheus-node-exporter"), free_port()
    address = f"127.0.0.1:{port}"
    started.start(
        *by, program, "--collector.disable-defaults", "--collector.textfile",
        f"--collector.textfile.directory={directory}", f"--web.listen-address={address}",
    )  # fmt: skip
    until(lambda: fetched(f"http://{address}/metrics"), "node_exporter answers")
    return address


def fetched(url: str) -> str:
    with urlopen(url, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


def of_xen(text: str) -> dict[str, Family]:
    """The families that are ours, from what node_exporter adds its own to."""
    kept, ours = [], False
    for line in text.splitlines():
        if line.startswith("# HELP "):
            ours = line.split()[2].startswith(("xen_", "xenfs_"))
        if ours:
            kept.append(line)
    return families("\n".join(kept) + "\n")


def series(found: dict[str, Family]) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return {(name, frozenset(at)) for name, family in found.items() for at in family.samples}


def test_node_exporter_reads_it_where_it_lies(mount: Mount, started: Started) -> None:
    address = exporter(mount.where / "metrics", started)
    mine = families(mount.read("metrics/xen.prom"))
    said = fetched(f"http://{address}/metrics")
    theirs = of_xen(said)
    own = ("xenfs_hypercall", "xenfs_buffers")  # an operation that was first used in between has a series of its own
    assert {each for each in series(mine) if not each[0].startswith(own)} == {
        each for each in series(theirs) if not each[0].startswith(own)
    }
    assert {name: family.kind for name, family in mine.items()} == {name: f.kind for name, f in theirs.items()}
    assert {name: family.help for name, family in mine.items()} == {name: f.help for name, f in theirs.items()}
    for name in ("xen_domain_memory_bytes", "xen_domain_memory_max_bytes", "xen_domain_info", "xen_node_distance"):
        assert {frozenset(at): float(v) for at, v in mine[name].samples.items()} == {
            frozenset(at): float(v) for at, v in theirs[name].samples.items()
        }
    assert "node_textfile_scrape_error 0" in said


def test_node_exporter_sees_it_change_and_never_takes_it_for_stale(mount: Mount, started: Started) -> None:
    address = exporter(mount.where / "metrics", started)
    first = of_xen(fetched(f"http://{address}/metrics"))
    time.sleep(1.2)
    said = fetched(f"http://{address}/metrics")
    second = of_xen(said)
    total = "xen_domain_cpu_seconds_total"
    assert second[total].value(name="database") > first[total].value(name="database") + 0.5
    (mtime,) = [line.split()[-1] for line in said.splitlines() if line.startswith("node_textfile_mtime_seconds{")]
    assert abs(float(mtime) - time.time()) < 10


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
def test_node_exporter_as_its_own_user_by_a_link(started: Started) -> None:
    """As Debian runs it: not root, with a directory of its own, in which a link to the mount is all that is needed."""
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with tempfile.TemporaryDirectory(prefix="xenfs-") as folder:
        where, textfiles = Path(folder, "xenfs"), Path(folder, "textfiles")
        for path in (where, textfiles):
            path.mkdir()
        os.chmod(folder, 0o755)
        (textfiles / "xen.prom").symlink_to(where / "metrics/xen.prom")
        options = "ro,allow_other,gid=65534,umask=027"
        mount = Mount(where, "--hypervisor", "simulator", "-o", options)
        try:
            address = exporter(textfiles, started, *nobody)
            assert of_xen(fetched(f"http://{address}/metrics"))["xen_up"].value() == 1
            stranger = ("setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "cat")
            done = subprocess.run([*stranger, where / "metrics/xen.prom"], capture_output=True, timeout=PATIENCE_S)
            assert b"Permission denied" in done.stderr
            started.end()
            mount.stop()
        finally:
            mount.force()


def test_a_server_records_and_alerts(mount: Mount, started: Started, tmp_path: Path) -> None:
    program = needs("prometheus", "prometheus")
    target, port = exporter(mount.where / "metrics", started), free_port()
    rules = RULES.read_text().replace("interval: 1m", "interval: 1s").replace("for: 1m", "for: 1s")
    (tmp_path / "rules.yml").write_text(rules)
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f"rule_files: [{tmp_path}/rules.yml]\n"
        f"scrape_configs: [{{job_name: node, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    address = f"127.0.0.1:{port}"
    started.start(
        program, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address={address}", "--web.console.templates=/nowhere", "--web.console.libraries=/nowhere",
    )  # fmt: skip

    def asked(expression: str) -> list[dict[str, object]]:
        answer = json.loads(fetched(f"http://{address}/api/v1/query?query={quote(expression)}"))
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    rate = until(lambda: asked('instance_uuid_name:xen_domain_cpu:rate5m{name="database"}'), "a recording rule", 60)
    assert 0 < float(rate[0]["value"][1]) < 4  # type: ignore[index]
    alert = until(lambda: asked('ALERTS{alertname="XenDomainCrashed",alertstate="firing"}'), "an alert", 60)
    assert [each["metric"]["name"] for each in alert] == ["legacy"]  # type: ignore[index]
    assert asked("xen_up == 1")
