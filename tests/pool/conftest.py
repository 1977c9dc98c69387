"""Pools to test, on each kind of memory that this machine has."""

from collections.abc import Iterator

import cffi
import pytest

from xenfs.pool import LockedAnonymous, Pages, Pool, SimulatedPages

SOURCES = {"simulator": SimulatedPages, "anonymous": LockedAnonymous}


@pytest.fixture(params=SOURCES)
def pages(request: pytest.FixtureRequest) -> Pages:
    return SOURCES[request.param]()


@pytest.fixture
def pool() -> Iterator[Pool]:
    """A pool that must be empty again at the end of the test."""
    with Pool(SimulatedPages()) as made:
        yield made


@pytest.fixture
def checked() -> Iterator[Pool]:
    """One with guard bytes; `seen` collects the violations."""
    seen: list[object] = []
    with Pool(SimulatedPages(), check=True, on_violation=seen.append) as made:
        made.seen = seen  # type: ignore[attr-defined]
        yield made


@pytest.fixture(scope="session")
def ffi() -> cffi.FFI:
    """Structs as xenfs.abi declares them: handles are pointers to something that nobody can make by accident."""
    made = cffi.FFI()
    made.cdef("""
        typedef struct xen_guest_memory *guest_handle;
        struct list { uint32_t count; guest_handle buffer; uint64_t old_style; };
        struct op { uint32_t cmd; union { struct list list; char pad[128]; } u; };
        struct entry { unsigned long op, result, args[6]; };
    """)
    return made
