"""What a FLASK policy decides, what it remembers of that, labels of what the machine has, and another policy."""

from __future__ import annotations

from errno import EINVAL, ENOENT

from xenfs.simulator.answers.flask_op import POLICY_VERSION, policy_of, text_at
from xenfs.simulator.machine import Answer, Answers, Machine
from xenfs.simulator.world import evtchn
from xenfs.simulator.world.policy import Policy

_SLOTS = 512  # of the table of decisions
_LARGEST = 0x4000000
_ALL = 0xFFFFFFFF
_OCONTEXT = "xen_flask_ocontext"


def _checked(xen: Machine) -> Policy:
    return policy_of(xen).checked()


def access(xen: Machine, op: memoryview) -> int:
    """All permissions at once, whichever were asked for."""
    source, target, kind = xen.get(op, "xen_flask_access", "ssid", "tsid", "tclass")
    policy = _checked(xen)
    allowed = policy.allowed(source, target, kind & 0xFFFF)
    xen.put(op, "xen_flask_access", allowed=allowed, audit_allow=0, audit_deny=_ALL, seqno=policy.seqno)
    return 0


def _transition(new: bool) -> Answer:
    def answer(xen: Machine, op: memoryview) -> int:
        source, target, kind = xen.get(op, "xen_flask_transition", "ssid", "tsid", "tclass")
        xen.put(op, "xen_flask_transition", newsid=_checked(xen).labelled(source, target, kind & 0xFFFF, new=new))
        return 0

    return answer


def get_peer_sid(xen: Machine, op: memoryview) -> int:
    """Of the control domain's own ports that lead to another domain."""
    (port,) = xen.get(op, "xen_flask_peersid", "evtchn")
    mine = xen.world.domain(0)
    found = evtchn.channel(xen.world, mine, port) if mine is not None else None
    peer = xen.world.domain(found.peer["interdomain.dom"]) if found and found.kind == "interdomain" else None
    if peer is None:
        return -EINVAL
    policy_of(xen)
    xen.put(op, "xen_flask_peersid", sid=peer.ssidref)
    return 0


def getavc_threshold(xen: Machine, op: memoryview) -> int:
    """The number, as the result."""
    return policy_of(xen).threshold


def setavc_threshold(xen: Machine, op: memoryview) -> int:
    """Any number."""
    (_checked(xen).threshold,) = xen.get(op, "xen_flask_setavc_threshold", "threshold")
    return 0


def avc_hashstats(xen: Machine, op: memoryview) -> int:
    """One decision is remembered: that the control domain may ask."""
    used = int(policy_of(xen).lookups > 0)
    xen.put(
        op, "xen_flask_hash_stats", entries=used, buckets_used=used, buckets_total=_SLOTS, max_chain_len=used
    )  # fmt: skip
    return 0


def avc_cachestats(xen: Machine, op: memoryview) -> int:
    """All is asked on CPU 0; ENOENT of CPUs that are offline."""
    (cpu,) = xen.get(op, "xen_flask_cache_stats", "cpu")
    if cpu >= xen.world.host.nr_cpus or not xen.world.host.cpus[cpu].online:
        return -ENOENT
    lookups = 0 if cpu else policy_of(xen).lookups
    first = min(lookups, 1)
    xen.put(
        op, "xen_flask_cache_stats", lookups=lookups, hits=lookups - first, misses=first, allocations=first,
        reclaims=0, frees=0,
    )  # fmt: skip
    return 0


def add_ocontext(xen: Machine, op: memoryview) -> int:
    """A label more."""
    kind, sid, low, high = xen.get(op, _OCONTEXT, "ocon", "sid", "low", "high")
    _checked(xen).add_label(kind, low, high, sid)
    return 0


def del_ocontext(xen: Machine, op: memoryview) -> int:
    """A label less."""
    kind, low, high = xen.get(op, _OCONTEXT, "ocon", "low", "high")
    _checked(xen).remove_label(kind, low, high)
    return 0


def devicetree_label(xen: Machine, op: memoryview) -> int:
    """A path, whether the device tree has it or not."""
    sid, length, address = xen.get(op, "xen_flask_devicetree_label", "sid", "length", "path")
    _checked(xen).label_node(text_at(xen, address, length), sid)
    return 0


def load(xen: Machine, op: memoryview) -> int:
    """Another policy."""
    address, size = xen.get(op, "xen_flask_load", "buffer", "size")
    policy = _checked(xen)
    if size > _LARGEST:
        return -EINVAL
    policy.load(bytes(xen.at(address, size)), POLICY_VERSION)
    return 0


OPERATIONS: Answers = {
    "FLASK_LOAD": load,
    "FLASK_ACCESS": access,
    "FLASK_CREATE": _transition(True),
    "FLASK_RELABEL": _transition(False),
    "FLASK_MEMBER": _transition(False),
    "FLASK_GET_PEER_SID": get_peer_sid,
    "FLASK_GETAVC_THRESHOLD": getavc_threshold,
    "FLASK_SETAVC_THRESHOLD": setavc_threshold,
    "FLASK_AVC_HASHSTATS": avc_hashstats,
    "FLASK_AVC_CACHESTATS": avc_cachestats,
    "FLASK_ADD_OCONTEXT": add_ocontext,
    "FLASK_DEL_OCONTEXT": del_ocontext,
    "FLASK_DEVICETREE_LABEL": devicetree_label,
}
