"""The tables themselves: what a table may not say, and what follows from an entry."""

from __future__ import annotations

import errno
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from worlds import Host

from xenfs.errors import BadInput, HypercallError, Stale, XenfsError
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Each, Exchange, File, Link, Stream, as_line, field
from xenfs.nodes.tables.conditions import allowed, answers, every, known, of_cpus, since, some, x86
from xenfs.nodes.tables.guard import Guard
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.tree import _Cut
from xenfs.options import Options

READ: dict[str, Any] = {"read": lambda xen: "x"}


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="top/a is in the table twice"):
        Dir("top", "help", (File("a", "one", **READ), File("a", "two", **READ)))


@pytest.mark.parametrize("make", [File, Exchange, Dir, Link, Stream])
def test_a_node_without_help_is_refused(make: Any) -> None:
    more = {File: READ, Exchange: READ, Link: {"target": str, "to": "b"}, Stream: {**READ, "follow": str}}.get(make, {})
    with pytest.raises(ValueError, match="a: an entry needs its help line"):
        make("a", "", **more)


def test_a_file_must_do_something() -> None:
    with pytest.raises(ValueError, match="must read or write"):
        File("a", "help")


def test_an_unknown_tier_is_refused() -> None:
    with pytest.raises(ValueError, match="no such tier: E"):
        File("a", "help", tier="E", **READ)


def test_modes() -> None:
    def write(xen: object, value: object) -> None: ...

    modes = {
        0o444: File("a", "help", **READ),
        0o400: File("a", "help", private=True, **READ),
        0o200: File("a", "help", write=write),
        0o644: File("a", "help", write=write, **READ),
        0o600: File("a", "help", write=write, private=True, **READ),
        0o555: Dir("a", "help"),
        0o755: Dir("a", "help", make=write),
        0o777: Link("a", "help", target=lambda xen: "b", to="b"),
    }
    assert {mode: stat.S_IMODE(node.mode) for mode, node in modes.items()} == {mode: mode for mode in modes}


def test_one_newline_at_the_end() -> None:
    assert [as_line(x) for x in ("", "a", "a\n", "\n", b"", b"\0")] == [b"", b"a\n", b"a\n", b"\n", b"", b"\0"]


def test_field_reads_one_member(host: Host) -> None:
    class Source:
        nr = 7
        long = 9

    def source(xen: object, *ids: int) -> Source:
        return Source()

    assert field(source, "nr", show.dec, "help").produce(host.xen, (1, 2)) == b"7\n"
    assert field(source, "short", show.hexa, "help", of="long").produce(host.xen, ()) == b"0x9\n"


def test_conditions(host: Host) -> None:
    def refusing(code: int) -> Any:
        def ask(xen: object) -> None:
            raise HypercallError("sysctl x", code)

        return ask

    for code in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODATA, errno.ENODEV, errno.ENOENT):
        assert not answers(refusing(code))(host.xen)
    for code in (errno.EINVAL, errno.EBUSY, errno.ESRCH):
        assert answers(refusing(code))(host.xen)
    assert answers(lambda xen: None)(host.xen)
    assert since(4, 17)(host.xen)
    assert not since(4, 18)(host.xen)
    assert every()(host.xen)
    assert not every(x86, since(4, 18))(host.xen)


