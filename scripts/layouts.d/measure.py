"""Measure Xen's headers with a C compiler and compare them with golden data and declarations; see ../layouts."""

from __future__ import annotations

import argparse
import platform
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))

import golden  # noqa: E402
from probe import CannotCompile, Probe  # noqa: E402

from xenfs.abi import Abi, load  # noqa: E402
from xenfs.abi.layout import Layout, differences, layout, measured_constants, measured_layouts, version  # noqa: E402
from xenfs.abi.releases import RELEASES, releases_speaking  # noqa: E402

GOLDEN = CHECKOUT / "xenfs" / "simulator" / "golden"
TRIPLETS = {"x86_64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}


def main() -> int:
    """0: all agrees; 1: something differs; 2: nothing could be measured."""
    options = arguments()
    compiler = shlex.split(options.cc) if options.cc else find_compiler(options.arch)
    if not compiler:
        say(
            f"{options.arch}: not measured: no compiler for it (Debian: gcc, or gcc-{TRIPLETS[options.arch]}, or clang)"
        )
        return 2
    try:
        release = options.release or release_of(compiler, options.headers)
        if options.write:
            return write(release, options, compiler)
        found, counts = compare(release, options.arch, compiler, options.headers)
    except CannotCompile as why:
        say(f"{options.arch}: not measured: {' '.join(compiler)} cannot use the headers in {options.headers}:\n{why}")
        return 2
    for line in found:
        print(line)
    name = ".".join(map(str, release))
    print(f"Xen {name} {options.arch}, by {compiler[0]}: {counts}; {len(found) or 'no'} differences")
    return 1 if found else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("headers", type=Path, help="directory that has xen/xen.h")
    parser.add_argument("--arch", choices=TRIPLETS, required=True)
    parser.add_argument("--cc", default="", help="compiler and options instead of the one found")
    parser.add_argument("--release", type=version, help="what the headers are of; found out where it is not ambiguous")
    parser.add_argument("--write", action="store_true", help="add what is declared and not in the golden data")
    parser.add_argument("--constant", action="append", default=[], help="with --write: this constant, too")
    return parser.parse_args()


def write(release: tuple[int, ...], options: argparse.Namespace, compiler: list[str]) -> int:
    """Add to the golden data what this release's headers have of it; 1 where they lack something that was asked for."""
    path, name = GOLDEN / f"{options.arch}.json", ".".join(map(str, release))
    data, declared = golden.load(path), load(release, options.arch)
    if name not in data["releases"]:
        raise CannotCompile("there is no golden data of this release")
    answers = question(declared, dict.fromkeys(options.constant, 0)).ask(compiler, options.headers)
    measured, kept = dict(layouts(declared, answers)), measured_layouts(data, release)
    unknown: dict[str, list[str]] = {}
    for tag in sorted(measured.keys() - kept.keys()):
        found = {"size": measured[tag].size, "fields": {key: list(at) for key, at in measured[tag].fields.items()}}
        unknown[tag] = golden.add(data, "structs", tag, name, found)
    for constant in options.constant:
        if f"constant {constant}" in answers:
            value = answers[f"constant {constant}"]
            unknown[constant] = golden.add(data, "constants", constant, name, {"value": value})
    path.write_text(golden.text(data), encoding="utf-8")
    for added, releases in unknown.items():
        print(f"Xen {name} {options.arch}: added {added}; {_gap(releases)}")
    lacking = {each.split()[1] for each in declared.declared()} - measured.keys() | set(
        options.constant
    ) - unknown.keys()
    for each in sorted(lacking):
        print(f"Xen {name} {options.arch}: {each} is not in these headers; {_PACKAGES}")
    return 1 if lacking else 0


_PACKAGES = "Debian's libxen-dev has those of 4.14, 4.17 and 4.20 (--fetch), --from takes others"


def _gap(releases: list[str]) -> str:
    return f"nothing is known of {' '.join(releases)}: {_PACKAGES}" if releases else "known of every release"


def say(text: str) -> None:
    print(f"layouts: {text}", file=sys.stderr)


def find_compiler(arch: str) -> list[str]:
    """A command that compiles for `arch`: the machine's own, a cross compiler or clang; empty if there is none."""
    triplet = TRIPLETS[arch]
    candidates = [["cc"], ["gcc"]] if platform.machine() == MACHINES[arch] else []
    candidates += [[f"{triplet}-gcc"], ["clang", f"--target={triplet}"]]
    return next((each for each in candidates if shutil.which(each[0])), [])


def release_of(compiler: list[str], headers: Path) -> tuple[int, ...]:
    """The release that headers are of, by their interface numbers; XENVER_extraversion2 tells 4.19 and 4.20 apart."""
    names = ("XEN_DOMCTL_INTERFACE_VERSION", "XEN_SYSCTL_INTERFACE_VERSION", "XENVER_extraversion2")
    answers = Probe(numbers={name: name for name in names}).ask(compiler, headers)
    domctl, sysctl = (int(str(answers.get(name, 0))) for name in names[:2])
    releases = releases_speaking(domctl, sysctl)
    if not releases:
        raise CannotCompile(f"domctl {domctl:#x} and sysctl {sysctl:#x} belong to no release that xenfs knows")
    long_texts = names[2] in answers  # new in 4.20, whose numbers are those of 4.19
    return next((each for each in releases if (each >= (4, 20)) == long_texts), releases[0])


def compare(release: tuple[int, ...], arch: str, compiler: list[str], headers: Path) -> tuple[list[str], str]:
    """What differs, one line each, and how much was looked at, in words."""
    known = golden.load(GOLDEN / f"{arch}.json")
    if release not in RELEASES:
        raise CannotCompile("there is no golden data of this release")
    declared, stored = load(release, arch), measured_layouts(known, release)
    constants = measured_constants(known, release)
    answers = question(declared, constants).ask(compiler, headers)
    found = []
    measured = dict(layouts(declared, answers))
    for name in declared.declared():
        tag = name.split()[1]
        if tag not in measured:
            found.append(f"{tag}: declared, but not in the headers")
            continue
        found += [f"declared: {line}" for line in differences(tag, layout(declared, name), measured[tag])]
        found += [f"golden: {line}" for line in differences(tag, stored[tag], measured[tag])]
    for name, value in constants.items():
        there = answers.get(f"constant {name}")
        if there is None or there != value % 2**64:
            found.append(f"golden: {name}: {value}, {'not in the headers' if there is None else f'measured {there}'}")
    members = sum(len(each.fields) for each in measured.values())
    return found, f"{len(measured)} structs, {members} members, {len(constants)} constants measured"


def question(declared: Abi, constants: dict[str, int]) -> Probe:
    """Size of every declared type, place of every member, value of every constant."""
    probe = Probe(numbers={f"constant {name}": name for name in constants})
    for name in declared.declared():
        probe.numbers[f"size {name}"] = f"sizeof({name})"
        for path, member in walk(declared.ffi.typeof(name)):
            if member.bitsize >= 0:
                probe.bitfields[f"bits {name} {path}"] = (name, path)
                continue
            flexible = member.type.kind == "array" and member.type.length is None
            probe.numbers[f"offset {name} {path}"] = f"offsetof({name}, {path})"
            probe.numbers[f"length {name} {path}"] = "0" if flexible else f"sizeof((({name} *)0)->{path})"
    return probe


def walk(kind: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(path in C, cffi field) of every member, those of nameless structs within included."""
    for name, member in kind.fields:
        if not name:
            yield from walk(member.type, prefix)
            continue
        element, index = member.type, ""
        yield prefix + name, member
        while element.kind == "array":
            element, index = element.item, index + "[0]"
        if element.kind in ("struct", "union") and "$" in element.cname:
            yield from walk(element, f"{prefix}{name}{index}.")


def layouts(declared: Abi, answers: dict[str, Any]) -> Iterator[tuple[str, Layout]]:
    """What was measured of each declared type that the headers have, by its tag."""
    for name in declared.declared():
        if f"size {name}" not in answers:
            continue
        fields: dict[str, tuple[int, ...]] = {}
        for path, _ in walk(declared.ffi.typeof(name)):
            dotted = re.sub(r"\[0\]", "", path)
            if f"bits {name} {path}" in answers:
                first, width = answers[f"bits {name} {path}"]
                fields[dotted] = (first // 8, 1, first % 8, width)
            elif f"offset {name} {path}" in answers:
                fields[dotted] = (answers[f"offset {name} {path}"], answers[f"length {name} {path}"])
        yield name.split()[1], Layout(answers[f"size {name}"], fields)


if __name__ == "__main__":
    sys.exit(main())
