"""A daemon that serves gives memory back when something was computed: what test_giving_back.py shows goes on in it."""

from __future__ import annotations

import os
import select

from mounting import Mounter
from patience import PATIENCE_S

DAEMON = """
from xenfs.filesystem import giving_back
async def trim():
    print("given back", flush=True)
giving_back.give_back.__defaults__ = (trim, 0.01)
from xenfs.cli import main
main()
"""


def test_after_a_file_of_all_domains_was_read(mounter: Mounter) -> None:
    daemon = mounter("domains=100", program=("-c", DAEMON))
    assert daemon.process.stdout
    said, fd = b"", daemon.process.stdout.fileno()
    daemon.read("domains/stat")
    while b"given back\n" not in said:
        assert select.select([fd], [], [], PATIENCE_S)[0], "nothing is given back"
        said += os.read(fd, 4096)
