"""The simulator's security module, in raw bytes: what FLASK answers, and what a Xen without it answers."""

from __future__ import annotations

from errno import EACCES, EINVAL, EMSGSIZE, ENOBUFS, ENOENT, ENOSYS, ERANGE, ESRCH
from typing import Any

import pytest
from caller import COMBINATIONS, Caller

BY_NAME = 0xFFFFFFFF


class Flask(Caller):
    """A caller on a host with FLASK, unless told otherwise."""

    def __init__(self, settings: str = "flask=on") -> None:
        super().__init__(settings)

    def op(self, name: str, arm: str = "", /, **members: Any) -> tuple[int, memoryview]:
        address, memory = self._commanded("xsm_op", "xen_flask_op", f"FLASK_{name}", 1, arm, **members)
        return self.call("xsm_op", address), memory[self.layouts.offset("xen_flask_op", "u") :]

    def sid(self, context: bytes) -> tuple[int, int]:
        address, _ = self.arena.take(context)
        result, body = self.op("CONTEXT_TO_SID", "xen_flask_sid_context", size=len(context), context=address)
        return result, self.read(body, "xen_flask_sid_context", "sid")

    def context(self, sid: int, room: int = 4096) -> tuple[int, bytes, int]:
        address, text = self.arena.take(room)
        result, body = self.op("SID_TO_CONTEXT", "xen_flask_sid_context", sid=sid, size=room, context=address)
        return result, bytes(text), self.read(body, "xen_flask_sid_context", "size")

    def boolean(self, op: str, name: bytes | None = None, **members: Any) -> tuple[int, memoryview]:
        address, text = self.arena.take(name if name is not None else 64)
        given = {"bool_id": BY_NAME, "size": len(text)} if name is not None else {"size": 64}
        result, body = self.op(op, "xen_flask_boolean", **{**given, **members, "name": address})
        self.text = bytes(text)
        return result, body


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def each(request: pytest.FixtureRequest) -> Flask:
    release, arch = request.param
    return Flask(f"flask=on,xen={release},arch={arch}")


def test_contexts_and_sids(each: Flask) -> None:
    result, sid = each.sid(b"system_u:system_r:dom0_t")
    assert (result, sid) == (0, 3 if each.release >= (4, 17) else 2)  # xenboot came before it in 4.17
    result, text, size = each.context(sid)
    assert (result, text[:size]) == (0, b"system_u:system_r:dom0_t\0")
    assert each.info(0, "ssidref") == sid
    new = each.sid(b"user_1:vm_r:domU_t")
    assert new[0] == 0
    assert each.sid(b"user_1:vm_r:domU_t\0 and more") == new
    assert each.context(new[1])[1].startswith(b"user_1:vm_r:domU_t\0")


def test_what_the_policy_does_not_have(each: Flask) -> None:
    for context in (
        b"", b"dom0", b"system_u:system_r", b"system_u:vm_r:domU_t", b"user_1:vm_r:dom0_t", b"me:system_r:domU_t",
        b"system_u:system_r:nothing_t", b"system_u:system_r:domU_t:s0", b"system_u:system_r:irq_t",
    ):  # fmt: skip
        assert each.sid(context)[0] == -EINVAL, context
    assert each.sid(b"x" * 4096)[0] == -EINVAL
    assert each.sid(b"x" * 4097)[0] == -ENOBUFS
    unlabeled = each.context(5_000_000)
    assert unlabeled[1].startswith(b"system_u:system_r:unlabeled_t\0")
    assert each.context(0) == unlabeled


def test_too_little_room_says_nothing(each: Flask) -> None:
    assert each.context(1, 10) == (-ERANGE, bytes(10), 10)


def test_booleans(each: Flask) -> None:
    names = []
    for number in range(9):
        result, body = each.boolean("GETBOOL", bool_id=number)
        if result:
            break
        size, value, pending = (
            each.read(body, "xen_flask_boolean", "size"),
            *each.read(body, "xen_flask_boolean", "enforcing", "pending"),
        )
        names.append((each.text[:size], value, pending))
    assert result == -ENOENT
    assert names == [(b"guest_writeconsole", 1, 1), (b"prot_doms_locked", 0, 0)]
    assert each.boolean("GETBOOL", b"nothing")[0] == -ENOENT
    assert each.boolean("SETBOOL", b"nothing")[0] == -ENOENT
    assert each.boolean("SETBOOL", bool_id=2)[0] == -ENOENT
    assert each.boolean("GETBOOL", bool_id=0, size=4)[0] == -ERANGE


