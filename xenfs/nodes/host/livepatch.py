"""host/livepatch/: what has been patched into the running Xen."""

from __future__ import annotations

import errno
from typing import Any

from xenfs.abi.numbers import LivepatchState
from xenfs.calls import livepatch
from xenfs.errors import BadInput, NotThere, answered_by, errno_name
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, Each, File
from xenfs.nodes.tables.conditions import answers
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.harmless import file_name

_STATES = {int(state): str(state.name).lower() for state in LivepatchState}


def _listed(xen: Hypervisor) -> list[tuple[str, bytes]]:
    """(file name, name) of each; of names that come to the same file name the first."""
    found: dict[str, bytes] = {}
    for patch in livepatch.patches(xen):
        found.setdefault(file_name(patch.name), patch.name)
    found.pop("", None)
    return list(found.items())


def _find(xen: Hypervisor, wanted: str) -> bytes | None:
    return dict(_listed(xen)).get(wanted)


def _status(xen: Hypervisor, name: bytes) -> tuple[int, int]:
    with answered_by(errno.ENOENT):
        return livepatch.status(xen, name)
    raise NotThere(f"live patch: {show.text(name)}")


def _state(xen: Hypervisor, name: bytes) -> str:
    state = _status(xen, name)[0]
    return _STATES.get(state, str(state))


def _rc(xen: Hypervisor, name: bytes) -> str:
    code = _status(xen, name)[1]
    return errno_name(code) if code else "0"


def _metadata(xen: Hypervisor, name: bytes) -> str:
    """Each NUL-ended text on a line of its own, whatever it holds."""
    for patch in livepatch.patches(xen):
        if patch.name == name:
            texts = (text.decode("utf-8", "replace") for text in patch.metadata.split(b"\0") if text)
            return show.lines(text.replace("\r", "\\r").replace("\n", "\\n") for text in texts)
    raise NotThere(f"live patch: {show.text(name)}")


def _unload(xen: Hypervisor, name: bytes) -> None:
    """rmdir: what is not in force. Of one that is Xen would say EINVAL."""
    if _status(xen, name)[0] == LivepatchState.APPLIED:
        raise BadInput("this live patch is applied: it has to be reverted first", errno.EBUSY)
    livepatch.unload(xen, name)


_B: dict[str, Any] = {"call": livepatch.LIVEPATCH_OP.name, "tier": "B", "grows": Cost.LENGTH}

LIVEPATCH = Dir(
    "livepatch",
    "Live patches, by name",
    (
        Each(
            label="<patch>",
            list=_listed,
            find=_find,
            node=Dir(
                "<patch>",
                "A live patch",
                (
                    File("state", "checked, or applied while it is in force", read=_state, format="one word", **_B),
                    File(
                        "rc",
                        "0, or the errno that the last action ended with; EAGAIN while it goes on",
                        read=_rc,
                        format="0 or the name of an errno",
                        **_B,
                    ),
                    File(
                        "metadata",
                        "What its makers say about it: key=value lines",
                        read=_metadata,
                        format="key=value lines",
                        **_B,
                    ),
                ),
                remove=_unload,
                make_option="debug",
                call=f"{livepatch.LIVEPATCH_OP.name}, {livepatch.UNLOAD.name}",
                tier="C",
            ),
        ),
    ),
    when=answers(livepatch.count),
    volatile=True,
    grows=Cost.LENGTH,
    find_grows=Cost.LENGTH,
)
