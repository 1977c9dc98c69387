"""Every writable entry, from the entry itself: what its parser refuses never reaches Xen, what the writer or Xen
refuses changes nothing, and nothing is done to what is gone. What a node prints, it accepts, and prints again."""

from __future__ import annotations

import contextlib
import errno
import re
import stat
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from nonsense import accepted, corpus
from worlds import HARMLESS, Host, Place

from xenfs.errors import BadInput, HypercallError, Stale, XenfsError
from xenfs.nodes.tables.base import Dir, Exchange, File
from xenfs.nodes.tables.forms import form

REFUSED = {errno.EINVAL, errno.ERANGE, errno.E2BIG}
KEPT_BY_XEN = re.compile(r".*/sched-gran|.*/params/ept")  # see test_tree_walk
# The first and the last that there is, and the one that most people have.
HOSTS = [("4.14", "x86_64"), ("4.17", "x86_64"), ("4.22", "x86_64"), ("4.14", "arm64"), ("4.22", "arm64")]
FULL = "profile=full,domains=7,cpus=8"


@pytest.fixture(scope="module", params=HOSTS, ids="-".join)
def each(request: pytest.FixtureRequest) -> Iterator[Host]:
    """A host of each of them, built with all that there can be."""
    release, arch = request.param
    with Host(f"xen={release},arch={arch},{FULL}") as host:
        yield host


def writable(host: Host) -> list[tuple[Place, File]]:
    """One of each kind of writable file: those of a domain that is up, and not the control domain, before others."""
    kinds: dict[str, tuple[Place, File]] = {}
    for place in host.files():
        if isinstance(place.node, File) and place.node.write is not None and not place.path.startswith("raw/"):
            kind = re.sub(r"(?<=/)\d+(?=/|$)", "<n>", place.path)
            if kind not in kinds or place.path.startswith("domains/1/"):
                kinds[kind] = place, place.node
    return list(kinds.values())


def shown(host: Host, place: Place, node: File) -> bytes:
    return b"" if isinstance(node, Exchange) else node.produce(host.xen, place.ids)


def test_what_is_refused_changes_nothing(each: Host) -> None:
    tried = 0
    for place, node in writable(each):
        before = shown(each, place, node)
        for data in corpus(node, before):
            parses = accepted(node, data)
            if parses and form(node.parse).anything:
                continue  # any text is the command
            counts = each.counts.copy()
            try:
                each.put(place, data)
            except XenfsError as problem:
                asked = set(each.asked(counts))
                where = place.path, data[:80], problem
                if not parses:
                    assert problem.errno in REFUSED, where  # noqa: PT017
                    assert not asked, (where, asked)
                else:
                    in_words = isinstance(problem.__context__, HypercallError)  # why Xen refused
                    assert not isinstance(problem, BadInput) or in_words or not asked - HARMLESS, (where, asked)  # noqa: PT017
                    assert shown(each, place, node) == before, where
            else:
                assert parses, (place.path, data)
                before = shown(each, place, node)
            tried += 1
    assert tried > 1500


def valid(host: Host, place: Place, node: File) -> bytes:
    """Something that the parser takes."""
    words = re.findall(r"[a-z]\w*", form(node.parse).words)
    candidates = [shown(host, place, node), b"1", b"0", b"4", b"0-1", *(word.encode() for word in words)]
    candidates += [b"0000:00:00.0", b"system_u:system_r:domU_t", b"00000000-0000-0000-0000-000000000001", b"1 1 1"]
    candidates += [b"1 1", b"+1", b"+0000:00:00.0", b"native 0 0 0", b"-pirq 1", b"+/soc/ethernet@1"]
    candidates.append(b"system_u:system_r:domU_t system_u:system_r:domU_t domain")
    candidates += [b"1 1", b"14 hw_exc 0 0 0"]
    candidates.append(b"10\n01234567-89ab-cdef-0123-456789abcdef 0 1")
    candidates += form(node.parse).words.encode().split(b" or ")
    return next(data for data in candidates if data and accepted(node, data))


@pytest.fixture(scope="module")
def values(each: Host) -> list[Place]:
    """What can be read and written, of the host in turn."""
    return [
        place
        for place, node in writable(each)
        if stat.S_IMODE(node.mode) == 0o644 and not isinstance(node, Exchange) and place.path != "xenfs/error_log"
    ]


