"""xsm_op with Flask: labels, permissions and the policy. In builds of Xen without it all of it is ENOSYS."""

from __future__ import annotations

from xenfs.abi.numbers import FlaskOp, Hypercall, Interface
from xenfs.abi.operations.grammar import Family, changes, looks
from xenfs.abi.operations.model import ARM

_TABLE = Family(
    Hypercall.xsm_op, struct="struct xen_flask_op", union="u", cmd="cmd", version="interface_version",
    speaks=Interface.XEN_FLASK_INTERFACE_VERSION,
    simulated="GETENFORCE SETENFORCE CONTEXT_TO_SID SID_TO_CONTEXT POLICYVERS GETBOOL SETBOOL COMMITBOOLS MLS"
    " RELABEL_DOMAIN LOAD ACCESS CREATE RELABEL MEMBER GET_PEER_SID GETAVC_THRESHOLD SETAVC_THRESHOLD AVC_HASHSTATS"
    " AVC_CACHESTATS ADD_OCONTEXT DEL_OCONTEXT DEVICETREE_LABEL",
)  # fmt: skip
_NEW_SID = "newsid"

OPERATIONS = _TABLE.operations(
    changes(FlaskOp.LOAD, arm="load", dangerous=True, slow=True),
    looks(FlaskOp.GETENFORCE, arm="", why="the result is 1 where the policy is enforced"),
    changes(FlaskOp.SETENFORCE, arm="enforce"),
    looks(FlaskOp.CONTEXT_TO_SID, arm="sid_context", gives="sid"),
    looks(FlaskOp.SID_TO_CONTEXT, arm="sid_context", gives="context", both="size"),
    looks(FlaskOp.ACCESS, arm="access", gives="allowed audit_allow audit_deny seqno"),
    looks(FlaskOp.CREATE, arm="transition", gives=_NEW_SID),
    looks(FlaskOp.RELABEL, arm="transition", gives=_NEW_SID),
    looks(FlaskOp.POLICYVERS, arm="", why="the result is the version"),
    looks(FlaskOp.GETBOOL, arm="boolean", gives="enforcing pending", both="bool_id size name"),
    changes(FlaskOp.SETBOOL, arm="boolean", gives="enforcing pending", both="bool_id"),
    changes(FlaskOp.COMMITBOOLS, arm=""),
    looks(FlaskOp.MLS, arm="", why="the result is 1 where the policy has levels"),
    looks(FlaskOp.GETAVC_THRESHOLD, arm="", why="the result is the threshold"),
    changes(FlaskOp.SETAVC_THRESHOLD, arm="setavc_threshold", repeatable=True),
    looks(FlaskOp.AVC_HASHSTATS, arm="hash_stats", gives="*"),
    looks(FlaskOp.AVC_CACHESTATS, arm="cache_stats", takes="cpu", gives="*"),
    looks(FlaskOp.MEMBER, arm="transition", gives=_NEW_SID),
    changes(FlaskOp.ADD_OCONTEXT, arm="ocontext"),
    changes(FlaskOp.DEL_OCONTEXT, arm="ocontext"),
    looks(FlaskOp.GET_PEER_SID, arm="peersid", gives="sid"),
    changes(FlaskOp.RELABEL_DOMAIN, arm="relabel", domain="domid"),
    changes(FlaskOp.DEVICETREE_LABEL, arm="devicetree_label", when=ARM),
)  # fmt: skip
