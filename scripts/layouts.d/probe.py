"""A C file whose object tells sizes, places and values, and the reading of that object. Nothing of it is ever run."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from elf import sections

# In the order in which they are included; those that a release or an architecture lacks are left out.
# fmt: off
HEADERS = (
    "xen.h", "version.h", "features.h", "sysctl.h", "domctl.h", "platform.h", "memory.h", "physdev.h", "sched.h",
    "vcpu.h", "event_channel.h", "grant_table.h", "hypfs.h", "trace.h", "kexec.h", "pmu.h", "vm_event.h",
    "arch-x86/xen-mca.h", "arch-x86/cpuid.h", "arch-x86/cpufeatureset.h", "xsm/flask_op.h", "hvm/params.h",
    "hvm/hvm_op.h", "hvm/dm_op.h", "hvm/save.h", "hvm/hvm_info_table.h", "hvm/hvm_vcpu.h", "hvm/e820.h", "hvm/ioreq.h",
    "arch-x86/guest-acpi.h", "arch-x86/hvm/start_info.h", "io/xs_wire.h", "argo.h", "callback.h", "nmi.h", "xenoprof.h",
)
# fmt: on


class CannotCompile(Exception):
    """The compiler refused the file for another reason than that something is not in the headers."""


@dataclass
class Probe:
    """What to ask: expressions for numbers, and (type, member) for bitfields, each under a key of the asker's."""

    numbers: dict[str, str] = field(default_factory=dict)
    bitfields: dict[str, tuple[str, str]] = field(default_factory=dict)

    def ask(self, compiler: list[str], headers: Path) -> dict[str, int | tuple[int, int]]:
        """The answers by key, a bitfield's as (first bit, width); what the headers do not have is left out."""
        self._attempt([], compiler, headers)  # so that no question is blamed for what is wrong with the headers
        asked, missing = [*self.numbers, *self.bitfields], {""}
        while missing:
            asked = [key for key in asked if key not in missing]
            missing, found = self._attempt(asked, compiler, headers)
        return dict(self._answers(asked, found))

    def _attempt(self, asked: list[str], compiler: list[str], headers: Path) -> tuple[set[str], dict[str, bytes]]:
        """(questions that do not compile, sections of the object if all do)"""
        source, lines = self._source(asked)
        with TemporaryDirectory() as scratch:
            complaint = _compile(compiler, headers, source, Path(scratch))
            if not complaint:
                return set(), sections((Path(scratch) / "probe.o").read_bytes())
        blamed = {int(number) for number in re.findall(r"^probe\.c:(\d+):", complaint, re.MULTILINE)}
        if not blamed & lines.keys():
            raise CannotCompile(complaint)
        return {lines[number] for number in blamed & lines.keys()}, {}

    def _source(self, asked: list[str]) -> tuple[str, dict[int, str]]:
        """The text of the file, and which line asks for which key."""
        text = ["#include <stddef.h>", "#include <stdint.h>"]
        for header in HEADERS:
            if header.startswith("arch-x86"):
                text.append("#ifdef __x86_64__")
            text += [f"#if __has_include(<xen/{header}>)", f"#include <xen/{header}>", "#endif"]
            if header.startswith("arch-x86"):
                text.append("#endif")
        lines = {}
        for index, key in enumerate(asked):
            lines[len(text) + 1] = key
            section = f'__attribute__((used, section(".probe.{index}")))'
            if key in self.numbers:
                text.append(f"const unsigned long long n{index} {section} = (unsigned long long)({self.numbers[key]});")
            else:
                kind, member = self.bitfields[key]
                text.append(f"const {kind} n{index} {section} = {{ .{member} = -1 }};")
        return "\n".join(text) + "\n", lines

    def _answers(self, asked: list[str], found: dict[str, bytes]) -> Iterator[tuple[str, int | tuple[int, int]]]:
        for index, key in enumerate(asked):
            value = int.from_bytes(found[f".probe.{index}"], "little")
            if key in self.numbers:
                yield key, value
            else:
                yield key, ((value & -value).bit_length() - 1, value.bit_count())


def _compile(compiler: list[str], headers: Path, source: str, scratch: Path) -> str:
    """Compile to probe.o; empty, or what the compiler said against it."""
    (scratch / "probe.c").write_text(source)
    command = [*compiler, "-c", "-std=gnu11", "-ffreestanding", "-w", "-D__XEN_TOOLS__", f"-I{headers}", "probe.c"]
    done = subprocess.run(command, cwd=scratch, env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True)
    return done.stderr if done.returncode else ""
