"""How many requests may be on their way that nobody waits for in a system call; what it is for is in test_crowd.py."""

from __future__ import annotations

import logging

import pytest

from xenfs.filesystem import background
from xenfs.filesystem.lanes import MOST_WAITING
from xenfs.filesystem.mountinfo import Mount


def test_more_than_can_wait() -> None:
    """Were there fewer, those who wait could be all of them."""
    assert background.MOST > MOST_WAITING


def test_where_it_cannot_be_said_the_log_has_it_and_the_mount_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        background.allow(Mount("/mnt", "fuse.xenfs", "xenfs", device="0:1048575"))
    assert "/1048575/max_background" in caplog.text
