"""A mounted simulator, served by a process of its own that never outlives its test. Nothing here touches the mount
from the process that serves it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mounting import Mount, Mounter, lasting


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without /dev/fuse nothing here can run."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as problem:
        skip = pytest.mark.skip(reason=f"/dev/fuse cannot be opened: {problem.strerror}")
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(skip)


@pytest.fixture
def mounter(tmp_path: Path) -> Iterator[Mounter]:
    """Mounts with the arguments given, in directories of its own."""
    made: list[Mount] = []

    def mount(settings: str = "", *words: str, options: str = "", **more: object) -> Mount:
        where = tmp_path / f"xenfs{len(made)}"
        where.mkdir()
        checked = ",".join(filter(None, (options, "pool_check")))
        made.append(Mount(where, "--hypervisor", f"simulator:{settings}", "-o", checked, *words, **more))  # type: ignore[arg-type]
        return made[-1]

    yield mount
    for each in made:
        alive = each.process.poll() is None
        try:
            if alive:
                each.stop()
        finally:
            each.force()


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """One mount with all options for the tests of a module that leave it as it was."""
    with lasting(tmp_path_factory.mktemp("mounted"), options="lifecycle,debug,raw,pool_check") as mount:
        yield mount
        assert "Error" not in mount.errors()
