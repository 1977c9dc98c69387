"""System calls that a file of fixed content and name has no use for: a table of what each gives, and how to make it.

`Place` is a directory with a file that is only read and one that is written. Run on xenfs, and on Linux's sysfs where
that changes nothing there.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
for _name in ("lseek", "pread", "pwrite"):
    getattr(_libc, _name).restype = ctypes.c_long
_libc.mmap.restype = ctypes.c_void_p
_FAR, _VERY_FAR = 1 << 40, (1 << 63) - 1
R, W, RW = os.O_RDONLY, os.O_WRONLY, os.O_RDWR


class Place(NamedTuple):
    """Where a call is tried. `other` is a file on a filesystem that keeps what is written."""

    folder: str
    fixed: str
    written: str
    value: bytes
    other: str


class Row(NamedTuple):
    """`ours` is what xenfs gives: an errno's name, or what the call returns. `sysfs` says where Linux's differs; None
    where it is not asked, as the call would change it."""

    name: str
    call: Callable[[Place], object]
    ours: str
    sysfs: str | None = ""


def outcome(call: Callable[[Place], object], place: Place) -> str:
    """The errno's name, or what came back."""
    try:
        return str(call(place))
    except OSError as problem:
        return "EOPNOTSUPP" if problem.errno == errno.EOPNOTSUPP else errno.errorcode[problem.errno or 0]


def _on(path: str, flags: int, then: Callable[[int], Any]) -> Any:
    fd = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        return then(fd)
    finally:
        os.close(fd)


def _raw(name: str, *args: object) -> int:
    result = getattr(_libc, name)(*args)
    if result in (-1, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), name)
    return int(result or 0)


def _map(fd: int, flags: int, writable: bool = False) -> int:
    long = ctypes.c_long
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    return bool(_raw("mmap", None, ctypes.c_size_t(4096), protection, flags, fd, long(0)))


def _seek(fd: int, offset: int, whence: int = 0) -> int:
    return _raw("lseek", fd, ctypes.c_int64(offset), whence)


def _pread(fd: int, offset: int) -> int:
    return _raw("pread", fd, ctypes.create_string_buffer(8), ctypes.c_size_t(8), ctypes.c_int64(offset))


def _pwrite(fd: int, data: bytes, offset: int) -> int:
    return _raw("pwrite", fd, data, ctypes.c_size_t(len(data)), ctypes.c_int64(offset)) - len(data)


def _splice_to(fd: int, data: bytes) -> int:
    reads, writes = os.pipe()
    try:
        os.write(writes, data)
        return os.splice(reads, fd, len(data)) - len(data)
    finally:
        os.close(reads)
        os.close(writes)


def _splice_from(fd: int) -> int:
    reads, writes = os.pipe()
    try:
        return os.splice(fd, writes, 4096)
    finally:
        os.close(reads)
        os.close(writes)


