"""The tables of operations: complete, and true to the headers in every release and on both architectures."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from types import SimpleNamespace

import pytest

from xenfs.abi import Abi, load, numbers
from xenfs.abi.numbers import (
    DmOp,
    Domctl,
    FlaskOp,
    GetCpufreq,
    GrantOp,
    Hypercall,
    McaOp,
    Memory,
    PhysdevOp,
    PmSetting,
    SetCpufreq,
    Sysctl,
)
from xenfs.abi.operations import _TABLES, Does, Operation, Way, operation, operations, shape
from xenfs.abi.operations.model import NONE
from xenfs.abi.promises import Promise
from xenfs.abi.releases import ARCHES, RELEASES

COMBINATIONS = [
    pytest.param(release, arch, id=f"{release[0]}.{release[1]}-{arch}") for arch in ARCHES for release in RELEASES
]
# Numbers that the headers keep and no Xen of these releases answers.
NOT_ANSWERED: set[IntEnum] = {
    Domctl.real_mode_area,
    Domctl.set_opt_feature,
    FlaskOp.DISABLE,
    GrantOp.dump_table,
    McaOp.notifydomain,
    PhysdevOp.free_irq_vector,
}
NUMBERS = [getattr(numbers, name) for name in _TABLES if name != "Hypercall"]


def everything() -> Iterator[Operation]:
    """All operations, wholes and parts."""
    for each in operations():
        yield from _with_parts(each)


def _with_parts(op: Operation) -> Iterator[Operation]:
    yield op
    for part in op.parts:
        yield from _with_parts(part)


def wrong(abi: Abi, op: Operation) -> Iterator[str]:
    """What an entry says that the headers do not bear out."""
    members = {each.name: each for each in shape.members(abi, op)}
    for (
        name
    ) in f"{op.takes} {op.gives} {op.both} {op.inner} {op.by} {op.domain} {op.needs} {op.room} {op.most}".split():
        if name not in ("*", NONE) and not any(m == name or m.startswith(f"{name}.") for m in members):
            yield f"{op.name}: no member {name}"
    for each in members.values():
        if each.ctype is not None and "xen_guest_memory" in each.ctype.cname and each.promise is None:
            yield f"{op.name}: nothing tells how much {each.name} promises"


@pytest.mark.parametrize(("release", "arch"), COMBINATIONS)
def test_entries_are_true_to_the_headers(release: tuple[int, int], arch: str) -> None:
    abi = load(release, arch)
    assert [line for op in everything() if op.exists(abi.target) for line in wrong(abi, op)] == []


def test_names_and_numbers_are_no_one_elses() -> None:
    every = list(everything())
    names = [op.name for op in every if op.word != getattr(op.whole, "word", "")]
    assert len(names) == len(set(names))
    for op in every:
        assert all(op.chosen(part.given or {}) is part for part in op.parts), op


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.__name__)
def test_every_number_has_an_entry(kind: type[IntEnum]) -> None:
    for number in kind:
        if not any(number is each for each in NOT_ANSWERED):
            assert operation(number).number is number


def test_every_hypercall_has_operations() -> None:
    assert {op.hypercall for op in operations()} == set(Hypercall)


def test_a_part_is_found_by_what_a_question_says() -> None:
    whole = operation(Sysctl.pm_op)
    part = whole.chosen({"cmd": SetCpufreq.PARA, "u.set_para.ctrl_type": 5, "cpuid": 3})
    assert part.name == "sysctl pm_op SET_CPUFREQ_PARA UP_THRESHOLD"
    assert part is operation(Sysctl.pm_op, "SET_CPUFREQ_PARA").part("UP_THRESHOLD")
    assert part.does is Does.CHANGES
    assert whole.chosen({"cmd": PmSetting.get_vcpu_migration_delay}) is whole
    assert operation(Sysctl.pm_op, "GET_CPUFREQ_AVGFREQ").given == {"cmd": GetCpufreq.AVGFREQ}
    with pytest.raises(KeyError):
        operation(Sysctl.pm_op, "nonsense")


def test_a_whole_is_as_the_worst_of_its_parts() -> None:
    whole = operation(Domctl.shadow_op)
    assert (whole.does, whole.slow, whole.repeatable) == (Does.CHANGES, True, False)
    assert operation(Domctl.shadow_op, "PEEK").does is Does.LOOKS
    assert operation(Sysctl.livepatch_op).dangerous
    assert not operation(Sysctl.livepatch_op, "LIST").dangerous


def test_what_only_looks_may_be_made_twice_unless_it_says_otherwise() -> None:
    assert operation(Domctl.getvcpuinfo).repeatable
    assert not operation(Sysctl.pm_op, "GET_CPUFREQ_AVGFREQ").repeatable
    assert not operation(Domctl.pausedomain).repeatable
    assert operation(Domctl.max_mem).repeatable


def test_what_takes_something_away_is_no_mere_look() -> None:
    takes = {op.name for whole in operations() for op in whole.leaves() if op.does is Does.LOOKS and not op.only_looks}
    assert takes == {
        "console_io read", "domctl gdbsx_domstatus", "mca fetch", "sysctl pm_op GET_CPUFREQ_AVGFREQ",
        "platform_op efi_runtime_call get_next_high_monotonic_count",
    }  # fmt: skip


def test_what_the_simulator_answers_is_named_as_it_is_called() -> None:
    """Each name of a table's list is an operation, or a whole with parts; in raw/ they tell what is not simulated."""
    for family in {op.family for op in operations()}:
        words = [each.word.replace(" ", ":") for op in operations() if op.family == family for each in _with_parts(op)]
        for name in family.simulated.split():
            assert name == "*" or name in words, (family.hypercall, name)
    assert operation(Sysctl.livepatch_op, "LIST").simulated
    assert operation(Sysctl.livepatch_op, "UPLOAD").simulated


