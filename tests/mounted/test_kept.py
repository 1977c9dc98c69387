"""What stays as long as Xen runs: the kernel keeps it, with its true size, until xenfs has something done."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mounting import Mount, Mounter
from patience import until

SHORT, LONG, ASKED = "version/extra", "version/features", "version/capabilities"


def calls(root: Path) -> int:
    """How many hypercalls there were; to ask makes none."""
    return sum(map(int, re.findall(r"count=(\d+)", (root / "xenfs/calls/stat").read_text())))


def cost(root: Path, path: str) -> int:
    before = calls(root)
    (root / path).read_bytes()
    return calls(root) - before


def kept(root: Path, path: str) -> bytes:
    """Its content, once the kernel knows how long it is."""
    content = (root / path).read_bytes()
    until(lambda: (root / path).stat().st_size == len(content), "the size")
    return content


@pytest.mark.parametrize("path", [SHORT, LONG])
def test_the_second_read_asks_nobody(path: str, mounted: Mount) -> None:
    content = kept(mounted.where, path)
    assert len(content) > 2
    for _ in range(3):
        assert cost(mounted.where, path) == 0
        assert (mounted.where / path).read_bytes() == content
    with (mounted.where / path).open("rb", buffering=0) as opened:
        opened.seek(2)
        assert opened.read(3) == content[2:5]
        assert os.pread(opened.fileno(), 100, len(content)) == b""


def test_what_may_change_is_asked_each_time(mounted: Mount) -> None:
    assert cost(mounted.where, ASKED) > 0
    assert cost(mounted.where, ASKED) > 0


def test_once_something_was_done_it_is_asked_again(mounter: Mounter) -> None:
    root = mounter("domains=3").where
    content = kept(root, SHORT)
    assert cost(root, SHORT) == 0
    (root / "domains/1/freeze").write_text("1\n")
    assert cost(root, SHORT) > 0
    assert kept(root, SHORT) == content
    assert cost(root, SHORT) == 0


def test_many_at_once_find_all_of_it(mounter: Mounter) -> None:
    """Also who comes while the kernel still takes it for empty."""
    root = mounter("domains=3").where
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: (root / LONG).read_bytes(), range(200)))
    assert len(set(found)) == 1
    assert found[0].count(b"\n") > 1
