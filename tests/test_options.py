"""Mount options and errno values: what they say, and what they do not take."""

from __future__ import annotations

import errno
import grp
import os
import pwd

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xenfs.errors import BadInput, HypercallError, NotThere, Stale, StartError, XenfsError, errno_name
from xenfs.options import Options, parse, read_only


def test_defaults() -> None:
    assert parse("") == Options()
    assert parse("", uid=7, gid=8) == Options(uid=7, gid=8)
    assert parse("uid=1", uid=7).uid == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("ro", Options(ro=True)),
        ("lifecycle,debug,raw", Options(lifecycle=True, debug=True, raw=True)),
        ("allow_other,umask=027,uid=3,gid=4", Options(allow_other=True, umask=0o27, uid=3, gid=4)),
        ("pool_max=1048576,pool_check", Options(pool_max=1 << 20, pool_check=True)),
        (",,ro,,ro", Options(ro=True)),
        ("rw,defaults,nosuid,nodev,noexec,noauto,_netdev,x-systemd.automount,nofail", Options()),
    ],
)
def test_what_is_taken(text: str, wanted: Options) -> None:
    assert parse(text) == wanted


def test_owners_by_name() -> None:
    user, group = pwd.getpwuid(os.getuid()), grp.getgrgid(os.getgid())
    found = parse(f"uid={user.pw_name},gid={group.gr_name}")
    assert (found.uid, found.gid) == (user.pw_uid, group.gr_gid)
    with pytest.raises(StartError, match=r"name of a group .* not 'no-such-group'"):
        parse("gid=no-such-group")


@pytest.mark.parametrize(
    "text",
    ["bogus", "RO", "ro=1", "uid", "uid=", "uid=-1", "uid=x", "umask=8", "umask=-1", "pool_max=1.5", "=", "ro ,debug"],
)
def test_what_is_not(text: str) -> None:
    with pytest.raises(StartError) as caught:
        parse(text)
    assert caught.value.errno == errno.EINVAL
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40))
def test_text_at_random_is_taken_or_refused(text: str) -> None:
    try:
        parse(text)
    except StartError as problem:
        assert problem.errno == errno.EINVAL  # noqa: PT017


@given(
    st.builds(Options, ro=st.booleans(), debug=st.booleans(), uid=st.integers(0, 2**31), umask=st.integers(0, 0o777))
)
def test_words_are_options_again(chosen: Options) -> None:
    assert parse(",".join(chosen.words())) == chosen


def test_has_and_read_only() -> None:
    assert Options().has("")
    assert not Options().has("debug")
    assert Options(debug=True).has("debug")
    assert read_only(Options(debug=True, uid=5)) == Options(ro=True, debug=True, uid=5)


def test_every_error_has_its_errno() -> None:
    assert XenfsError("x").errno == errno.EIO
    assert Stale("x").errno == errno.ESTALE
    assert NotThere("x").errno == errno.ENOENT
    assert StartError("x").errno == errno.ENODEV
    assert BadInput("why", errno.ERANGE, word="w", at=3).errno == errno.ERANGE
    problem = HypercallError("domctl x", errno.EBUSY, "a hint")
    assert (problem.errno, problem.operation) == (errno.EBUSY, "domctl x")
    assert str(problem) == "domctl x: EBUSY (Device or resource busy); a hint"


def test_names_of_errnos() -> None:
    assert [errno_name(code) for code in (errno.EPERM, errno.EAGAIN, errno.EOPNOTSUPP, 4095)] == [
        "EPERM", "EAGAIN", "EOPNOTSUPP", "4095",
    ]  # fmt: skip
