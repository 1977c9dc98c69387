"""The policy file: what it grants, what it denies, and what is said of one that is wrong."""

from __future__ import annotations

import errno
import os
import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import Host

from xenfs.cli import main
from xenfs.errors import StartError
from xenfs.nodes import tree
from xenfs.nodes.policy import Policy, Rule, Who, shown
from xenfs.nodes.policy.globs import ANY, Glob, parts
from xenfs.nodes.policy.reading import load
from xenfs.nodes.policy.tellers import TELLERS
from xenfs.nodes.tables.base import Dir, Each, Exchange, File, Link
from xenfs.nodes.tables.cost import NOTHING, Cost

EXAMPLE = Path(__file__).resolve().parents[3] / "contrib" / "policy.example.toml"
RAW_PAGE = Path(__file__).resolve().parents[3] / "docs" / "raw.md"
KNOWN = [row.path for row in tree.reference()]

PLAIN = File("x", "A value", read=lambda xen: 1, write=lambda xen, value: None)
RARE = File("x", "A rare value", read=lambda xen: 1, tier="C")
SECRET = File("x", "A guest's inside", read=lambda xen: 1, private=True)
FOLDER = Dir("x", "A directory", (PLAIN,))
MAKING = Dir("x", "A directory that things are made in", (PLAIN,), make=lambda xen, name: None)
LINK = Link("x", "A link", target=lambda xen: "x", to="x")


