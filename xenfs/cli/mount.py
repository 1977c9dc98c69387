"""xenfs mount: mount the tree, in the foreground, until a signal or an unmount."""

from __future__ import annotations

import argparse
import codecs
import errno
import gc
import logging
import os
import socket
import sys
from contextlib import suppress
from typing import NoReturn

import trio

from xenfs import options
from xenfs.calls import version
from xenfs.cli.mountpoint import Claim
from xenfs.connect.opening import faulty, open_hypervisor
from xenfs.errors import StartError
from xenfs.filesystem.confine import Opener, Unmounter, forget_inheritance, give_up_rights, identity
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.record import Record
from xenfs.filesystem.rights import PolicyRights, Rights
from xenfs.filesystem.serve import GRACE_S, serve
from xenfs.filesystem.sinks import sinks
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes import policy, tree
from xenfs.nodes.policy.trusted import Untrusted
from xenfs.nodes.tables.harmless import harmless
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.templates import name_orphans
from xenfs.xenstore import XenstoreClient, transport

_OPTIONS = """mount options, with commas between: ro (nothing can be written), lifecycle (domains can be made, asked
to shut down, and ended),
debug (dangerous and debugging nodes), raw (any hypercall), allow_other, uid=USER, gid=GROUP, umask=MODE,
unverified (write to a Xen that xenfs does not know), pool_check (guard bytes around every hypercall buffer),
pool_max=BYTES (memory for hypercall arguments, 1048576 or more),
open_max=NUMBER (files that a user may have open at once, 16 or more), policy=FILE (what other users may do),
record=auto|journal|syslog|stderr|file:PATH|off (where writes are recorded),
run_as=USER (whom root becomes to serve: the user xenfs, or a number that nobody has)"""

# Python reads their modules when they are first used: there may be no right to by then.
_CODECS = ("ascii", "latin-1", "unicode_escape", "utf-16-le")
_OTHER_LOCKED = 1 << 20  # bytes beside those of a pool that locks its memory


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
    """Mount and serve; ends the process when the mount is gone."""
    gc.disable()  # until _settle: what is made to begin with is no garbage
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.INFO, format="xenfs: %(message)s", stream=sys.stderr
    )
    chosen = options.parse(",".join(args.options), uid=os.getuid(), gid=os.getgid())
    claim = Claim(args.mountpoint)
    mountpoint = harmless(claim.mountpoint)
    _fuse_device()
    rights = _rights(chosen)
    becoming = identity(chosen.run_as)
    forget_inheritance([fd for fd in (args.ready_fd, claim.fd, claim.lock) if fd is not None])
    unmounter = Unmounter()
    opener = Opener(transport.candidates()) if becoming else None
    if opener:
        transport.opened_by(opener)
    refusals = Refusals()
    hypercall_device = not args.no_hypercall_device
    xen = open_hypervisor(
        faulty(args.hypervisor, args.faults, hypercall_device=hypercall_device) if args.faults else args.hypervisor,
        on_violation=refusals.add_violation,
        pool_max=chosen.pool_max,
        pool_check=chosen.pool_check,
        hypercall_device=hypercall_device,
    )
    if not xen.verified and not chosen.unverified:
        logging.warning("this Xen is not one that xenfs knows: mounting read-only (-o unverified allows writes)")
        chosen = options.read_only(chosen)
    name_orphans(xen, refusals)
    record = _record(chosen)
    ops = Operations(xen, tree.build(xen, chosen, refusals), chosen, refusals, rights, record)
    if opener and not isinstance(xen.store, XenstoreClient):
        opener.close()
    notify = _service_manager()
    if xen.store is not None:
        xen.store.settle()  # what is given up later is given up by one thread
    _settle()

    which = _which(xen)  # asked before anything fails on purpose

    def ready() -> None:
        unmounter.mounted(claim.fd)
        claim.release()
        if args.new_session:
            with suppress(OSError):  # whoever leads a group of processes has one of its own
                os.setsid()
        lockable = chosen.pool_max + _OTHER_LOCKED if xen.backend.pages.faults else 0
        lacking = give_up_rights(lockable, becoming, insist=bool(chosen.run_as))
        if args.faults:
            logging.warning("hypercalls fail on purpose from now on: %s", " ".join(args.faults.split()))
        xen.backend.begin()
        _tell(args.ready_fd, notify, f"mounted on {mountpoint} ({which})")
        if lacking:  # for the log: who mounts need not hear of it
            logging.info("%s", lacking)

    try:
        trio.run(serve, ops, claim.target, ready, GRACE_S, unmounter.unmount)
    except BaseException as problem:
        cause = _single(problem)
        if isinstance(cause, RuntimeError):  # what pyfuse3 says when libfuse does not mount
            raise StartError(f"cannot mount on {mountpoint}: {cause}", errno.EPERM) from None
        if cause is problem:
            raise
        raise cause from None
    finally:
        xen.close()
    _end()


