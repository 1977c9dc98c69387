"""How an answer of raw/ is compared with the node that shows the same, whichever tree they are in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol
from uuid import UUID


class Tree(Protocol):
    """A tree with raw/ in it, mounted or not."""

    def value(self, path: str) -> str: ...

    def has(self, path: str) -> bool: ...

    def names(self, path: str) -> list[str]: ...

    def answer(self, path: str, question: str) -> str: ...


class Answer(dict[str, str]):
    """What raw/ answered, by member."""

    def number(self, name: str = "result") -> int:
        """A member that is a number."""
        return int(self[name])

    def octets(self, name: str) -> bytes:
        """A member or a buffer that is bytes."""
        found = self[name]
        return found[5:].encode() if found.startswith("text:") else bytes.fromhex(found)

    def text(self, name: str) -> str:
        """The same up to the first zero."""
        return self.octets(name).partition(b"\0")[0].decode("utf-8", "surrogateescape")

    def word(self, name: str, at: int, size: int = 4) -> int:
        """A number at a byte of a buffer."""
        return int.from_bytes(self.octets(name)[at : at + size], "little")

    def numbers(self, name: str) -> list[int]:
        """A member that is several numbers."""
        return [int(each) for each in self[name].split(",")]


Says = Callable[[Answer, str], str]
"""What the node says, from the answer; or from what it does say, where that only has to agree with the answer."""


class Beside(NamedTuple):
    """A question to raw/, the node that shows the same ("file#key" is a line of a flat one, "file?words" one that is
    asked), and how it would."""

    path: str
    question: str
    node: str
    says: Says
    only: tuple[str, str] | None = None  # a node that must be there, and what it has to say unless that is ""


class Where(NamedTuple):
    """What the questions are about: {d} is a domain, {pci} and {pci_at} a device, {patch} a live patch, and so on."""

    d: str
    pci: str = "none"
    pci_at: str = ""
    patch: str = "none"
    boolean: str = "none"
    context: str = ""
    mfn: str = "0"  # a page of the machine's


def where(tree: Tree, domain: int) -> Where:
    """The first of each kind that there is."""
    pci = tree.names("host/pci") if tree.has("host/pci") else []
    found = Where(
        str(domain), patch=_first(tree, "host/livepatch"), boolean=_first(tree, "flask/booleans"),
        context=tree.value(f"domains/{domain}/context") if tree.has(f"domains/{domain}/context") else "",
        mfn=tree.value("host/memory/max_mfn"),
    )  # fmt: skip
    if not pci:
        return found
    segment, bus, device = sorted(pci)[0].split(":")
    slot, _, function = device.partition(".")
    at = f"devs.0.seg={int(segment, 16)} devs.0.bus={int(bus, 16)} devs.0.devfn={int(slot, 16) << 3 | int(function)}"
    return found._replace(pci=sorted(pci)[0], pci_at=at)


def _first(tree: Tree, directory: str) -> str:
    names = [name for name in tree.names(directory) if "%" not in name] if tree.has(directory) else []
    return sorted(names)[0] if names else "none"


# --- how nodes say things ------------------------------------------------------------------------------------------


def same(name: str = "result", times: int = 1) -> Says:
    """A number, in the node's units."""
    return lambda answer, _: str(answer.number(name) * times)


def hexa(name: str) -> Says:
    """A number in hexadecimal digits."""
    return lambda answer, _: hex(answer.number(name))


def text(name: str, longest: int = 0) -> Says:
    """Text that ends at a zero; of one that was cut, the node has all."""

    def says(answer: Answer, shown: str) -> str:
        found = answer.text(name).strip()
        cut = longest and len(found) >= longest - 2 and shown.startswith(found)
        return shown if cut or found == shown.strip() else found

    return says


def uuid(name: str) -> Says:
    """A domain's handle."""
    return lambda answer, _: str(UUID(bytes=answer.octets(name)))


def listed(name: str) -> Says:
    """CPUs or nodes of a bitmap; Xen sets bits of some that are not there."""

    def says(answer: Answer, shown: str) -> str:
        bits = int.from_bytes(answer.octets(name), "little")
        there = list(_numbers(shown))
        return shown if all(bits >> each & 1 for each in there) and _rest(there, bits) else f"bits {bits:x}"

    return says


