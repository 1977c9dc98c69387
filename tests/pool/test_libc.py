"""The functions of C's library, ready from a build: those that parsing gives, and only if made of the same."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from xenfs.pool import libc


@pytest.fixture
def made(tmp_path: Path) -> ModuleType:
    """The module that a build makes."""
    libc.prepare(tmp_path)
    spec = spec_from_file_location("made_libc", tmp_path / "made_libc.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_a_build_makes_calls_the_same_functions(made: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libc.importlib, "import_module", lambda name: made)
    ffi = libc._ready()
    memory = ffi.new("char[8]", b"abcdefg")
    ready, parsed = ffi.dlopen(None), libc._parsed().dlopen(None)
    ready.memset(memory, ord("x"), 3)
    assert bytes(ffi.buffer(memory)) == b"xxxdefg\0"
    for name in ("memset", "mmap", "munmap", "mlock"):
        assert hasattr(ready, name), name
        assert hasattr(parsed, name), name


def test_what_was_made_of_other_declarations_is_not_taken(made: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libc.importlib, "import_module", lambda name: made)
    monkeypatch.setattr(libc, "_DECLARATIONS", libc._DECLARATIONS + "int munlock(const void *start, size_t nbytes);")
    assert libc._ready() is None
