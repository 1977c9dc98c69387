"""Which releases have a member of a struct, in the words of the marks in the headers: "xen >= 4.18"."""

from __future__ import annotations

import re
from functools import cache

from xenfs.abi.select import MARK

_OPENS = re.compile(r"^\s*(?:struct|union)(?: (\w+))? \{")
_CLOSES = re.compile(r"^\s*\}\s*(\w*)")
_MEMBER = re.compile(r"(\w+)(?:\[\w*\])*(?:\s*:\s*\d+)?;")


@cache
def conditions(text: str) -> dict[tuple[str, str], str]:
    """From (tag of the innermost struct that has one, member) to the condition on the member's line."""
    found: dict[tuple[str, str], str] = {}
    tags: list[str] = []
    for line in text.splitlines():
        body, _, mark = line.partition(MARK)
        condition = mark.partition(": ")[0].strip()
        opening, closing = _OPENS.match(body), _CLOSES.match(body)
        if opening:
            tags.append(opening[1] or (tags[-1] if tags else ""))
        elif closing and tags:
            tag = tags.pop()
            if condition and closing[1]:
                found[tags[-1] if tags else tag, closing[1]] = condition
        elif condition and tags and (member := _MEMBER.search(body)):
            found[tags[-1], member[1]] = condition
    return found
