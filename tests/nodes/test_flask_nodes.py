"""flask/ and the contexts of domains, where Xen has FLASK and where it has not."""

from __future__ import annotations

import errno
import re
import stat
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import COMBINATIONS, HARMLESS, Host

from xenfs.errors import BadInput, XenfsError
from xenfs.nodes.tables.base import File
from xenfs.options import Options
from xenfs.simulator.world.evtchn import FIRST_OF_GUESTS
from xenfs.simulator.world.policy import MAGIC


@pytest.fixture(scope="module", params=COMBINATIONS, ids="-".join)
def each(request: pytest.FixtureRequest) -> Iterator[Host]:
    release, arch = request.param
    with Host(f"xen={release},arch={arch},flask=on") as host:
        yield host


@pytest.fixture
def labeled() -> Iterator[Host]:
    with Host("flask=on") as host:
        yield host


def ask(host: Host, path: str, question: str) -> str:
    return host.put(host.at(path), question.encode()).decode().removesuffix("\n")


def refused(host: Host, path: str, text: str) -> XenfsError:
    before = host.counts.copy()
    with pytest.raises(XenfsError) as caught:
        host.put(host.at(path), text.encode())
    if isinstance(caught.value, BadInput):
        assert not set(host.asked(before)) - HARMLESS
    return caught.value


def test_what_it_shows(each: Host) -> None:
    policy = each.world.policy
    assert policy is not None
    assert [each.value(f"flask/{name}") for name in ("enforce", "policyvers", "mls")] == ["1", "30", "0"]
    assert each.names("flask/booleans") == [boolean.name for boolean in policy.booleans]
    assert each.value("flask/booleans/guest_writeconsole") == "1 1"
    for domain in each.world.domains_from(0):
        assert each.value(f"domains/{domain.domid}/context") == policy.context(domain.ssidref)
    assert each.value("domains/0/context") == "system_u:system_r:dom0_t"


def test_contexts_and_sids_are_asked_for(each: Host) -> None:
    sid = ask(each, "flask/context", "system_u:system_r:domU_t\n")
    assert int(sid) == each.world.domains[1].ssidref
    assert ask(each, "flask/sid", sid) == "system_u:system_r:domU_t"
    assert ask(each, "flask/sid", "4000000000") == "system_u:system_r:unlabeled_t"
    assert refused(each, "flask/context", "system_u:system_r:nothing_t").errno == errno.EINVAL


def test_booleans_are_pending_until_committed(labeled: Host) -> None:
    path = "flask/booleans/prot_doms_locked"
    labeled.write(path, "1")
    assert labeled.value(path) == "0 1"
    labeled.write(path, "0 0")
    assert labeled.value(path) == "0 0"
    assert refused(labeled, path, "1 1").errno == errno.EINVAL
    labeled.write(path, "0 1\n")
    for text in ("0", "on", "1 1", "", "commit"):
        assert refused(labeled, "flask/commit_pending_bools", text).errno == errno.EINVAL
    labeled.write("flask/commit_pending_bools", "1\n")
    assert labeled.value(path) == "1 1"
    assert "committed booleans { guest_writeconsole:1, prot_doms_locked:1 }" in labeled.read("host/console/log")


def test_booleans_that_are_not_there(labeled: Host) -> None:
    for name in ("nothing", "PROT_DOMS_LOCKED", "0", "x" * 255):
        assert not labeled.has(f"flask/booleans/{name}")


def test_enforcing_can_be_ended(labeled: Host) -> None:
    labeled.write("flask/enforce", "0")
    assert labeled.value("flask/enforce") == "0"
    labeled.write("flask/enforce", "1")
    assert labeled.value("flask/enforce") == "1"


def test_a_domain_is_relabeled_where_the_policy_has_a_way(labeled: Host) -> None:
    assert labeled.value("domains/9/context") == "system_u:system_r:nomigrate_t_building"
    labeled.write("domains/9/context", "system_u:system_r:nomigrate_t\n")
    assert labeled.value("domains/9/context") == "system_u:system_r:nomigrate_t"
    assert refused(labeled, "domains/1/context", "system_u:system_r:nomigrate_t").errno == errno.EACCES
    assert refused(labeled, "domains/1/context", "dom0").errno == errno.EINVAL
    assert labeled.value("domains/1/context") == "system_u:system_r:domU_t"


