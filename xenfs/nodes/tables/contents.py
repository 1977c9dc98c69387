"""Reading a whole tree once, in its order: what recordings are made of, and what they are compared with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from xenfs.errors import XenfsError, errno_name
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables.base import Dir, File, Ids, Link, Node

Begin = Callable[[str], object]


class Shown(NamedTuple):
    """A file's text, or a link's target; or instead the name of the errno that reading it gave."""

    path: str
    text: str | None
    error: str | None = None


_BY_OUR_CLOCK = ("host/time/boot_s", "/uptime_s")


def about_xen(path: str) -> bool:
    """False for what xenfs says of itself, in metrics too, or by this domain's clock: that is different every time.

    Nothing in raw/ says anything before it is asked.
    """
    if path.endswith(_BY_OUR_CLOCK):
        return False
    return not path.startswith(("xenfs/", "metrics/", "raw/")) or path in ("xenfs/", "xenfs/interface")


def contents(
    xen: Hypervisor,
    directory: Dir,
    begin: Begin,
    ids: Ids = (),
    prefix: str = "",
    *,
    wanted: Callable[[str], bool] = about_xen,
) -> Iterator[Shown]:
    """Every file and link about Xen that is wanted, depth first.

    `begin` is told each path, a directory's with "/" at its end, before it is read.
    """
    begin(prefix or "/")
    for name, node, below in list(directory.children(xen, ids)):
        path = prefix + name
        if isinstance(node, Dir) and wanted(f"{path}/"):
            yield from contents(xen, node, begin, below, f"{path}/", wanted=wanted)
        elif not isinstance(node, Dir) and about_xen(path) and wanted(path):
            begin(path)
            yield _shown(xen, path, node, below)


def _shown(xen: Hypervisor, path: str, node: Node, ids: Ids) -> Shown:
    try:
        if isinstance(node, Link):
            return Shown(path, node.target(xen, *ids))
        assert isinstance(node, File)
        return Shown(path, node.produce(xen, ids).decode("utf-8", "surrogateescape"))
    except XenfsError as problem:
        return Shown(path, None, errno_name(problem.errno))