def _watched(path: str) -> bool:
    fd = _raw("inotify_init1", os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _raw("inotify_add_watch", fd, os.fsencode(path), 1)  # IN_ACCESS
        Path(path).read_bytes()
        return len(os.read(fd, 4096)) > 0
    finally:
        os.close(fd)


def _below(p: Place, name: str | bytes = "nothing") -> bytes:
    return os.path.join(os.fsencode(p.folder), os.fsencode(name))


def _done(p: Place, flags: int, then: Callable[[int], object] = lambda fd: None) -> object:
    return _on(p.written, flags, lambda fd: os.write(fd, p.value) - len(p.value) if then(fd) is None else 0)


def _read(p: Place, flags: int = R) -> bool:
    return bool(_on(p.fixed, flags, lambda fd: os.read(fd, 4096)))


OPENING = [
    Row("open with O_APPEND, write", lambda p: _done(p, W | os.O_APPEND), "0"),
    Row("open with O_TRUNC, write", lambda p: _done(p, W | os.O_TRUNC), "0"),
    Row("open with O_DIRECT, read", lambda p: _read(p, os.O_DIRECT), "True", "EINVAL"),
    Row("open for writing what is only read", lambda p: _on(p.fixed, RW, str), "EACCES"),
    Row("open with O_CREAT what is there", lambda p: _read(p, os.O_CREAT), "True"),
    Row("open with O_CREAT|O_EXCL what is there", lambda p: _read(p, os.O_CREAT | os.O_EXCL), "EEXIST"),
    Row("create", lambda p: os.open(_below(p), W | os.O_CREAT), "EACCES"),
    Row("open with O_TMPFILE", lambda p: os.open(p.folder, RW | os.O_TMPFILE), "EOPNOTSUPP"),
    Row("open a file with O_DIRECTORY", lambda p: os.open(p.fixed, R | os.O_DIRECTORY), "ENOTDIR"),
    Row("open a directory for writing", lambda p: os.open(p.folder, W), "EISDIR"),
    Row("read what is open for writing", lambda p: _on(p.written, W, lambda fd: os.read(fd, 1)), "EBADF"),
    Row("write what is open for reading", lambda p: _on(p.written, R, lambda fd: os.write(fd, b"1")), "EBADF"),
    Row("execute", lambda p: os.execv(p.fixed, [p.fixed]), "EACCES"),
]
NAMES = [
    Row("a name of 255 bytes", lambda p: os.stat(_below(p, "x" * 255)), "ENOENT"),
    Row("a name of 256 bytes", lambda p: os.stat(_below(p, "x" * 256)), "ENOENT"),
    Row("a name with a newline", lambda p: os.stat(_below(p, "a\nb")), "ENOENT"),
    Row("a name that is not UTF-8", lambda p: os.stat(_below(p, b"\xff\xfe")), "ENOENT"),
    Row("create a name of 255 bytes", lambda p: os.open(_below(p, "x" * 255), W | os.O_CREAT), "EACCES"),
    Row("a name below a file", lambda p: os.stat(p.fixed + "/x"), "ENOTDIR"),
    Row("read a file as a link", lambda p: os.readlink(p.fixed), "EINVAL"),
    Row("longest name (pathconf)", lambda p: os.pathconf(p.folder, "PC_NAME_MAX"), "255"),
]
CHANGING = [
    Row("mkdir", lambda p: os.mkdir(_below(p)), "EPERM"),
    Row("rmdir", lambda p: os.rmdir(p.folder), "EPERM"),
    Row("rmdir of a file", lambda p: os.rmdir(p.fixed), "ENOTDIR"),
    Row("unlink", lambda p: os.unlink(p.fixed), "EPERM"),
    Row("unlink of a directory", lambda p: os.unlink(p.folder), "EISDIR"),
    Row("rename", lambda p: os.rename(p.fixed, _below(p)), "EPERM"),
    Row("rename onto another", lambda p: os.rename(p.fixed, p.written), "EPERM"),
    Row("rename to another filesystem", lambda p: os.rename(p.fixed, p.other + ".x"), "EXDEV"),
    Row("link", lambda p: os.link(p.fixed, _below(p)), "EPERM"),
    Row("symlink", lambda p: os.symlink("x", _below(p)), "EPERM"),
    Row("mknod of a file", lambda p: os.mknod(_below(p), stat.S_IFREG | 0o600), "EPERM", "EACCES"),
    Row("mknod of a fifo", lambda p: os.mkfifo(_below(p)), "EPERM"),
    Row("truncate what is written", lambda p: os.truncate(p.written, 0), "None"),
    Row("truncate it to 100", lambda p: os.truncate(p.written, 100), "None"),
    Row("truncate what is only read", lambda p: os.truncate(p.fixed, 0), "EACCES", "None"),
    Row("chmod", lambda p: os.chmod(p.fixed, 0o777), "EPERM", None),
    Row("chown", lambda p: os.chown(p.fixed, 1, 1), "EPERM", None),
    Row("utimes", lambda p: os.utime(p.fixed, (1, 1)), "None", None),
    Row("setxattr", lambda p: os.setxattr(p.fixed, "user.x", b"1"), "EOPNOTSUPP"),
    Row("getxattr", lambda p: os.getxattr(p.fixed, "user.x"), "EOPNOTSUPP", "ENODATA"),
    Row("listxattr", lambda p: os.listxattr(p.fixed), "EOPNOTSUPP", None),
    Row("removexattr", lambda p: os.removexattr(p.fixed, "user.x"), "EOPNOTSUPP"),
    Row("fallocate", lambda p: _on(p.written, RW, lambda fd: os.posix_fallocate(fd, 0, 100)), "EINVAL"),
]
OFFSETS = [
    Row("seek to the end", lambda p: _on(p.fixed, R, lambda fd: _seek(fd, 0, os.SEEK_END)), "4096"),
    Row("SEEK_HOLE", lambda p: _on(p.fixed, R, lambda fd: _seek(fd, 0, os.SEEK_HOLE)), "4096"),
    Row("SEEK_DATA", lambda p: _on(p.fixed, R, lambda fd: _seek(fd, 0, os.SEEK_DATA)), "0"),
    Row("seek to 2^40", lambda p: _on(p.fixed, R, lambda fd: _seek(fd, _FAR)), str(_FAR), "EINVAL"),
    Row("seek to 2^63-1", lambda p: _on(p.fixed, R, lambda fd: _seek(fd, _VERY_FAR)), str(_VERY_FAR), "EINVAL"),
    Row("seek to -1", lambda p: _on(p.fixed, R, lambda fd: _seek(fd, -1)), "EINVAL"),
    Row("read at 2^40", lambda p: _on(p.fixed, R, lambda fd: _pread(fd, _FAR)), "0"),
    Row("read up to 2^63-1", lambda p: _on(p.fixed, R, lambda fd: _pread(fd, _VERY_FAR - 8)), "0"),
    Row("read across 2^63", lambda p: _on(p.fixed, R, lambda fd: _pread(fd, _VERY_FAR)), "EINVAL"),
    Row("read at -1", lambda p: _on(p.fixed, R, lambda fd: _pread(fd, -1)), "EINVAL"),
    Row("write at 5", lambda p: _on(p.written, W, lambda fd: _pwrite(fd, p.value, 5)), "0"),
    Row("write at 2^40", lambda p: _on(p.written, W, lambda fd: _pwrite(fd, p.value, _FAR)), "0"),
    Row("write across 2^63", lambda p: _on(p.written, W, lambda fd: _pwrite(fd, p.value, _VERY_FAR)), "EINVAL"),
    Row("read nothing", lambda p: _on(p.fixed, R, lambda fd: os.read(fd, 0)), "b''"),
    Row("write nothing", lambda p: _on(p.written, W, lambda fd: os.write(fd, b"")), "0"),
]
OTHER_WAYS = [
    Row("mmap, shared", lambda p: _on(p.fixed, R, lambda fd: _map(fd, mmap.MAP_SHARED)), "ENODEV"),
    Row("mmap, shared and written", lambda p: _on(p.written, RW, lambda fd: _map(fd, mmap.MAP_SHARED, True)), "ENODEV"),
    Row("mmap, private", lambda p: _on(p.fixed, R, lambda fd: _map(fd, mmap.MAP_PRIVATE)), "True", "ENODEV"),
    Row("writev", lambda p: _on(p.written, W, lambda fd: os.writev(fd, [p.value]) - len(p.value)), "0"),
    Row("copy_file_range from it",
        lambda p: _on(p.fixed, R, lambda fd: _on(p.other, RW, lambda to: os.copy_file_range(fd, to, 4096))), "EXDEV"),
    Row("copy_file_range to it",
        lambda p: _on(p.written, W, lambda to: _on(p.other, R, lambda fd: os.copy_file_range(fd, to, 4096))), "EXDEV"),
    Row("sendfile from it",
        lambda p: _on(p.fixed, R, lambda fd: _on(p.other, RW, lambda to: os.sendfile(to, fd, 0, 4096) > 0)),
        "True"),
    Row("splice from it", lambda p: _on(p.fixed, R, lambda fd: _splice_from(fd) > 0), "True"),
    Row("splice to it", lambda p: _on(p.written, W, lambda fd: _splice_to(fd, p.value)), "0"),
    Row("flock", lambda p: _on(p.fixed, R, lambda fd: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)), "None"),
    Row("lock a range", lambda p: _on(p.written, RW, lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX)), "None"),
    Row("fsync", lambda p: _on(p.fixed, R, os.fsync), "None"),
    Row("fsync of a directory", lambda p: _on(p.folder, R, os.fsync), "None", "EINVAL"),
    Row("ioctl", lambda p: _on(p.fixed, R, lambda fd: fcntl.ioctl(fd, 0x80086601, bytes(8))), "ENOTTY"),
    Row("inotify tells of a read", lambda p: _watched(p.fixed), "True"),
    Row("write what makes no sense", lambda p: _on(p.written, W, lambda fd: os.write(fd, b"\xff\xfe")), "EINVAL"),
    Row("write a megabyte", lambda p: _on(p.written, W, lambda fd: os.write(fd, b"1" * (1 << 20))), "E2BIG", "EINVAL"),
]  # fmt: skip
TABLE = [*OPENING, *NAMES, *CHANGING, *OFFSETS, *OTHER_WAYS]