def test_where_xen_goes_by_counts_of_its_own() -> None:
    rooms = {op.name: op.room_by or "itself" for whole in operations() for op in whole.leaves() if op.room}
    assert rooms == {
        "sysctl perfc_op reset": "query", "sysctl perfc_op query": "query",
        "sysctl get_pmstat get_pxstat": "get_max_px", "sysctl livepatch_op LIST": "itself",
        "mca physcpuinfo": "itself",
    }  # fmt: skip


def test_members_have_their_way_and_their_promise() -> None:
    abi = load((4, 17))
    vcpu = {m.name: m for m in shape.members(abi, operation(Domctl.getvcpuinfo))}
    assert vcpu["domain"].path == "domain"
    assert (vcpu["vcpu"].path, vcpu["vcpu"].way, vcpu["online"].way) == ("u.getvcpuinfo.vcpu", Way.IN, Way.OUT)
    nodes = {m.name: m for m in shape.members(abi, operation(Domctl.getnodeaffinity))}
    bitmap = nodes["nodemap.bitmap"]
    assert (bitmap.way, str(bitmap.promise), bitmap.within) == (Way.OUT, "bit[nr_bits]", "u.nodeaffinity.nodemap")
    dirty = {m.name: m for m in shape.members(abi, operation(DmOp.track_dirty_vram))}
    assert [str(dirty["dirty_bitmap"].promise), dirty["domid"].path] == ["bit[nr]", "domid"]
    (only,) = shape.members(abi, operation(Memory.maximum_gpfn))
    assert (only.name, only.ctype.cname) == ("domid", "uint16_t")


def test_headers_are_filled_in() -> None:
    abi = load((4, 21))
    assert shape.header(abi, operation(Sysctl.physinfo)) == {"cmd": 3, "interface_version": 0x16}
    assert shape.header(abi, operation(Domctl.get_domain_state)) == {"cmd": 90, "interface_version": 0}
    assert shape.header(abi, operation(DmOp.inject_msi)) == {"op": 14}


def test_entries_come_and_go_with_releases() -> None:
    new, old = load((4, 22)).target, load((4, 14)).target
    levelling, state = operation(Sysctl.get_cpu_levelling_caps), operation(Domctl.get_domain_state)
    assert (levelling.exists(old), levelling.exists(new)) == (True, False)
    assert (state.exists(old), state.exists(new)) == (False, True)
    assert not operation(Domctl.get_vcpu_msrs).exists(load((4, 22), "arm64").target)


@pytest.mark.parametrize(
    ("element", "count", "expected"),
    [("uint32_t", "end - start + 1", 16), ("bit", "nr", 2), ("uint64_t", "nr * nr", 800), ("char", "16 * nr", 160),
     ("uint8_t", "", 0), ("char", "inner.size", 7)],
)  # fmt: skip
def test_a_promise_counts_by_its_neighbours(element: str, count: str, expected: int) -> None:
    view = SimpleNamespace(start=5, end=8, nr=10, inner=SimpleNamespace(size=7))
    assert Promise(element, count).nbytes(load((4, 17)), view) == expected
    assert Promise.read(f"{element}[{count}]") == Promise(element, count)
    assert Promise.read(f"{element}[{count}] or null") == Promise(element, count, optional=True)
    for content in ("ending in 0", "led by its size"):
        promise = Promise(element, count, content=content)
        assert Promise.read(str(promise)) == promise == Promise.read(f"{element}[{count}] {content}")
