"""What a tree of files is made of: tables of `File`, `Exchange`, `Stream`, `Link`, `Dir` and `Each`.

An entry names the functions that do its work; mode, listing, attributes and documentation follow from it.
Readers are plain functions `(xen, *ids)`, writers `(xen, *ids, value)`. The ids are those of the `Each`
entries on the way down: a domain, a vCPU, a CPU. Nothing on this floor awaits.

Tables import all of it from here. node.py has what entries share, files.py and directories.py the entries.
"""

from xenfs.nodes.tables.directories import Dir, Each, Link
from xenfs.nodes.tables.files import (
    LONGEST_COMMAND,
    PAGE,
    Exchange,
    File,
    Stream,
    as_line,
    consuming,
    field,
)
from xenfs.nodes.tables.node import Ids, Node, Reader, Writer

__all__ = [
    "LONGEST_COMMAND",
    "PAGE",
    "Dir",
    "Each",
    "Exchange",
    "File",
    "Ids",
    "Link",
    "Node",
    "Reader",
    "Stream",
    "Writer",
    "as_line",
    "consuming",
    "field",
]
