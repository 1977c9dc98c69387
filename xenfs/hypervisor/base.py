"""The one seam to a hypervisor, `hypercall(op, *args)`, and what stands on either side of it.

Below: a `Backend` that takes plain integers (the ioctl, or a simulator). Above: a `Hypervisor` that takes
buffers, so that no address is ever an integer anywhere else, and that counts, times and logs every call.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

from xenfs.abi import Abi
from xenfs.abi.operations import Does, Operation
from xenfs.errors import HypercallError, XenfsError
from xenfs.hypervisor.announced import Announced
from xenfs.hypervisor.devices import Counters
from xenfs.hypervisor.domain_log import DomainLog
from xenfs.hypervisor.foreign import MOST_AT_ONCE, MOST_OF_RESOURCE, Foreign, Mappings, Wanted
from xenfs.hypervisor.ledger import Ledger
from xenfs.hypervisor.lives import Domain, Lives
from xenfs.hypervisor.operation import refusal
from xenfs.hypervisor.qemu.disks import Qemus
from xenfs.hypervisor.recent import Listings, RecentAnswers
from xenfs.hypervisor.starts import Starts
from xenfs.hypervisor.templates import Templates
from xenfs.pool import Buffer, Holdings, Pages, Pool
from xenfs.xenstore import Xenstore
from xenfs.xenstore.names import StoreNames

FAULT_RETRIES = 2  # a page that faulted once is there, and touched, by the time of the second try


class Backend(ABC):
    """Something that answers hypercalls: their numbers and arguments are integers, as in the registers."""

    name: str
    arch: str
    pages: Pages
    pretends = False
    """Whether it is no Xen, so that an operation may be missing because nobody wrote an answer."""

    @abstractmethod
    def hypercall(self, number: int, args: tuple[int, ...]) -> int:
        """Xen's result; a negative one is -errno. Raises only when no hypercall could be made at all."""

    def foreign(self, domid: int, frames: Sequence[int], *, write: bool) -> Foreign:
        """Pages of another domain, by frame numbers as Xen knows them. OSError where none at all can be mapped."""
        raise OSError(errno.EOPNOTSUPP, f"{self.name} maps no pages of domains")

    def resource(self, domid: int, wanted: Wanted) -> Foreign:
        """Pages that Xen keeps for another domain, to be read. OSError with Xen's errno where it gives none."""
        raise OSError(errno.EOPNOTSUPP, f"{self.name} maps no pages of domains")

    def make_pool(self, **options: Any) -> Pool:
        """The pool that the arguments are to lie in."""
        return Pool(self.pages, **options)

    def attach(self, pool: Pool) -> None:  # noqa: B027 - only a simulator needs to know where the bytes are
        """Told once which pool the arguments will lie in."""

    def xenstore(self) -> Xenstore | None:
        """The xenstore of this host, None where there is none."""
        return None

    def pci_devices(self) -> Sequence[str]:
        """The names of the machine's PCI devices, such as 0000:00:1f.2: dom0 knows them, Xen has no list of its own."""
        return ()

    def counters(self) -> Counters | None:
        """What has gone through the networks and disks that this domain serves; None where nobody counts."""
        return None

    def qemus(self) -> Qemus | None:
        """The QEMUs that serve disks here; None where nobody can ask them, or somebody else will."""
        return None

    def booted_s(self) -> float | None:
        """When this domain's own system came up, in seconds since 1970; None where nobody tells."""
        return None

    def begin(self) -> None:  # noqa: B027 - only in a simulator does anything go on by itself
        """Told once that the tree is mounted, and that threads have the rights that they will have."""

    def close(self) -> None:  # noqa: B027 - nothing to give back by default
        """Give back what the backend holds."""


