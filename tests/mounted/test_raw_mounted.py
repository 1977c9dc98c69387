"""raw/ through the kernel: the page's examples, a whole life by a shell script, long questions, buffers at offsets."""

from __future__ import annotations

import errno
import os

import pytest
from mounting import Mount, Mounter, refused
from raw_examples import examples, life, run

EXAMPLES = examples()


def test_there_are_ten_examples() -> None:
    assert len(EXAMPLES) == 10


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_each_example_works(mounted: Mount, number: int) -> None:
    assert run(mounted.where, EXAMPLES[number], 1).strip()


@pytest.mark.parametrize("lines", [3, 400])
def test_a_question_of_several_lines_is_one_write_in_each_shell(mounted: Mount, lines: int) -> None:
    """bash's own printf writes line by line: each would be a question."""
    function = next(each for each in EXAMPLES if "ask multicall" in each).partition("ask multicall")[0]
    asked = "\n".join(["memory_op/current_reservation domid=1"] * lines)
    for shell in ("sh", "bash"):
        told = run(mounted.where, f'{function}ask multicall "{asked}"', 1, shell).splitlines()
        assert [line.split()[:2] for line in told] == [[str(line), "result"] for line in range(lines)], shell


@pytest.mark.parametrize("settings", ["xen=4.14", "xen=4.22", "xen=4.20,arch=arm64"])
def test_a_whole_life_with_raw_alone(mounter: Mounter, settings: str) -> None:
    mount = mounter(settings, options="raw")
    said = life(mount.where).splitlines()
    assert said[1:3] == ["gave it 16 pages", "it has 16 pages"]
    assert said[0].replace("made", "ended") == said[3]


def test_a_question_of_64_kib_and_no_more(mounted: Mount) -> None:
    path = mounted.where / "raw/sysctl/getdomaininfolist"
    start = b"max_domains=0 buffer=in:"
    for digits, code in (((64 << 10) - len(start) & ~1, 0), (64 << 10, errno.E2BIG)):
        fd = os.open(path, os.O_RDWR)
        try:
            asked = start + b"0" * digits
            if code:
                with refused(code):
                    os.write(fd, asked)
            else:
                assert os.write(fd, asked) == len(asked)
                assert os.pread(fd, 9, 0) == b"result 0\n"
        finally:
            os.close(fd)


def test_questions_one_after_the_other_on_one_open(mounted: Mount) -> None:
    fd = os.open(mounted.where / "raw/domctl/getvcpuinfo", os.O_RDWR)
    try:
        for domain in (1, 2, 3, 1):
            os.write(fd, b"domain=%d vcpu=0" % domain)
            with refused(errno.EBUSY):
                os.write(fd, b"domain=1 vcpu=0")
            found = b""
            while part := os.read(fd, 7):
                found += part
            assert found.startswith(b"result 0\n")
    finally:
        os.close(fd)


def test_dd_and_truncate(mounted: Mount) -> None:
    out = mounted.out(
        "cd raw/buffers; mkdir one; echo 10000 > one/size; stat -c %s one/data;"
        "printf abcdef | dd of=one/data bs=1 seek=9000 conv=notrunc 2>/dev/null;"
        "dd if=one/data bs=1 skip=9002 count=3 2>/dev/null; echo; truncate -s 9003 one/data;"
        "tail -c 1001 one/data | tr '\\0' .| head -c 8; echo; wc -c < one/data; cat one/state;"
        "dd if=/dev/zero of=one/data bs=1 seek=10000 count=1 conv=notrunc 2>&1 | grep -o 'No space left'; rmdir one; ls"
    )
    assert out.split() == ["10000", "cde", ".abc....", "10000", "idle", "No", "space", "left"], out
    out = mounted.out(
        "cd raw/buffers; mkdir two; printf abc > two/data; printf d > two/data; head -c 3 two/data; rmdir two"
    )
    assert out == "d\0\0", "a shell's > truncates first"


def test_a_read_only_mount_lets_only_look(mounter: Mounter) -> None:
    mount = mounter("xen=4.17", options="ro,raw,debug")
    assert mount.out("exec 3<>raw/sysctl/sched_id; echo >&3; cat <&3").startswith("result 0\n")
    assert mount.out("ls raw/domctl | grep -c -e destroydomain -e pausedomain || true") == "0\n"
    assert mount.out("mkdir raw/buffers/one; echo 1 > raw/buffers/one/size; cat raw/buffers/one/size") == "1\n"
    assert mount.out("(echo 1 > domains/1/freeze) 2>/dev/null || echo refused") == "refused\n"
