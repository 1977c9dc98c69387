"""The manual pages: xenfs(5) from the tables of paths, xenfs(8) from the command's own help."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from itertools import groupby

import tree_page

from xenfs import cli
from xenfs.faults import HELP as FAULTS
from xenfs.nodes.tables import reference
from xenfs.nodes.tree import Row
from xenfs.simulator.settings import HELP as SETTINGS

_ABOUT_5 = (
    "The tree that xenfs mounts. Most files are an operation of Xen's, or several that belong together. Some are "
    "what xenstore has of a domain, what dom0's kernel counts of its networks and disks, or xenfs's own. This "
    "page is made from the same tables as the tree. A mount lists no file that its Xen, its build, its "
    "architecture or the kind of domain lacks; xenfs/missing has what Xen said about it.",
    "A file holds one value as text, with one newline at its end, and its name has the unit. The read at offset 0 "
    "fixes the content. One write is one operation, whole or not at all; one newline at its end is forgiven. "
    "xenfs refuses what does not parse before it makes any hypercall: xenfs/error_log says why. Where a file "
    "takes a question, the answer is read on the same open file. A file of one value has a size of 4096. What may "
    "be longer has a size of 0, and this page says so.",
    "Of each path: its mode, the mount options that it needs, its tier, its format, the operation behind it, the "
    "first release of Xen that has it, and errno values. Tiers are A daily, B regular, C rare, dangerous or for "
    "debugging, D any hypercall (raw/). (xenstore), (sysfs) and (QEMU) stand for what is no hypercall.",
    "Every file may give these errno values as well: EINVAL and ERANGE for what cannot be written, E2BIG beyond "
    "4096 bytes. ESTALE and ENOENT: the domain is gone. EPERM and EACCES: Xen, its policy or the mount's policy "
    "refuses. EBUSY: a second question before the answer was read. EAGAIN: too many requests wait. EROFS: the "
    "mount is read-only.",
)


_WRITTEN = "2026-11-24"  # the pages say so; it need not follow every change


def section_5() -> str:
    """xenfs(5)."""
    lines = [*_title(5, "Xen's hypercall interfaces as files"), ".SH DESCRIPTION"]
    for number, paragraph in enumerate(_ABOUT_5):
        lines += [*([".PP"] if number else []), *_said(paragraph)]
    for top, group in groupby(tree_page.rows(), key=lambda row: row.path.split("/")[0]):
        lines.append(f".SH FILES BELOW {_escaped(top.upper())}/")
        for row in group:
            lines += _entry(row)
    lines += _examples(EXAMPLES_5)
    return "\n".join([*lines, *_see_also("xenfs", "8"), ""])


def _entry(row: Row) -> Iterator[str]:
    node = row.node
    yield ".TP"
    yield f".B {_escaped(row.path)}"
    yield from _said(f"{node.help}.")
    facts = [f"Mode {reference.mode_of(node, row.needs)}", f"tier {node.tier}", reference.format_of(node)]
    if operations := reference.operations_of(node):
        facts.append(", ".join(operations))
    facts.append(f"since {reference.since_of(row.path)}")
    if errnos := reference.errnos_of(node):
        facts.append(" ".join(errnos))
    yield ".br"
    yield from _said("; ".join(facts) + ".")


def section_8() -> str:
    """xenfs(8)."""
    lines = [*_title(8, "mount Xen's hypercall interfaces as files"), ".SH SYNOPSIS"]
    parsers = {name: cli.parser(name) for name in cli.COMMANDS}
    for name, parser in parsers.items():
        usage = " ".join(parser.format_usage().removeprefix("usage:").split())
        lines += [f".B xenfs {name}", *_said(usage.partition(f"xenfs {name}")[2].strip()), ".br"]
    lines[-1:] = [".SH DESCRIPTION", *_said(_ABOUT_8), ".SH COMMANDS"]
    for name, parser in parsers.items():
        lines += [f".SS xenfs {name}", *_said(f"{cli.COMMANDS[name][0].upper()}{cli.COMMANDS[name][1:]}.")]
        for action in parser._actions:
            lines += _argument(action)
        lines += _closing(parser.epilog or "")
    lines += [".SH THE SIMULATED HOST", *_said("Settings of --hypervisor simulator:KEY=VALUE,...:"), ".nf"]
    lines += [_escaped(line) for line in SETTINGS.splitlines()] + [".fi"]
    lines += [".SH FAULTS ON PURPOSE", *_said("What mount --faults takes:"), ".nf"]
    lines += [_escaped(line) for line in FAULTS.splitlines()] + [".fi"]
    for title, entries in {"EXIT STATUS": _STATUS_8, "ENVIRONMENT": _ENVIRONMENT_8, "FILES": _FILES_8}.items():
        lines += [f".SH {title}", *_terms(entries)]
    lines += _examples(EXAMPLES_8)
    return "\n".join([*lines, *_see_also("xenfs", "5"), ""])


_ABOUT_8 = (
    "xenfs shows the hypercall interfaces of Xen as a tree of files, in the control domain of a Xen from 4.14 to 4.22, "
    "or of a simulated host elsewhere. mount -t fuse.xenfs does the same through its helper. xenfs(5) has every path."
)
_STATUS_8 = {
    "0": "Done.",
    "1": "It could not be done. The reason is on stderr.",
    "2": "The command line is wrong.",
    "32": "The helper of mount(8), mount.fuse.xenfs, could not mount. Its status for a wrong command line is 1.",
    "124": "xenfs watch: the state was not reached within --timeout.",
    "130": "Interrupted by Ctrl-C.",
}
_ENVIRONMENT_8 = {
    "XDG_RUNTIME_DIR": "A mount whose user may not write to /run keeps its lock here.",
    "XENSTORED_PATH": "The socket of xenstored, where it is not the usual one.",
    "NOTIFY_SOCKET": "xenfs mount tells systemd here that it is ready.",
    "XENFS": "The helper of mount(8) runs this command instead of the xenfs that it finds. The whole path.",
    "TERM, NO_COLOR": "xenfs top shows no bars of Unicode on the terminal linux, and no colour where NO_COLOR is set.",
}
_FILES_8 = {
    "/run/xenfs": "The usual place to mount at.",
    "/dev/xen/hypercall": "Memory that is safe in hypercalls.",
    "/dev/xen/privcmd": "The way to Xen.",
    "/etc/default/xenfs": "Mount options of the unit xenfs.service.",
    "/etc/xenfs/policy.toml": "The policy that the Debian package brings; mount option policy= names it.",
}
# tests/mounted/test_examples.py runs each command in a mount of the simulated host, and it must succeed.
EXAMPLES_5 = {
    "Which domains have crashed?": "grep -l crashed domains/[0-9]*/state",
    "All domains at one moment, a line for each:": "cat domains/stat",
    "Pause a domain, and let it go on:": "echo 1 > domains/by-name/web-2/freeze; echo 0 > domains/by-name/web-2/freeze",
    "Ask a question: the free bytes of NUMA node 1, of any address width:":
        "exec 3<> host/memory/availheap; echo 1 0 0 >&3; cat <&3; exec 3>&-",
    "Why was the last write refused?": "tail -n 3 xenfs/error_log",
}  # fmt: skip
EXAMPLES_8 = {
    "What works on this machine?": "xenfs doctor",
    "What does a file take?": "xenfs describe domains/by-name/web-2/freeze",
    "Wait until a domain has crashed, a minute at most:":
        "xenfs watch --until crashed --timeout 60 domains/by-name/legacy",
    "The domains by memory, once:": "xenfs top --once --delay 0 --sort memory .",
}  # fmt: skip


def _argument(action: argparse.Action) -> Iterator[str]:
    if isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS:
        return
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    value = "" if action.nargs == 0 else f" {metavar}"
    yield ".TP"
    if action.option_strings:
        yield f".B {_escaped(', '.join(f'{option}{value}' for option in action.option_strings))}"
    else:
        yield f".I {_escaped(metavar)}"
    yield from _said(f"{action.help}.".replace("%(default)s", str(action.default)).replace("%%", "%"))


def _terms(entries: dict[str, str]) -> Iterator[str]:
    for term, words in entries.items():
        yield ".TP"
        yield f".B {_escaped(term)}"
        yield from _said(words)


def _examples(entries: dict[str, str]) -> Iterator[str]:
    """Each as it would be typed in the mount."""
    yield ".SH EXAMPLES"
    yield from _said("In the directory /run/xenfs:")
    for words, command in entries.items():
        yield ".PP"
        yield from _said(words)
        yield from (".PP", ".RS 4", ".nf", _escaped(command), ".fi", ".RE")


def _closing(epilog: str) -> Iterator[str]:
    """What --help says in the end, line by line where lines are indented."""
    for paragraph in filter(None, epilog.split("\n\n")):
        yield ".PP"
        if "\n  " in paragraph:
            yield from (".nf", *(_harmless(_escaped(line)) for line in paragraph.splitlines()), ".fi")
        else:
            yield from _said(paragraph)


def _title(section: int, about: str) -> list[str]:
    return [
        '.\\" Made by scripts/reference.',
        f'.TH XENFS {section} {_WRITTEN} "xenfs" ""',
        ".SH NAME",
        f"xenfs \\- {_escaped(about)}",
    ]


def _see_also(name: str, section: str) -> list[str]:
    return [".SH SEE ALSO", f".BR {name} ({section}),", ".BR mount (8),", ".BR xl (1)"]


def _said(text: str, width: int = 78) -> Iterator[str]:
    """Running text, a line for each few words; no line may begin as a request does."""
    line = ""
    for word in re.split(r"\s+", _escaped(text).strip()):
        if line and len(line) + len(word) >= width:
            yield _harmless(line)
            line = ""
        line = f"{line} {word}".strip()
    if line:
        yield _harmless(line)


def _harmless(line: str) -> str:
    return f"\\&{line}" if line[:1] in (".", "'") else line


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")
