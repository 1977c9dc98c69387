"""Xen's own small filesystem, on every release and architecture."""

from __future__ import annotations

import gzip
from errno import EACCES, EBUSY, EDOM, EFAULT, EINVAL, ENOBUFS, ENOENT, ENOSPC, ENOSYS, EOPNOTSUPP, ERANGE

import pytest
from caller import Caller

DIR, BLOB, STRING, UINT, INT, BOOL = range(6)
HEAD = "xen_hypfs_direntry"


def read(xen: Caller, path: str, room: int = 4096) -> tuple[int, tuple[int, ...], bytes]:
    """(result, (type, encoding, content_len, max_write_len), content)."""
    name, _ = xen.arena.take(path.encode() + b"\0")
    address, memory = xen.arena.take(room)
    result = xen.call("hypfs_op", xen.constant("XEN_HYPFS_OP_read"), name, len(path) + 1, address, room)
    size = xen.layouts.size(HEAD)
    head = xen.read(memory, HEAD, "type", "encoding", "content_len", "max_write_len") if room >= size else ()
    return result, head, bytes(memory[size : size + head[2]]) if head else b""


def write(xen: Caller, path: str, data: bytes) -> int:
    name, _ = xen.arena.take(path.encode() + b"\0")
    address, _ = xen.arena.take(data)
    number = xen.constant("XEN_HYPFS_OP_write_contents")
    return xen.call("hypfs_op", number, name, len(path) + 1, address, len(data))


def listing(xen: Caller, path: str) -> dict[str, tuple[int, int]]:
    """name -> (type, content_len), walked by the distances in the entries."""
    result, head, content = read(xen, path)
    assert (result, head[0]) == (0, DIR)
    name_at, found, at = xen.layouts.offset("xen_hypfs_dirlistentry", "name"), {}, 0
    while True:
        entry = memoryview(bytearray(content[at:]))
        kind, length = xen.read(entry, HEAD, "type", "content_len")
        found[bytes(entry[name_at:]).split(b"\0")[0].decode()] = kind, length
        distance = xen.read(entry, "xen_hypfs_dirlistentry", "off_next")
        if not distance:
            return found
        at += distance


def test_version(xen: Caller) -> None:
    number = xen.constant("XEN_HYPFS_OP_get_version")
    assert xen.call("hypfs_op", number, 0, 0, 0, 0) == 1
    assert xen.call("hypfs_op", number, 0, 1, 0, 0) == -EINVAL


def test_the_tree_can_be_walked(xen: Caller) -> None:
    found = {}

    def walk(path: str) -> None:
        for name, (kind, length) in listing(xen, path or "/").items():
            result, head, content = read(xen, f"{path}/{name}")
            assert (result, head[0], head[2]) == (0, kind, length)
            found[f"{path}/{name}"] = content
            if kind == DIR:
                walk(f"{path}/{name}")

    walk("")
    assert found["/buildinfo/version/minor"] == xen.release[1].to_bytes(4, "little")
    assert found["/buildinfo/compileinfo/compile_by"] == b"xenfs\0"
    assert b"CONFIG_HYPFS=y" in gzip.decompress(found["/buildinfo/config"])
    assert ("/cpupool/1/sched-gran" in found) == (xen.release >= (4, 15))
    assert ("/params/pcid" in found) == xen.x86


def test_names_come_sorted(xen: Caller) -> None:
    names = list(listing(xen, "/params"))
    assert names == sorted(names)


def test_too_little_room_says_how_much_is_needed(xen: Caller) -> None:
    size = xen.layouts.size(HEAD)
    result, head, content = read(xen, "/params/loglvl", size + 2)
    assert (result, head[2], content) == (-ENOBUFS, len(b"all/all\0"), bytes(2))
    assert read(xen, "/params/loglvl", size + head[2])[2] == b"all/all\0"
    assert read(xen, "/params/loglvl", size - 1)[0] == -EINVAL


@pytest.mark.parametrize("path", ["/nothing", "/params/nothing", "/params/loglvl/below", "/cpupool/77", "/params/"])
def test_what_is_not_there(xen: Caller, path: str) -> None:
    assert read(xen, path)[0] == -ENOENT


