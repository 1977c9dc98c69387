"""Layouts that were made when the package was built are those that parsing gives, of all that xenfs declares."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

import xenfs.abi
from xenfs.abi import Abi, load, prepared
from xenfs.abi.layout import layout
from xenfs.abi.releases import INTERFACES
from xenfs.abi.select import Target

TARGETS = list(prepared.targets())
HEADERS = [xenfs.abi._read(header) for header in xenfs.abi._headers()]
A = TARGETS[0]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the modules that a build makes."""
    folder = tmp_path_factory.mktemp("made")
    xenfs.abi.prepare(folder)
    return folder


def module(folder: Path, target: Target) -> ModuleType:
    """One of them, without the package around it."""
    name = prepared.module_name(target)
    spec = spec_from_file_location(name, folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def abi(target: Target, ffi: object = None) -> Abi:
    return Abi(target.xen, target.arch, target.domctl, target.sysctl, ffi)


def test_there_is_one_for_each_release_and_architecture(made: Path) -> None:
    assert len(TARGETS) == 2 * len(INTERFACES)
    assert sorted(path.stem for path in made.glob("*.py")) == sorted(map(prepared.module_name, TARGETS))


@pytest.mark.parametrize("target", TARGETS, ids=prepared.module_name)
def test_sizes_and_offsets_are_those_of_parsing(made: Path, target: Target) -> None:
    ready, parsed = abi(target, module(made, target).ffi), abi(target)
    assert ready.declared() == parsed.declared()
    assert ready._parsed == set(), "nothing is parsed where all is ready"
    for name in parsed.declared():
        assert layout(ready, name) == layout(parsed, name), name
        assert ready.members(name) == parsed.members(name)
        assert [field.type.cname for _, field in ready.ffi.typeof(name).fields if _] == [
            field.type.cname for _, field in parsed.ffi.typeof(name).fields if _
        ]


def test_a_view_is_laid_over_and_copied_alike(made: Path) -> None:
    ready = abi(A, module(made, A).ffi)
    whole = ready.ffi.new("struct xen_sysctl *")
    whole.u.physinfo.nr_cpus = 7
    assert ready.copy(whole.u.physinfo).nr_cpus == 7
    assert ready.copy(whole).u.physinfo.nr_cpus == 7


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the modules lay in the package."""
    monkeypatch.setattr(prepared.importlib, "import_module", lambda name: module(folder, _target_of(name)))


def _target_of(name: str) -> Target:
    for target in TARGETS:
        if name == f"xenfs.abi.{prepared.module_name(target)}":
            return target
    raise ImportError(name)


def test_the_ready_ones_are_taken(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(made, monkeypatch)
    assert load(A.xen, A.arch)._complete
    assert load(A.xen, A.arch).sizeof("struct xen_domctl") == abi(A).sizeof("struct xen_domctl")


def test_numbers_that_nobody_knew_are_parsed_for(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(made, monkeypatch)
    odd = load(A.xen, A.arch, domctl=A.domctl + 1)
    assert not odd._complete
    assert odd.sizeof("struct xen_domctl") == abi(A).sizeof("struct xen_domctl")


def test_what_was_made_of_other_headers_is_not_taken(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(made, monkeypatch)
    assert prepared.ready_ffi(A, HEADERS) is not None
    assert prepared.ready_ffi(A, [*HEADERS[:-1], HEADERS[-1] + " "]) is None


def test_in_a_checkout_headers_are_parsed() -> None:
    """Nothing that was made lies beside the sources, where it could be older than they are."""
    assert not list(Path(prepared.__file__).parent.glob("made_*"))
    assert not load(A.xen, A.arch)._complete
