"""`xenfs tree` and `xenfs describe`: the reference as the tables give it."""

from __future__ import annotations

from pathlib import Path

import pytest

from xenfs.cli import main, paths
from xenfs.filesystem import mountinfo as mounts
from xenfs.filesystem.mountinfo import Mount
from xenfs.nodes.tables.base import Dir, Each, File, Link, Node
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.tree import reference, whole
from xenfs.options import Options

VALUE = File("value", "A value", read=lambda xen: 1)
SECRET = File("secret", "A secret", read=lambda xen: 1, option="debug")


def each(label: str, node: Node) -> Each:
    return Each(label=label, list=lambda xen: (), find=lambda xen, name: None, node=node)


ROOT = Dir(
    "",
    "Everything",
    (
        Dir("things", "Things", (VALUE, each("<t>", Dir("<t>", "A thing", (VALUE, SECRET))))),
        Dir(
            "deep",
            "A tree of any depth",
            (
                Each(
                    label="<name>", list=lambda xen: (), find=lambda xen, name: None,
                    node=lambda _: VALUE, shapes=(VALUE,),
                ),
            ),
        ),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("", ""),
        ("things", "things"),
        ("things/value", "things/value"),
        ("things/3", "things/<t>"),
        ("things/<t>", "things/<t>"),
        ("things/3/value", "things/<t>/value"),
        ("deep/a", "deep/<name>"),
        ("deep/a/b/c", "deep/<name>"),
        ("nothing", None),
        ("things/3/none", None),
        ("things/value/below", None),
    ],
)
def test_match_of(path: str, pattern: str | None) -> None:
    found = paths.match_of(ROOT, path)
    assert (found.pattern if found else None) == pattern


def test_match_of_remembers_options() -> None:
    found = paths.match_of(ROOT, "things/3/secret")
    assert found is not None
    assert found.options == ("debug",)


@pytest.mark.parametrize(
    ("typed", "within"),
    [
        ("", ""),
        (".", ""),
        ("host/info", "host/info"),
        ("./host/info/", "host/info"),
        ("/run/xenfs", ""),
        ("/run/xenfs/host/info", "host/info"),
        ("/mnt/x/host", "host"),
        ("/mnt/x/deeper/host", "host"),
        ("/host/info", "host/info"),
    ],
)
def test_inside(monkeypatch: pytest.MonkeyPatch, typed: str, within: str) -> None:
    there = [
        Mount("/mnt/x", mounts.OUR_TYPE, "x"),
        Mount("/mnt/x/deeper", mounts.OUR_TYPE, "x"),
        Mount("/", "ext4", "d"),
    ]
    monkeypatch.setattr(paths, "mounts", lambda: there)
    assert paths.inside(typed) == within


def test_tree_lists_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tree"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=4) for line in lines] == [str(row).split(maxsplit=4) for row in reference()]


def test_tree_below_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tree", "/run/xenfs/version/"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.startswith("version/") for line in lines)
    assert main(["tree", "versio"]) == 1
    capsys.readouterr()
    assert main(["tree", "domains/3/memory"]) == 0
    assert "domains/<d>/memory/current_kb" in capsys.readouterr().out


def test_every_row_can_be_described(capsys: pytest.CaptureFixture[str]) -> None:
    for row in reference():
        assert main(["describe", row.path]) == 0, row.path
        out = capsys.readouterr().out
        assert out.splitlines()[0] == row.path
        assert row.node.help in out


def test_every_directory_can_be_described(capsys: pytest.CaptureFixture[str]) -> None:
    for path in {str(parent) for row in reference() for parent in Path(row.path).parents}:
        assert main(["describe", path]) == 0, path
        capsys.readouterr()


def test_describe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "/run/xenfs/domains/3/freeze"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("domains/<d>/freeze\n")
    for said in ("0644", "read and write", "pausedomain", "A (daily)"):
        assert said in out
    assert main(["describe", "domains/3/kill"]) == 0
    assert "-o lifecycle" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("domains/by-name/web-1/sched/weight", "domains/<d>/sched/weight"),
        ("domains/by-uuid/00000000-0000-0000-0000-000000000000/vcpus/0/info", "domains/<d>/vcpus/<v>/info"),
        ("domains/self/state", "domains/<d>/state"),
        ("cpupools/by-name/Pool-0/cpus", "cpupools/<p>/cpus"),
        ("domains/by-name/web-1", "domains/by-name/<name>"),
    ],
)
def test_describe_below_a_link(path: str, pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", path]) == 0
    assert capsys.readouterr().out.splitlines()[0] == pattern


def test_every_link_leads_to_a_path_of_the_tree() -> None:
    links = [row.node for row in reference() if isinstance(row.node, Link)]
    assert len(links) > 3
    for link in links:
        assert isinstance(paths.match_of(whole(Options(), Refusals()), link.to).node, Dir)  # type: ignore[union-attr]


def test_describe_what_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "domains/3/nonsense"]) == 1
    assert main(["describe", "domains/self/nonsense"]) == 1
    assert "xenfs tree" in capsys.readouterr().err


def test_fixed_names_go_before_placeholders() -> None:
    found = paths.match_of(whole(Options(), Refusals()), "domains/stat")
    assert found is not None
    assert found.pattern == "domains/stat"
