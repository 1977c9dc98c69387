"""What is remembered of names, whoever else is at work: each interleaving is played step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from xenfs.xenstore.fake import FakeXenstore
from xenfs.xenstore.names import StoreNames, name_path

DOMID = 7


class Slow(FakeXenstore):
    """What was read is on its way for so long that `meanwhile` happens."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def read_many(self, paths: Sequence[str]) -> list[bytes | None]:
        """The values as they were before."""
        found = super().read_many(paths)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return found


class Told:
    """Names that are watched by whoever is told of it; 7 is called "old"."""

    def __init__(self) -> None:
        self.nodes = {name_path(DOMID): b"old"}
        self.store, self.names = Slow(self.nodes), StoreNames()
        self.watched = set[int]()
        self.names.want, self.names.unwant = self.watched.add, self.watched.discard

    def read(self) -> bytes | None:
        return self.names.read(self.store, [DOMID])[0]

    def called_anew(self) -> None:
        """It has another name, which another reader has asked for, and a watch."""
        self.nodes[name_path(DOMID)] = b"new"
        self.read()
        assert self.watched == {DOMID}
        assert self.names.changed(DOMID), "as a watch does when it is set"


@pytest.mark.parametrize("over", [StoreNames.lost, lambda names: names.gone(DOMID), lambda names: names.only([])])
def test_what_was_read_before_a_watch_was_set_anew_is_not_kept(over: Callable[[StoreNames], object]) -> None:
    """The new watch has fired as often as the one before had when the question began."""
    told = Told()
    told.read()
    assert told.names.changed(DOMID)

    def meanwhile() -> None:
        over(told.names)
        told.watched.clear()
        told.called_anew()

    told.store.meanwhile = meanwhile
    assert told.read() == b"old", "it was, when that was asked"
    assert told.read() == b"new"


def test_an_answer_that_comes_late_is_not_taken_for_the_last_one() -> None:
    """What is listed without asking would have it for as long as the name stays."""
    told = Told()
    told.read()

    def meanwhile() -> None:
        told.called_anew()
        told.names.heard(DOMID, b"new")

    told.store.meanwhile = meanwhile
    told.read()
    assert told.names.known([DOMID]) == {DOMID: b"new"}


def test_who_wants_a_name_while_it_is_given_up_has_it_watched() -> None:
    """Its watch is taken back after he asked for it, and would be thought to be there."""
    told = Told()
    told.read()

    def unwant(domid: int) -> None:
        told.read()
        told.watched.discard(domid)

    told.names.unwant = unwant
    told.names.gone(DOMID)
    assert told.watched == {DOMID}
    told.names.unwant = told.watched.discard
    told.names.gone(DOMID)
    assert not told.watched


def test_of_two_answers_without_a_watch_the_one_asked_for_later_counts() -> None:
    """One question among ten thousand is answered early, and handed over with all the others."""
    told = Told()
    told.names.want = None

    def meanwhile() -> None:
        told.nodes[name_path(DOMID)] = b"new"
        told.read()

    told.store.meanwhile = meanwhile
    assert told.read() == b"old"
    assert told.names.known([DOMID]) == {DOMID: b"new"}


def test_what_is_heard_late_is_not_taken_for_the_last_one() -> None:
    """Its watch has fired, and before the answer is fetched another reader has asked, and has a later name."""
    told = Told()
    told.read()
    assert told.names.changed(DOMID)
    told.nodes[name_path(DOMID)] = b"new"
    assert told.read() == b"new"
    assert not told.names.heard(DOMID, b"old")
    assert told.read() == b"new"
    assert told.names.known([DOMID]) == {DOMID: b"new"}
    assert told.names.changed(DOMID)
    assert told.names.heard(DOMID, b"newer")
    assert told.names.known([DOMID]) == {DOMID: b"newer"}


@pytest.mark.parametrize("watched", [False, True])
def test_what_was_asked_of_who_is_gone_is_nobodys_name(watched: bool) -> None:
    """The next domain with its id would be told of by it."""
    told = Told()
    if not watched:
        told.names.want = None
    else:
        told.read()
        assert told.names.changed(DOMID)
    told.store.meanwhile = lambda: told.names.gone(DOMID)
    assert told.read() == b"old"
    assert not told.names.known([DOMID])
    if watched:
        assert not told.names.heard(DOMID, b"old"), "as was asked when the watch of the one before fired"
        assert not told.names.known([DOMID])
    assert not told.names._ended, "of questions that are over nothing is kept"
