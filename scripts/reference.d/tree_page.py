"""docs/tree.md: every path there can be."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from xenfs.nodes import tree
from xenfs.nodes.tables import reference
from xenfs.nodes.tree import Row

_INTRO = """\
# The tree

Every path there can be, on any Xen and with any mount option: made by `scripts/reference` from the tables in
`xenfs/nodes/`. `xenfs describe PATH` prints the same of one path, `xenfs tree` a line for each, and `man 5 xenfs`
says it all.

## Reading it

`<c>` is a physical CPU, `<n>` a NUMA node, `<s>` a socket, `<p>` a cpupool, `<d>` a domain's id, `<v>` a vCPU, `<i>`
a number.

- **One value a file**, as text, with one newline at its end. Units are in the name: `_kb` (1024 bytes), `_bytes`,
  `_ns`, `_us`, `_ms`, `_s`, `_khz`. Numbers are decimal, and hexadecimal with `0x` only where hardware is. Lists of
  CPUs and nodes are `0-3,8`. What has to be seen at one moment is in one file, `info` or `stat`: lines "key value",
  or "name key=value ...".
- **A snapshot** is taken by the read at offset 0; later offsets are cut from it. Seek to 0 for a new one.
- **Sizes**: stat(2) says 4096, as of a file in sysfs, where the content fits into that, and 0 ("size 0" below) of what
  may be longer, grows, or answers a question. `sendfile` and `splice` go by it: they copy the content of the former
  exactly, and nothing of the latter.
- **One write(2) is one operation**, whole or not at all, at most 4096 bytes; one newline at its end is forgiven. What
  does not parse is refused before any hypercall; `xenfs/error_log` says why.
- **A question**: write it, and read the answer on the same open file. A second one on that open file is EBUSY.
- **Growing** files say at once what is new to this open file.
- **Absent is absent**: what a release, a build, an architecture, a kind of guest or of control domain lacks is not
  listed; `xenfs/missing` has what Xen said about it.
- **Modes** are the access control. `-o ro` takes all writing away. What cannot be read reads as empty.
- **Tiers**: A daily, B regular, C rare, dangerous or for debugging.
- **Releases**: the first that has it, on x86_64 and arm64 unless it says otherwise, of 4.14 to 4.22. Its first point
  releases may lack it (`compatibility.md` has those), and so may a build.

### What is not a file

**The ring of `domains/<d>/monitor/`.** The files there say which events of a guest's inside Xen tells. The events come
through a ring: a page of memory that Xen shares with one program, the listener. xenfs is not that program, for three
reasons. Most events stop the vCPU that they are of until the listener has answered, so that a `cat` which somebody
stops, or which reads slowly, would leave the guest standing still. A domain has one ring for all, so that xenfs would
take it from the program that is to listen. And an answer may change the guest's registers or memory: that is a
program's decision, made anew for each event. xen-access (Debian's xen-utils has it), libvmi and drakvuf listen.

### errno values

The column has those of the file itself. Beside them:

| errno | of what |
|---|---|
| EINVAL, ERANGE | a write that does not parse; a number out of bounds, or of something that is not there |
| E2BIG | a write of more than 4096 bytes |
| ESTALE, ENOENT | the domain, vCPU, CPU or pool is gone: whatever was open below it is another life's |
| EACCES | the file's mode; or a policy (XSM) that forbids the operation to this domain |
| EPERM | Xen refuses the operation to this domain, or of this domain |
| EBUSY | a second question on one open file |
| EAGAIN | so many requests wait that this one was turned away |
| EROFS | mounted with `-o ro` |
| EOPNOTSUPP | Xen says that it does not have the operation after all |
"""


def text() -> str:
    """The whole page."""
    parts = [_INTRO]
    for top, group in groupby(rows(), key=lambda row: row.path.split("/")[0]):
        parts.append(f"## {top}/\n\n" + "\n".join(_table(group)) + "\n")
    return "\n".join(parts)


def rows() -> Iterator[Row]:
    """Files and links in the order of the tables, a directory that can be changed before what is in it."""
    every = [*tree.directories(), *tree.reference()]
    order = {row.path: at for at, row in enumerate(tree.reference())}

    def place(row: Row) -> tuple[int, int]:
        inside = (at for path, at in order.items() if path.startswith(row.path))
        return (order[row.path], 1) if row.path in order else (min(inside), 0)

    return iter(sorted(every, key=place))


def _table(rows: Iterator[Row]) -> Iterator[str]:
    yield "| Path | Mode | Tier | What it is | Format | Hypercall | Since | errno |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in rows:
        cells = (
            f"`{row.path}`",
            reference.mode_of(row.node, row.needs),
            row.node.tier,
            row.node.help,
            reference.format_of(row.node),
            ", ".join(reference.operations_of(row.node)),
            reference.since_of(row.path),
            " ".join(reference.errnos_of(row.node)),
        )
        yield f"| {' | '.join(escaped(cell) for cell in cells)} |"


def escaped(cell: str) -> str:
    """Text that Markdown takes as it is."""
    return cell.replace("|", "\\|") if cell.startswith("`") else cell.replace("|", "\\|").replace("<", "\\<")
