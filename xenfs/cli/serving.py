"""What `xenfs mount` does once the processes beside it are there: open Xen, make the tree, and serve it to the end."""

from __future__ import annotations

import argparse
import codecs
import errno
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
from xenfs.filesystem import background, garbage
from xenfs.filesystem.confine import Identity, Opener, Unmounter, give_up_rights
from xenfs.filesystem.operations import Operations
from xenfs.filesystem.record import Record
from xenfs.filesystem.rights import PolicyRights, Rights
from xenfs.filesystem.serve import GRACE_S, serve
from xenfs.filesystem.sinks import sinks
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.qemu.disks import Qemus
from xenfs.nodes import tree
from xenfs.nodes.policy.trusted import Untrusted
from xenfs.nodes.tables.harmless import harmless
from xenfs.nodes.tables.refusals import Refusals
from xenfs.nodes.templates import name_orphans
from xenfs.xenstore import XenstoreClient, transport

# Python reads their modules when they are first used: there may be no right to by then.
_CODECS = ("ascii", "latin-1", "unicode_escape", "utf-16-le")
_OTHER_LOCKED = 1 << 20  # bytes beside those of a pool that locks its memory


def serve_tree(
    args: argparse.Namespace, chosen: options.Options, claim: Claim, becoming: Identity | None,
    unmounter: Unmounter, opener: Opener | None,
) -> NoReturn:  # fmt: skip
    """Mount where `claim` says, and serve until the mount is gone; ends the process."""
    mountpoint = harmless(claim.mountpoint)
    rights = _rights(chosen)
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
    if opener and isinstance(xen.store, XenstoreClient):
        xen.qemus = Qemus(opener.qemus)
    elif opener:
        opener.close()
    name_orphans(xen, refusals)
    record = _record(chosen)
    ops = Operations(xen, tree.build(xen, chosen, refusals), chosen, refusals, rights, record)
    notify = _service_manager()
    if xen.store is not None:
        xen.store.settle()  # what is given up later is given up by one thread
    _settle()

    which = _which(xen)  # asked before anything fails on purpose

    def ready() -> None:
        if mount := unmounter.mounted(claim.fd):
            background.allow(mount)
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
    from xenfs.nodes.policy.reading import load  # for TOML, and what that has of dates: 0.5 MB

    return PolicyRights(chosen, load(chosen.policy, (row.path for row in tree.reference())))


def _record(chosen: options.Options) -> Record:
    try:
        return Record(sinks(chosen.record))
    except Untrusted as problem:
        raise StartError(f"record={harmless(chosen.record)} cannot be: {problem}", errno.EINVAL) from None
    except OSError as problem:
        raise StartError(f"record={chosen.record} cannot be: {problem.strerror}", problem.errno or errno.EIO) from None


def _settle() -> None:
    """Have what will be needed, and keep it. No cycles were looked for while all this was made, which would have been a
    tenth of the start."""
    for name in _CODECS:
        codecs.lookup(name)
    garbage.settle()


def _which(xen: Hypervisor) -> str:
    major, minor = version.release(xen)
    return f"Xen {major}.{minor}{version.extra(xen).decode()} {xen.abi.arch}, {xen.backend.name}"


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
