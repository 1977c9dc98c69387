"""templates/: a domain that is not yet one, configured by files, and made of them whole or not at all."""

from __future__ import annotations

import errno
import pkgutil
from typing import Any
from uuid import UUID

import pytest
from worlds import COMBINATIONS, Host

from xenfs.calls import create
from xenfs.errors import HypercallError, XenfsError
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.templates import name_orphans
from xenfs.nodes.templates.commit import orphans
from xenfs.nodes.templates.settings import flag_words
from xenfs.options import Options
from xenfs.simulator.world.grants import granted_to_control
from xenfs.xenstore import FakeXenstore
from xenfs.xenstore.fake import Computed

HANDLE = "01234567-89ab-cdef-0123-456789abcdef"


def mkdir(host: Host, name: str) -> None:
    host.mkdir(f"templates/{name}")


def commit(host: Host, name: str, wanted: str = "any") -> int:
    return int(host.put(host.at(f"templates/{name}/commit"), wanted.encode()))


@pytest.fixture
def made(host: Host) -> Host:
    mkdir(host, "t")
    return host


@pytest.mark.parametrize(("release", "arch"), COMBINATIONS)
def test_a_template_as_it_is_made_can_be_committed(release: str, arch: str) -> None:
    with Host(f"xen={release},arch={arch}") as host:
        mkdir(host, "t")
        domid = commit(host, "t")
        domain = host.world.domains[domid]
        assert (domain.kind, domain.hap, domain.pause_count) == ("pvh", True, 1)
        assert len(domain.existing()) == 1
        assert not domain.existing()[0].online
        assert domain.max_pages * 4 == int(host.value("templates/t/max_mem_kb")) == 128 << 10
        assert host.value(f"domains/{domid}/state") == "paused"
        if host.has(f"domains/{domid}/memory/paging_pool_bytes"):
            assert int(host.value(f"domains/{domid}/memory/paging_pool_bytes")) >= 4 << 20
        assert not create.is_marked(domain.handle)
        assert commit(host, "t") != domid, "a template stays one"
        pages = (("arch/gic_version", "native"),) if arch == "arm64" else (("arch/emulation", "lapic"),)
        for name, value in pages:
            assert host.value(f"templates/t/{name}") == value


def test_what_each_release_has(made: Host) -> None:
    def names(settings: str) -> set[str]:
        with Host(settings) as host:
            mkdir(host, "t")
            return {*host.names("templates/t"), *(f"arch/{name}" for name in host.names("templates/t/arch"))}

    assert names("xen=4.17") - names("xen=4.14") == {"grant_version", "vmtrace_size", "arch/msr_relaxed"}
    assert names("xen=4.22") - names("xen=4.20") == {"altp2m_views"}
    assert {"arch/gic_version", "arch/nr_spis"} <= names("xen=4.17,arch=arm64")
    assert not {"altp2m", "arch/emulation"} & names("xen=4.17,arch=arm64")


def test_every_setting_reaches_the_domain(made: Host) -> None:
    settings = {
        "flags": "hvm hap", "max_vcpus": "3", "max_mem_kb": "64M", "paging_pool_bytes": "8M", "uuid": HANDLE,
        "grant_frames": "7", "evtchn_ports": "200",
    }  # fmt: skip
    for name, value in settings.items():
        made.write(f"templates/t/{name}", value)
    domid = commit(made, "t", "77")
    domain = made.world.domains[77]
    assert (domid, len(domain.existing()), domain.max_pages) == (77, 3, 16384)
    assert domain.mempool_bytes == 8 << 20
    assert made.value("domains/77/uuid") == HANDLE
    assert str(UUID(bytes=domain.handle)) == HANDLE