def test_paths_must_be_paths(xen: Caller) -> None:
    number = xen.constant("XEN_HYPFS_OP_read")
    out, _ = xen.arena.take(64)
    for path, length, expected in (
        (b"params\0", 7, -EINVAL),
        (b"/params", 7, -EINVAL),
        (b"/a\0b\0", 5, -EINVAL),
        (b"", 0, -EINVAL),
        (b"/" * 1024 + b"\0", 1025, -EINVAL),
        (b"/params\0", 9, -EFAULT),
    ):
        address, _ = xen.arena.take(path)
        assert xen.call("hypfs_op", number, address, length, out, 64) == expected
    assert xen.call("hypfs_op", 9, 0, 0, 0, 0) == -EOPNOTSUPP


def test_values_are_written_by_their_type(x86: Caller) -> None:
    for path, data, expected in (
        ("/params/global-pages", b"\0", 0),
        ("/params/global-pages", b"\0\0", -EDOM),
        ("/params/pretended-uint", (7).to_bytes(4, "little"), 0),
        ("/params/pretended-uint", b"\1", -EDOM),
        ("/params/pretended-uint", bytes(8), -ENOSPC),
        ("/params/conswitch", b"b\0", 0),
        ("/params/conswitch", b"b", -EINVAL),
        ("/params/conswitch", b"b\0b\0", -EINVAL),
        ("/params/conswitch", b"abcde\0", -ENOSPC),
        ("/params/loglvl", b"error", -EDOM),
        ("/params/loglvl", b"loud\0", -EINVAL),
        ("/params/loglvl", b"error/loud\0", -EINVAL),
        ("/params/loglvl", bytes(2000), -ENOSPC),
        ("/params/gnttab_max_frames", b"0x80\0", 0),
        ("/params/gnttab_max_frames", b"4294967296\0", -ERANGE),
        ("/params/gnttab_max_frames", b"many\0", -EINVAL),
        ("/buildinfo/config", b"x", -EACCES),
        ("/buildinfo", b"x", -EACCES),
    ):
        assert (path, data, write(x86, path, data)) == (path, data, expected)
    assert read(x86, "/params/global-pages")[2] == b"\0"
    assert read(x86, "/params/pretended-uint")[2] == b"\7\0\0\0"
    assert read(x86, "/params/gnttab_max_frames")[2] == b"128\0"


def test_levels_are_written_out(xen: Caller) -> None:
    for text, becomes in (("error", "error/error"), ("none/debug", "none/all"), ("info/error", "info/info")):
        assert write(xen, "/params/guest_loglvl", text.encode() + b"\0") == 0
        assert read(xen, "/params/guest_loglvl")[2] == becomes.encode() + b"\0"


def test_types_and_limits_are_told(x86: Caller) -> None:
    assert [read(x86, f"/params/{name}")[1][0] for name in ("global-pages", "pretended-uint", "pretended-int")] == [
        BOOL,
        UINT,
        INT,
    ]
    assert read(x86, "/params/loglvl")[1][3] == 16
    assert read(x86, "/buildinfo/version/major")[1] == (UINT, 0, 4, 0)
    assert read(x86, "/buildinfo/config")[1][:2] == (STRING, 1)


def test_granularity_of_a_pool(x86: Caller) -> None:
    x86.world.pools.create(5)
    assert write(x86, "/cpupool/2/sched-gran", b"core\0") == 0
    assert read(x86, "/cpupool/2/sched-gran")[2] == b"core\0"
    assert write(x86, "/cpupool/0/sched-gran", b"core\0") == -EBUSY
    assert write(x86, "/cpupool/2/sched-gran", b"node\0") == -EINVAL
    assert write(x86, "/cpupool/2/sched-gran", b"everything\0") == -ENOSPC


def test_a_xen_without_it() -> None:
    assert Caller("hypfs=off").call("hypfs_op", 0, 0, 0, 0, 0) == -ENOSYS
