"""What may be written to a file by mistake: the same for every entry, and what follows from what it shows and takes."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

import pytest
from worlds import HARMLESS, Host, Place

from xenfs.errors import BadInput, XenfsError
from xenfs.nodes.tables.base import File
from xenfs.nodes.tables.forms import form

REFUSED = {errno.EINVAL, errno.ERANGE, errno.E2BIG}
POWERS = (31, 32, 63, 64)
EMPTY = [b"", b"\n", b" ", b"\t", b"\n\n"]
TOO_LONG = [b"x" * 4097, b"1" * 5000, b"0," * 2049]
BINARY = [b"\0", b"\xff\xfe", b"\x80", b"1\0", b"\x7fELF\x02\x01\x01", b"1\n1", "\u0661".encode(), "\uff11".encode()]
OVERFLOW = [str(sign * (2**power + more)).encode() for power in POWERS for more in (-1, 0, 1) for sign in (1, -1)] + [
    b"-1",
    b"9" * 30,
    b"0x10000000000000000",
    b"0xffffffffffffffff0",
    b"1e3",
    b"1.5",
    b"0x",
    b"1_0",
    b"0b1",
]
LISTS = [
    b"0,,1",
    b",",
    b"0-",
    b"-",
    b"+",
    b"5-2",
    b"0-7,5-2",
    b"3-1",
    b"0,64",
    b"all,1",
    b"+all",
    b"^0",
    b"0-4000000000",
]
NOT_THERE = [b"8", b"64", b"4095", b"+4095", b"99", b"32751", b"32752", b"0-4095", b"7,8191", b"nmi 8191", b"ff:1f.7"]
WORDS = [
    b"banana",
    b"ALL",
    b"All",
    b"MAX",
    b"Max",
    b"On",
    b"TRUE",
    b"yes",
    b"Unlimited",
    b"1 1",
    b"- 1",
    b"1 kB",
    b"4G",
]
EVERYWHERE = [*EMPTY, *TOO_LONG, *BINARY, *OVERFLOW, *LISTS, *NOT_THERE, *WORDS]


def corpus(node: File, content: bytes) -> Iterator[bytes]:
    """All that is wrong in many places, and the file's own words in other case and with more around them."""
    yield from EVERYWHERE
    text = content.decode("utf-8", "replace")[:200] + " " + form(node.parse).words
    for word in sorted(set(re.findall(r"[A-Za-z]\w*", text))):
        yield from (
            each.encode() for each in (word.upper(), word.title(), word.swapcase(), f"{word} {word}", f"{word}x")
        )
    for line in content.splitlines()[:1]:
        yield from (line + b" 1", line + b"x", line + b"\n" + line, b"x" + line)


def accepted(node: File, data: bytes) -> bool:
    """Whether the entry's parser takes it: what Xen or the writer thinks of it is another matter."""
    if node.binary:
        return True
    try:
        node.parse(node.decoded(data))
    except BadInput:
        return False
    return True


def refuse(host: Host, place: Place, data: bytes, allowed: set[int] = REFUSED) -> XenfsError:
    """Write, and see that it is refused before anything happens."""
    before = host.counts.copy()
    try:
        host.put(place, data)
    except XenfsError as problem:
        assert problem.errno in allowed, (place.path, data, problem)  # noqa: PT017
        asked = set(host.asked(before)) - HARMLESS
        assert not asked, (place.path, data, asked)
        return problem
    pytest.fail(f"{place.path} took {data!r}")