def test_a_map_of_memory_reaches_the_domain(made: Host) -> None:
    """The host's own is one that a template takes, and what it takes it shows again."""
    text = made.value("host/memory/e820")
    assert made.value("templates/t/e820") == ""
    made.write("templates/t/e820", text)
    assert made.value("templates/t/e820") == text
    entries = made.world.domains[commit(made, "t")].kept["e820"]
    assert [int.from_bytes(each[:8], "little") for each in entries] == [
        int(line.split("-")[0], 16) for line in text.splitlines()
    ]
    made.write("templates/t/e820", "0x100000-0x200000 12\n")
    assert made.value("templates/t/e820") == "0x100000-0x200000 12"
    made.write("templates/t/e820", "\n")
    assert "e820" not in made.world.domains[commit(made, "t")].kept
    for odd, code, why in (
        ("0x2000-0x1000 ram", errno.EINVAL, "the end is exclusive"),
        ("0x1000-0x2000", errno.EINVAL, "not a line such as"),
        ("0x1000-0x2000 RAM", errno.EINVAL, "a number or one of: ram"),
        ("0x1000-0x2000 0", errno.ERANGE, "type of memory"),
        ("0-0x1000 ram\n0xfff-0x2000 reserved", errno.EINVAL, "it begins before the line above it ends, at 0x1000"),
        ("\n".join(f"{2 * n}-{2 * n + 1} ram" for n in range(129)), errno.EINVAL, "not 129"),
    ):
        assert made.refused("templates/t/e820", odd) == code, odd
        assert why in made.read("xenfs/error_log")
        made.write("xenfs/error_log", "\n")


def test_a_map_of_its_own_has_a_pvh_control_domain() -> None:
    with Host("dom0=pvh") as host:
        assert host.value("domains/0/memory/e820") == host.value("host/memory/e820")
        assert not host.has("domains/1/memory/e820")
    with Host() as host:
        assert not host.has("domains/0/memory/e820")


def test_a_pv_template(made: Host) -> None:
    made.write("templates/t/flags", "\n")
    assert (made.value("templates/t/flags"), made.value("templates/t/arch/emulation")) == ("none", "none")
    made.write("templates/t/flags", "none")
    made.write("templates/t/address_size", "32")
    domain = made.world.domains[commit(made, "t")]
    assert domain.kind == "pv"
    assert made.value(f"domains/{domain.domid}/address_size") == "32"


@pytest.mark.parametrize("release", ["4.16", "4.17"])
def test_a_cpupool(release: str) -> None:
    """Before 4.17 every domain begins in pool 0, and is moved."""
    with Host(f"xen={release}") as host:
        mkdir(host, "t")
        host.mkdir("cpupools/7")
        host.write("cpupools/0/cpus", "-7")
        host.write("cpupools/7/cpus", "7")
        host.write("templates/t/cpupool", "7")
        assert host.value(f"domains/{commit(host, 't')}/cpupool") == "7"


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("flags", "hvm banana", errno.EINVAL), ("flags", "hap", errno.EINVAL),
        ("flags", "hvm trap_unmapped_accesses", errno.EINVAL), ("flags", "hvm vpmu", errno.EINVAL),
        ("max_vcpus", "0", errno.ERANGE), ("max_vcpus", "129", errno.ERANGE), ("max_vcpus", "8193", errno.ERANGE),
        ("cpupool", "9", errno.ERANGE), ("grant_version", "3", errno.ERANGE), ("vmtrace_size", "12288", errno.EINVAL),
        ("vmtrace_size", "4096", errno.EINVAL), ("address_size", "32", errno.EINVAL), ("uuid", "none", errno.EINVAL),
        ("arch/emulation", "lapic gpu", errno.EINVAL), ("commit", "0", errno.ERANGE), ("commit", "32752", errno.ERANGE),
        ("commit", "all", errno.EINVAL), ("max_mem_kb", "5", errno.EINVAL), ("altp2m", "on", errno.EINVAL),
    ],
)  # fmt: skip
def test_what_is_refused_where_it_is_written(made: Host, name: str, text: str, code: int) -> None:
    assert made.refused(f"templates/t/{name}", text) == code
    assert not made.counts["domctl createdomain"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"arch/emulation": ""}, "arch/emulation must be lapic or more"),
        ({"flags": "none", "max_vcpus": "129", "flags ": "hvm"}, "at most 128 vCPUs"),
        ({"altp2m": "mixed", "flags": "hvm"}, "altp2m needs hap"),
        ({"flags": "", "arch/emulation": "lapic"}, "arch/emulation must be empty"),
        ({"uuid": "{taken}"}, "a domain with this template's uuid"),
    ],
)
def test_what_is_refused_before_anything_is_made(made: Host, settings: dict[str, str], words: str) -> None:
    for name, value in settings.items():
        made.write(f"templates/t/{name.strip()}", value.format(taken=made.value("domains/1/uuid")))
    with pytest.raises(XenfsError, match=words):
        commit(made, "t")
    assert not made.counts["domctl createdomain"]