def test_a_boolean_is_pending_until_committed(each: Flask) -> None:
    def values(name: bytes) -> Any:
        result, body = each.boolean("GETBOOL", name)
        assert (result, each.read(body, "xen_flask_boolean", "size")) == (0, 0)
        return each.read(body, "xen_flask_boolean", "enforcing", "pending")

    assert each.boolean("SETBOOL", b"prot_doms_locked", new_value=7)[0] == 0
    assert values(b"prot_doms_locked") == (0, 1)
    assert each.op("COMMITBOOLS")[0] == 0
    assert values(b"prot_doms_locked") == (1, 1)
    assert each.boolean("SETBOOL", b"guest_writeconsole", new_value=0)[0] == 0
    assert each.boolean("SETBOOL", b"prot_doms_locked", new_value=0, commit=1)[0] == 0
    assert values(b"prot_doms_locked") == (0, 0)
    assert values(b"guest_writeconsole") == (1, 0)


def test_mode_and_versions(each: Flask) -> None:
    assert [each.op(name)[0] for name in ("GETENFORCE", "POLICYVERS", "MLS")] == [1, 30, 0]
    assert each.op("SETENFORCE", "xen_flask_setenforce", enforcing=0)[0] == 0
    assert each.op("GETENFORCE")[0] == 0
    assert each.op("SETENFORCE", "xen_flask_setenforce", enforcing=2)[0] == 0
    assert each.op("GETENFORCE")[0] == 1


def test_relabeling(each: Flask) -> None:
    built = each.sid(b"system_u:system_r:nomigrate_t")[1]
    relabel = "RELABEL_DOMAIN", "xen_flask_relabel"
    assert each.op(*relabel, domid=777, sid=built)[0] == -ESRCH
    assert each.op(*relabel, domid=1, sid=built)[0] == -EACCES
    assert each.info(9, "ssidref") != built
    assert each.op(*relabel, domid=9, sid=built)[0] == 0
    assert each.info(9, "ssidref") == built
    each.op("SETENFORCE", "xen_flask_setenforce", enforcing=0)
    assert each.op(*relabel, domid=1, sid=built)[0] == 0


def test_domains_are_made_as_the_policy_allows(each: Flask) -> None:
    locked = each.sid(b"system_u:system_r:prot_domU_t")[1]
    assert each.create(50)[0] == -EACCES  # no label at all is unlabeled
    assert each.create(50, wanted={"ssidref": locked})[0] == 0
    assert each.info(50, "ssidref") == locked
    each.boolean("SETBOOL", b"prot_doms_locked", new_value=1, commit=1)
    assert each.create(51, wanted={"ssidref": locked})[0] == -EACCES


def test_versions_and_unknown_operations_are_enosys(each: Flask) -> None:
    address, _ = each._commanded("xsm_op", "xen_flask_op", "FLASK_GETENFORCE", 2, "")
    assert each.call("xsm_op", address) == -ENOSYS
    assert each.op("USER")[0] == -ENOSYS


def test_without_flask_there_is_nothing() -> None:
    plain = Flask("")
    assert [plain.op(name)[0] for name in ("GETENFORCE", "POLICYVERS", "MLS", "COMMITBOOLS")] == [-ENOSYS] * 4
    assert plain.info(1, "ssidref") == 0
    assert plain.sim.counts["xsm_op GETENFORCE"] == 1


def test_from_4_23_on_the_nul_has_to_be_counted() -> None:
    each = Flask("xen=4.23,flask=on")
    assert each.sid(b"system_u:system_r:dom0_t")[0] == -EMSGSIZE
    assert each.sid(b"system_u:system_r:dom0_t\0 and more")[0] == -EMSGSIZE
    assert each.sid(b"system_u:system_r:dom0_t\0")[0] == 0
    assert each.boolean("GETBOOL", b"no_such\0")[0] == -ENOENT
    assert each.boolean("GETBOOL", b"no_such")[0] == -EMSGSIZE
