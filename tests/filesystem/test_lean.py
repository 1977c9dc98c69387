"""trio without OpenSSL, in processes of their own: nothing of it may have been imported before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from patience import PATIENCE_S

REPOSITORY = Path(__file__).resolve().parents[2]


def done(program: str, *folders: Path) -> str:
    path = ":".join(map(str, (*folders, REPOSITORY)))
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False,
        timeout=PATIENCE_S, env={"PYTHONPATH": path},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout + ran.stderr


def test_trio_works_and_openssl_is_not_there_until_somebody_wants_it() -> None:
    said = done("""
import sys
from pathlib import Path
from xenfs.filesystem.lean import import_trio
import_trio()
import hashlib, trio
async def works():
    with trio.move_on_after(5):
        return await trio.to_thread.run_sync(lambda: 'answered')
print(trio.run(works), hashlib.sha256(b'').hexdigest()[:8], hashlib.blake2b(b'').hexdigest()[:8])
print({'_ssl', 'ssl', '_hashlib'} & set(sys.modules), 'libcrypto' in Path('/proc/self/maps').read_text())
import ssl
print(ssl.create_default_context().verify_mode.name, '_ssl' in sys.modules)
""")
    assert said.splitlines() == ["answered e3b0c442 786a02f7", "set() False", "CERT_REQUIRED True"]


def test_a_trio_that_wants_more_of_it_is_imported_as_usual(tmp_path: Path) -> None:
    (tmp_path / "trio").mkdir()
    (tmp_path / "trio/__init__.py").write_text("import trio.inside\nimport ssl\nwants = ssl.OP_ALL | ssl.OP_NO_SSLv3\n")
    (tmp_path / "trio/inside.py").write_text("")
    said = done(
        """
import sys
from xenfs.filesystem.lean import import_trio
import_trio()
print(sorted(name for name in sys.modules if name.startswith('trio')))
import trio
print(trio.wants > 0, '_ssl' in sys.modules)
""",
        tmp_path,
    )
    assert said.splitlines() == ["[]", "True True"]


def test_what_is_there_already_stays() -> None:
    said = done("""
import ssl, sys
from xenfs.filesystem.lean import import_trio
import_trio()
print('trio' in sys.modules, ssl is sys.modules['ssl'])
""")
    assert said == "False True\n"