@pytest.mark.parametrize(
    ("settings", "flags", "words"),
    [
        ("xen=4.17", "hvm nested_virt", "nested_virt is of domains with hap"),
        ("xen=4.20,shadow=off", "hvm", "no shadow paging"),
        ("xen=4.22", "hvm hap trap_unmapped_accesses", "no flag of that name"),
        ("xen=4.20,arch=arm64", "hvm hap oos_off", "no flag of that name"),
        ("xen=4.20,arch=arm64", "hvm hap xs_domain", "no flag of that name"),
    ],
)
def test_flags_that_this_xen_does_not_take(settings: str, flags: str, words: str) -> None:
    """Known where they are written, before anybody commits."""
    with Host(settings) as host:
        mkdir(host, "t")
        assert host.refused("templates/t/flags", flags) == errno.EINVAL
        assert words in host.read("xenfs/error_log")


@pytest.mark.parametrize(
    ("release", "arch"),
    [("4.14", "x86_64"), ("4.22", "x86_64"), ("4.14", "arm64"), ("4.20", "arm64"), ("4.22", "arm64")],
)
def test_every_flag_that_is_taken_is_one_of_xens(release: str, arch: str) -> None:
    """But those that only some hosts can do, for which there is a word all the same."""
    with Host(f"xen={release},arch={arch}") as host:
        mkdir(host, "t")
        for word in flag_words(host.xen):
            if word not in ("nested_virt", "vpmu"):
                host.write("templates/t/flags", f"hvm hap {word}")
                assert commit(host, "t"), word


def test_an_id_that_is_taken(made: Host) -> None:
    assert made.refused("templates/t/commit", "1") == errno.EEXIST
    assert "createdomain failed; there is a domain 1" in made.read("xenfs/error_log")


def test_what_xen_refuses(made: Host) -> None:
    made.write("templates/t/flags", "hvm hap nested_virt")
    before = set(made.world.domains)
    assert made.refused("templates/t/commit", "any") == errno.EINVAL
    assert "createdomain failed; Xen says EINVAL" in made.read("xenfs/error_log")
    assert set(made.world.domains) == before


@pytest.mark.parametrize(
    ("step", "cut"),
    [
        ("max_vcpus", "xenfs.calls.create.max_vcpus"), ("max_mem_kb", "xenfs.calls.domctl.set_max_mem"),
        ("paging_pool_bytes", "xenfs.calls.domain_memory.set_paging_pool"), ("uuid", "xenfs.calls.lifecycle.rename"),
    ],
)  # fmt: skip
def test_a_step_that_fails_leaves_nothing(made: Host, monkeypatch: pytest.MonkeyPatch, step: str, cut: str) -> None:
    def fails(*_: object) -> None:
        raise HypercallError("domctl something", errno.ENOMEM)

    monkeypatch.setattr(cut, fails)
    alive = {domain.domid for domain in made.world.domains_from(0) if not domain.dying}
    assert made.refused("templates/t/commit", "any") == errno.ENOMEM
    assert f"nothing was made: {step} failed; Xen says ENOMEM" in made.read("xenfs/error_log")
    assert {domain.domid for domain in made.world.domains_from(0) if not domain.dying} == alive


