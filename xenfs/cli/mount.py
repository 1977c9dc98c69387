"""xenfs mount: mount the tree, in the foreground, until a signal or an unmount."""

from __future__ import annotations

import argparse
import errno
import gc
import logging
import os
import sys
from typing import NoReturn

from xenfs import options
from xenfs.cli import imported
from xenfs.cli.mountpoint import Claim
from xenfs.errors import StartError
from xenfs.filesystem.confine import Opener, Unmounter, forget_inheritance, identity
from xenfs.filesystem.lean import import_lean
from xenfs.xenstore import transport

_OPTIONS = """mount options, with commas between: ro (nothing can be written), lifecycle (domains can be made, asked
to shut down, and ended),
debug (dangerous and debugging nodes), raw (any hypercall), allow_other, uid=USER, gid=GROUP, umask=MODE,
unverified (write to a Xen that xenfs does not know), pool_check (guard bytes around every hypercall buffer),
pool_max=BYTES (memory for hypercall arguments, 1048576 or more),
open_max=NUMBER (files that a user may have open at once, 16 or more), policy=FILE (what other users may do),
record=auto|journal|syslog|stderr|file:PATH|off (where writes are recorded),
run_as=USER (whom root becomes to serve: the user xenfs, or a number that nobody has)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `xenfs mount`."""
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", help="an empty directory, or what is mounted there")
    parser.add_argument("-o", dest="options", action="append", default=[], metavar="OPTIONS", help=_OPTIONS)
    parser.add_argument(
        "--hypervisor", default="auto", metavar="auto|privcmd|simulator[:SETTINGS]",
        help="what to serve; auto is the real Xen where there is one, else the simulator",
    )  # fmt: skip
    parser.add_argument(
        "--faults", default="", metavar="RULES",
        help="let hypercalls fail on purpose, to see what scripts make of it, such as 'domctl:pausedomain EBUSY 10%%': "
        "FAULTS ON PURPOSE in xenfs(8)",
    )  # fmt: skip
    parser.add_argument("--no-hypercall-device", action="store_true", help="do without /dev/xen/hypercall")
    parser.add_argument("--ready-fd", type=int, metavar="N", help='write "READY" to this descriptor once mounted')
    parser.add_argument(
        "--new-session", action="store_true",
        help="leave the session once mounted: before, what stands there for x-systemd.automount lets pass only its own",
    )  # fmt: skip
    parser.add_argument("-v", "--verbose", action="store_true", help="log refused requests too")


def run(args: argparse.Namespace) -> NoReturn:
    """Mount and serve; ends the process when the mount is gone.

    The processes beside it are made first, and all that serves is imported after that: they are small for as long as
    they live.
    """
    gc.disable()  # until it serves: what is made to begin with is no garbage
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.INFO, format="xenfs: %(message)s", stream=sys.stderr
    )
    chosen = options.parse(",".join(args.options), uid=os.getuid(), gid=os.getgid())
    claim = Claim(args.mountpoint)
    _fuse_device()
    becoming = identity(chosen.run_as)
    forget_inheritance([fd for fd in (args.ready_fd, claim.fd, claim.lock) if fd is not None])
    unmounter = Unmounter()
    opener = Opener(transport.candidates()) if os.geteuid() == 0 else None
    import_lean()
    try:
        imported("serving").serve_tree(args, chosen, claim, becoming, unmounter, opener)
    finally:  # nothing was mounted, or not for long: otherwise it ends the process
        unmounter.unmount()
        if opener:
            opener.close()
    raise AssertionError("it ends the process")


def _fuse_device() -> None:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        raise StartError("there is no /dev/fuse: load the fuse module (modprobe fuse)") from None
    except OSError as problem:
        raise StartError(f"/dev/fuse cannot be opened: {problem.strerror}", problem.errno or errno.EACCES) from None
