"""xen_version: which Xen this claims to be."""

from __future__ import annotations

from errno import EINVAL, ENOBUFS

from xenfs.simulator.layouts import version
from xenfs.simulator.machine import Answers, Machine
from xenfs.simulator.world.physmap import PAGE

COMMANDLINE_BYTES = 1024
LENGTH_BYTES = 4


def identity(xen: Machine) -> dict[str, str]:
    """The texts that describe the build, by the names of buildinfo."""
    commit = xen.world.digest("changeset", xen.settings.xen, size=5).hex()
    compiler = "gcc (Debian 12.2.0-14) 12.2.0" if xen.x86 else "aarch64-linux-gnu-gcc (Debian 12.2.0-14) 12.2.0"
    return {
        "extra": f".{xen.settings.point}",
        "changeset": f"Thu Jan 1 00:00:00 2026 +0000 git:{commit}",
        "compiler": compiler,
        "compile_by": "xenfs",
        "compile_domain": "example.org",
        "compile_date": "Thu Jan  1 00:00:00 UTC 2026",
    }


def release(xen: Machine) -> str:
    """The whole version: "4.17.7"."""
    major, minor = version(xen.settings.xen)
    return f"{major}.{minor}{identity(xen)['extra']}"


def capabilities(xen: Machine) -> str:
    """The kinds of guests that can run, with the space behind the last that Xen leaves there."""
    if not xen.x86:
        return "xen-3.0-aarch64 xen-3.0-armv7l "
    return "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 "


def commandline(xen: Machine) -> str:
    """What the boot loader passed."""
    console = "console=com1 com1=115200,8n1" if xen.x86 else "console=dtuart dtuart=serial0"
    psr = {"off": "", "on": " psr=cmt,cat,mba", "cdp": " psr=cmt,cat,cdp,mba"}[xen.settings.psr if xen.x86 else "off"]
    return f"{console} dom0_mem=2048M,max:2048M dom0_max_vcpus=4 loglvl=all guest_loglvl=warning{psr}"


def xen_version(xen: Machine, address: int) -> int:
    """major << 16 | minor."""
    major, minor = version(xen.settings.xen)
    return major << 16 | minor


def extraversion(xen: Machine, address: int) -> int:
    """What follows major and minor: 16 bytes, cut to 15."""
    return _text(xen, address, identity(xen)["extra"], 16)


def compile_info(xen: Machine, address: int) -> int:
    """Compiler, builder and date."""
    struct = "xen_compile_info"
    memory = bytearray(xen.layouts.size(struct))
    for member in ("compiler", "compile_by", "compile_domain", "compile_date"):
        room = xen.layouts.field(struct, member)[1]
        xen.put(memoryview(memory), struct, **{member: _cut(identity(xen)[member], room)})
    xen.copy_out(address, bytes(memory))
    return 0


def capabilities_op(xen: Machine, address: int) -> int:
    """Kinds of guests: 1024 bytes."""
    return _text(xen, address, capabilities(xen), 1024)


def changeset(xen: Machine, address: int) -> int:
    """The commit that was built: 64 bytes."""
    return _text(xen, address, identity(xen)["changeset"], 64)


def platform_parameters(xen: Machine, address: int) -> int:
    """Where Xen lies in a PV domain's address space; since 4.18 nothing for others."""
    pv = xen.world.domains[0].kind == "pv"
    start = 0xFFFF800000000000 if xen.x86 and (pv or xen.release < (4, 18)) else 0
    if not xen.x86 and xen.release < (4, 18):
        start = 0x200000
    xen.copy_out(address, start.to_bytes(8, "little"))
    return 0


def get_features(xen: Machine, address: int) -> int:
    """The feature bits of one submap; there is only submap 0."""
    memory = xen.struct(address, "xen_feature_info")
    if xen.get(memory, "xen_feature_info", "submap_idx") != (0,):
        return -EINVAL
    bits = sum(
        1 << xen.constant(f"XENFEAT_{name}") for name in _features(xen) if xen.layouts.defines(f"XENFEAT_{name}")
    )
    xen.put(memory, "xen_feature_info", submap=bits)
    return 0


def _features(xen: Machine) -> list[str]:
    """Newer names are left out where the release has no such constant."""
    pv = xen.world.domains[0].kind == "pv"
    names = ["memory_op_vnode_supported", "dom0", "runstate_phys_area"]
    if not pv:
        names += ["writable_page_tables", "auto_translated_physmap"]
    if not xen.x86:
        return [*names, "ARM_SMCCC_supported", "direct_mapped"]
    names += ["vcpu_time_phys_area", "dm_msix_all_writes"]
    if pv:
        return [
            *names,
            "mmu_pt_update_preserve_ad",
            "highmem_assist",
            "gnttab_map_avail_bits",
            "direct_mapped",
        ]
    return [*names, "hvm_safe_pvclock", "hvm_callback_vector", "hvm_pirqs", "not_direct_mapped"]


def pagesize(xen: Machine, address: int) -> int:
    """4096, as the result; the pointer must be null."""
    return -EINVAL if address else PAGE


def guest_handle(xen: Machine, address: int) -> int:
    """The caller's own UUID."""
    xen.copy_out(address, xen.world.domains[0].handle)
    return 0


def commandline_op(xen: Machine, address: int) -> int:
    """The command line: 1024 bytes."""
    return _text(xen, address, commandline(xen), COMMANDLINE_BYTES)


def build_id(xen: Machine, address: int) -> int:
    """The linker's build id: 20 bytes. A length of 0 was EINVAL before 4.20."""
    if address and xen.release < (4, 20) and _room(xen, address) == 0:
        return -EINVAL
    return _variable(xen, address, xen.world.digest("build", xen.settings.xen, size=20))


def _variable(xen: Machine, address: int, data: bytes) -> int:
    """The length without a pointer; else into what follows a length word, without an end mark."""
    if not address:
        return len(data)
    if len(data) > _room(xen, address):
        return -ENOBUFS
    xen.copy_out(address + LENGTH_BYTES, data)
    return len(data)


def _room(xen: Machine, address: int) -> int:
    # A struct of this one word, called xen_build_id before 4.20 and xen_varbuf since.
    return int.from_bytes(xen.at(address, LENGTH_BYTES), "little")


def _text(xen: Machine, address: int, text: str, room: int) -> int:
    xen.copy_out(address, _cut(text, room))
    return 0


def _cut(text: str, room: int) -> bytes:
    return text.encode()[: room - 1].ljust(room, b"\0")


OPERATIONS: Answers = {
    "XENVER_version": xen_version,
    "XENVER_extraversion": extraversion,
    "XENVER_compile_info": compile_info,
    "XENVER_capabilities": capabilities_op,
    "XENVER_changeset": changeset,
    "XENVER_platform_parameters": platform_parameters,
    "XENVER_get_features": get_features,
    "XENVER_pagesize": pagesize,
    "XENVER_guest_handle": guest_handle,
    "XENVER_commandline": commandline_op,
    "XENVER_build_id": build_id,
    "XENVER_extraversion2": lambda xen, address: _variable(xen, address, identity(xen)["extra"].encode()),
    "XENVER_capabilities2": lambda xen, address: _variable(xen, address, capabilities(xen).encode()),
    "XENVER_changeset2": lambda xen, address: _variable(xen, address, identity(xen)["changeset"].encode()),
    "XENVER_commandline2": lambda xen, address: _variable(xen, address, commandline(xen).encode()),
}
