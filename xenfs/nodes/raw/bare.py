"""raw/hypercall: any hypercall by its number, with up to five arguments as they are in the registers."""

from __future__ import annotations

import errno
import re
from contextlib import ExitStack
from enum import IntEnum
from functools import cache
from typing import cast

from xenfs.abi.numbers import Hypercall
from xenfs.abi.operations import Operation
from xenfs.abi.operations.grammar import Family, changes
from xenfs.errors import BadInput, HypercallError
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.raw.posed import held
from xenfs.nodes.raw.words import Word, number
from xenfs.nodes.tables.base import Exchange
from xenfs.nodes.tables.cost import Cost
from xenfs.nodes.tables.forms import formed
from xenfs.pool import Buffer, is_mapped

_WORD = re.compile(r"\S+")
_MOST_ARGUMENTS = 5
_LOWEST = 1 << 12  # below, no memory can be
_FORM = """\
# any hypercall: its number, and up to five arguments
NR A1 A2 A3 A4 A5  in: numbers of 64 bits, decimal or 0x; %NAME is the address of raw/buffers/NAME
result             out: Xen's own, 31 bits of it"""


class _Unknown(int):
    """A number that no release of Xen gives a name."""

    @property
    def name(self) -> str:
        """What records call it."""
        return f"hypercall_{int(self)}"


@formed("NR A1 .. A5; %NAME for the address of a held buffer")
def _words(text: str) -> list[Word]:
    words = [Word("", found[0], found.start(), found.start()) for found in _WORD.finditer(text)]
    if not 1 <= len(words) <= 1 + _MOST_ARGUMENTS:
        raise BadInput("wants a hypercall's number and up to five arguments", at=0)
    for place, word in enumerate(words):
        if place == 0 or not word.value.startswith("%"):
            number(word.value, (0, 63 if place == 0 else 2**64 - 1), "hypercall" if place == 0 else "argument", word.at)
    return words


class _Bare(IntEnum):
    """A hypercall as a whole: which of its operations it is, the arguments alone say."""

    bare = 0


@cache
def _operation(value: int) -> Operation:
    known = Hypercall(value) if value in Hypercall.__members__.values() else cast(Hypercall, _Unknown(value))
    return Family(known).operations(changes(_Bare.bare))[0]


def _plain(word: Word) -> int:
    """A number that is no address in this process: Xen could take it for one, and write there."""
    found = number(word.value, (0, 2**64 - 1), "argument", word.at)
    if found >= _LOWEST and is_mapped(found):
        raise BadInput(f"{found:#x} is an address in the daemon: %NAME is one that Xen may use", at=word.at)
    return found


def _make(xen: Hypervisor, words: list[Word]) -> str:
    op = _operation(int(words[0].value, 0))
    with ExitStack() as loans:
        args: list[int | Buffer] = []
        for word in words[1:]:
            if word.value.startswith("%"):
                args.append(loans.enter_context(held(xen, word).used()))
            else:
                args.append(_plain(word))
        try:
            return f"result {xen.hypercall(op, *args)}"
        except HypercallError as problem:
            if xen.backend.pretends and problem.errno == errno.ENOSYS:
                raise BadInput(f"{op.name}: not simulated", errno.EOPNOTSUPP, at=words[0].at) from problem
            raise


HYPERCALL = Exchange(
    "hypercall", "Any hypercall by its number", write=_make, parse=_words, form=lambda xen: _FORM,
    format="a line: result N", errnos="EINVAL ENOENT EBUSY", option="debug", exact=True, restricted=True, sealed=True,
    write_grows=Cost.WAITS, tier="D",
)  # fmt: skip
