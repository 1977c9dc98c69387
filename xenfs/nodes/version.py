"""version/: what this Xen is and how it was built."""

from __future__ import annotations

from functools import partial

from xenfs.abi.numbers import Feature
from xenfs.calls import hypfs, version
from xenfs.hypervisor.base import Hypervisor
from xenfs.nodes.tables import show
from xenfs.nodes.tables.base import Dir, File
from xenfs.nodes.tables.conditions import answers


def _full(xen: Hypervisor) -> str:
    major, minor = version.release(xen)
    return f"{major}.{minor}{show.text(version.extra(xen))}"


def _compile_info(xen: Hypervisor) -> str:
    info = version.compile_info(xen)
    names = ("compiler", "compile_by", "compile_domain", "compile_date")
    return show.flat((name, show.c_string(bytes(xen.abi.ffi.buffer(getattr(info, name))))) for name in names)


def _features(xen: Hypervisor) -> str:
    names = {int(feature): feature.name for feature in Feature}
    return show.lines(names.get(number, f"feature_{number}") for number in version.features(xen))


def _config(xen: Hypervisor) -> bytes:
    return hypfs.content(xen, "/buildinfo/config")[1]


_stays = partial(File, stays=True)  # a capability may come with a live patch or a toolstack's doing, the others do not

VERSION = Dir(
    "version",
    "Version and build of the hypervisor",
    (
        _stays(
            "major", "Major version of Xen", read=lambda xen: version.release(xen)[0], show=show.dec,
            call="xen_version version",
        ),
        _stays(
            "minor", "Minor version of Xen", read=lambda xen: version.release(xen)[1], show=show.dec,
            call="xen_version version",
        ),
        _stays(
            "extra", "What follows the minor version", read=version.extra,
            call="xen_version extraversion2, extraversion",
        ),
        _stays("full", "The whole version", read=_full, call="xen_version version, extraversion2, extraversion"),
        File(
            "capabilities", "Guest types that Xen can run", read=version.capabilities,
            call="xen_version capabilities2, capabilities",
        ),
        _stays(
            "commandline", "Command line that Xen was booted with", read=version.commandline,
            call="xen_version commandline2, commandline",
        ),
        _stays(
            "changeset", "Commit that Xen was built from", read=version.changeset,
            call="xen_version changeset2, changeset",
            tier="B",
        ),
        _stays(
            "build_id", "Build id of the linker", read=version.build_id, show=bytes.hex, call="xen_version build_id",
            tier="B", when=answers(version.build_id),
        ),
        _stays(
            "compile_info", "Compiler, and who built Xen where and when", read=_compile_info,
            format='"key value" lines',
            call="xen_version compile_info", tier="B",
        ),
        _stays(
            "pagesize", "Bytes of a page", read=version.pagesize, show=show.dec, call="xen_version pagesize",
            tier="B",
        ),
        _stays(
            "features", "Features that Xen offers to this domain, one name a line", read=_features, format="one a line",
            call="xen_version get_features", tier="B",
        ),
        _stays(
            "virt_start", "Where Xen's own mapping begins, 0 for a domain that is not PV", read=version.virt_start,
            show=show.hexa, call="xen_version platform_parameters", tier="C",
        ),
        _stays(
            "config", "The .config that Xen was built from", read=_config, call="hypfs_op read", tier="B",
            format="Kconfig lines",
            when=answers(_config),
        ),
    ),
)  # fmt: skip