# What Python's split, strip and regular expressions take for blank, or for the end of a line, and people do not see.
INVISIBLE = "\n\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u3000"
BY_LINES = re.compile(
    r"domains/\d+/(psr/schemata|cpuid/policy|vcpus/\d+/(regs|msrs)|memory/access|hvm/altp2m/views/\d+/access)|.*/arinc653_schedule"
)  # a newline is one of their separators
MORE_LISTS = [b"0,1", b"+0,1", b"0-1", b"all", b"nmi 0", b"0 0 0", b"1 1", b"0x1-0x2", b"00:1f.2"]


def test_nothing_but_a_blank_or_a_comma_parts_words(each: Host) -> None:
    """In the place of each separator of a valid text, before and behind it, and at both ends."""
    lists = 0
    for place, node in writable(each):
        if node.binary or accepted(node, b"x\vx") or accepted(node, b"x\nx"):
            continue  # any text will do
        for text in {valid(each, place, node).removesuffix(b"\n"), *MORE_LISTS}:
            if not accepted(node, text):
                continue
            parts = [found.span() for found in re.finditer(rb"[ ,;]", text)]
            lists += bool(parts)
            for odd in INVISIBLE.replace("\n", "" if BY_LINES.fullmatch(place.path) else "\n"):
                more = odd.encode()
                spoilt = [more + text, text + more + more]
                for start, end in parts:
                    around = text[:start], text[start:end], text[end:]
                    spoilt += [more.join((around[0], b"".join(around[1:]))), more.join((text[:end], around[2]))]
                    spoilt.append(around[0] + more + around[2])
                assert not [data for data in spoilt if accepted(node, data)], place.path
    assert lists > 5


NUMBERS = st.integers(0, 2**64).map(str) | st.integers(0, 1100).map(str) | st.sampled_from(["0", "1", "max", "all"])
LISTS = st.from_regex(r"[+-]?[0-9]{1,2}([-,][0-9]{1,2}){0,4}", fullmatch=True)
WORDS = st.sampled_from(["cpu", "core", "off", "self", "hv", "on", "unlimited", "performance", "ondemand", "powersave"])


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow], max_examples=100, deadline=None)
@given(st.integers(0, 10**6), NUMBERS | LISTS | WORDS)
def test_what_it_prints_it_accepts_and_prints_again(each: Host, values: list[Place], number: int, text: str) -> None:
    place = values[number % len(values)]
    node = place.node
    assert isinstance(node, File)
    assume(accepted(node, text.encode()) and not KEPT_BY_XEN.fullmatch(place.path))
    before = shown(each, place, node)
    with contextlib.suppress(XenfsError):  # Xen's affair: the rest has to hold all the same
        each.put(place, text.encode())
    printed = shown(each, place, node)
    each.put(place, printed)
    assert shown(each, place, node) == printed, place.path
    with contextlib.suppress(XenfsError):  # some of it can be set once only
        each.put(place, before)  # each example finds what the first one found, and a failure can be told again


def test_nothing_is_done_to_a_domain_that_is_gone(each: Host) -> None:
    """What was open before its end answers ESTALE, and Xen is asked nothing but whether the domain lives."""
    gone = [(place, node) for place, node in writable(each) if place.path.startswith("domains/1/")]
    assert len(gone) > 10
    writes = [(place, valid(each, place, node)) for place, node in gone if not node.binary]
    each.world.vanish(1)
    each.advance(10)
    for place, data in writes:
        counts = each.counts.copy()
        with pytest.raises(Stale):
            each.put(place, data)
        assert not set(each.asked(counts)) - HARMLESS, place.path


def test_nothing_is_done_to_a_pool_that_is_gone(each: Host) -> None:
    root, pool = each.at("cpupools"), 31
    assert isinstance(root.node, Dir)
    assert root.node.make is not None
    root.node.make(each.xen, *root.ids, str(pool))
    before = [place for place in each.files() if place.path.startswith(f"cpupools/{pool}/")]
    writes = [(p, valid(each, p, p.node)) for p in before if isinstance(p.node, File) and p.node.write is not None]
    assert writes
    made = each.at(f"cpupools/{pool}")
    assert isinstance(made.node, Dir)
    assert made.node.remove is not None
    made.node.remove(each.xen, *made.ids)
    for place, data in writes:
        counts = each.counts.copy()
        with pytest.raises(XenfsError):
            each.put(place, data)
        assert not set(each.asked(counts)) - HARMLESS, place.path
        assert not each.has(f"cpupools/{pool}")