@pytest.mark.parametrize("text", ["", " ", "a b", "a\tb", "a\nb", "\0a", "ä", "\x7f", "x" * 4097])
def test_what_is_no_context(labeled: Host, text: str) -> None:
    for path in ("flask/context", "domains/1/context"):
        assert isinstance(refused(labeled, path, text), BadInput)


@given(st.integers(0, 2**32 - 1))
def test_every_sid_has_a_context_that_has_a_sid(sid: int) -> None:
    with Host("flask=on,domains=1,cpus=1") as host:
        context = ask(host, "flask/sid", str(sid))
        again = ask(host, "flask/context", context)
        assert ask(host, "flask/sid", again) == context


def test_options() -> None:
    with Host("flask=on", Options()) as host:
        assert not any(host.has(f"flask/{name}") for name in ("commit_pending_bools", "load", "ocontexts"))
        for path in ("flask/enforce", "domains/1/context"):
            assert stat.S_IMODE(host.at(path).node.mode) == 0o444
        assert isinstance(host.at("flask/booleans/guest_writeconsole").node, File)
        host.write("flask/booleans/guest_writeconsole", "0")


def test_a_long_context_is_read_whole(labeled: Host) -> None:
    assert labeled.world.policy is not None
    context = "system_u:system_r:domU_t:" + ",".join(f"c{number}" for number in range(2000))
    labeled.world.policy._contexts.append(context)
    assert (
        ask(labeled, "flask/sid", ask(labeled, "flask/sid", "1") and str(len(labeled.world.policy._contexts) - 1))
        == context
    )


def test_without_a_policy_only_initial_names_mean_something(labeled: Host) -> None:
    """Xen without a loaded policy gives its own SID for any text: that must not label a domain."""
    policy = labeled.world.policy
    assert policy is not None
    names = ["", "xen", "dom0"]
    policy.context = lambda sid: names[sid]  # type: ignore[method-assign]
    policy.sid = lambda context: names.index(context) if context in names else 1  # type: ignore[method-assign]
    labeled.world.domains[1].ssidref = 2
    labeled.world.domains[1].info = None
    assert labeled.value("domains/1/context") == "dom0"
    assert ask(labeled, "flask/context", "dom0") == "2"
    problem = refused(labeled, "domains/1/context", "system_u:system_r:domU_t")
    assert "no policy is loaded" in str(problem)
    assert labeled.value("domains/1/context") == "dom0"


def test_without_flask_it_is_absent(host: Host) -> None:
    assert not host.has("flask")
    assert not host.has("domains/1/context")
    assert "xsm_op GETENFORCE ENOSYS" in host.value("xenfs/missing")


@pytest.mark.logs("does not know Xen 4.23")
def test_the_nul_is_counted_as_4_23_wants_it() -> None:
    with Host("xen=4.23,flask=on", Options(unverified=True)) as host:
        sid = ask(host, "flask/context", "system_u:system_r:dom0_t")
        assert ask(host, "flask/sid", sid) == "system_u:system_r:dom0_t"
        for name in host.names("flask/booleans"):
            host.write(f"flask/booleans/{name}", "1")


DOM0, DOMU = "system_u:system_r:dom0_t", "system_u:system_r:domU_t"


def test_what_the_policy_decides(each: Host) -> None:
    answer = dict(line.split() for line in ask(each, "flask/access", f"{DOM0} {DOMU} domain").splitlines())
    assert answer == {"allowed": "0xffffffff", "audit_allow": "0x0", "audit_deny": "0xffffffff", "seqno": "1"}
    assert ask(each, "flask/access", f"{DOMU} {DOM0} 3 0x1").startswith("allowed 0x0\n")
    assert refused(each, "flask/access", f"{DOM0} {DOM0} 14").errno == errno.EINVAL, "the policy has 13 classes"
    assert "xen xen2 domain" in str(refused(each, "flask/access", f"{DOM0} {DOM0} file"))
    assert ask(each, "flask/create", f"{DOMU} {DOMU} domain") == f"{DOMU}_self"
    for name in ("relabel", "member"):
        assert ask(each, f"flask/{name}", f"{DOMU} {DOMU} domain") == DOMU
        assert ask(each, f"flask/{name}", f"{DOM0} system_u:object_r:irq_t resource") == "system_u:object_r:irq_t"


