"""What a build makes besides what pyproject.toml says: the layouts of Xen's structs, ready for each release."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))


class WithLayouts(build_py):
    """Into the build alone: where a checkout is used as it is, headers are parsed."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        from xenfs import abi, pool

        abi.prepare(Path(self.build_lib, "xenfs/abi"))
        pool.prepare(Path(self.build_lib, "xenfs/pool"))


setup(cmdclass={"build_py": WithLayouts})
