"""`xenfs top`: text from strangers, rates, orders, what fits, and what keys do. Nothing here needs a terminal."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xenfs.cli.top import columns
from xenfs.cli.top.cells import ASCII, UTF8, Glyphs, clean, cut, fit, human, percent, width
from xenfs.cli.top.frame import Frame, composed
from xenfs.cli.top.meters import Place
from xenfs.cli.top.model import OFFLINE, ORDERS, Model, View, matching, ordered
from xenfs.cli.top.plain import as_json, table
from xenfs.cli.top.source import Domain, Host, Life, Sample, Timed, Traffic, Vcpu
from xenfs.cli.top.state import ASK, DO, LOOK, QUIT, State

GIB = 1 << 20
HOST = Host(32 * GIB, 8 * GIB, 7 * GIB, 2_400_000)


def domain(domid: int, name: str = "", **more: object) -> Domain:
    plain = Domain(domid, f"uuid-{domid}", name, "blocked", "pvh", 0, domid * 10**9, GIB, 2 * GIB, 2, 2, "")
    return plain._replace(**more)  # type: ignore[arg-type]


def sample(at: float, *domains: Domain, cpus: Sequence[int] = (), **vcpus: list[Vcpu]) -> Sample:
    found = {each.life: each for each in domains}
    of_them = {(int(key[1:]), f"uuid-{key[1:]}"): Timed(at, of) for key, of in vcpus.items()}
    return Sample(Timed(at, found), Timed(at, dict(enumerate(cpus))), HOST, of_them)


def view_of(*domains: Domain, cpus: int = 4) -> View:
    """Two looks, two seconds apart, in which each domain used a tenth of a CPU for each number of its id."""
    model = Model()
    idle = [10**10] * cpus
    model.fed(sample(10, *domains, cpus=idle))
    later = [each._replace(cpu_time_ns=each.cpu_time_ns + each.domid * 2 * 10**8) for each in domains]
    return model.fed(sample(12, *later, cpus=[ns + 10**9 for ns in idle]))


def text(frame: Frame) -> list[str]:
    return ["".join(text for text, _ in line) for line in frame.lines]


def picture(view: View, columns: int, lines: int, state: State | None = None, glyphs: Glyphs = UTF8) -> list[str]:
    return text(composed(view, state or State(), Place(columns, lines, glyphs, "Xen 4.17.3   /run/xenfs", "12:34:56")))


HOSTILE = "evil\x1b[2J\x1b]0;owned\x07\r\n\u202egnp.exe\u200b\ud800\udcff"


# Text


def test_nothing_that_a_terminal_obeys_is_left() -> None:
    shown = clean(HOSTILE)
    assert shown == r"evil\x1b[2J\x1b]0;owned\x07\x0d\x0a\u202egnp.exe\u200b\ud800\xff"


@given(st.text())
def test_clean_text_is_one_line_of_harmless_characters(raw: str) -> None:
    shown = clean(raw)
    assert shown.isprintable()
    assert not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in shown)
    assert clean(raw.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")).isprintable()


@given(st.text(), st.integers(0, 30))
def test_a_text_takes_the_cells_that_it_is_given(raw: str, cells: int) -> None:
    for right in (False, True):
        assert width(fit(clean(raw), cells, right=right, more="…")) == cells
    assert width(cut(clean(raw), cells)) <= cells


def test_wide_and_piled_up_characters() -> None:
    assert width("数据库") == 6
    assert width("サーバ1") == 7
    assert fit("数据库", 5, more="…") == "数据…"
    assert fit("数据库", 4, more="…") == "数… "
    assert width(clean("é")) == width(clean("e\u0301")) == 1
    assert clean("Z" + "\u0335" * 20).startswith("Z\u0335\u0335\\u0335")
    assert clean("\u0301") == "\\u0301", "an accent on nothing would land on the cell before"


@pytest.mark.parametrize(
    ("kb", "shown"),
    [(0, "0K"), (12, "12K"), (999, "999K"), (1000, "0.98M"), (1024, "1.00M"), (65536, "64.0M"), (GIB, "1.00G"),
     (10 * GIB, "10.0G"), (100 * GIB, "100G"), (1023 * GIB, "1.00T"), (2**44, "16.0P"), (None, "-")],
)  # fmt: skip
def test_amounts_of_memory(kb: int | None, shown: str) -> None:
    assert human(kb) == shown


@given(st.integers(0, 2**44))
def test_amounts_are_short(kb: int) -> None:
    assert len(human(kb)) <= 5


def test_bars_and_histories() -> None:
    assert UTF8.bar(0.5, 10) == ("━" * 5, "─" * 5)
    assert UTF8.bar(0.001, 10) == ("╸", "─" * 9), "a little is not nothing"
    assert UTF8.bar(None, 4) == UTF8.bar(0.0, 4) == ("", "────")
    assert ASCII.bar(7.0, 4) == ("####", "")
    assert UTF8.history([None, 0.0, 0.5, 1.0, 3.0], 7) == "   ▁▅██"
    assert UTF8.history([0.0, 1.0], 1) == "█"
    assert (percent(None), percent(99.95), percent(1234.5)) == ("-", "100.0", "1234")


# Rates


def test_rates_are_of_the_time_between_two_looks() -> None:
    view = view_of(domain(5, "web"), cpus=2)
    (row,) = view.rows
    assert row.percent == pytest.approx(50)
    assert list(row.history) == [pytest.approx(0.25)], "of two vCPUs"
    assert view.busy == [pytest.approx(0.5)] * 2
    assert view.used == pytest.approx(0.5)
    assert view.interval_s == 2


def test_the_first_look_knows_no_rates() -> None:
    view = Model().fed(sample(1, domain(5), cpus=[10**9]))
    assert view.rows[0].percent is None
    assert (view.busy, view.used, view.interval_s) == ([None], None, None)


def test_a_number_that_is_used_again_begins_anew() -> None:
    model = Model()
    model.fed(sample(1, domain(5)))
    model.fed(sample(2, domain(5, cpu_time_ns=6 * 10**9)))
    (row,) = model.fed(sample(3, domain(5, uuid="another", cpu_time_ns=7 * 10**9))).rows
    assert row.percent is None
    assert list(row.history) == []


def test_a_counter_that_goes_back_begins_anew() -> None:
    model = Model()
    for at in (1, 2):
        model.fed(sample(at, domain(5, cpu_time_ns=at * 10**9), cpus=[at * 10**9]))
    view = model.fed(sample(3, domain(5, cpu_time_ns=0), cpus=[10**8]))
    assert view.rows[0].percent is None
    assert list(view.rows[0].history) == []
    assert view.busy == [None]


def test_nothing_is_compared_across_a_gap() -> None:
    model = Model()
    model.fed(sample(1, domain(5)))
    model.interrupted()
    assert model.fed(sample(9, domain(5, cpu_time_ns=6 * 10**9))).rows[0].percent is None


def test_a_cpu_that_is_offline_is_not_busy() -> None:
    model = Model()
    model.fed(sample(1, cpus=[10**9, 10**9, 0]))
    view = model.fed(sample(2, cpus=[15 * 10**8, 0, 5 * 10**8]))
    assert view.busy == [pytest.approx(0.5), OFFLINE, None], "one that came back has no look before"
    assert view.used == pytest.approx(0.5)
    assert view.online == 2


def test_vcpus_have_rates_of_their_own() -> None:
    model = Model()
    model.fed(sample(1, domain(5), d5=[Vcpu(0, True, "running", 1, 10**9)]))
    view = model.fed(sample(2, domain(5), d5=[Vcpu(0, True, "running", 1, 2 * 10**9), Vcpu(1, False, "offline", 0, 0)]))
    assert [each.percent for each in view.rows[0].vcpus] == [pytest.approx(100), None]


# Orders


def test_orders() -> None:
    view = view_of(
        domain(1, "web", state="running", memory_kb=5), domain(2, "Ärger", state="paused", memory_max_kb=None),
        domain(10, "", state="crashed", vcpus=9), domain(4, "DB", kind="pv", cpupool=3),
    )  # fmt: skip
    order = {by: [row.domain.domid for row in ordered(view.rows, by)] for by in ORDERS}
    assert order["domid"] == [1, 2, 4, 10]
    assert order["name"] == [4, 1, 2, 10], "no name comes last"
    assert order["cpu"] == order["time"] == [10, 4, 2, 1]
    assert order["memory"] == [2, 4, 10, 1], "equal ones by id"
    assert order["max"][0] == 2, "no limit is the highest"
    assert order["state"] == [1, 4, 2, 10]
    assert order["vcpus"][0] == 10
    assert (order["type"], order["cpupool"]) == ([4, 1, 2, 10], [1, 2, 10, 4])
    assert [row.domain.domid for row in ordered(view.rows, "cpu", backwards=True)] == [1, 2, 4, 10]


def test_filters() -> None:
    view = view_of(domain(1, "web-1"), domain(2, "Web-2", state="paused"), domain(12, "db"))
    assert [row.domain.domid for row in matching(view.rows, "WEB")] == [1, 2]
    assert [row.domain.domid for row in matching(view.rows, "paused")] == [2]
    assert [row.domain.domid for row in matching(view.rows, "12")] == [12]
    assert [row.domain.domid for row in matching(view.rows, "UUID-2")] == [2]
    assert matching(view.rows, "id-") == []
    assert len(matching(view.rows, "")) == 3


# The picture

MANY = [domain(number, f"guest-{number}") for number in range(1, 60)]


def test_at_80_columns_all_of_xentop_is_there() -> None:
    lines = picture(view_of(domain(1, "web"), domain(0, "Domain-0", memory_max_kb=None)), 80, 24)
    titles = next(line for line in lines if "NAME" in line).replace("▾", "").split()
    assert titles == ["ID", "NAME", "STATE", "CPU%", "HISTORY", "CPU", "s", "MEM", "MEM%", "MAX", "MAX%", "VCPUS"]
    (line,) = (line for line in lines if " web " in line)
    assert line.split() == ["1", "web", "blocked", "10.0", "▁", "1", "1.00G", "3.1", "2.00G", "6.2", "2"]
    (line,) = (line for line in lines if "Domain-0" in line)
    assert line.split()[-4:] == ["3.1", "none", "-", "2"]


def test_a_name_that_is_hostile() -> None:
    (line,) = (line for line in picture(view_of(domain(2, HOSTILE)), 80, 24) if "evil" in line)
    assert line.split() == ["2", r"evil\x1b[2J\x1b]0;o…", "blocked", "20.0", "2", "1.00G", "3.1", "2.00G", "6.2", "2"]


def test_at_200_columns_there_is_room_for_everything() -> None:
    lines = picture(view_of(*MANY[:3]), 200, 60)
    titles = next(line for line in lines if "NAME" in line)
    assert all(column.title in titles for column in columns.COLUMNS)
    assert any("uuid-3" in line for line in lines)
    assert len(titles) == 200


def test_long_names_come_before_histories() -> None:
    names = ["production-database"]
    shown = picture(view_of(domain(1, names[0])), 80, 24)
    assert any(names[0] in line for line in shown)
    assert not any("HISTORY" in line for line in shown)
    assert any("HISTORY" in line for line in picture(view_of(domain(1, names[0])), 100, 24))


@settings(deadline=None)
@given(st.integers(0, 260), st.integers(0, 70), st.booleans(), st.booleans(), st.booleans(), st.text(max_size=40))
def test_no_picture_is_larger_than_its_place(
    across: int, down: int, vcpus: bool, details: bool, help: bool, name: str
) -> None:
    vcpu = [Vcpu(number, number != 1, "running", 0, number) for number in range(5)]
    model = Model()
    everybody = [domain(7, name), domain(8, "数据库" * 9), *MANY[10:20]]
    model.fed(sample(1, *everybody, cpus=[10**9] * 9))
    view = model.fed(sample(2, *everybody, cpus=[15 * 10**8] * 9, d7=vcpu))
    state = State(vcpus=vcpus, details=details, help=help, chosen=(7, "uuid-7"))
    for glyphs in (UTF8, ASCII):
        frame = composed(view, state, Place(across, down, glyphs, "Xen", "12:34"))
        assert len(frame.lines) <= down
        assert all(width("".join(text for text, _ in line)) <= across for line in frame.lines)
        for line in text(frame):
            assert line.isprintable()


def test_ascii_is_ascii() -> None:
    model = Model()
    model.fed(sample(1, *MANY[:5], cpus=[10**9] * 40))
    view = model.fed(sample(2, *MANY[:5], cpus=[15 * 10**8] * 40))
    for state in (State(), State(help=True), State(details=True, chosen=(1, "uuid-1")), State(filter="x")):
        assert all(line.isascii() for line in picture(view, 80, 24, state, ASCII))


@pytest.mark.parametrize(("cpus", "needle"), [(8, "  7 "), (64, "64 CPUs, one in each column"), (4096, "4096 CPUs, ")])
def test_as_many_cpus_as_there_are(cpus: int, needle: str) -> None:
    lines = picture(view_of(*MANY, cpus=cpus), 80, 24)
    assert any(needle in line for line in lines)
    assert sum("guest-" in line for line in lines) >= 10, "they leave room for the domains"


def test_the_chosen_domain_is_on_the_screen() -> None:
    view = view_of(*MANY)
    state = State(sort="domid")
    for key, chosen in (("down", 1), ("down", 2), ("end", 59), ("up", 58), ("home", 1), ("pgdn", None), ("pgdn", None)):
        state.press(key, view)
        lines = picture(view, 80, 24, state)
        assert state.chosen is not None
        assert chosen in (None, state.chosen[0])
        assert any(f"guest-{state.chosen[0]} " in line for line in lines)


def test_what_is_shown_is_said_so_that_its_vcpus_can_be_read() -> None:
    frame = composed(view_of(*MANY), State(sort="domid"), Place(80, 24, UTF8))
    shown: list[Life] = frame.shown
    assert [domid for domid, _ in shown] == list(range(1, len(shown) + 1))
    assert 10 < len(shown) < 24


# Keys


def pressed(keys: Sequence[str], state: State, view: View) -> list[str]:
    return [wish for key in keys if (wish := state.press(key, view))]


def test_keys_that_sort() -> None:
    view, state = view_of(*MANY[:3]), State()
    pressed("m", state, view)
    assert (state.sort, state.backwards) == ("memory", False)
    pressed("mr", state, view)
    assert (state.sort, state.backwards) == ("memory", False), "again, then the other way round"
    pressed("n>", state, view)
    assert state.sort == "state"
    pressed(["<", "<"], state, view)
    assert state.sort == "domid"


def test_keys_that_filter() -> None:
    view, state = view_of(*MANY), State()
    pressed(["/", *"guest-11x", "backspace"], state, view)
    assert state.filter == "guest-11"
    assert pressed(["q"], state, view) == [], "it is a letter here"
    pressed(["backspace", "enter"], state, view)
    assert [row.domain.domid for row in state.rows(view)] == [11]
    pressed(["esc"], state, view)
    assert len(state.rows(view)) == len(MANY)


def test_keys_that_ask() -> None:
    view, state = view_of(*MANY), State(may_pause=True)
    assert pressed("p", state, view) == []
    assert "Choose a domain" in state.message
    assert pressed(["down", "p"], state, view) == [ASK]
    state.question = "Pause it?"
    assert pressed("x", state, view) == []
    assert state.message == "Nothing was done."
    state.question = "Pause it?"
    assert pressed("y", state, view) == [DO]
    assert pressed("p", State(chosen=state.chosen), view) == [], "where the mount does not let"


def test_other_keys() -> None:
    view, state = view_of(*MANY), State()
    assert pressed([" "], state, view) == [LOOK]
    assert pressed("v", state, view) == [LOOK]
    assert state.vcpus
    assert pressed("vh", state, view) == []
    assert state.help
    assert pressed("x", state, view) == []
    assert not state.help
    assert pressed(["+"], state, view) == []
    assert state.delay_s == 3
    assert pressed(["", "ü", "\U0001f600"], state, view) == []
    assert pressed("hq", state, view) == [QUIT]


@given(
    st.lists(
        st.sampled_from(["up", "down", "pgup", "pgdn", "home", "end", "enter", "esc", "v", "/", "g", "r", "s", "<"])
    )
)
@settings(deadline=None)
def test_no_keys_get_it_into_trouble(keys: list[str]) -> None:
    model, state = Model(), State()
    everybody = list(MANY)
    for at, key in enumerate(keys):
        view = model.fed(sample(at, *everybody[at % 50 :], cpus=[10**9 + at]))
        state.press(key, view)
        assert len(picture(view, 80, 10 + at % 20, state)) == 10 + at % 20
    assert picture(model.fed(sample(999)), 80, 24, state)


# In print


def test_the_table() -> None:
    view = view_of(domain(1, "web"), domain(2, HOSTILE), domain(10, ""))
    lines = list(table(view, view.rows))
    titles = ["domid", "type", "state", "cpu_s", "cpu_%", "mem_kb", "mem_%", "max_kb", "max_%", "vcpus", "pool"]
    titles += ["nets", "rx_kB/s", "tx_kB/s", "disks", "rd/s", "wr/s", "rd_kB/s", "wr_kB/s", "name"]
    assert lines[0].split() == titles
    assert lines[1].split()[:5] == ["1", "pvh", "blocked", "1.2", "10.0"]
    assert lines[1].split()[-1] == "web"
    assert lines[3].split()[-1] == "-"
    assert len(lines) == 4


def with_traffic(**later: int) -> View:
    """Two looks at a domain with a network and a disk, two seconds apart."""
    model, before = Model(), Traffic(1, 1000, 2000, 1, 10, 20, 4096, 8192, 0)
    for at, traffic in ((10.0, before), (12.0, before._replace(**later))):
        look = sample(at, domain(1, "web"), cpus=[0])
        look.traffic = Timed(at, {(1, "uuid-1"): traffic})
        view = model.fed(look)
    return view


def test_what_goes_through_networks_and_disks() -> None:
    view = with_traffic(rx_bytes=1000 + 4 * 1024, reads=30, read_bytes=4096 + 2 * 1024 * 1024)
    first, line = list(table(view, view.rows))
    found = dict(zip(first.split(), line.split(), strict=True))
    assert [found[title] for title in ("nets", "rx_kB/s", "tx_kB/s")] == ["1", "2.0", "0.0"]
    assert [found[title] for title in ("disks", "rd/s", "wr/s", "rd_kB/s")] == ["1", "10.0", "0.0", "1024.0"]
    told = json.loads(as_json(view, view.rows, "/run/xenfs", "4.17.3", with_vcpus=False))["domains"][0]["traffic"]
    assert (told["networks"], told["rx_bytes"], told["rx_bytes_per_s"]) == (1, 5096, 2048.0)
    assert told["reads_per_s"] == 10.0
    assert "RX/s" in picture(view, 200, 20)[picture_header(view)]


def picture_header(view: View) -> int:
    return next(at for at, line in enumerate(picture(view, 200, 20)) if "NAME" in line)


@pytest.mark.parametrize("later", [{"rx_bytes": 0}, {"networks": 2}, {"disks": 0}])
def test_a_device_that_comes_or_goes_has_no_rate(later: dict[str, int]) -> None:
    assert with_traffic(**later).rows[0].per_s is None


def test_json_has_the_keys_that_are_promised() -> None:
    view = view_of(domain(1, "web"), domain(2, "\udcff\n", memory_max_kb=None), cpus=1)
    found = json.loads(as_json(view, view.rows, "/run/xenfs", "4.17.3", with_vcpus=True))
    assert list(found) == ["time", "interval_s", "mount", "xen_version", "host", "cpus", "domains"]
    assert found["host"] == {
        "cpus_online": 1, "cpu_khz": 2_400_000, "cpu_percent": 50.0, "memory_kb": 32 * GIB, "memory_free_kb": 8 * GIB,
        "memory_available_kb": 7 * GIB,
    }  # fmt: skip
    assert found["cpus"] == [{"cpu": 0, "online": True, "idle_ns": 11 * 10**9, "busy_percent": 50.0}]
    assert found["domains"][0] == {
        "domid": 1, "uuid": "uuid-1", "name": "web", "type": "pvh", "state": "blocked", "shutdown_reason": None,
        "cpupool": 0, "cpu_time_ns": 1_200_000_000, "cpu_percent": 10.0, "memory_kb": GIB, "memory_percent": 3.125,
        "memory_max_kb": 2 * GIB, "memory_max_percent": 6.25, "vcpus": 2, "vcpus_online": 2, "traffic": None,
        "vcpu_stat": [],
    }  # fmt: skip
    assert found["domains"][1]["name"] == "\ufffd\n"
    assert found["domains"][1]["memory_max_kb"] is None