def test_conditions_that_take_more_for_absence(host: Host) -> None:
    """And say in xenfs/missing what is not there."""

    def refusing(code: int, name: str = "sysctl x") -> Any:
        def ask(xen: object, *ids: int) -> None:
            raise HypercallError(name, code)

        return ask

    missing = host.xen.calls.missing
    assert known(refusing(errno.EINVAL))(host.xen)
    assert "sysctl x" not in str(missing())
    assert not known(refusing(errno.EINVAL, "sysctl odd"), errno.EINVAL, detail="of it")(host.xen)
    assert not allowed(refusing(errno.EPERM, "sysctl shut"))(host.xen)
    assert allowed(lambda xen: None)(host.xen)
    for code, cpu, said in ((errno.EINVAL, 3, False), (errno.EINVAL, 0, True)):
        assert not of_cpus(refusing(code, "pm_op off"), errno.EINVAL)(host.xen, cpu)
        assert ("pm_op off" in str(missing())) == said
    with pytest.raises(HypercallError):
        of_cpus(refusing(errno.EPERM), errno.EINVAL)(host.xen, 0)
    assert not of_cpus(lambda xen, cpu: [])(host.xen, 1)
    assert of_cpus(lambda xen, cpu: [1])(host.xen, 1)
    assert all(name in str(missing()) for name in ("sysctl odd of it", "sysctl shut"))
    host.xen.unusable["sysctl"] = "another version"
    assert not answers(refusing(errno.EACCES))(host.xen), "nothing of an interface that has another version"
    asked: list[int] = []
    assert some(lambda xen: not asked.append(1), lambda xen: bool(asked.append(2)))(host.xen)
    assert asked == [1, 2]


def cut(host: Host, table: Dir, options: Options | None = None) -> Dir | None:
    return _Cut(host.xen, options or Options()).node(table, ())  # type: ignore[return-value]


def test_when_option_and_only(host: Host) -> None:
    table = Dir("top", "help", (
        File("always", "help", **READ),
        File("never", "help", when=lambda xen: False, **READ),
        File("debugging", "help", option="debug", **READ),
        File("some", "help", read=lambda xen, i: i, only=lambda xen, i: i > 1),
        File("half", "help", write=lambda xen, value: None, write_option="debug", **READ),
        Dir("empty", "help", (File("never", "help", when=lambda xen: False, **READ),)),
        Dir("bare", "help"),
    ))  # fmt: skip
    made = cut(host, table)
    assert made is not None
    assert [name for name, _, _ in made.children(host.xen, (2,))] == ["always", "some", "half", "bare"]
    assert [name for name, _, _ in made.children(host.xen, (1,))] == ["always", "half", "bare"]
    assert made.child(host.xen, (1,), "some") is None
    half = made.child(host.xen, (1,), "half")
    assert half is not None
    assert stat.S_IMODE(half[0].mode) == 0o444
    full = cut(host, table, Options(debug=True))
    assert full is not None
    assert stat.S_IMODE(dict((n, node) for n, node, _ in full.children(host.xen, (1,)))["half"].mode) == 0o644
    assert cut(host, Dir("t", "help", (File("n", "help", when=lambda xen: False, **READ),))) is None


def test_guards_come_from_the_way_down(host: Host) -> None:
    asked: list[object] = []

    def noting(name: str) -> Guard:
        def guard(when: str) -> Callable[..., None]:
            return lambda xen, *ids: asked.append((name, when, ids))

        return Guard(now=guard("now"), recent=guard("recent"))

    leaf = File("leaf", "help", read=lambda xen, one, two: f"{one}{two}", write=lambda xen, one, two, value: None)
    lower = Each(label="<b>", list=lambda xen, one: [("y", 2)], find=lambda xen, one, name: 2,
                 node=Dir("b", "help", (leaf,)), guard=noting("low"))  # fmt: skip
    upper = Each(label="<a>", list=lambda xen: [("x", 1)], find=lambda xen, name: 1,
                 node=Dir("a", "help", (lower,)), guard=noting("up"))  # fmt: skip
    made = cut(host, Dir("top", "help", (upper,)))
    assert made is not None
    a = made.child(host.xen, (), "x")
    assert a is not None
    assert isinstance(a[0], Dir)
    b = a[0].child(host.xen, a[1], "y")
    assert b is not None
    assert isinstance(b[0], Dir)
    found = b[0].child(host.xen, b[1], "leaf")
    assert found is not None
    node, ids = found
    assert isinstance(node, File)
    assert node.produce(host.xen, ids) == b"12\n"
    assert asked == [("up", "now", (1, 2)), ("low", "now", (1, 2))]
    asked.clear()
    node.require_recent(host.xen, ids)
    assert asked == [("up", "recent", (1, 2)), ("low", "recent", (1, 2))]
    asked.clear()
    node.apply(host.xen, ids, b"z")
    assert asked == [("up", "now", (1, 2)), ("low", "now", (1, 2))]


