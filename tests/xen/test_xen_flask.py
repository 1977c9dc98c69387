r"""FLASK on a real Xen: absent where Xen has none in force; else asked, and set and put back.

Debian's Xen has it on arm64 only, and not in force. To see it:
    scripts/on-xen --arch arm64 --xen-options "xsm=flask flask=late" --guest --out DIR -- \
        python3 -m pytest tests/xen/test_xen_flask.py
If DIR has a policy by the name of xenpolicy, as checkpolicy makes it of what is in Xen's tools/flask/policy, that is
loaded first. It has to be of this Xen's sources or newer: since XSA-499 who lists domains needs a right to domxen_t.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import xen_seen
from xen_guests import Guest
from xen_mount import Mount, failure, mounted
from xen_peers import Comparison
from xen_raw import ask

POLICY = Path(os.environ.get("XENFS_OUT") or "/nowhere", "xenpolicy")
INITIAL = ("xen", "dom0", "domio", "domxen", "unlabeled", "security", "domU")  # Xen does not find the last, domDM


def load(flask: Mount, policy: bytes) -> None:
    """Write it as cat does, in pieces; what came of it is known when the file is closed."""
    fd = os.open(flask.path("flask/load"), os.O_WRONLY)
    try:
        for at in range(0, len(policy), 4096):
            os.write(fd, policy[at : at + 4096])
        os.fsync(fd)
    finally:
        os.close(fd)
    xen_seen.note("w", "flask/load")


@pytest.fixture(scope="module")
def flask(mount: Mount) -> Mount:
    if not mount.has("flask"):
        pytest.skip("this Xen has no FLASK in force")
    return mount


def test_absent_and_named(mount: Mount, real: bool) -> None:
    if mount.has("flask"):
        pytest.skip("this Xen has FLASK")
    assert not mount.has("domains/0/context")
    assert "xsm_op GETENFORCE ENOSYS" in mount.value("xenfs/missing")


def test_without_a_policy(flask: Mount, real: bool) -> None:
    if not real or ":" in flask.value("domains/0/context"):
        pytest.skip("a policy is loaded")
    assert flask.value("domains/0/context") == "dom0"
    assert flask.names("flask/booleans") == []
    sids = [flask.ask("flask/context", name) for name in INITIAL]
    assert [flask.ask("flask/sid", sid) for sid in sids] == list(INITIAL)
    assert failure(lambda: flask.ask("flask/context", "system_u:system_r:domU_t")) == errno.EINVAL
    assert failure(lambda: flask.ask("flask/sid", "5000000")) == errno.EINVAL
    answer = dict(line.split() for line in flask.ask("flask/access", "domU dom0 domain").splitlines())
    assert answer["allowed"] == "0xffffffff", "without a policy all is allowed"
    assert flask.ask("flask/create", "domU dom0 domain") == "domU", "and a domain is as its maker"
    assert failure(lambda: flask.write("flask/ocontexts", "+pirq 17 irq_t")) == errno.EINVAL, "which means nothing yet"


@pytest.fixture(scope="module")
def policy(flask: Mount, real: bool) -> Mount:
    if real and POLICY.exists() and ":" not in flask.value("domains/0/context"):
        assert failure(lambda: load(flask, POLICY.read_bytes()[:64])) == errno.EINVAL, "cut off"
        load(flask, POLICY.read_bytes())
    if ":" not in flask.value("domains/0/context"):
        pytest.skip("no policy is loaded")
    return flask


def test_contexts(policy: Mount) -> None:
    assert policy.value("domains/0/context") == "system_u:system_r:dom0_t"
    sid = policy.ask("flask/context", "system_u:system_r:domU_t")
    assert policy.ask("flask/sid", sid) == "system_u:system_r:domU_t"
    assert policy.ask("flask/sid", "4000000000") == "system_u:system_r:unlabeled_t"
    for nonsense in ("dom0", "system_u:system_r:nothing_t", "system_u:vm_r:domU_t", "x" * 4095):
        assert failure(lambda nonsense=nonsense: policy.ask("flask/context", nonsense)) == errno.EINVAL  # type: ignore[misc]
    assert failure(lambda: policy.ask("flask/context", "x" * 4096)) == errno.ENOBUFS, "more than a page with its NUL"


def test_mode(policy: Mount) -> None:
    assert policy.value("flask/policyvers") == "30"
    assert policy.value("flask/mls") in ("0", "1")
    before = policy.value("flask/enforce")
    for value in ("0", "1", before):
        policy.write("flask/enforce", value)
        assert policy.value("flask/enforce") == value
    assert failure(lambda: policy.write("flask/enforce", "2")) == errno.EINVAL


def test_booleans(policy: Mount) -> None:
    names = policy.names("flask/booleans")
    assert {"guest_writeconsole", "prot_doms_locked"} <= set(names)
    for name in names:
        path = f"flask/booleans/{name}"
        before = policy.value(path)
        current, pending = before.split()
        policy.write(path, before)
        assert policy.value(path) == before
        policy.write(path, str(1 - int(current)))
        assert policy.value(path) == f"{current} {1 - int(current)}"
        policy.write("flask/commit_pending_bools", "1")
        assert policy.value(path) == f"{1 - int(current)} {1 - int(current)}"
        policy.write(path, current)
        policy.write("flask/commit_pending_bools", "1")
        policy.write(path, pending)
        assert policy.value(path) == before
    assert not policy.has("flask/booleans/nothing")


DOM0, DOMU = "system_u:system_r:dom0_t", "system_u:system_r:domU_t"


def test_decisions(policy: Mount) -> None:
    for source, target, some in ((DOM0, DOMU, True), (DOMU, DOM0, False)):
        answer = dict(line.split() for line in policy.ask("flask/access", f"{source} {target} domain").splitlines())
        assert list(answer) == ["allowed", "audit_allow", "audit_deny", "seqno"]
        assert (int(answer["allowed"], 0) > 0) is some, (source, target)
        assert int(answer["audit_deny"], 0) == 0xFFFFFFFF
    assert failure(lambda: policy.ask("flask/access", f"{DOM0} {DOM0} 65535")) == errno.EINVAL, "no class has it"
    assert policy.ask("flask/create", f"{DOMU} {DOMU} domain") == f"{DOMU}_self", "a rule of Xen's own policy"
    for name in ("relabel", "member"):
        assert policy.ask(f"flask/{name}", f"{DOMU} {DOMU} domain") == DOMU
        assert policy.ask(f"flask/{name}", f"{DOM0} system_u:object_r:irq_t resource") == "system_u:object_r:irq_t"


@pytest.fixture
def permissive(policy: Mount) -> Iterator[None]:
    """Nothing is refused: channels made before the policy have no label, and nobody a right to them."""
    mode = policy.value("flask/enforce")
    policy.write("flask/enforce", "0")
    try:
        yield
    finally:
        policy.write("flask/enforce", mode)


@pytest.mark.usefixtures("permissive")
def test_who_is_at_the_other_end(policy: Mount, guest: Guest) -> None:
    rows = [row.split() for row in policy.value("domains/0/evtchn/ports").splitlines()]
    ports = [row[0] for row in rows if row[-1].partition(":")[0] == str(guest.domid) and "interdomain" in row]
    assert ports, rows
    sid = policy.ask("flask/context", policy.value(guest.node("context")))
    assert [policy.ask("flask/peersid", port) for port in ports] == [sid] * len(ports)
    assert failure(lambda: policy.ask("flask/peersid", "0")) == errno.EINVAL


@pytest.mark.usefixtures("permissive")
def test_who_is_at_the_other_end_of_a_new_channel(policy: Mount, raw: Mount, guest: Guest) -> None:
    """One that is bound after the policy was loaded: to a guest, then to this domain itself."""
    for domid in (guest.domid, 0):
        sid = policy.ask("flask/context", policy.value(f"domains/{domid}/context"))
        far = ask(raw, "event_channel_op/alloc_unbound", f"dom={domid} remote_dom=0")["port"]
        port = ask(raw, "event_channel_op/bind_interdomain", f"remote_dom={domid} remote_port={far}")["local_port"]
        try:
            assert policy.ask("flask/peersid", port) == sid
            assert int(ask(raw, "xsm_op/GET_PEER_SID", f"evtchn={port}")["sid"], 0) == int(sid)
        finally:
            ask(raw, "event_channel_op/close", f"port={port}")
            if not domid:
                ask(raw, "event_channel_op/close", f"port={far}")


def test_what_is_remembered(policy: Mount, real: bool) -> None:
    before = policy.value("flask/avc/cache_threshold")
    policy.write("flask/avc/cache_threshold", "600")
    assert policy.value("flask/avc/cache_threshold") == "600"
    policy.write("flask/avc/cache_threshold", before)
    lines = policy.value("flask/avc/hash_stats").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["entries", "buckets used", "longest chain"]
    rows = [row.split() for row in policy.value("flask/avc/cache_stats").splitlines()]
    assert [row[0] for row in rows] == [f"cpu{cpu}" for cpu in policy.numbers("host/cpus")]
    assert not real or any(int(row[1].removeprefix("lookups=")) > 0 for row in rows)


def test_labels(policy: Mount) -> None:
    """Those of numbers that nothing here has; each is taken away again."""
    things = ["pirq 65000", "ioport 0xff00-0xff0f", "iomem 0xffffff0-0xffffff1", "pci ffff:ff:1f.7"]
    if policy.flat("xenfs/interface")["arch"] != "x86_64":
        things.append("dt /nothing-like-this")
    for thing in things:
        policy.write("flask/ocontexts", f"+{thing} system_u:object_r:device_t")
        again = failure(lambda thing=thing: policy.write("flask/ocontexts", f"+{thing} system_u:object_r:irq_t"))  # type: ignore[misc]
        policy.write("flask/ocontexts", f"-{thing}")
        assert again == errno.EEXIST, thing
        assert failure(lambda thing=thing: policy.write("flask/ocontexts", f"-{thing}")) == errno.ENOENT, thing  # type: ignore[misc]


def flask_tool(*words: str) -> str:
    """What one of Xen's tools for FLASK says; the exit status of some is an answer too."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.mark.usefixtures("peers")