def test_who_is_at_the_other_end(each: Host) -> None:
    for domid in (1, 2):
        port = str(FIRST_OF_GUESTS + 2 * domid)
        assert ask(each, "flask/peersid", port) == str(each.world.domains[domid].ssidref)
    assert refused(each, "flask/peersid", "29").errno == errno.EINVAL, "no domain is at the other end of a virq"


def test_what_is_remembered_of_decisions(each: Host) -> None:
    each.write("flask/avc/cache_threshold", "300")
    assert each.value("flask/avc/cache_threshold") == "300"
    assert re.fullmatch(r"entries: 1\nbuckets used: 1/512\nlongest chain: 1", each.value("flask/avc/hash_stats"))
    rows = each.value("flask/avc/cache_stats").splitlines()
    assert [row.split()[0] for row in rows] == [f"cpu{cpu}" for cpu in range(8)]
    assert re.fullmatch(r"cpu0 lookups=\d+ hits=\d+ misses=1 allocations=1 reclaims=0 frees=0", rows[0])


def test_cpus_that_are_offline_remember_nothing(labeled: Host) -> None:
    labeled.world.host.cpus[3].online = False
    assert not [row for row in labeled.value("flask/avc/cache_stats").splitlines() if row.startswith("cpu3 ")]


def test_another_policy_is_loaded(labeled: Host) -> None:
    policy, load = labeled.world.policy, labeled.at("flask/load")
    assert policy is not None
    labeled.write("flask/ocontexts", "+pirq 17 system_u:object_r:irq_t")
    labeled.write("flask/booleans/prot_doms_locked", "1")
    for wrong in (b"policy", MAGIC + b"\x1f\0\0\0", MAGIC):
        with pytest.raises(XenfsError) as caught:
            labeled.put(load, wrong)
        assert caught.value.errno == errno.EINVAL
    assert len(policy.labels) == 1
    with pytest.raises(XenfsError) as caught:
        labeled.put(load, bytes((4 << 20) + 1))
    assert caught.value.errno == errno.EFBIG
    labeled.put(load, MAGIC + b"\x1e\0\0\0" + bytes(3 << 20))
    assert (policy.labels, labeled.value("flask/booleans/prot_doms_locked")) == ([], "0 0")
    assert "seqno 2" in ask(labeled, "flask/access", f"{DOM0} {DOM0} xen")
    assert labeled.xen.pool.stat()["in_use"] == 0


def test_things_of_the_machine_are_labelled(labeled: Host) -> None:
    policy = labeled.world.policy
    assert policy is not None
    kinds = {"pirq 17": (1, 17, 17), "ioport 0x3f8-0x3ff": (2, 0x3F8, 0x3FF), "iomem 1": (3, 1, 1),
             "pci 0000:00:1f.2": (4, 0xFA, 0xFA)}  # fmt: skip
    for thing, numbers in kinds.items():
        labeled.write("flask/ocontexts", f"+{thing} system_u:object_r:device_t")
        assert policy.labels[-1] == (*numbers, policy.sid("system_u:object_r:device_t"))
        assert refused(labeled, "flask/ocontexts", f"+{thing} system_u:object_r:nic_dev_t").errno == errno.EEXIST
    for thing in kinds:
        labeled.write("flask/ocontexts", f"-{thing}")
        assert refused(labeled, "flask/ocontexts", f"-{thing}").errno == errno.ENOENT
    assert policy.labels == []
    assert refused(labeled, "flask/ocontexts", "+dt /chosen system_u:object_r:device_t").errno == errno.EOPNOTSUPP
    with Host("arch=arm64,flask=on") as host:
        assert host.world.policy is not None
        host.write("flask/ocontexts", "+dt /chosen system_u:object_r:device_t")
        assert list(host.world.policy.nodes) == ["/chosen"]
        assert refused(host, "flask/ocontexts", "+dt /chosen system_u:object_r:device_t").errno == errno.EEXIST
        host.write("flask/ocontexts", "-dt /chosen")
        assert refused(host, "flask/ocontexts", "-dt /chosen").errno == errno.ENOENT
