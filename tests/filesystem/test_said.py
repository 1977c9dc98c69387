"""The numbers that the documents say are those of the code: tests of a bound often take a smaller one, to end soon."""

from __future__ import annotations

from pathlib import Path

import pytest

from xenfs.filesystem import (
    background,
    computing,
    gathering,
    inodes,
    keeping,
    lanes,
    listings,
    promptness,
    shares,
    turns,
    waiting,
)
from xenfs.hypervisor.qemu import sockets

DOCS = Path(__file__).parents[2] / "docs"
THREADS, PERMISSIONS, RELIABILITY = "threads.md", "permissions.md", "reliability.md"

SAID = (
    (THREADS, f"about {keeping.MOST_ENTRIES:,}; what was not used for half a minute"),
    (THREADS, f"is given back beyond {keeping.AT_REST:,}"),
    (THREADS, f"of as many as ask, or of {turns._MOST_PARTS}; "),
    (THREADS, f"counted as {turns.REQUEST_S * 1e3:g} ms a request and {turns.BYTE_S * 1e9:g} ms a megabyte"),
    (THREADS, f"{lanes._OF_ONE} of one user, {lanes._OF_ALL} of all, {lanes._FOR_EACH} of each of sixteen users"),
    (THREADS, f"{lanes._OF_ROOT} in all, {lanes._OF_WRITERS} of all but root, {lanes._OF_WRITER} of one user but root"),
    (THREADS, f"together {lanes._WRITERS_BULK} for bulk work and {lanes._WRITERS_LONG} for what may take long"),
    (THREADS, f"the kernel lets {background.MOST} be on their way"),
    (THREADS, f"in {gathering._MOST_PARTS:,} parts at the most"),
    (THREADS, f"twice as many as the whole has and {gathering._MOST_OVER >> 20} MB"),
    (THREADS, f"{waiting._RUNG} are told in a turn of the loop"),
    (THREADS, f"its last {waiting._FOLLOWED} opens are looked at"),
    (THREADS, f"for half a minute, {inodes._DROPPED} in a turn of the loop"),
    (THREADS, f"and {sockets._MOST_HELD >> 20} MB of all QEMUs of a question"),
    (THREADS, f"{sockets._SPARED} are left to other questions"),
    (THREADS, f"gave no sign of life for {computing.LEASE_S:g} s"),
    (THREADS, f"{promptness._SWITCH_S * 1e3:g} ms, Python's switch interval"),
    (RELIABILITY, f"{lanes._PATIENCE_S:g} s, then EAGAIN; what has begun"),
    (RELIABILITY, f"a listing at {listings._OF_A_NAME} bytes a name"),
    (RELIABILITY, f"{shares._MOST_BYTES >> 20} MiB for each user in what is over {shares.SMALL >> 10} KiB"),
    (RELIABILITY, f"{shares._MOST_OF_ALL >> 20} MiB for all but root"),
    (PERMISSIONS, f"the {lanes._MOST_READERS} places of readers who wait"),
    (PERMISSIONS, f"| {shares._USERS} | all files that may be open"),
    (PERMISSIONS, f"the {shares._MOST_OF_ALL >> 20} MiB for answers and listings over {shares.SMALL >> 10} KiB"),
    (PERMISSIONS, f"hands over {background.MOST} requests of all users at a time"),
)


@pytest.mark.parametrize(("document", "words"), SAID)
def test_the_documents_say_what_the_code_does(document: str, words: str) -> None:
    assert words in " ".join((DOCS / document).read_text().split())
    assert keeping._UNUSED_ROUNDS * keeping._ROUND_S == 30, "half a minute"