@pytest.mark.parametrize(
    ("glob", "fitting", "other"),
    [
        ("domains/*/state", ["domains/3/state"], ["domains/state", "domains/3/x/state", "domains/3"]),
        ("domains/**", ["domains", "domains/3", "domains/3/vcpus/0/info"], ["domain", "host"]),
        ("**", ["", "a", "a/b/c/d"], []),
        ("**/info", ["info", "host/info", "domains/3/vcpus/0/info"], ["info/x", "host"]),
        ("domains/[1-9]*/freeze", ["domains/1/freeze", "domains/12/freeze"], ["domains/0/freeze"]),
        ("host/cpus/?/online", ["host/cpus/3/online"], ["host/cpus/12/online", "host/cpus//online"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/c", "a/b/b/x/c"], ["a/c", "a/b", "b/c"]),
        ("a.c", ["a.c"], ["abc"]),
        ("A", ["A"], ["a"]),
    ],
)
def test_globs(glob: str, fitting: list[str], other: list[str]) -> None:
    found = Glob(glob)
    assert all(found.matches(parts(path)) for path in fitting)
    assert not any(found.matches(parts(path)) for path in other)


NAME = st.text("ab", min_size=1, max_size=2)
PATHS = st.lists(NAME, max_size=4).map("/".join)
GLOBS = st.lists(NAME | st.sampled_from(["*", "**", "?", "[ab]"]), min_size=1, max_size=5).map("/".join)


@given(GLOBS, PATHS)
def test_what_fits_is_led_to_from_every_directory_above(glob: str, path: str) -> None:
    names = parts(path)
    if Glob(glob).matches(names):
        assert all(Glob(glob).leads(names[:end]) for end in range(len(names) + 1))


@given(GLOBS, PATHS, st.integers(0, 3))
def test_a_name_that_is_not_known_may_be_any(glob: str, path: str, at: int) -> None:
    names = parts(path)
    if Glob(glob).matches(names) and at < len(names):
        assert Glob(glob).matches((*names[:at], ANY, *names[at + 1 :]))


RULES = st.builds(
    Rule,
    paths=st.lists(GLOBS.map(Glob), min_size=1, max_size=2).map(tuple),
    users=st.frozensets(st.integers(1, 3), max_size=2),
    groups=st.frozensets(st.integers(1, 3), max_size=2),
    everyone=st.booleans(),
    read=st.booleans(),
    write=st.booleans(),
    tiers=st.frozensets(st.sampled_from("ABC"), max_size=2),
    private=st.booleans(),
)
POLICIES = st.lists(RULES, max_size=5).map(Policy)
WHO = st.builds(Who, st.integers(1, 4), st.frozensets(st.integers(1, 4), max_size=3), st.booleans())
NODES = st.sampled_from([PLAIN, RARE, SECRET, FOLDER, MAKING, LINK])


@given(POLICIES, WHO, PATHS, NODES, st.booleans())
def test_none_wins(policy: Policy, who: Who, path: str, node: File, write: bool) -> None:
    where = parts(path)
    theirs = [rule for rule in policy.rules if rule.means(who) and rule.covers(where, node)]
    if any(not (rule.read or rule.write) for rule in theirs):
        assert not policy.may(who, path, node, write=write)
    if not theirs:
        assert not policy.may(who, path, node, write=write)


@given(POLICIES, WHO, PATHS, NODES, st.booleans())
def test_the_mode_never_keeps_out_whom_the_policy_lets_in(
    policy: Policy, who: Who, path: str, node: File | Dir | Link, write: bool
) -> None:
    """The kernel refuses by the mode before xenfs is asked: it has to let in all that could be granted."""
    mode = shown(policy, path, node)
    assert mode & 0o700 == node.mode & 0o700
    assert mode & ~0o777 == node.mode & ~0o777
    if isinstance(node, Dir):
        if policy.may_list(who, path, node):
            assert mode & 0o055 == 0o055
        below = f"{path}/new" if path else "new"
        if node is MAKING and policy.may(who, below, node, write=True):
            assert mode & 0o022 == 0o022
    elif isinstance(node, File) and policy.may(who, path, node, write=write):
        bit = 0o2 if write else 0o4
        if node.mode >> 6 & bit:
            assert mode & bit
            assert mode >> 3 & bit


@given(POLICIES, WHO, PATHS, NODES, st.booleans())
def test_doubt_about_groups_never_helps(policy: Policy, who: Who, path: str, node: File, write: bool) -> None:
    certain = Who(who.uid, who.groups, True)
    if policy.may(Who(who.uid, who.groups, False), path, node, write=write):
        assert policy.may(certain, path, node, write=write)


def only(**given: object) -> Policy:
    return Policy([Rule((Glob("**"),), users=frozenset({7}), **given)])  # type: ignore[arg-type]


SEVEN = Who(7, frozenset({7}))


def test_tiers_are_about_files() -> None:
    policy = only(read=True, write=True, tiers=frozenset("A"))
    assert policy.may(SEVEN, "a", PLAIN, write=True)
    assert not policy.may(SEVEN, "a", RARE, write=False)
    assert policy.may_list(SEVEN, "a", MAKING)
    assert not policy.may(SEVEN, "a", MAKING, write=True), "a directory has no tier: nothing is made by that"
    assert only(write=True).may(SEVEN, "a", MAKING, write=True)


def test_a_guests_inside_takes_more_words() -> None:
    assert not only(read=True).may(SEVEN, "a", SECRET, write=False)
    assert only(read=True, private=True).may(SEVEN, "a", SECRET, write=False)
    assert shown(only(read=True), "a", SECRET) & 0o777 == 0o400
    assert shown(only(read=True, private=True), "a", SECRET) & 0o777 == 0o444


def test_a_question_takes_both_rights() -> None:
    question = Exchange("x", "Ask", write=lambda xen, value: "")
    assert shown(only(read=True), "a", question) & 0o777 == 0o644
    assert shown(only(read=True, write=True), "a", question) & 0o777 == 0o666


def test_shapes_of_one_table_may_differ_in_mode() -> None:
    policy = Policy([Rule((Glob("domains/3/**"),), everyone=True, read=True, write=True)])
    assert shown(policy, "domains/3/freeze", PLAIN) & 0o777 == 0o666
    assert shown(policy, "domains/4/freeze", PLAIN) & 0o777 == 0o600
    assert shown(policy, "domains", FOLDER) & 0o777 == 0o555
    assert shown(policy, "host", FOLDER) & 0o777 == 0o500
    root = Dir("", "top", (Each(label="<x>", list=lambda xen: (), find=lambda xen, name: None, node=FOLDER),))
    assert shown(policy, "", root) & 0o777 == 0o555


def written(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "policy.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o600)
    return str(path)


def test_the_example_is_one(tmp_path: Path) -> None:
    policy = load(written(tmp_path, EXAMPLE.read_text()), KNOWN)
    assert len(policy.rules) == 4
    assert policy.by_group


def test_the_rule_on_the_page_of_raw(tmp_path: Path) -> None:
    """Its group may look through sysctl, and do nothing else; whatever a rule names, two files stay shut."""
    rule = re.search(r"^    \[\[rule\]\]\n(?:    .+\n)+", RAW_PAGE.read_text(), re.MULTILINE)
    assert rule is not None
    text = textwrap.dedent(rule[0]).replace('"monitoring"', '"8"')
    policy = load(written(tmp_path, text), KNOWN)
    wider = load(written(tmp_path, text.replace("raw/sysctl/*", "raw/**").replace('"read"', '"write"')), KNOWN)
    who = Who(7, frozenset({8}))
    with Host("xen=4.17") as host:

        def may(path: str, by: Policy = policy) -> tuple[bool, bool]:
            node = host.at(path).node
            return by.may(who, path, node, write=False), by.may(who, path, node, write=True)

        assert may("raw/sysctl/physinfo") == (True, True), "to ask is to write"
        assert may("raw/sysctl/debug_keys") == (True, False), "its form can be read"
        assert may("raw/domctl/getdomaininfo") == (False, False)
        assert may("raw/domctl/pausedomain", wider)[1]
        for path in ("raw/hypercall", "raw/multicall"):
            assert may(path, wider) == (False, False)


def test_every_form_of_toml(tmp_path: Path) -> None:
    policy = load(
        written(
            tmp_path,
            """
rule = [ { user = ["7", "*"], paths = ['domains/**', \"\"\"host/**\"\"\"], rights = "read", private = true },
         { group = "8", paths = "version/*", rights = ["write", "read"], tier = ["A", "B"] } ]
""",
        ),
        KNOWN,
    )
    one, two = policy.rules
    assert (one.users, one.everyone, one.groups, one.private, one.read, one.write) == (
        {7},
        True,
        set(),
        True,
        True,
        False,
    )
    assert (two.groups, two.tiers, two.read, two.write) == ({8}, {"A", "B"}, True, True)


GOOD = '[[rule]]\nuser = "7"\npaths = ["domains/**"]\nrights = "read"\n'


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ('[[rule]]\nuser = "7\n', "2:10", []),
        ('[[rule]]\nuser = \n', "2:8", []),
        ("[[rule]]\nuser = [\n", "3:1", []),
        (GOOD + 'right = "read"\n', "5:1", ["'right'", "rights"]),
        (GOOD + '[[rules]]\nuser = "7"\n', "5:1", ["'rules'", "[[rule]]"]),
        ('mode = 1\n' + GOOD, "1:1", ["'mode'"]),
        ('[rule]\nuser = "7"\n', "1:1", ["[[rule]]"]),
        (GOOD.replace('"read"', '"execute"'), "4:10", ["'execute'", "read, write, none"]),
        (GOOD.replace('"read"', '["read", "none"]'), "4:19", ["'none'"]),
        (GOOD.replace('"read"', "4"), "4:10", ["'rights'"]),
        (GOOD.replace('"domains/**"', '"domains/**", "domain/*/state"'), "3:24", ["'domain/*/state'", "xenfs tree"]),
        (GOOD.replace('"domains/**"', '"/domains/**"'), "3:10", ["without a slash"]),
        (GOOD.replace('"domains/**"', '\n  "host/**", # all\n  "domains/../host"\n'), "5:3", ["one slash"]),
        (GOOD.replace('"domains/**"', '"domains/x**"'), "3:10", ["**"]),
        (GOOD.replace('"domains/**"', '"**/a/**/b/**/c/**/d/**"'), "3:10", ["at most 4"]),
        (GOOD.replace('["domains/**"]', "[]"), "3:1", ["'paths'"]),
        (GOOD.replace('["domains/**"]', '["host", 3]'), "3:18", ["quotes"]),
        (GOOD.replace('"7"', '"no such user"'), "2:8", ["'no such user'"]),
        (GOOD.replace('user = "7"', 'group = ["7", "no-such-group"]'), "2:15", ["'no-such-group'"]),
        (GOOD.replace('user = "7"', 'group = "*"'), "2:9", ['user = "*"']),
        (GOOD.replace('"7"', '"root"'), "2:8", ["above the policy"]),
        (GOOD.replace('"7"', '"0"'), "2:8", ["above the policy"]),
        (GOOD.replace('"7"', '"4294967295"'), "2:8", ["4294967295"]),
        (GOOD.replace('user = "7"\n', ""), "1:1", ["names nobody"]),
        (GOOD + GOOD.replace("rights", "private"), "5:1", ["'rights'"]),
        (GOOD + 'private = "yes"\n', "5:11", ["true or false"]),
        (GOOD + 'tier = ["A", "E"]\n', "5:14", ["'E'", "A, B, C, D"]),
        (GOOD + 'user = "8"\n', "5:11", []),
        ("# nothing\n", "", ["no [[rule]]"]),
        (GOOD.encode() + b"# caf\xe9\n", "5:6", ["UTF-8"]),
        ("rule = " + "[" * 5000, "", []),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str | bytes, place: str, words: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(StartError) as caught:
        load(path, KNOWN)
    said = str(caught.value)
    assert caught.value.errno == errno.EINVAL
    assert "\n" not in said
    assert said.startswith(f"policy {path}:{place}: " if place else f"policy {path}"), said
    for word in words:
        assert word in said


def test_a_policy_that_others_can_change_is_none(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    assert load(path, KNOWN)
    for mode in (0o620, 0o602, 0o666):
        os.chmod(path, mode)
        with pytest.raises(StartError, match="others can change it"):
            load(path, KNOWN)
    os.chmod(path, 0o644)
    if os.geteuid() == 0:
        os.chown(path, 65534, 65534)
        with pytest.raises(StartError, match="others can change it"):
            load(path, KNOWN)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="No such file"):
        load(str(tmp_path / "none"), KNOWN)
    with pytest.raises(StartError, match="Is a directory"):
        load(str(tmp_path), KNOWN)
    os.mkfifo(tmp_path / "fifo", 0o600)
    with pytest.raises(StartError, match="not a regular file"):
        load(str(tmp_path / "fifo"), KNOWN)
    with pytest.raises(StartError, match="longer than"):
        load(written(tmp_path, GOOD + "#" * (1 << 18)), KNOWN)


TOMLISH = st.text(st.sampled_from("[]{}\"'=,.\n# rule\\A1*") | st.characters(codec="utf-8"), max_size=60)


@given(st.lists(TOMLISH | st.sampled_from(GOOD.splitlines(keepends=True)), max_size=6).map("".join))
def test_text_at_random_is_taken_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = written(tmp_path_factory.getbasetemp(), text)
    try:
        load(path, KNOWN)
    except StartError as problem:
        assert problem.errno == errno.EINVAL  # noqa: PT017
        assert str(problem).isprintable()  # noqa: PT017


# The same thing twice, and what tells of it elsewhere


@pytest.mark.parametrize(
    ("denied", "asked"),
    [
        ("host/params/loglvl", "hypfs/params/loglvl"),
        ("hypfs/params/loglvl", "host/params/loglvl"),
        ("hypfs/cpupool/0/sched-gran", "cpupools/0/sched_gran"),
        ("cpupools/0/sched_gran", "hypfs/cpupool/0/sched-gran"),
        ("cpupools/**", "hypfs/cpupool/3/sched-gran"),
    ],
)
def test_a_rule_about_one_name_is_about_the_other(denied: str, asked: str) -> None:
    everything = Rule((Glob("**"),), users=frozenset({7}), read=True, write=True)
    policy = Policy([everything, Rule((Glob(denied),), users=frozenset({7}))])
    for write in (False, True):
        assert not policy.may(SEVEN, asked, PLAIN, write=write)
        assert policy.may(SEVEN, "hypfs/params/other", PLAIN, write=write)


def test_what_tells_of_every_domain_is_in_the_table() -> None:
    """Each file of the whole host is read: what shows a UUID or a name is known to, and said."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "permissions.md").read_text()
    for pattern in TELLERS:
        assert f"| `{pattern}`" in text, pattern
    with Host("domains=6") as host:
        domids = [name for name in host.names("domains") if name.isdecimal()][1:]
        uuids = [host.value(f"domains/{domid}/uuid") for domid in domids]
        names = [host.value(f"domains/{domid}/name") for domid in domids]
        assert len({*uuids, *names}) == 2 * len(domids) > 6
        for place in host.files():
            if place.path.startswith("domains/") and place.path.split("/")[1].isdecimal():
                continue
            if isinstance(place.node, File) and place.node.read is not None and not isinstance(place.node, Exchange):
                content = place.node.produce(host.xen, place.ids).decode("utf-8", "replace")
                telling = any(one in content for one in (*uuids, *names))
                assert not telling or place.path in TELLERS, place.path


def test_what_grows_with_the_domains_is_in_the_table() -> None:
    """What lists domains by their ids alone shows no UUID and no name: its cost says that it tells of all."""
    growing = [
        row.path.rstrip("/")
        for row in tree.reference()
        if Cost.DOMAINS & getattr(row.node, "grows", NOTHING) and not row.path.startswith("domains/<d>/")
    ]
    assert "domains/device_stat" in growing
    assert set(growing) <= set(TELLERS)


def test_describe_says_what_a_file_tells(capsys: pytest.CaptureFixture[str]) -> None:
    for pattern in TELLERS:
        assert main(["describe", pattern]) == 0
        assert "also those that a policy denies" in capsys.readouterr().out, pattern