def test_peers(policy: Mount, compared: list[Comparison]) -> None:
    """Beside the tools, in both directions: they show what was written through files, and files show what they set."""
    mode = {"1": "Enforcing", "0": "Permissive"}

    def compare(node: str, command: str, mine: str, *words: str) -> None:
        theirs = flask_tool(*(words or command.split())).strip()
        compared.append(Comparison(node, command, mine, theirs, mine == theirs))
        assert mine == theirs, node

    before = policy.value("flask/enforce")
    for value in ("0", "1", before):
        policy.write("flask/enforce", value)
        compare("flask/enforce", "flask-getenforce", mode[policy.value("flask/enforce")])
    path, name = "flask/booleans/prot_doms_locked", "prot_doms_locked"
    for value in ("1", "0"):
        flask_tool("flask-set-bool", name, value)
        assert policy.value(path) == f"{value} {value}"
        compare("flask/booleans/<name>", "flask-get-bool", f"{name}: {value}", "flask-get-bool", name)
    policy.write(path, "1")
    compare("flask/booleans/<name>", "flask-get-bool", f"{name}: 0 (pending 1)", "flask-get-bool", name)
    policy.write(path, "0")
    labels = {row[1]: row[-1] for row in (line.split() for line in flask_tool("xl", "list", "-Z").splitlines()[1:])}
    for domid in policy.numbers("domains"):
        mine = policy.value(f"domains/{domid}/context")
        compared.append(Comparison("domains/*/context", "xl list -Z", mine, labels[domid], mine == labels[domid]))
        assert mine == labels[domid]


