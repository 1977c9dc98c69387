"""trio and pyfuse3 without what a mount never uses, in processes of their own: nothing may be imported before."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE_S

REPOSITORY = Path(__file__).resolve().parents[2]
LEAN = "from xenfs.filesystem.lean import import_lean; import_lean()"


def done(program: str, *folders: Path) -> str:
    path = ":".join(map(str, (*folders, REPOSITORY)))
    ran = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", program], capture_output=True, text=True, check=False,
        timeout=PATIENCE_S, env={"PYTHONPATH": path},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr


def test_both_work_and_what_was_left_out_is_there_when_somebody_wants_it() -> None:
    said = done(f"""
import sys
from pathlib import Path
{LEAN}
import hashlib, threading, pyfuse3, trio
name = lambda: Path(f'/proc/self/task/{{threading.get_native_id()}}/comm').read_text().strip()
async def works():
    with trio.move_on_after(5):
        return await trio.to_thread.run_sync(name, thread_name='worker')
print(trio.run(works), hashlib.sha256(b'').hexdigest()[:8], hashlib.blake2b(b'').hexdigest()[:8])
left_out = {{'_ssl', 'ssl', '_hashlib', 'idna', 'pickle', 'email', 'importlib.metadata', 'ctypes.util'}}
print(left_out & set(sys.modules), 'libcrypto' in Path('/proc/self/maps').read_text())
import ctypes.util, idna, importlib.metadata, pickle, ssl
print(ssl.create_default_context().verify_mode.name, '_ssl' in sys.modules)
print(importlib.metadata.version('pyfuse3') == pyfuse3.__version__, pickle.loads(pickle.dumps('pickled')))
print(idna.encode('b\\u00fccher').decode(), ctypes.util.find_library('c'))
""")
    assert said.splitlines() == [
        "worker e3b0c442 786a02f7",
        "set() False",
        "CERT_REQUIRED True",
        "True pickled",
        "xn--bcher-kva libc.so.6",
    ]


WANTING = {
    "OpenSSL": ("trio", "import trio.inside\nimport ssl\nwants = ssl.OP_ALL | ssl.OP_NO_SSLv3\n"),
    "names of hosts": ("pyfuse3", "import idna\nwants = len(idna.encode('host'))\n"),
    "the version of what is not there": (
        "pyfuse3",
        "from importlib.metadata import PackageNotFoundError, version\n"
        "try:\n    version('nowhere')\nexcept PackageNotFoundError:\n    wants = 1\n",
    ),
}


@pytest.mark.parametrize(("package", "source"), WANTING.values(), ids=WANTING)
def test_one_that_wants_more_is_imported_as_usual(package: str, source: str, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(source)
    (tmp_path / package / "inside.py").write_text("")
    said = done(
        f"""
import sys
{LEAN}
print(sorted(name for name in sys.modules if name.startswith('{package}')))
import {package}
print({package}.wants > 0)
""",
        tmp_path,
    )
    assert said.splitlines() == ["[]", "True"]


def test_what_is_there_already_stays() -> None:
    said = done(f"""
import ssl, sys
{LEAN}
import trio
print(ssl is sys.modules['ssl'] is trio._ssl._stdlib_ssl, 'idna' in sys.modules)
""")
    assert said == "True False\n"


UNNEEDED = {
    "ssl", "_hashlib", "idna", "pickle", "email", "zipfile", "datetime", "tomllib", "shutil", "bz2", "lzma", "cffi",
    "pycparser", "xenfs.recording",
}  # fmt: skip
"""Each was in a mount once, or could be, with 0.1 MB to 4.6."""


def test_a_mount_has_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """As it is installed: then no header is parsed either."""
    shutil.copytree(REPOSITORY / "xenfs", tmp_path / "xenfs", ignore=shutil.ignore_patterns("__pycache__"))
    done(
        f"""
from pathlib import Path
from xenfs import abi, pool
abi.prepare(Path('{tmp_path}/xenfs/abi'))
pool.prepare(Path('{tmp_path}/xenfs/pool'))
""",
        tmp_path,
    )
    said = done(
        f"""
import sys
from xenfs import cli
cli.parser('mount').parse_args(['/mnt'])
{LEAN}
from xenfs.cli import serving
from xenfs.connect.opening import open_hypervisor
open_hypervisor('simulator').close()
print(serving.__file__, *sys.modules)
""",
        tmp_path,
    )
    file, *modules = said.split()
    assert file == str(tmp_path / "xenfs/cli/serving.py")
    assert {"trio", "pyfuse3", "_cffi_backend", "xenfs.simulator"} <= set(modules)
    assert UNNEEDED.isdisjoint(modules)
