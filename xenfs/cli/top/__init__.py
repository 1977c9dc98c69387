"""`xenfs top`: the domains of a mount as they are now, at a terminal or for a script.

source.py reads the mount, model.py makes figures of it, frame.py lines of them, and terminal.py shows these.
Open app.py first: it joins them, key by key.
"""

from __future__ import annotations

import argparse
import locale
import signal
import sys
from contextlib import suppress
from time import monotonic, sleep

from xenfs.cli.paths import USUAL_MOUNTPOINT
from xenfs.cli.top.model import ORDERS, Model, matching, ordered
from xenfs.cli.top.plain import as_json, table
from xenfs.cli.top.source import Sample, Source
from xenfs.errors import StartError, XenfsError
from xenfs.filesystem.mountinfo import OUR_TYPE, mounts

DETAILS = """\
Everything comes from a few files of the mount: whoever may read them may use this. Press h for the keys. CPU% is of one
physical CPU, memory in percent is of the machine's. Networks and disks are those that dom0 itself serves, as the guest
sees them: RX is what it receives (xentop calls that TX). Without xenstore there are none.

--once waits for --delay, as it takes two looks to tell how busy something is; with --delay 0 it does not, and what it
cannot know is "-", or null in JSON. JSON has, on one line: time, interval_s, mount, xen_version; host (cpus_online,
cpu_khz, cpu_percent, memory_kb, memory_free_kb); of each of cpus: cpu, online, idle_ns, busy_percent; and of each of
domains: domid, uuid, name, type, state, shutdown_reason, cpupool, cpu_time_ns, cpu_percent, memory_kb, memory_percent,
memory_max_kb, memory_max_percent, vcpus, vcpus_online, traffic (networks, disks; rx_bytes, tx_bytes, reads, writes,
read_bytes, written_bytes, no_room, each also with _per_s; or null) and, with --vcpus, vcpu_stat (of each: vcpu, online,
state, cpu, cpu_time_ns, cpu_percent). A memory_max_kb of null is no limit."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `xenfs top`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = DETAILS
    parser.add_argument("mount", metavar="MOUNT", nargs="?", help=f"where xenfs is mounted ({USUAL_MOUNTPOINT})")
    parser.add_argument("--once", action="store_true", help="print a table and end")
    parser.add_argument("--batch", action="store_true", help="print a table again and again")
    parser.add_argument("--json", action="store_true", help="print JSON instead, a line each time")
    parser.add_argument("-n", "--iterations", type=_count, metavar="COUNT", help="end --batch after so many")
    parser.add_argument(
        "-d", "--delay", type=_seconds, default=2.0, metavar="SECONDS", help="time between two looks (2)"
    )
    parser.add_argument("--sort", choices=ORDERS, default=None, help="what to sort by (cpu; domid when printing)")
    parser.add_argument("--reverse", action="store_true", help="the other way round")
    parser.add_argument(
        "--filter", default="", metavar="TEXT", help="only domains with this in name, state or type, or as id or UUID"
    )
    parser.add_argument("--vcpus", action="store_true", help="each vCPU, too")


def run(args: argparse.Namespace) -> int:
    """A picture that is kept current, or what was asked for in print."""
    source = Source(args.mount or _mount())
    if args.once or args.batch or args.json:
        return _print(source, args)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise StartError("this is no terminal: --once or --batch print, with --json for a program")
    if args.delay < 0.1:
        raise StartError("a look takes a moment: --delay of at least 0.1 at a terminal")
    return _show(source, args)


def _show(source: Source, args: argparse.Namespace) -> int:
    try:
        from xenfs.cli.top.app import App
        from xenfs.cli.top.terminal import Terminal
    except ModuleNotFoundError:
        raise StartError("this Python was built without curses: --once and --batch need none") from None
    from xenfs.cli.top.state import State

    with suppress(locale.Error):  # one that is not installed: the bars are of ASCII then
        locale.setlocale(locale.LC_ALL, "")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once, also out of a daemon that hangs
    state = State(
        delay_s=args.delay, sort=args.sort or "cpu", backwards=args.reverse, filter=args.filter, vcpus=args.vcpus
    )
    source.sample()  # whether there is something to look at is said before the screen is taken
    with Terminal() as terminal:
        return App(source, state).run(terminal)


def _print(source: Source, args: argparse.Namespace) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)  # at once, also out of the kernel
    model, left = Model(), 1 if args.once or not args.batch else args.iterations
    version = source.version()
    if args.delay:
        model.fed(_look(source, args.vcpus))
    due = monotonic()
    while left is None or left > 0:
        due = max(due + args.delay, monotonic())
        sleep(due - monotonic() if due > monotonic() else 0)
        view = model.fed(_look(source, args.vcpus))
        rows = ordered(matching(view.rows, args.filter), args.sort or "domid", args.reverse)
        if args.json:
            print(as_json(view, rows, source.mount, version, args.vcpus), flush=True)
        else:
            _write("\n".join([*table(view, rows), ""]), more=left is None or left > 1)
        left = left and left - 1
    return 0


def _write(text: str, more: bool) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding) + "\n" * more)
    sys.stdout.flush()


def _look(source: Source, with_vcpus: bool) -> Sample:
    sample = source.sample()
    if with_vcpus:
        sample.vcpus = {life: source.vcpus(life) for life in sample.domains.value}
    return sample


def _mount() -> str:
    """The mount that is meant without a name: the usual one, or the only one."""
    ours = [mount.mountpoint for mount in mounts() if mount.fstype == OUR_TYPE]
    if USUAL_MOUNTPOINT in ours or not ours:
        return USUAL_MOUNTPOINT
    if len(set(ours)) > 1:
        raise XenfsError(f"which of {', '.join(sorted(set(ours)))}?")
    return ours[0]


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 86400:
        raise ValueError(text)
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value
