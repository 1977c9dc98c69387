"""Whether a checkout can be released: one version and one date wherever they stand, and nothing uncommitted.

Prints what is in the way and exits with 1; `--version` prints the version, `--set VERSION` writes it with today's date.
"""

from __future__ import annotations

import argparse
import datetime
import email.utils
import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
# Where a version stands: file, and the words around it.
PLACES = {
    "xenfs/__init__.py": r'(?m)^(__version__ = ")([^"]*)(")',
    "debian/changelog": r"\A(xenfs \()([^)]*)(\))",
    "contrib/rpm/xenfs.spec": r"(?m)^(Version: +)(\S*)()",
}
TREE = "docs/tree.md"
UNRELEASED, DATED = "## Unreleased", r"## (\S+) - (\d{4}-\d\d-\d\d)"


def versions(root: Path) -> dict[str, str]:
    """The version that each place tells, CHANGELOG.md's newest section included; "" where there is none."""
    found = {}
    for name, pattern in PLACES.items():
        match = re.search(pattern, (root / name).read_text(encoding="utf-8"))
        found[name] = match[2] if match else ""
    return {**found, "CHANGELOG.md": _newest(root)[0]}


def in_the_way(root: Path) -> list[str]:
    """A sentence for each thing for which this checkout cannot be released."""
    found = versions(root)
    version, day = _newest(root)
    said = []
    if not day:
        said.append("CHANGELOG.md has no section with a date, such as '## 0.2.0 - 2026-11-29' (scripts/release --set)")
    elif len(set(found.values())) > 1:
        said.append("versions differ: " + ", ".join(f"{name} has {found[name] or 'none'}" for name in found))
    said += [f"{version} is no version such as 0.2.0"] if version and not _is_version(version) else []
    if _unreleased(root).strip():
        said.append("CHANGELOG.md has lines under Unreleased: they belong to this version, or to another branch")
    said += _debian(root, day) + _uncommitted(root) + _tagged(root, version) + _gone(root, version)
    return said


def put(root: Path, version: str, now: datetime.datetime) -> None:
    """Write the version and the date wherever they stand."""
    if not _is_version(version):
        raise SystemExit(f"scripts/release: {version} is no version such as 0.2.0")
    changelog = root / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    dated = f"{UNRELEASED}\n\n## {version} - {now:%Y-%m-%d}"
    changelog.write_text(text.replace(UNRELEASED, dated, 1), encoding="utf-8")
    debian = root / "debian" / "changelog"
    debian.write_text(_finished(debian.read_text(encoding="utf-8"), version, now), encoding="utf-8")
    for name, pattern in PLACES.items():
        path = root / name
        told = re.sub(pattern, rf"\g<1>{version}\g<3>", path.read_text(encoding="utf-8"), count=1)
        path.write_text(told, encoding="utf-8")


def _is_version(text: str) -> bool:
    return re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", text) is not None


def _newest(root: Path) -> tuple[str, str]:
    """Version and date of the newest section of CHANGELOG.md that has them."""
    match = re.search(f"(?m)^{DATED}$", (root / "CHANGELOG.md").read_text(encoding="utf-8"))
    return (match[1], match[2]) if match else ("", "")


def _unreleased(root: Path) -> str:
    after = (root / "CHANGELOG.md").read_text(encoding="utf-8").partition(UNRELEASED)[2]
    return re.split("(?m)^## ", after)[0]


def _debian(root: Path, day: str) -> list[str]:
    """What debian/changelog's newest entry says other than CHANGELOG.md."""
    text = (root / "debian" / "changelog").read_text(encoding="utf-8")
    if "UNRELEASED" in text.partition("\n")[0]:
        return ["debian/changelog is not finished: it says UNRELEASED (scripts/release --set)"]
    stamp = re.search("(?m)^ -- .*>  (.*)$", text)
    told = email.utils.parsedate_to_datetime(stamp[1]).date().isoformat() if stamp else "no date"
    return [] if told == day or not day else [f"dates differ: debian/changelog has {told}, CHANGELOG.md {day}"]


def _finished(text: str, version: str, now: datetime.datetime) -> str:
    """debian/changelog with its newest entry finished; a new one where that is finished already."""
    head, stamp = text.partition("\n")[0], email.utils.format_datetime(now)
    author = re.search("(?m)^ -- (.*>)  ", text)
    assert author, "debian/changelog has no entry"
    if "UNRELEASED" in head:
        text = text.replace("UNRELEASED", "unstable", 1)
        return re.sub("(?m)^( -- .*>  ).*$", rf"\g<1>{stamp}", text, count=1)
    entry = f"xenfs ({version}) unstable; urgency=medium\n\n  * New version; CHANGELOG.md says what it brings.\n\n"
    return f"{entry} -- {author[1]}  {stamp}\n\n{text}"


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True).stdout


def _uncommitted(root: Path) -> list[str]:
    names = [line[3:] for line in _git(root, "status", "--porcelain").splitlines()]
    return [f"not committed: {', '.join(names[:10])}{', and more' * (len(names) > 10)}"] if names else []


def _tagged(root: Path, version: str) -> list[str]:
    """A tag of this version elsewhere means that it has been released."""
    if not _git(root, "tag", "--list", f"v{version}").strip():
        return []
    same = _git(root, "rev-parse", f"v{version}^{{commit}}") == _git(root, "rev-parse", "HEAD")
    return [] if same else [f"v{version} is another commit: that version has been released"]


def _gone(root: Path, version: str) -> list[str]:
    """Paths that the last release had, where this number promises that none is gone (docs/versions.md)."""
    tags = [tag for tag in _git(root, "tag", "--merged", "HEAD", "--list", "v*").split() if _is_version(tag[1:])]
    if not tags or not _is_version(version):
        return []
    before = max(tuple(map(int, tag[1:].split("."))) for tag in tags)
    now = tuple(map(int, version.split(".")))
    if now[0] > before[0] or (now[0] == 0 and now[1] > before[1]):
        return []
    last = "v" + ".".join(map(str, before))
    paths = set(_paths(_git(root, "show", f"{last}:{TREE}"))) - set(_paths((root / TREE).read_text(encoding="utf-8")))
    return [f"gone since {last}, which this version promises not to do: {', '.join(sorted(paths))}"] if paths else []


def _paths(page: str) -> list[str]:
    return re.findall(r"(?m)^\| `([^`]+)` \|", page)


def main() -> int:
    """Say, or write."""
    parser = argparse.ArgumentParser(prog="scripts/release")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--set", default="")
    args = parser.parse_args()
    if args.set:
        put(CHECKOUT, args.set, datetime.datetime.now().astimezone())
        return 0
    if args.version:
        print(versions(CHECKOUT)["CHANGELOG.md"])
        return 0
    said = in_the_way(CHECKOUT)
    for line in said:
        print(f"scripts/release: {line}", file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
