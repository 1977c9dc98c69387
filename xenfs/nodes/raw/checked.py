"""A question that may be asked: all that has to hold before the call is made, and after it."""

from __future__ import annotations

import errno
from contextlib import ExitStack

from xenfs.abi.operations import Operation, Way, operation
from xenfs.calls import domains
from xenfs.calls.sysctl import nr_cpu_ids
from xenfs.connect.own import own_domid
from xenfs.errors import BadInput, HypercallError, Stale
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.raw.form import Form, form
from xenfs.nodes.raw.leaves import Kind
from xenfs.nodes.raw.posed import Posed
from xenfs.nodes.raw.question import Question
from xenfs.nodes.raw.words import shown


def ask(xen: Hypervisor, form: Form, text: str) -> str:
    """The answer to one question."""
    question = Question(form, text)
    with ExitStack() as loans:
        call = Checked(xen, question, loans)
        call.require()
        result = call.make()
        call.require_same()
        return "\n".join((f"result {result}", *call.answer()))


class Checked(Posed):
    """A question in memory, looked at from all sides: `require` before it is made, `require_same` after that."""

    _held_then: int | None = None

    def require(self) -> None:
        """All that has to hold before the call. What a pretended Xen does not do is said in words."""
        self._require_offered()
        self.require_life()
        if self.xen.backend.pretends and not self.form.op.simulated:
            raise BadInput(f"{self.form.op.name}: not simulated", errno.EOPNOTSUPP, at=0)
        self._require_built()
        self._require_reached()
        self._require_room()

    def _require_offered(self) -> None:
        """EPERM of what is never asked; raw/hypercall is for who must. EINVAL of what Xen takes without looking."""
        op, only = self.form.op, self.form.op.never_if or {}
        if op.never and all(self.question.number(name) == value for name, value in only.items()):
            raise BadInput(f"never asked: {op.never}", errno.EPERM, at=self.question.caret(*only))
        for name, most in (op.at_most or {}).items():
            if self.question.number(name) > most:
                raise BadInput(f"{name} is at most {most}: Xen would go on behind them", at=self.question.caret(name))

    def _require_built(self) -> None:
        """EOPNOTSUPP where Xen was built without what it would use, and could end. Asked of one's own domain."""
        if (built := self.form.op.built) is None:
            return
        asked = form(self.xen.abi, operation(built))
        try:
            with ExitStack() as loans:
                Posed(self.xen, Question(asked, f"{asked.op.domain}={own_domid(self.xen)}"), loans).make()
        except HypercallError as problem:
            if problem.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
                why = f"this Xen was built without {asked.op.name}, and could end"
                raise BadInput(why, errno.EOPNOTSUPP, at=0) from None
            raise

    def _require_reached(self) -> None:
        """ESRCH or EINVAL where Xen would reach for what is not there, and end."""
        if not self.form.reaches or self.domid is None:
            return
        info = domains.info_now(self.xen, self.domid)
        at = self.question.caret(self.form.op.domain)
        if info is None:
            raise BadInput(f"there is no domain {self.domid}", errno.ESRCH, at=at)
        if self.form.reaches == "vcpu" and not info.has_vcpus:
            raise BadInput(f"domain {self.domid} has no vCPU, and Xen would end: it reaches for the first", at=at)

    def _require_room(self) -> None:
        """EINVAL where Xen would fill more than the question has room for, because it goes by numbers of its own."""
        op = self.form.op
        if self.form.room and (self._lent or op.needs):
            there = self._told(self._teller)
            for name in self.form.room:
                known = there[name] + self._with_more_cpus(name, there)
                if self.question.number(name) < known:
                    why = f"Xen fills in {known}, whatever {name} says"
                    raise BadInput(why, at=self.question.caret(name))
            if self.form.most and (asked := sum(map(self.question.number, self.form.most))) > there[self.form.most[-1]]:
                why = f"{' + '.join(self.form.most)} is {asked}, and there are {there[self.form.most[-1]]}"
                raise BadInput(why, at=self.question.caret(self.form.most[-1]))
            self._held_then = there.get(op.stays)

    @property
    def _teller(self) -> Operation:
        """What tells the numbers that Xen goes by."""
        op = self.form.op
        return op.whole.part(op.room_by) if op.whole is not None and op.room_by else op

    def _with_more_cpus(self, name: str, there: dict[str, int]) -> int:
        """What a number may have grown by when the call is made: CPUs may come online between the look and it."""
        grows, _, by = self.form.op.cpus.partition("/")
        if name != grows:
            return 0
        possible = nr_cpu_ids(self.xen)
        return there[by] * possible if by else max(0, possible - there[name])

    def _told(self, op: Operation) -> dict[str, int]:
        """What another operation says of the same thing, asked without buffers."""
        asked = form(self.xen.abi, op)
        same = (leaf for name, leaf in self.form.leaves.items() if name in asked.leaves and leaf.way is Way.IN)
        words = (
            f"{leaf.name}={self.question.number(leaf.name)}"
            for leaf in same
            if leaf.kind is Kind.INT and leaf.name not in (op.given or {})
        )
        with ExitStack() as loans:
            call = Posed(self.xen, Question(asked, " ".join(words)), loans)
            call.make()
            assert call._struct is not None
            image = call._struct.part(0, call._struct.nbytes)
            return {leaf.name: int(shown(leaf, image)) for leaf in asked.told if leaf.kind is Kind.INT}

    def require_life(self, *, after: bool = False) -> None:
        """ESTALE where the question is for another life of the domain."""
        if self.question.life is not None:
            renamed = self._part(self.form.op.renames) if after and self.form.op.renames else b""
            self.question.life.require(self.xen, self.domid, after=after, renamed=renamed)

    def _part(self, name: str) -> bytes:
        """The bytes of a member, as the question has them."""
        leaf = self.form.leaves[name]
        return bytes(self.question.image[leaf.offset : leaf.offset + leaf.length * leaf.size])

    def require_same(self) -> None:
        """After the call: ESTALE where its room was for another state of things, or the domain was another."""
        self.require_life(after=True)
        if self._held_then is not None and self._told(self._teller)[self.form.op.stays] != self._held_then:
            raise Stale(f"what {self.form.op.name} was asked about, as it was looked at,")

    @property
    def guarded(self) -> bool:
        """Whether Xen's state is looked at before: what is there to be reached for, or how much Xen fills in."""
        return bool(self.form.reaches or (self.form.room and (self._lent or self.form.op.needs)))
