"""Every example of README and docs is run here, or its page says in its source why not; and xl's twins are run."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from examples import CHECKOUT, blocks, commands, pages, same, typed
from mounting import Mount, Mounter

sys.path.insert(0, str(CHECKOUT / "scripts" / "reference.d"))
from from_xl import twins
from manual import EXAMPLES_5, EXAMPLES_8

from xenfs.nodes import tree
from xenfs.nodes.tables import reference

RUN = {
    page: [block for block in blocks(page.read_text("utf-8")) if block.lines[0].startswith("$ ")] for page in pages()
}


def named(page: Path) -> str:
    return page.name


def test_examples_are_found() -> None:
    """A page whose examples the search loses would pass without them."""
    assert len(RUN[CHECKOUT / "README.md"]) >= 3
    assert len(RUN[CHECKOUT / "docs/tutorial.md"]) >= 8


@pytest.mark.parametrize("page", pages(), ids=named)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    silent = [each.lines[0] for each in blocks(page.read_text("utf-8")) if not (each in RUN[page] or each.excuse)]
    assert not silent, "begin it with a prompt, or put <!-- not run: WHY --> above it"


@pytest.mark.parametrize("page", [page for page in pages() if RUN[page]], ids=named)
def test_a_page_prints_what_it_says(mounter: Mounter, page: Path, tmp_path: Path) -> None:
    """On a host of its own: what one page makes and ends shows in the figures of another."""
    mounted = mounter(options="lifecycle,debug,raw")
    examples = [each for block in RUN[page] for each in commands(block)]
    printed = typed(mounted.where, [command for command, _ in examples], tmp_path)
    assert len(printed) == len(examples)
    for (command, page_says), found in zip(examples, printed, strict=True):
        assert same(found, page_says), (page.name, command, found)


def test_what_takes_the_place_of_xl_works(mounted: Mount, mounter: Mounter, tmp_path: Path) -> None:
    """On the usual simulated host, or on one that has what a command is about."""
    of_host: dict[str, list[str]] = {}
    for twin in twins():
        if twin.here:
            of_host.setdefault(twin.host, []).append(twin.here)
    assert len(of_host[""]) > 55
    assert len(of_host.pop("not run")) == 6
    for host, here in of_host.items():
        mount = mounter(host, options="lifecycle,debug") if host else mounted
        printed = typed(mount.where, [f"{each}; echo status $?" for each in here], tmp_path)
        for command, found in zip(here, printed, strict=True):
            assert found[-1] == "status 0", (command, found)
    assert [twin.command for twin in twins() if not (twin.here or twin.note.startswith("not here"))] == []


def test_who_compares_a_row_on_a_real_xen_is_there() -> None:
    for twin in twins():
        file, _, test = twin.compared.partition("::")
        if test:
            assert f"def {test}(" in (CHECKOUT / "tests/xen" / file).read_text("utf-8"), twin.command
        assert bool(twin.compared) == bool(twin.here), "which test, or why none"
        assert not twin.alone or " " in twin.compared, "the reason in words"
    assert sum(twin.alone for twin in twins()) <= 14, "all of the everyday ones are compared"


def test_the_examples_of_manual_pages_work(mounted: Mount, tmp_path: Path) -> None:
    given = [*EXAMPLES_5.values(), *EXAMPLES_8.values()]
    ends = [part[-1] for part in typed(mounted.where, [f"{each}; echo status $?" for each in given], tmp_path)]
    assert ends == ["status 0"] * len(given)


def test_the_comparison_sees_a_difference() -> None:
    assert same(["a 1 b", "c"], ["a … b", "c"])
    assert same(["a", "x", "y", "c"], ["a", "…", "c"])
    assert not same(["a"], ["b"])
    assert not same(["a", "b"], ["a"])
    assert not same([], ["a"])
    assert [block.lines for block in blocks("x\n\n    $ a\n    b\n\ny\n\n- z\n    not this\n")] == [["$ a", "b"]]


@pytest.mark.parametrize("section", [5, 8])
def test_manual_pages_are_clean(section: int) -> None:
    try:
        done = subprocess.run(
            ["mandoc", "-T", "lint", f"docs/xenfs.{section}"], cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("needs mandoc")
    assert not re.search("WARNING|ERROR|STYLE", done.stdout), done.stdout


def test_links_between_pages_lead_somewhere() -> None:
    for page in pages():
        for target, anchor in re.findall(r"\]\((?!http)([^)#]*)(#[^)]*)?\)", page.read_text("utf-8")):
            there = (page.parent / target).resolve() if target else page
            assert there.exists(), (page.name, target)
            if anchor:
                headings = re.findall(r"^#+ (.*)$", there.read_text("utf-8"), re.MULTILINE)
                slugs = {"#" + re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor in slugs, (page.name, target, anchor)


def test_messages_of_the_troubleshooting_page_are_ours() -> None:
    table = (CHECKOUT / "docs/troubleshooting.md").read_text("utf-8").partition("## A file answers")[0]
    messages = re.findall(r"^\| ([^|]+?) \|", table.partition("|---")[2], re.MULTILINE)
    sources = [*(CHECKOUT / "xenfs").rglob("*.py"), CHECKOUT / "contrib/mount.fuse.xenfs"]
    said = " ".join(" ".join(source.read_text("utf-8") for source in sources).split())
    assert len(messages) >= 7
    for message in messages:
        for part in message.replace("`", "").split("..."):
            assert part.strip() in said, message


def test_errors_of_the_troubleshooting_page_are_those_of_the_tables() -> None:
    """Every errno that a file may give, and what a shell says of it."""
    page = (CHECKOUT / "docs/troubleshooting.md").read_text("utf-8")
    words = dict(re.findall(r"^\| (E[A-Z0-9, ]+) \| ([^|]+) \|", page, re.MULTILINE))
    said = {name: texts for names, texts in words.items() for name in names.split(", ")}
    for name, texts in said.items():
        assert os.strerror(getattr(errno, name)) in texts, name
    rows = [row for row in tree.reference() if not row.path.startswith("raw/")]
    assert {name for row in rows for name in reference.errnos_of(row.node)} <= set(said)
