"""Arrays behind handles, as Xen goes by them: which part each element is, and what its own handles promise."""

from __future__ import annotations

from xenfs.errors import BadInput
from xenfs.nodes.raw.form import Form
from xenfs.nodes.raw.leaves import Kind, Leaf
from xenfs.nodes.raw.words import Word
from xenfs.pool import Buffer


def is_judged(form: Form, handle: Leaf) -> bool:
    """Whether Xen goes by what the memory behind a handle says: by its end, by addresses in it, by what it asks for."""
    return bool(
        (handle.promise is not None and handle.promise.content)
        or form.choice[0].startswith(f"{handle.name}.")
        or any(inner.kind is Kind.HANDLE for inner in form.elements(handle).values())
    )


def judge(form: Form, handle: Leaf, buf: Buffer, nbytes: int, word: Word) -> None:
    """Have every element of these bytes be this operation's part, and have none promise what is null."""
    known = form.elements(handle)
    member, bits = form.choice
    if member.startswith(f"{handle.name}."):
        _choose(form, handle, known[member.removeprefix(f"{handle.name}.")], bits, buf, nbytes, word)
    for inner in known.values() if nbytes >= _stride(form, handle) else ():
        if inner.kind is Kind.HANDLE and inner.promise is not None and not inner.promise.optional:
            _require_none(form, handle, inner, buf, nbytes, word)


def _choose(form: Form, handle: Leaf, inner: Leaf, bits: int, buf: Buffer, nbytes: int, word: Word) -> None:
    """What an element leaves out is filled in. EINVAL where it says another part: that has a file of its own."""
    image, stride = bytearray(buf.part(0, nbytes)), _stride(form, handle)
    for number, at in enumerate(range(inner.offset, nbytes, stride)):
        value = int.from_bytes(image[at : at + inner.size], "little")
        if value & bits not in (0, form.chosen):
            raise BadInput(f"{handle.name}.{number}.{inner.name} is always {form.chosen} here", at=word.at)
        image[at : at + inner.size] = (value | form.chosen).to_bytes(inner.size, "little")
    if form.chosen:
        buf.fill(image)


def _require_none(form: Form, handle: Leaf, inner: Leaf, buf: Buffer, nbytes: int, word: Word) -> None:
    """EINVAL where an element's handle is null and the element says that there is something behind it."""
    assert handle.promise is not None
    assert inner.promise is not None
    stride = _stride(form, handle)
    for number, element in enumerate(form.abi.array(handle.promise.element, nbytes // stride, buf)):
        null = not any(buf.part(number * stride + inner.offset, 8))
        if null and (needs := inner.promise.nbytes(form.abi, element)) > 0:
            raise BadInput(f"{handle.name}.{number}.{inner.name} promises Xen {needs} bytes, and is null", at=word.at)


def _stride(form: Form, handle: Leaf) -> int:
    assert handle.promise is not None
    return form.abi.sizeof(handle.promise.element)
