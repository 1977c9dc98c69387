"""What scripts/reference writes: it is current, complete, and says what `xenfs describe` says."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from xenfs.cli import main
from xenfs.nodes import tree
from xenfs.nodes.tables import reference
from xenfs.nodes.tables.base import Dir, File

CHECKOUT = Path(__file__).resolve().parents[2]
ROWS = [*tree.directories(), *tree.reference()]
NO_HYPERCALLS = ("xenstore", "sysfs", "QEMU")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The generator itself: scripts/reference.d is no package."""
    folder = str(CHECKOUT / "scripts" / "reference.d")
    sys.path.insert(0, folder)
    try:
        import generate
    finally:
        sys.path.remove(folder)
    return generate


def test_it_is_current(generate: ModuleType) -> None:
    old = [name for name, text in generate.TEXTS.items() if (CHECKOUT / name).read_text() != text()]
    assert not old, "run scripts/reference"


def test_every_path_is_in_it_once(generate: ModuleType) -> None:
    page = generate.TEXTS["docs/tree.md"]()
    listed = re.findall(r"^\| `([^`]+)` \|", page, re.M)
    assert sorted(listed) == sorted(row.path for row in ROWS)
    manual = generate.TEXTS["docs/xenfs.5"]().replace("\\-", "-").splitlines()
    assert [line for line in listed if f".B {line}" not in manual] == []


def test_describe_says_the_same(generate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    page = generate.TEXTS["docs/tree.md"]()
    lines = (
        re.split(r"(?<!\\) ?\| ?", line) for line in page.splitlines() if line.startswith("| `") and line.count("|") > 8
    )
    cells = {line[1].strip("`"): line[2:-1] for line in lines}
    assert len(cells) == len(ROWS)
    for row in ROWS:
        assert main(["describe", row.path]) == 0
        said = capsys.readouterr().out
        for cell in cells[row.path]:
            plain = cell.replace("\\|", "|").replace("\\<", "<").strip()
            assert plain in said, (row.path, plain)


def test_reasons_are_of_what_was_not_made(generate: ModuleType) -> None:
    """Once an operation was seen on a real Xen, its line in unmade.tsv is to go."""
    told = [line.split(" | ") for line in generate.TEXTS["docs/coverage.md"]().splitlines() if line.startswith("| ")]
    made = {(line[0].removeprefix("| "), line[1]): line[-1].removesuffix(" |") for line in told if len(line) == 7}
    table = sys.modules["coverage_table"]
    assert len(table.unmade()) > 50
    for op in table.unmade():
        assert made[op.hypercall.name, op.word or op.hypercall.name] == f"no: {table.reasons()[op]}", op


def test_there_is_something_to_say_of_everything() -> None:
    for row in ROWS:
        assert reference.format_of(row.node), row.path
        assert reference.since_of(row.path) != "not in these releases", row.path
        if isinstance(row.node, (Dir, File)) and not row.path.startswith(
            ("xenfs/", "raw/buffers/", "raw/hypercall", "templates/")
        ):
            assert reference.operations_of(row.node), row.path


def test_operations_are_xens() -> None:
    """What an entry calls its operation has the name of a hypercall before it."""
    from xenfs.abi.numbers import Hypercall

    for row in ROWS:
        for operation in reference.operations_of(row.node):
            hypercall, _, name = operation.strip("()").partition(" ")
            assert hypercall in (*Hypercall.__members__, *NO_HYPERCALLS), (row.path, operation)
            assert name or hypercall in NO_HYPERCALLS, (row.path, operation)


def test_since_in_a_table_agrees_with_the_simulators() -> None:
    for row in ROWS:
        if since := getattr(row.node, "since", ""):
            assert since in reference.since_of(row.path), row.path


def test_errnos_come_from_parsers_and_docstrings() -> None:
    def errnos(path: str) -> list[str]:
        return next(reference.errnos_of(row.node) for row in ROWS if row.path == path)

    assert errnos("domains/<d>/sched/weight") == ["EINVAL", "ERANGE"]
    assert errnos("xenfs/error_log") == []
    assert "EBUSY" in errnos("cpupools/<p>/cpus")
    assert {"EACCES", "EINVAL", "ESRCH"} <= set(errnos("domains/<d>/context"))


def test_operations_that_are_wanted(generate: ModuleType) -> None:
    wanted = generate.coverage_table.wanted()  # KeyError for a line that is no operation of the tables
    assert len({(each.hypercall, each.operation) for each in wanted}) == len(wanted)
    for each in wanted:
        assert each.uses, each
        assert all(use.how in ("r", "w", "mkdir", "rmdir") for use in each.uses), each
        assert not each.since or each.since in generate.simulated.RELEASES, each


def test_a_file_that_asks_needs_no_line(generate: ModuleType) -> None:
    """What a file says that it asks is in the table, with a line in operations.tsv or without."""
    table = generate.coverage_table
    [found] = [each for each in table.wanted() if each.operation == "tbuf_op get_info"]
    assert found[:4] == ("sysctl", "tbuf_op get_info", "C", "4.14")
    assert table.Use("r", "host/trace/info") in found.uses
    assert "tbuf_op get_info" not in (CHECKOUT / "scripts/reference.d/operations.tsv").read_text()
    [written] = [each for each in table.wanted() if each.operation == "debug_keys"]
    assert written.uses == (table.Use("w", "host/debug_keys"),)


def test_every_operation_is_reached(generate: ModuleType) -> None:
    """Each has a line that names its file in raw/, or says why only raw/hypercall makes it."""
    page = generate.coverage_table.text()
    rows = [line for line in page.partition("## Every operation")[2].splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(generate.coverage_table.declared())
    for row in rows:
        assert re.search(r"\| (files above, )?`raw/[\w/:]+`", row), row
        assert "`raw/hypercall` only: |" not in row, row


def test_what_was_seen_is_read(generate: ModuleType) -> None:
    """The evidence comes from where it is: a recording, a note of a run, a table of comparisons."""
    table = generate.coverage_table
    found = {(each.release, each.arch): each for each in table.evidence()}
    assert table.Use("r", "domains/<d>/cpu_time_ns") in found["4.17", "x86_64"].uses
    assert found["4.17", "x86_64"].scheduler == "credit2"
    assert "xl list -v" in table.peers()["domains/<d>/uuid"]
    assert table.row("domains/7/vcpus/0/cpu") == "domains/<d>/vcpus/<v>/cpu"
    assert table.row("domains/stat") == "domains/stat"
    assert table.row("hypfs/params/loglvl") == "hypfs/<name>"
    assert table.row("nothing/there") == ""


@pytest.mark.parametrize("page", ["xenfs.5", "xenfs.8"])
def test_manual_pages_are_well_formed(page: str) -> None:
    path = str(CHECKOUT / "docs" / page)
    if shutil.which("mandoc"):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], capture_output=True, text=True)
        assert done.stdout == ""
    elif shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-ww", "-T", "utf8", path], capture_output=True, text=True)
        assert done.stderr == ""
    else:
        pytest.skip("neither mandoc nor groff is installed")
