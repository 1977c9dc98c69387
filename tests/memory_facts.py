"""What the kernel says about a piece of this process's memory."""

import struct
from pathlib import Path

import pytest

from xenfs.pool.pages import PAGE


def smaps(start: int, nbytes: int) -> list[dict[str, str]]:
    """The entries of /proc/self/smaps that cover a range: [{"Size": "256 kB", "VmFlags": "rd wr ...", ...}, ...]."""
    entries: list[dict[str, str]] = []
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head, _, rest = line.partition(" ")
        if not head.endswith(":"):
            low, high = (int(word, 16) for word in head.split("-"))
            inside = low < start + nbytes and start < high
            if inside:
                entries.append({"range": head, "of": "".join(rest.split()[4:5])})
        elif inside:
            entries[-1][head[:-1]] = rest.strip()
    return entries


def locked(start: int, nbytes: int) -> bool:
    """True where every page of the range is locked in memory, and there."""
    return all(entry["Locked"] == entry["Size"] == entry["Rss"] for entry in smaps(start, nbytes))


def frames(start: int, nbytes: int) -> list[int]:
    """The physical frame of each page; skips the test where the kernel does not tell."""
    with open("/proc/self/pagemap", "rb") as pagemap:
        pagemap.seek(start // PAGE * 8)
        words = struct.unpack(f"={nbytes // PAGE}Q", pagemap.read(nbytes // PAGE * 8))
    found = [word & (1 << 55) - 1 for word in words]
    if not any(found):
        pytest.skip("the kernel shows physical frames to root only")
    return found
