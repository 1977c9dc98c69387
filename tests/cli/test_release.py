"""scripts/release: what keeps a commit from being released, and what it writes so that nothing does."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

import xenfs.abi

CHECKOUT = Path(__file__).resolve().parents[2]
DAY = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.UTC)


def script(name: str) -> ModuleType:
    """A part of the script: scripts/release.d is no package."""
    folder = str(CHECKOUT / "scripts" / "release.d")
    sys.path.insert(0, folder)
    try:
        return __import__(name)
    finally:
        sys.path.remove(folder)


state, contents = script("state"), script("contents")


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=Nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small checkout as it is between two releases: the files of this one, shortened."""
    for name in ("xenfs/__init__.py", "debian/changelog", "contrib/rpm/xenfs.spec"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((CHECKOUT / name).read_text())
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/tree.md").write_text("| `host/nodes` | ... |\n| `host/cpus` | ... |\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n### Added\n\n- All of it.\n")
    (tmp_path / "debian/changelog").write_text(
        "xenfs (0.1.0) UNRELEASED; urgency=medium\n\n  * First package.\n\n"
        " -- xenfs maintainers <xenfs@example.org>  Sat, 28 Nov 2026 12:00:00 +0000\n"
    )
    git(tmp_path, "init")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--message", "as it was")
    return tmp_path


@pytest.fixture
def ready(root: Path) -> Path:
    """The same, ready to be released."""
    state.put(root, "0.3.0", DAY)
    git(root, "commit", "--all", "--message", "0.3.0")
    return root


def said(root: Path) -> str:
    return "\n".join(state.in_the_way(root))


def test_between_two_releases(root: Path) -> None:
    assert "no section with a date" in said(root)
    assert "not finished: it says UNRELEASED" in said(root)


def test_version_and_date_are_written_everywhere(ready: Path) -> None:
    assert state.in_the_way(ready) == []
    assert set(state.versions(ready).values()) == {"0.3.0"}
    changelog = (ready / "CHANGELOG.md").read_text()
    assert "## Unreleased\n\n## 0.3.0 - 2026-11-29\n\n### Added" in changelog
    debian = (ready / "debian/changelog").read_text()
    assert debian.startswith("xenfs (0.3.0) unstable; urgency=medium\n\n  * First package.")
    assert debian.endswith(">  Sun, 29 Nov 2026 12:00:00 +0000\n")


def test_the_next_version_is_an_entry_of_its_own(ready: Path) -> None:
    change(ready / "CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- More.\n")
    state.put(ready, "0.4.0", DAY)
    assert (ready / "CHANGELOG.md").read_text().count("\n## ") == 3
    debian = (ready / "debian/changelog").read_text()
    assert debian.startswith("xenfs (0.4.0) unstable;")
    assert "\n\nxenfs (0.3.0) unstable;" in debian
    assert said(ready).startswith("not committed: ")


@pytest.mark.parametrize("version", ["0.3", "v0.3.0", "0.3.0-rc1", "00.3.0", "0.3.0 "])
def test_only_versions_are_written(root: Path, version: str) -> None:
    with pytest.raises(SystemExit, match="no version such as"):
        state.put(root, version, DAY)


@pytest.mark.parametrize(
    ("name", "old", "new", "why"),
    [
        ("xenfs/__init__.py", '"0.3.0"', '"0.3.1"', "versions differ: xenfs/__init__.py has 0.3.1"),
        ("contrib/rpm/xenfs.spec", "0.3.0", "0.2.9", "contrib/rpm/xenfs.spec has 0.2.9"),
        ("debian/changelog", "(0.3.0)", "(0.3.0+b1)", "debian/changelog has 0.3.0+b1"),
        ("debian/changelog", "unstable", "UNRELEASED", "not finished"),
        ("debian/changelog", "29 Nov", "28 Nov", "dates differ: debian/changelog has 2026-11-28"),
        ("CHANGELOG.md", " - 2026-11-29", "", "no section with a date"),
        ("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- More.\n", "lines under Unreleased"),
    ],
)
def test_what_is_in_the_way(ready: Path, name: str, old: str, new: str, why: str) -> None:
    change(ready / name, old, new)
    git(ready, "commit", "--all", "--message", "wrong")
    assert why in said(ready)
    assert "not committed" not in said(ready)


def test_what_is_not_committed_is_in_the_way(ready: Path) -> None:
    (ready / "forgotten.py").touch()
    assert said(ready) == "not committed: forgotten.py"


def test_a_version_is_released_once(ready: Path) -> None:
    git(ready, "tag", "v0.3.0")
    assert said(ready) == ""
    git(ready, "commit", "--allow-empty", "--message", "later")
    assert said(ready) == "v0.3.0 is another commit: that version has been released"


@pytest.mark.parametrize(
    ("before", "now", "allowed"),
    [("0.3.0", "0.3.1", False), ("0.3.0", "0.4.0", True), ("1.2.0", "1.3.0", False), ("1.2.0", "2.0.0", True)],
)
def test_no_path_goes_by_oversight(ready: Path, before: str, now: str, allowed: bool) -> None:
    git(ready, "tag", f"v{before}")
    (ready / "docs/tree.md").write_text("| `host/nodes` | ... |\n")
    state.put(ready, now, DAY)
    git(ready, "commit", "--all", "--message", now)
    told = "" if allowed else f"gone since v{before}, which this version promises not to do: host/cpus"
    assert said(ready) == told


def test_this_checkout_tells_one_version_at_any_time() -> None:
    """CHANGELOG.md's may be that of the last release."""
    found = state.versions(CHECKOUT)
    del found["CHANGELOG.md"]
    assert len(set(found.values())) == 1, found


def test_what_an_artefact_lacks_or_has_besides(tmp_path: Path) -> None:
    wanted = {"a": b"1", "b": b"2"}
    assert list(contents.differences("it", wanted, {"a": b"1", "b": b"3"})) == ["it has another b"]
    assert list(contents.differences("it", wanted, {"a": b"1", "c": b""})) == ["it lacks b"]
    assert list(contents.extra("it", wanted, {**wanted, "c": b""})) == ["it has c, which is not committed"]


def test_what_a_build_makes_is_wanted_and_missed(tmp_path: Path) -> None:
    """The layouts of each release, under the names that a build gives them."""
    xenfs.abi.prepare(tmp_path)
    made = {f"abi/{path.name}": b"" for path in tmp_path.iterdir()} | {"pool/made_libc.py": b""}
    wanted = contents.files(CHECKOUT / "xenfs")
    assert list(contents.extra("it", {}, made)) == []
    assert list(contents.extra("it", {}, {"abi/made_up.py": b""})) == ["it has abi/made_up.py, which is not committed"]
    assert list(contents.unmade("it", wanted, made)) == []
    without = {name: each for name, each in made.items() if "4_17" not in name}
    assert list(contents.unmade("it", wanted, without)) == [
        "it lacks the layouts of Xen 4.17 on x86_64", "it lacks the layouts of Xen 4.17 on arm64",
    ]  # fmt: skip
    assert list(contents.unmade("it", wanted, made | {"pool/made_libc.py": b""})) == []
    (tmp_path / "xenfs-1").mkdir()
    (tmp_path / "xenfs-1" / "a").write_bytes(b"1")
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "xenfs-1", "xenfs-1")
    (tmp_path / "into").mkdir()
    assert contents.files(contents.unpacked(tmp_path / "x.tar.gz", tmp_path / "into")) == {"a": b"1"}


@pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="needs /dev/fuse")
def test_each_version_is_asked_of_the_folder_itself() -> None:
    version = state.versions(CHECKOUT)["xenfs/__init__.py"]
    assert contents.asked(CHECKOUT) == f"xenfs {version}\n"
    assert contents.mounted_version(CHECKOUT) == version
