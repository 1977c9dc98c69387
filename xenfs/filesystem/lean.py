"""trio, imported without OpenSSL."""

from __future__ import annotations

import sys
from contextlib import suppress
from types import ModuleType

_NEEDS_OPENSSL = ("ssl", "_hashlib")


def import_trio() -> None:
    """Import trio and hashlib so that OpenSSL stays out of the process: 4.6 MB less resident, 1.2 MB of it private to
    each process. To be called before anything has imported either.

    trio has TLS streams, which a filesystem never opens, and hashlib has code of its own for all hashes that are used.
    Whoever imports ssl afterwards gets the real one. A trio that uses anything of it while it is imported is taken away
    again, and whoever wants it imports it as usual.
    """
    if not sys.modules.keys().isdisjoint({"trio", "hashlib", *_NEEDS_OPENSSL}):
        return
    before = set(sys.modules)
    sys.modules["ssl"] = ModuleType("ssl")
    sys.modules["_hashlib"] = None  # type: ignore[assignment]  # which Python takes for a module that is not there
    try:
        import hashlib  # noqa: F401

        import trio  # noqa: F401
    except Exception:
        for name in sys.modules.keys() - before:
            del sys.modules[name]
    for name in _NEEDS_OPENSSL:
        with suppress(KeyError):
            del sys.modules[name]