def test_a_host_that_stops_telling_what_it_can_leaves_nothing(made: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a default goes by is asked before anything is made: afterwards an error would leave a domain begun."""
    begin = create.create

    def begun(*given: Any) -> int:
        monkeypatch.setattr("xenfs.calls.sysctl.physinfo", silent)
        return begin(*given)

    def silent(*_: object) -> None:
        raise HypercallError("sysctl physinfo", errno.EPERM)

    monkeypatch.setattr(create, "create", begun)
    made.write("templates/t/name", "alpha")
    domid = commit(made, "t")
    assert not create.is_marked(made.world.domains[domid].handle), "it is finished"


def test_what_is_written_while_a_domain_is_made_is_of_the_next(made: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = create.create

    def begun(*given: Any) -> int:
        made.write("templates/t/max_vcpus", "3")
        return begin(*given)

    monkeypatch.setattr(create, "create", begun)
    assert len(made.world.domains[commit(made, "t")].existing()) == 1
    assert len(made.world.domains[commit(made, "t")].existing()) == 3


def test_a_domain_that_was_never_finished_is_known_by_its_uuid(made: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    assert orphans(made.xen) == []
    monkeypatch.setattr("xenfs.calls.domctl.set_max_mem", killed)
    with pytest.raises(Killed):
        commit(made, "t", "99")
    assert orphans(made.xen) == [99]
    assert made.value("domains/99/state") == "paused"
    assert made.value("domains/99/uuid").startswith("78656e66-7300-8000-")
    name_orphans(made.xen, made.refusals)
    assert "domains/99: EOWNERDEAD: this domain was begun by templates/ and never finished" in made.read(
        "xenfs/error_log"
    )


def test_copies_and_removal(made: Host) -> None:
    """What a template's files show is what another's take."""
    made.write("templates/t/max_vcpus", "5")
    made.write("templates/t/grant_frames", "9")
    mkdir(made, "copy")
    for place in list(made.walk(made.at("templates/t").node, made.at("templates/t").ids, "templates/t/")):  # type: ignore[arg-type]
        if isinstance(place.node, File) and place.node.name != "commit":
            made.write(place.path.replace("/t/", "/copy/"), place.node.produce(made.xen, place.ids))
    assert made.value("templates/copy/max_vcpus") == "5"
    assert made.value("templates/copy/grant_frames") == "9"
    place = made.at("templates/t")
    assert isinstance(place.node, Dir)
    assert place.node.remove is not None
    open_file = made.at("templates/t/max_vcpus")
    place.node.remove(made.xen, *place.ids)
    assert made.names("templates") == ["copy"]
    with pytest.raises(XenfsError, match="template t is gone"):
        made.put(open_file, b"1")


def test_names(made: Host) -> None:
    for name, code in (("t", errno.EEXIST), (".hidden", errno.EINVAL), ("x" * 65, errno.EINVAL), ("a b", errno.EINVAL)):
        with pytest.raises(XenfsError) as refused:
            mkdir(made, name)
        assert refused.value.errno == code
    for number in range(63):
        mkdir(made, f"more-{number}")
    with pytest.raises(XenfsError, match="can be no more"):
        mkdir(made, "last")


def test_only_with_lifecycle() -> None:
    with Host("xen=4.17", Options(debug=True)) as host:
        assert not host.has("templates")
    with Host("xen=4.17", Options(lifecycle=True)) as host:
        mkdir(host, "t")
        assert host.has("templates/t/commit")
        assert not host.has("domains/2/memory/physical")


# A name


def store(host: Host) -> FakeXenstore:
    assert isinstance(host.xen.store, FakeXenstore)
    return host.xen.store


def nodes(host: Host, domid: int, handle: str = HANDLE) -> list[str]:
    """All that xenstore has of a domain."""
    roots = (f"/local/domain/{domid}", f"/libxl/{domid}", f"/vm/{handle}")
    every = store(host).nodes
    assert isinstance(every, Computed)
    return [node for node in every.below("/") if f"{node}/".startswith(tuple(f"{root}/" for root in roots))]


@pytest.mark.parametrize(("release", "arch"), [("4.14", "x86_64"), ("4.20", "x86_64"), ("4.17", "arm64")])
def test_a_domain_with_a_name_is_known_to_all(release: str, arch: str) -> None:
    """Its nodes are there, its rings granted, xenstored serves it, and all of it goes when it is ended."""
    with Host(f"xen={release},arch={arch}") as host:
        mkdir(host, "t")
        for name, value in (("name", "alpha beta"), ("uuid", HANDLE), ("max_vcpus", "2")):
            host.write(f"templates/t/{name}", f"{value}\n")
        before = [*nodes(host, 77), *store(host).rights]
        commit(host, "t", "77")
        domain, home = host.world.domains[77], "/local/domain/77"
        assert domain.introduced
        assert host.value("domains/77/name") == host.value("templates/t/name") == "alpha beta"
        assert host.has("domains/by-name/alpha beta")
        assert host.value("domains/77/nr_vcpus_target") == "2"
        assert store(host).read(f"{home}/vm") == f"/vm/{HANDLE}".encode()
        assert store(host).read("/libxl/77/type") == b"pvh"
        assert (store(host).rights[home], store(host).rights[f"{home}/data"]) == (("n0", "r77"), ("n77",))
        for ring, entry, param in (("console", 0, "console"), ("store", 1, "store")):
            frame = granted_to_control(domain, entry)
            assert frame is not None
            assert store(host).read(f"{home}/{ring}/ring-ref") == str(frame).encode()
            assert host.value(f"domains/77/hvm/params/{param}_pfn") == str(frame)
            port = host.value(f"domains/77/hvm/params/{param}_evtchn")
            assert store(host).read(f"{home}/{ring}/port") == port.encode()
        assert domain.tot_pages == 2, "the grant table is no part of its memory any more"
        host.write("domains/77/kill", "1")
        assert [*nodes(host, 77), *store(host).rights] == before == []


def test_a_domain_of_somebody_elses_keeps_its_nodes(host: Host) -> None:
    before = nodes(host, 2, host.value("domains/2/uuid"))
    assert before
    host.write("domains/2/kill", "1")
    assert store(host).read("/local/domain/2/name") is not None, "its toolstack takes them away"


@pytest.mark.logs("domain 77 is over, and xenstore may have nodes of it still")
def test_a_silent_xenstored_does_not_save_a_domain(made: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended all the same. That its nodes stay is said of one of xenfs's own, and of nobody else's."""
    made.write("templates/t/name", "alpha")
    commit(made, "t", "77")

    def silent(*_: object) -> None:
        raise XenfsError("xenstore did not answer within 5 s", errno.ETIMEDOUT)

    monkeypatch.setattr(store(made), "read", silent)
    for domid in (2, 77):
        made.write(f"domains/{domid}/kill", "1")
        assert made.world.domains[domid].dying
    monkeypatch.undo()
    assert store(made).read("/local/domain/77/name") == b"alpha"


def test_rmdir_takes_its_nodes_away(made: Host) -> None:
    made.write("templates/t/name", "alpha")
    made.write("templates/t/uuid", HANDLE)
    domid = commit(made, "t")
    assert nodes(made, domid)
    made.write(f"domains/{domid}/shutdown", "poweroff")
    place = made.at(f"domains/{domid}")
    assert isinstance(place.node, Dir)
    assert place.node.remove is not None
    place.node.remove(made.xen, *place.ids)()
    assert nodes(made, domid) == []


def test_a_pv_domain_with_a_name(made: Host) -> None:
    """It has no memory for rings yet: it is told of, and not served."""
    for name, value in (("flags", ""), ("name", "alpha"), ("uuid", HANDLE)):
        made.write(f"templates/t/{name}", f"{value}\n")
    domid = commit(made, "t")
    assert made.value(f"domains/{domid}/name") == "alpha"
    assert not made.world.domains[domid].introduced
    assert f"/local/domain/{domid}/store/port" not in nodes(made, domid)
    assert store(made).read(f"/libxl/{domid}/type") == b"pv"


@pytest.mark.parametrize("name", ["7", "a/b", "bell\a", "x" * 201])
def test_what_is_no_name(made: Host, name: str) -> None:
    assert made.refused("templates/t/name", name) == errno.EINVAL


def test_a_name_that_is_taken(made: Host) -> None:
    made.write("templates/t/name", made.value("domains/1/name"))
    assert made.refused("templates/t/commit", "any") == errno.EEXIST
    assert "there is a domain with this template's name" in made.read("xenfs/error_log")
    assert not made.counts["domctl createdomain"]


@pytest.mark.parametrize(
    ("step", "cut", "code"),
    [
        ("name (memory for its rings)", "xenfs.calls.guest_memory.populate", errno.ENOMEM),
        ("name (their event channels)", "xenfs.calls.evtchn.alloc_unbound", errno.ENOSPC),
        ("name (their grants)", "xenfs.calls.guest_memory.grant_table_at", errno.EPERM),
        ("name (nodes in xenstore)", "xenfs.xenstore.fake.FakeXenstore.write", errno.ETIMEDOUT),
        ("name (xenstored)", "xenfs.xenstore.fake.FakeXenstore.introduce", errno.EINVAL),
        ("uuid", "xenfs.calls.lifecycle.rename", errno.EPERM),
    ],
)
def test_a_name_that_cannot_be_had_leaves_nothing(
    made: Host, monkeypatch: pytest.MonkeyPatch, step: str, cut: str, code: int
) -> None:
    """Whichever step it is, neither a domain nor nodes of one are left. Nodes fail after half of them were written."""
    _, _, name = cut.rpartition(".")
    found = pkgutil.resolve_name(cut)

    def fails(*given: Any) -> Any:
        if name == "write" and not str(given[1]).endswith("/control/sysrq"):
            return found(*given)
        raise HypercallError("something", code)

    made.write("templates/t/name", "alpha")
    made.write("templates/t/uuid", HANDLE)
    alive = {domain.domid for domain in made.world.domains_from(0) if not domain.dying}
    monkeypatch.setattr(cut, fails)
    assert made.refused("templates/t/commit", "77") == code
    monkeypatch.undo()
    assert f"nothing was made: {step} failed; Xen says {errno.errorcode[code]}" in made.read("xenfs/error_log")
    assert {domain.domid for domain in made.world.domains_from(0) if not domain.dying} == alive
    assert nodes(made, 77) == []


def test_no_memory_for_its_rings(made: Host) -> None:
    made.write("templates/t/name", "alpha")
    made.write("templates/t/max_mem_kb", "4")
    assert made.refused("templates/t/commit", "any") == errno.ENOMEM
    assert "memory for its rings" in made.read("xenfs/error_log")


def test_without_a_xenstore_there_is_no_name() -> None:
    with Host("xenstore=off") as host:
        mkdir(host, "t")
        assert not host.has("templates/t/name")
        assert commit(host, "t")


# Lists

VNUMA = """\
vnode0 distance=10,21 vcpus=0-1 pnode=0
vnode1 distance=21,10 vcpus=2 pnode=1
range0 vnode=0 start=0x0 end=0x4000000
range1 vnode=1 start=0x4000000 end=0x8000000
"""


@pytest.mark.parametrize("settings", ["xen=4.14", "xen=4.20,arch=arm64"])
def test_virtual_nodes(settings: str) -> None:
    """The domain believes what was written; what its own file shows can be written for another."""
    with Host(settings) as host:
        mkdir(host, "t")
        assert host.value("templates/t/vnuma") == "none"
        host.write("templates/t/max_vcpus", "3")
        host.write("templates/t/vnuma", VNUMA)
        assert host.read("templates/t/vnuma") == VNUMA
        shown = host.read(f"domains/{commit(host, 't')}/memory/vnuma")
        assert shown == VNUMA.replace(" pnode=0", "").replace(" pnode=1", "").replace("000\n", "000 flags=0x0\n")
        host.write("templates/t/vnuma", shown)
        assert host.read("templates/t/vnuma") == VNUMA.replace("pnode=1", "pnode=0")
        host.write("templates/t/max_vcpus", "2")
        with pytest.raises(XenfsError, match="vnuma is of 3 vCPUs"):
            commit(host, "t")
        host.write("templates/t/vnuma", "none")
        assert not host.has(f"domains/{commit(host, 't')}/memory/vnuma")


@pytest.mark.parametrize(
    ("line", "instead", "code", "why"),
    [
        ("vnode1", "vnode2", errno.EINVAL, "the next is vnode1"), ("range1", "x", errno.EINVAL, "not a line"),
        ("=10,21", "=10", errno.EINVAL, "2 distances"), ("=10,21", "=10,0", errno.ERANGE, "distance"),
        ("vcpus=2", "vcpus=1-2", errno.EINVAL, "vCPU 1 is in two"), ("vcpus=2", "vcpus=3", errno.EINVAL, "vCPU 2 is"),
        ("vcpus=2", "vcpus=x", errno.EINVAL, "not a list"), ("pnode=1", "pnode=64", errno.ERANGE, "node of the host"),
        (" vcpus=2", "", errno.EINVAL, "takes distance vcpus"), ("pnode=1", "odd=1", errno.EINVAL, "takes distance"),
        ("start=0x0", "start=0x1", errno.EINVAL, "whole pages"), ("start=0x0", "start=0x4000000", errno.EINVAL, "ends"),
        ("vnode=1", "vnode=2", errno.ERANGE, "vnode must be"), ("end=0x8000000", "end=0x8000000 flags=1", errno.EINVAL,
         "no flags"), ("range0 vnode=0", "range0", errno.EINVAL, "takes end start vnode"),
    ],
)  # fmt: skip
def test_virtual_nodes_that_cannot_be(made: Host, line: str, instead: str, code: int, why: str) -> None:
    assert made.refused("templates/t/vnuma", VNUMA.replace(line, instead, 1)) == code
    assert why in made.read("xenfs/error_log")
    assert made.refused("templates/t/vnuma", "\n".join(VNUMA.splitlines()[:2])) == errno.EINVAL


@pytest.mark.parametrize(("there", "code"), [(16, 0), (0, errno.EOPNOTSUPP), (4, errno.EINVAL)])
def test_colours_of_the_cache(there: int, code: int) -> None:
    """Only Arm has them, from 4.20 on; whether Xen was booted with any shows when one is made."""
    with Host(f"xen=4.20,arch=arm64,llc_colors={there}") as host:
        mkdir(host, "t")
        host.write("templates/t/llc_colors", "8-9,2")
        assert host.value("templates/t/llc_colors") == "2,8-9"
        if code:
            assert host.refused("templates/t/commit", "any") == code
            assert "llc_colors failed" in host.read("xenfs/error_log")
        else:
            assert host.world.domains[commit(host, "t")].kept["llc_colors"] == [2, 8, 9]
        host.write("templates/t/llc_colors", "none")
        assert commit(host, "t")
    for settings in ("xen=4.19,arch=arm64", "xen=4.20"):
        with Host(settings) as host:
            mkdir(host, "t")
            assert not host.has("templates/t/llc_colors")