class Hypervisor:
    """A Xen to talk to: its layouts, its memory pool, and a record of the calls that were made.

    `verified` is False where release and interface versions are not a pair that xenfs knows; `doubt` then says in
    words what it is taken for. `unusable` says of each interface that is left out ("sysctl") why: no call of it is
    made. `accepted` names those whose version Xen is known to take.
    """

    def __init__(self, backend: Backend, pool: Pool, abi: Abi, *, verified: bool = True) -> None:
        self.backend, self.pool, self.abi, self.verified = backend, pool, abi, verified
        self.release = abi.release  # what Xen says it is, where that is another than what it is taken for
        self.doubt = ""
        self.unusable: dict[str, str] = {}
        self.accepted: set[str] = set()
        self.calls = Ledger()
        self.held = Holdings(pool)
        self.mappings = Mappings()
        self.templates = Templates()
        self.announced = Announced()  # live patches to come
        self.microcode_forced = False  # what is loaded next
        self.recent = RecentAnswers()
        self.listings = Listings(self.recent)
        self.happenings = DomainLog()
        self.names = StoreNames()
        self.lives = Lives(self._over)
        self.requests: dict[Domain, str] = {}  # what guests were asked for here, by the life that was asked
        self.introduced: set[int] = set()  # domains of which xenfs has told xenstore, since it began
        self.starts = Starts()
        self.entries: Callable[[], int] = lambda: 0  # how many files and directories whoever serves the tree knows
        self.departed: Callable[[Domain], object] = lambda domain: None  # told of each life that is known to be over
        self.store: Xenstore | None = None
        self.qemus = backend.qemus()
        self.own_domid: int | None = None
        self.numbers: tuple[int, int] | None = None  # of CPUs and NUMA nodes that there can be, once they are known
        self.capabilities: int | None = None  # PhysCap, likewise

    def _over(self, domain: Domain) -> None:
        self.names.gone(domain.domid)
        self.requests.pop(domain, None)
        self.starts.forget(domain)
        if self.qemus is not None:
            self.qemus.forget(domain.domid)
        self.departed(domain)

    def hypercall(self, op: Operation, *args: int | Buffer, domid: int | None = None) -> int:
        """Make one hypercall and return Xen's non-negative result; `domid` is for the record only.

        HypercallError carries Xen's errno, or EOPNOTSUPP, without a call, of an interface that is `unusable`.
        PoolError, before any hypercall, when an argument or anything attached to it is not a live buffer of this pool.
        """
        started = perf_counter_ns()
        raw = self.pool.admit(args, op.name)
        try:
            return self._made(op, args, raw, domid, started)
        finally:
            self.pool.retire_flight(args)

    def ask(self, op: Operation, question: bytes, domid: int | None = None, *before: int) -> bytes:
        """The same for an operation that takes one struct without handles, behind the arguments `before`: the struct's
        bytes, as Xen leaves them.

        It is the quick way: as nobody else ever sees the buffer, the pool has less to look at.
        """
        started = perf_counter_ns()
        buf = self.pool.launch(question, op.name)
        try:
            self._made(op, (*before, buf), (*before, buf._start), domid, started)
        finally:
            answer = self.pool.land(buf)
        return answer

    def _made(
        self, op: Operation, args: tuple[int | Buffer, ...], raw: tuple[int, ...], domid: int | None, started: int
    ) -> int:
        """Make it and put it on record; its buffers are in flight."""
        if self.unusable and op.hypercall.name in self.unusable:
            raise HypercallError(op.name, errno.EOPNOTSUPP, self.unusable[op.hypercall.name])
        number = self.calls.begin(op, domid, started, args)
        result = -errno.EFAULT
        try:
            result = self.backend.hypercall(op.hypercall, raw)
            if result == -errno.EFAULT and self.backend.pages.faults and op.repeatable:
                result = self._repeated(op, args, raw)
        finally:
            self.calls.end(number, op, domid, result, started)
            if op.does is not Does.LOOKS:
                self.recent.forget()  # it may have changed what there is
        if result < 0:
            raise refusal(op, result, self.abi, accepted=op.hypercall.name in self.accepted)
        return result

    def foreign(self, domid: int, frames: Sequence[int], *, write: bool = False) -> Foreign:
        """At most MOST_AT_ONCE pages of another domain, for a `with`; those that are not there are counted."""
        assert 0 < len(frames) <= MOST_AT_ONCE
        try:
            found = self.backend.foreign(domid, frames, write=write)
        except OSError as problem:
            raise XenfsError(
                f"pages of domain {domid} cannot be mapped: {problem.strerror}", problem.errno or errno.EIO
            ) from problem
        self.mappings.count(found)
        return found

    def resource(self, domid: int, wanted: Wanted) -> Foreign:
        """At most MOST_OF_RESOURCE frames of what Xen keeps for another domain, to be read in a `with`.

        HypercallError with what Xen says, EOPNOTSUPP where dom0's kernel is older than Linux 4.18.
        """
        assert 0 < len(wanted.frames) <= MOST_OF_RESOURCE
        try:
            found = self.backend.resource(domid, wanted)
        except OSError as problem:
            name, code = f"memory_op acquire_resource {wanted.kind.name}", problem.errno or errno.EIO
            if code == errno.ENOTTY:
                raise HypercallError(
                    name, errno.EOPNOTSUPP, "dom0's kernel cannot map it: Linux can since 4.18"
                ) from problem
            raise HypercallError(name, code) from problem
        self.mappings.count(found)
        return found

    def _repeated(self, op: Operation, args: tuple[int | Buffer, ...], raw: tuple[int, ...]) -> int:
        """Call again after an EFAULT: all memory is locked, and touched once more, so a second try finds it."""
        for _ in range(FAULT_RETRIES):
            self.pool.count_retry(args)
            result = self.backend.hypercall(op.hypercall, raw)
            if result != -errno.EFAULT:
                break
        return result

    def close(self) -> None:
        """Close xenstore, the backend and then the pool; nothing may be in flight."""
        if self.store is not None:
            self.store.close()
        self.backend.close()
        self.held.close()
        self.pool.close()
