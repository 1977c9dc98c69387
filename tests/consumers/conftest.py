"""Programs that read xenfs without knowing of it, each the real one. Where one is missing its test is skipped, and
with XENFS_CONSUMERS=required it fails: scripts/test-consumers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "mounted"))

from mounting import Mount, lasting
from programs import Started, cgroup2

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without /dev/fuse nothing here can run but what looks at files alone."""
    if os.access("/dev/fuse", os.R_OK | os.W_OK):
        return
    skip = pytest.mark.skip(reason="/dev/fuse cannot be opened")
    for item in items:
        if HERE in item.path.parents and "mount" in getattr(item, "fixturenames", ()):
            item.add_marker(skip)


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """A simulated host, mounted for the tests of a module."""
    with lasting(tmp_path_factory.mktemp("consumers")) as made:
        yield made
        assert "Error" not in made.errors()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Programs that run until the test ends."""
    programs = Started(tmp_path)
    yield programs
    programs.end()


@pytest.fixture
def populated() -> Iterator[Path]:
    """A cgroup of version 2 with a process in it."""
    above = cgroup2()
    if above is None:
        pytest.skip("no cgroup v2 that can be written")
    made = above / f"xenfs-test-{os.getpid()}"
    made.mkdir()
    inhabitant = subprocess.Popen(["sleep", "60"])
    try:
        (made / "cgroup.procs").write_text(str(inhabitant.pid))
        yield made
    finally:
        inhabitant.kill()
        inhabitant.wait()
        for _ in range(100):
            with contextlib.suppress(OSError):
                made.rmdir()
            if not made.exists():
                break
