"""Domains that are not yet any: names with settings, kept by the daemon until somebody makes a domain of them."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence
from threading import RLock
from typing import Any

from xenfs.errors import XenfsError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_MOST = 64  # templates: each is a directory of settings in the daemon's memory


class Template:
    """Settings by name; what is not among them has its default. Those of a `copy` come in any order."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings: dict[str, Any] = {}
        self.live = True
        self.copy = False

    def __str__(self) -> str:
        return f"template {self.name}"


class Templates:
    """All of them, by name."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._by_name: dict[str, Template] = {}
        self._listed: Sequence[tuple[str, Template]] = ()

    def listed(self) -> Sequence[tuple[str, Template]]:
        """(name, template), by name; the same object as long as none comes or goes."""
        return self._listed

    def find(self, name: str) -> Template | None:
        """The one of that name."""
        return self._by_name.get(name)

    def make(self, name: str) -> None:
        """A new one; EINVAL for a name that is none, EEXIST, ENOSPC where there are too many."""
        if not NAME.fullmatch(name):
            raise XenfsError(
                "a template's name is up to 64 of A-Z a-z 0-9 _ . - and begins with no . or -", errno.EINVAL
            )
        with self._lock:
            if name in self._by_name:
                raise XenfsError(f"there is a template {name}", errno.EEXIST)
            if len(self._by_name) >= _MOST:
                raise XenfsError(f"there are {_MOST} templates, and there can be no more", errno.ENOSPC)
            self._by_name[name] = Template(name)
            self._listed = tuple(sorted(self._by_name.items()))

    def remove(self, template: Template) -> None:
        """Forget one; domains that were made of it go on."""
        with self._lock:
            template.live = False
            self._by_name.pop(template.name, None)
            self._listed = tuple(sorted(self._by_name.items()))
