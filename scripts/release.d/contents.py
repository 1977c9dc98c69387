"""Whether what was built holds what is committed: contents.py COMMITTED VERSION FOLDER.

COMMITTED is a folder with the committed files and nothing else, FOLDER has the artefacts. Prints what differs.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

# Committed, and of no use to those who have no checkout.
CHECKOUT_ONLY = (".ci/", ".gitignore")
MADE = re.compile(r"abi/made_\d+_\d+_[0-9a-f]+_[0-9a-f]+_(x86_64|arm64)\.py|pool/made_libc\.py")
DEBIAN_DATA = {  # where Debian has what a wheel's share/ holds
    "share/man/man5/xenfs.5": "usr/share/man/man5/xenfs.5.gz",
    "share/man/man8/xenfs.8": "usr/share/man/man8/xenfs.8.gz",
    "share/bash-completion/completions/xenfs": "usr/share/bash-completion/completions/xenfs",
    "share/zsh/site-functions/_xenfs": "usr/share/zsh/vendor-completions/_xenfs",
    "share/fish/vendor_completions.d/xenfs.fish": "usr/share/fish/vendor_completions.d/xenfs.fish",
    "share/xenfs/mount.fuse.xenfs": "usr/sbin/mount.fuse.xenfs",
    "share/xenfs/xenfs.service": "usr/lib/systemd/system/xenfs.service",
    "share/xenfs/xenfs.sysusers.conf": "usr/lib/sysusers.d/xenfs.conf",
    "share/xenfs/policy.toml": "etc/xenfs/policy.toml",
}


def files(folder: Path, below: str = "") -> dict[str, bytes]:
    """Every file below a folder: path from there, content."""
    top = folder / below
    return {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def differences(what: str, wanted: dict[str, bytes], found: dict[str, bytes]) -> Iterator[str]:
    """What of the wanted is missing or has other content."""
    for name, content in wanted.items():
        if name not in found:
            yield f"{what} lacks {name}"
        elif found[name] != content:
            yield f"{what} has another {name}"


def extra(what: str, wanted: dict[str, bytes], found: dict[str, bytes]) -> Iterator[str]:
    """What is there and was not wanted; what setup.py makes is."""
    unknown = (name for name in found if name not in wanted and not MADE.fullmatch(name))
    yield from (f"{what} has {name}, which is not committed" for name in unknown)


def unmade(what: str, wanted: dict[str, bytes], found: dict[str, bytes]) -> Iterator[str]:
    """Which layouts setup.py should have made, and has not: those of each release in releases.py."""
    releases = re.findall(r"^    \((\d+), (\d+)\): \(", wanted["abi/releases.py"].decode(), re.MULTILINE)
    for major, minor in releases:
        for arch in ("x86_64", "arm64"):
            if not any(MADE.fullmatch(name) and f"_{major}_{minor}_" in name and arch in name for name in found):
                yield f"{what} lacks the layouts of Xen {major}.{minor} on {arch}"
    if "pool/made_libc.py" not in found:
        yield f"{what} lacks pool/made_libc.py"


def unpacked(archive: Path, into: Path) -> Path:
    """The one folder in a source archive."""
    with tarfile.open(archive) as tar:
        tar.extractall(into, filter="data")
    (folder,) = into.iterdir()
    return folder


def wrong(committed: Path, version: str, out: Path, work: Path) -> Iterator[str]:
    """A line for each difference."""
    everything = {name: content for name, content in files(committed).items() if not name.startswith(CHECKOUT_ONLY)}
    package = {name: content for name, content in files(committed, "xenfs").items()}

    for what, archive in (("the sdist", f"xenfs-{version}.tar.gz"), ("Debian's source", f"xenfs_{version}.tar.xz")):
        folder = unpacked(out / archive, work / archive)
        yield from differences(what, everything, files(folder))

    wheel = work / "wheel"
    with zipfile.ZipFile(out / f"xenfs-{version}-py3-none-any.whl") as archive_of_wheel:
        archive_of_wheel.extractall(wheel)
    yield from differences("the wheel", package, files(wheel, "xenfs"))
    yield from extra("the wheel", package, files(wheel, "xenfs"))
    yield from unmade("the wheel", package, files(wheel, "xenfs"))
    data = wheel / f"xenfs-{version}.data" / "data"
    yield from (f"the wheel lacks {name}" for name in DEBIAN_DATA if not (data / name).is_file())

    deb = work / "deb"
    subprocess.run(["dpkg-deb", "--extract", out / f"xenfs_{version}_all.deb", deb], check=True)
    python = "usr/lib/python3/dist-packages/xenfs"
    yield from differences("the Debian package", package, files(deb, python))
    yield from extra("the Debian package", package, files(deb, python))
    yield from unmade("the Debian package", package, files(deb, python))
    yield from (f"the Debian package lacks {name}" for name in DEBIAN_DATA.values() if not (deb / name).is_file())

    told = versions_told(version, out, wheel, deb / python)
    yield from (f"{what} tells version {said or 'none'}" for what, said in told.items() if said != version)


def versions_told(version: str, out: Path, wheel: Path, deb: Path) -> dict[str, str]:
    """The version that each artefact, and what is in it, tells when asked."""
    found = {}
    for package in ("xenfs", "xenfs-monitoring"):
        name = f"{package}_{version}_all.deb"
        found[name] = said("dpkg-deb", "--field", str(out / name), "Version")
    metadata = (wheel / f"xenfs-{version}.dist-info" / "METADATA").read_text(encoding="utf-8")
    found["the wheel"] = next(line[9:] for line in metadata.splitlines() if line.startswith("Version: "))
    for what, folder in (("the wheel", wheel), ("the Debian package", deb.parent)):
        found[f"xenfs --version of {what}"] = asked(folder).strip().removeprefix("xenfs ")
        found[f"xenfs/version of {what}"] = mounted_version(folder)
    return found


def said(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def command(folder: Path) -> tuple[list[str], dict[str, str]]:
    """How to start the xenfs of that folder, and nobody else's."""
    return [sys.executable, "-P", "-B", "-m", "xenfs"], {**os.environ, "PYTHONPATH": str(folder)}


def asked(folder: Path) -> str:
    """What its --version prints."""
    argv, environment = command(folder)
    return subprocess.run([*argv, "--version"], env=environment, capture_output=True, text=True, check=True).stdout


def mounted_version(folder: Path) -> str:
    """What xenfs/version reads as, where it has mounted the simulator."""
    argv, environment = command(folder)
    ready, its_end = os.pipe()
    with tempfile.TemporaryDirectory() as at:
        argv += ["mount", at, "--hypervisor", "simulator", "--ready-fd", str(its_end)]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(argv, env=environment, pass_fds=[its_end], stdout=quiet, stderr=quiet)
        os.close(its_end)
        try:
            os.read(ready, 64)  # READY, or nothing where it could not mount
            return Path(at, "xenfs", "version").read_text(encoding="utf-8").strip()
        finally:
            process.terminate()
            process.wait()
            os.close(ready)


def main() -> int:
    """Compare."""
    committed, version, out = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    with tempfile.TemporaryDirectory() as work:
        found = list(wrong(committed, version, out, Path(work)))
    for line in found:
        print(f"scripts/release: {line}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
