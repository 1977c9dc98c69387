"""The list of all domains is what each of them says by itself, whatever happened since it was asked for last."""

from __future__ import annotations

from caller import Caller
from hypothesis import given, settings
from hypothesis import strategies as st

MOST = 512
HAPPENS = (
    "nothing", "passes", "pause", "unpause", "shutdown", "resume", "destroy", "vanish", "create", "max_mem",
    "uuid", "affinity",
)  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(HAPPENS), st.integers(1, 2**16)), max_size=12)


def listed(xen: Caller, first: int, limit: int) -> bytes:
    address, memory = xen.arena.take(xen.layouts.size("xen_domctl_getdomaininfo") * limit)
    result, body = xen.sysctl("getdomaininfolist", first_domain=first, max_domains=limit, buffer=address)
    assert result == 0
    count = xen.read(body, "xen_sysctl_getdomaininfolist", "num_domains")
    return bytes(memory[: count * xen.layouts.size("xen_domctl_getdomaininfo")])


def one_by_one(xen: Caller, domids: list[int]) -> bytes:
    size = xen.layouts.size("xen_domctl_getdomaininfo")
    return b"".join(bytes(xen.domctl("getdomaininfo", domid)[1][:size]) for domid in domids)


def happens(xen: Caller, what: str, dice: int) -> None:
    """Something to one of the domains; whether it is refused does not matter."""
    everybody = sorted(xen.world.domains)
    domid = everybody[dice % len(everybody)] or everybody[1]
    if what == "passes":
        xen.time.passes(dice / 1000)
    elif what == "shutdown":
        xen.world.shutdown(domid, dice % 5)
    elif what in ("pause", "unpause", "destroy", "resume"):
        xen.domctl(f"{what}domain", domid)
    elif what == "vanish":
        xen.world.vanish(domid)
    elif what == "create":
        xen.world.create(vcpus=1 + dice % 3, load=dice % 900)
    elif what == "max_mem":
        xen.domctl("max_mem", domid, "xen_domctl_max_mem", max_memkb=dice * 64)
    elif what == "uuid":
        xen.domctl("setdomainhandle", domid, "xen_domctl_setdomainhandle", handle=dice.to_bytes(16, "little"))
    elif what == "affinity":
        domain = xen.world.domains[domid]
        for vcpu in domain.existing():
            vcpu.hard = 1 << dice % 8
        xen.world.placement.again(domain, xen.world.clock.ticks())


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_a_list_is_what_each_domain_says(steps: list[tuple[str, int]]) -> None:
    xen = Caller("domains=90,cpus=8")
    for what, dice in steps:
        happens(xen, what, dice)
        for first, limit in ((0, MOST), (0, 70), (20, MOST), (20, 3)):
            xen.world.settled()
            here = [domid for domid in sorted(xen.world.domains) if domid >= first][:limit]
            assert listed(xen, first, limit) == one_by_one(xen, here), (what, first, limit)


def test_where_nothing_changes_a_list_is_made_once() -> None:
    xen = Caller("domains=90")
    listed(xen, 0, MOST)
    kept = xen.sim.machine.domaininfo_rows.of(0, MOST)
    xen.time.passes(1)
    listed(xen, 0, MOST)
    assert xen.sim.machine.domaininfo_rows.of(0, MOST) is kept
    xen.domctl("pausedomain", 1)
    assert xen.sim.machine.domaininfo_rows.of(0, MOST) is not kept


def test_lists_that_are_kept_are_bounded() -> None:
    xen = Caller("domains=3000")
    for first in range(100):
        listed(xen, first, 3000)
    assert sum(len(kept.domains) for kept in xen.sim.machine.domaininfo_rows._kept.values()) < 25_000