def _end() -> NoReturn:
    """Nothing is left to do, and Python's own tidying up would take most of the time from the signal to the end."""
    logging.shutdown()
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    os._exit(0)


def _rights(chosen: options.Options) -> Rights:
    if not chosen.policy:
        return Rights(chosen)
    return PolicyRights(chosen, policy.load(chosen.policy, (row.path for row in tree.reference())))


def _record(chosen: options.Options) -> Record:
    try:
        return Record(sinks(chosen.record))
    except Untrusted as problem:
        raise StartError(f"record={harmless(chosen.record)} cannot be: {problem}", errno.EINVAL) from None
    except OSError as problem:
        raise StartError(f"record={chosen.record} cannot be: {problem.strerror}", problem.errno or errno.EIO) from None


def _settle() -> None:
    """Have what will be needed, and tune the garbage collector to a daemon: what is here now stays, and a listing makes
    many tuples but no cycles. None ran while all this was made, which would have been a tenth of the start.

    With the usual thresholds a tenth of a listing of 10,000 domains would be spent looking for cycles in it. While it
    looks, no other thread runs: 1 ms for 5,000 new objects, 10 ms for 50,000.
    """
    for name in _CODECS:
        codecs.lookup(name)
    gc.freeze()
    gc.set_threshold(5_000, 1_000, 10)
    gc.enable()


def _which(xen: Hypervisor) -> str:
    major, minor = version.release(xen)
    return f"Xen {major}.{minor}{version.extra(xen).decode()} {xen.abi.arch}, {xen.backend.name}"


def _fuse_device() -> None:
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        raise StartError("there is no /dev/fuse: load the fuse module (modprobe fuse)") from None
    except OSError as problem:
        raise StartError(f"/dev/fuse cannot be opened: {problem.strerror}", problem.errno or errno.EACCES) from None


def _single(problem: BaseException) -> BaseException:
    """What went wrong, without the groups that trio wraps it in."""
    while isinstance(problem, BaseExceptionGroup) and len(problem.exceptions) == 1:
        problem = problem.exceptions[0]
    return problem


def _service_manager() -> socket.socket | None:
    """A connection to systemd, where it started us; later there may be no right to make one."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if not address:
        return None
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        notify.connect("\0" + address[1:] if address.startswith("@") else address)
    except OSError as problem:
        notify.close()
        raise StartError(f"NOTIFY_SOCKET does not answer: {problem.strerror}", problem.errno or errno.EIO) from None
    return notify


def _tell(ready_fd: int | None, notify: socket.socket | None, sentence: str) -> None:
    """Say that the mount can be used: on stdout, to systemd, and to who asked with --ready-fd."""
    with suppress(
        OSError, ValueError, AttributeError
    ):  # a stdout that is full or closed: the mount is there all the same
        print(f"xenfs: {sentence}", flush=True)
    if ready_fd is not None:
        os.write(ready_fd, b"READY\n")
        os.close(ready_fd)
    if notify:
        with notify:
            notify.send(f"READY=1\nSTATUS={sentence}\nMAINPID={os.getpid()}\n".encode())