def test_domains_keep_what_the_policy_gives_no_way_from(policy: Mount) -> None:
    for domid in policy.numbers("domains"):
        before = policy.value(f"domains/{domid}/context")
        policy.write(f"domains/{domid}/context", before)
        assert failure(lambda domid=domid: policy.write(f"domains/{domid}/context", "nobody:nothing")) == errno.EINVAL  # type: ignore[misc]
        if policy.value("flask/enforce") == "1":
            other = "system_u:system_r:xen_t"
            assert (
                failure(lambda domid=domid, other=other: policy.write(f"domains/{domid}/context", other))
                == errno.EACCES
            )  # type: ignore[misc]
        assert policy.value(f"domains/{domid}/context") == before


def test_the_policy_is_loaded_once_more(policy: Mount, real: bool) -> None:
    """The same one: what it decides stays, labels and pending values go."""
    if not real or not POLICY.exists():
        pytest.skip("there is no policy to load")
    policy.write("flask/ocontexts", "+pirq 65000 system_u:object_r:device_t")
    path = "flask/booleans/prot_doms_locked"
    current = policy.value(path).split()[0]
    policy.write(path, str(1 - int(current)))
    load(policy, POLICY.read_bytes())
    assert policy.value(path).split()[0] == current
    assert failure(lambda: policy.write("flask/ocontexts", "-pirq 65000")) == errno.ENOENT
    assert policy.value("domains/0/context") == DOM0


def test_a_guest_is_relabeled(policy: Mount, guest: object) -> None:
    """By the one way that Xen's own policy has, when nothing is refused: then by any."""
    path = f"domains/{guest.domid}/context"  # type: ignore[attr-defined]
    before, mode = policy.value(path), policy.value("flask/enforce")
    policy.write("flask/enforce", "0")
    try:
        policy.write(path, "system_u:system_r:isolated_domU_t")
        assert policy.value(path) == "system_u:system_r:isolated_domU_t"
        policy.write(path, before)
        assert policy.value(path) == before
    finally:
        policy.write("flask/enforce", mode)


def test_raw_changes_what_a_guest_is(policy: Mount, guest: object, hypervisor: str) -> None:
    """xsm_op through raw/, for the family of it: to the label that it has, and from one that is not there."""
    with mounted(hypervisor, "raw", "debug") as raw:
        domid = guest.domid  # type: ignore[attr-defined]
        sid = policy.ask("flask/context", policy.value(f"domains/{domid}/context"))
        mode = policy.value("flask/enforce")
        policy.write("flask/enforce", "0")
        try:
            assert "result 0" in raw.ask("raw/xsm_op/RELABEL_DOMAIN", f"domid={domid} sid={sid}")
        finally:
            policy.write("flask/enforce", mode)
        assert policy.ask("flask/context", policy.value(f"domains/{domid}/context")) == sid
        again = raw.ask("raw/xsm_op/ACCESS", f"ssid={sid} tsid={sid} tclass=3 req=0xffffffff")
        mine = policy.ask("flask/access", f"{policy.ask('flask/sid', sid)} {policy.ask('flask/sid', sid)} domain")
        assert f"allowed {int(dict(line.split() for line in mine.splitlines())['allowed'], 0)}" in again.splitlines()
