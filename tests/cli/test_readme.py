"""The README's table of mount options has every option. Its examples are run by tests/mounted/test_examples.py."""

from __future__ import annotations

import re
from pathlib import Path

from xenfs.options import Options

README = Path(__file__).resolve().parents[2] / "README.md"


def test_options_are_in_the_table() -> None:
    table = set(re.findall(r"`([a-z_]+)=?`", "".join(re.findall(r"^\| `.*$", README.read_text("utf-8"), re.MULTILINE))))
    assert set(Options.__dataclass_fields__) <= table