def _rest(there: list[int], bits: int) -> bool:
    """Whether there are no more bits between them, and behind the last either none or all."""
    left = bits >> max(there, default=-1) + 1
    return bits.bit_count() - left.bit_count() == len(there) and left & left + 1 == 0


def _numbers(text: str) -> Iterator[int]:
    for part in text.split(",") if text else ():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def begins(line: Callable[[Answer], str]) -> Says:
    """A node of several lines: the first of them begins so."""
    return lambda answer, shown: shown if shown.startswith(line(answer)) else line(answer)


def has(words: Callable[[Answer], str]) -> Says:
    """A node that has these words somewhere."""
    return lambda answer, shown: shown if words(answer) in shown else words(answer)


def as_many(count: Callable[[Answer], int]) -> Says:
    """A node that has so many lines."""
    return lambda answer, shown: shown if len(shown.splitlines()) == count(answer) else f"{count(answer)} lines"


def words(count: Callable[[Answer], int]) -> Says:
    """A node that has so many words."""
    return lambda answer, shown: shown if len(shown.split()) == count(answer) else f"{count(answer)} words"


def named(name: str, names: dict[int, str]) -> Says:
    """A number that the node has a word for."""
    return lambda answer, _: names.get(answer.number(name), str(answer.number(name)))


def unlimited(name: str) -> Says:
    """A number that has a word where it is the highest of its kind."""
    return lambda answer, _: "unlimited" if answer.number(name) == 2**32 - 1 else str(answer.number(name))


def members(path: str, question: str, node: str, names: str, prefix: str = "") -> list[Beside]:
    """Lines of a flat node that are called what the members are."""
    return [Beside(path, question, f"{node}#{name}", same(f"{prefix}{name}")) for name in names.split()]


def features(name: str) -> Says:
    """Words of a featureset, with colons between."""

    def says(answer: Answer, _: str) -> str:
        count = answer.number("nr_features")
        return ":".join(f"{answer.word('features', 4 * at):08x}" for at in range(count))

    return says


def leaf(answer: Answer) -> str:
    """The first leaf of a CPU policy, as a line of a node."""
    words = " ".join(f"{answer.number(f'leaves.0.{each}'):08x}" for each in "abcd")
    return f"00000000:ffffffff -> {words}"


def agrees(tree: Tree, line: Beside, about: dict[str, str]) -> bool:
    """Whether a line could be asked here; AssertionError where the node says something else. What counts up meanwhile
    may lie between what the node said before and after."""
    node = line.node.format_map(about)
    if not tree.has(f"raw/{line.path}") or not tree.has(re.split("[#?]", node)[0].rstrip("/")):
        return False
    if line.only is not None and not _holds(tree, line.only[0].format_map(about), line.only[1]):
        return False
    before = _shown(tree, node)
    if before is None:
        return False
    answer = Answer(
        each.split(" ", 1) for each in tree.answer(f"raw/{line.path}", line.question.format_map(about)).splitlines()
    )
    mine = line.says(answer, before)
    if mine != before:  # has it moved since? What takes long to read is read once where it has not
        after = _shown(tree, node) or ""
        numbers = all(each.isdecimal() for each in (before, mine, after))
        moved = numbers and int(before) <= int(mine) <= int(after)
        assert moved or line.says(answer, after) == after, (line[:3], mine, before, after)
    return True


def _holds(tree: Tree, node: str, said: str) -> bool:
    return tree.has(node) and (not said or tree.value(node) == said)


def _shown(tree: Tree, node: str) -> str | None:
    """What a node says, or one line of it; None where it has no such line."""
    path, _, key = node.partition("#")
    if path.endswith("/"):
        return "\n".join(tree.names(path.rstrip("/")))
    path, _, asked = path.partition("?")
    lines = tree.answer(path, asked).removesuffix("\n") if asked else tree.value(path)
    return dict(each.partition(" ")[::2] for each in lines.splitlines()).get(key) if key else lines