def test_esrch_of_a_guarded_file_is_estale(host: Host) -> None:
    def gone(xen: object, *ids: object) -> None:
        raise HypercallError("domctl x", errno.ESRCH)

    there = Guard(lambda xen, *ids: None, lambda xen, *ids: None)
    guarded = File("a", "help", read=gone, guards=(there,))
    with pytest.raises(Stale):
        guarded.produce(host.xen, ("domain 7",))
    with pytest.raises(HypercallError):
        File("a", "help", read=gone).produce(host.xen, ())


def test_a_write_is_parsed_before_its_target_is_looked_at(host: Host) -> None:
    def guard(xen: object, *ids: object) -> None:
        raise AssertionError("asked too early")

    node = File("a", "help", write=lambda xen, value: None, parse=int, guards=(Guard(guard, guard),))
    with pytest.raises(ValueError, match="x"):
        node.apply(host.xen, (), b"x")
    with pytest.raises(BadInput) as caught:
        node.apply(host.xen, (), b"1" * 5000)
    assert caught.value.errno == errno.E2BIG


def test_one_trailing_newline_is_forgiven(host: Host) -> None:
    seen: list[str] = []
    node = File("a", "help", write=lambda xen, value: seen.append(value), parse=lambda text: text)
    for data in (b"x", b"x\n", b"x\n\n", b"\n", b"a" * 4095 + b"\n"):
        node.apply(host.xen, (), data)
    assert seen == ["x", "x", "x\n", "", "a" * 4095]


def test_refusals_are_bounded_and_harmless() -> None:
    log = Refusals()
    for number in range(100):
        log.add(f"path/{number}", b"x" * 5000, BadInput("why", at=4000))
    text = log.text()
    assert "path/35:" not in text
    assert "path/36:" in text
    assert "path/99:" in text
    assert max(map(len, text.splitlines())) < 250
    log.clear()
    log.add("p", b"\x1b[2J\x07ab\ncd\xff", BadInput("why", word="ab"))
    assert all(line.isprintable() for line in log.text().splitlines())
    shown, caret = log.text().splitlines()[1:]
    assert shown[len(caret) - 1 :].startswith("ab")


@pytest.mark.parametrize(
    ("data", "problem", "column"),
    [
        (b"10 20 x", BadInput("w", word="x"), 6),
        (b"abc", BadInput("w", at=1), 1),
        (b"\tabc", BadInput("w", word="abc"), 2),  # the tab is shown as two characters
        (b"abc", BadInput("w", word="zzz", at=0), 0),
        ("äöx".encode(), BadInput("w", word="x"), 2),
    ],
)
def test_caret_stands_under_the_word(data: bytes, problem: BadInput, column: int) -> None:
    log = Refusals()
    log.add("p", data, problem)
    assert log.text().splitlines()[2] == "  " + " " * column + "^"


def test_refusals_without_a_place_have_no_caret() -> None:
    log = Refusals()
    log.add("p", b"1", XenfsError("no", errno.EBUSY))
    log.add("q", b"", OSError(errno.EIO, "bad"))
    lines = log.text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines if not line.startswith(" ")] == [
        "p: EBUSY: no",
        "q: EIO: [Errno 5] bad",
    ]
    assert lines[1] == "  1"


@pytest.mark.parametrize(
    "settings", ["xen=4.22,profile=full,domains=30", "xen=4.17,domains=300,cpus=128", "arch=arm64"]
)
def test_what_says_that_it_has_a_page_is_not_longer(settings: str) -> None:
    """sendfile(2) would cut it: `long` in the table, or a format that speaks of lines, is for what may be longer."""
    with Host(settings, Options(lifecycle=True, debug=True)) as host:
        for place in host.files():
            if isinstance(place.node, File) and place.node.size:
                with suppress(XenfsError):
                    assert len(place.node.produce(host.xen, place.ids)) <= place.node.size, place.path
