"""What became of domains while there was no daemon, found by comparing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from xenfs.cli.roll import Roll

Population = dict[int, tuple[str, str]]
populations = st.dictionaries(
    st.integers(0, 6), st.tuples(st.sampled_from("abc"), st.sampled_from(["running", "shutdown", "crashed", "dying"]))
)


def stat(domains: Population, cpu: int = 5) -> str:
    return "".join(
        f"{domid} state={state} type=pv uuid={uuid} cpu_time_ns={cpu} more=x\n"
        for domid, (uuid, state) in domains.items()
    )


@given(populations, populations)
def test_the_lines_lead_from_one_to_the_other(before: Population, after: Population) -> None:
    roll = Roll(stat(before))
    there = {domid: uuid for domid, (uuid, _) in before.items()}
    dying = {domid for domid, (_, state) in before.items() if state == "dying"}
    for line in roll.compared(stat(after)):
        number, kind, word, uuid, _ = line.split(" ")
        domid = int(word)
        assert number == "0"
        if kind == "created":
            assert domid not in there
            there[domid] = uuid
        elif kind == "gone":
            assert domid in dying, "who is gone has been dying"
            assert there.pop(domid) == uuid
            dying.remove(domid)
        elif kind == "dying":
            assert domid not in dying, "once in a life"
            assert there[domid] == uuid
            dying.add(domid)
    assert there == {domid: uuid for domid, (uuid, _) in after.items()}
    assert list(roll.compared(stat(after))) == []


def test_less_processor_time_is_another_life() -> None:
    roll = Roll(stat({3: ("a", "running")}, cpu=2_000_000_000))
    assert list(roll.compared(stat({3: ("a", "running")}, cpu=1_989_000_000))) == [], "another CPU has answered"
    assert list(roll.compared(stat({3: ("a", "running")}, cpu=1_000_000_000))) == [
        "0 dying 3 a -",
        "0 gone 3 a -",
        "0 created 3 a -",
    ]


def test_events_are_taken_note_of() -> None:
    roll = Roll(stat({3: ("a", "running")}))
    assert roll.heard("1 created 4 b")
    assert not roll.heard("1 created 4 b"), "found by comparing already"
    assert roll.heard("2 shutdown 4 b")
    assert roll.heard("3 shutdown 4 b"), "it was resumed meanwhile"
    assert roll.heard("4 dying 3 a")
    assert not roll.heard("4 dying 3 a")
    assert roll.heard("5 gone 3 a")
    assert not roll.heard("5 gone 3 a")
    assert roll.heard("what is this")
    assert list(roll.compared(stat({4: ("b", "dying")}))) == ["0 dying 4 b -"]
