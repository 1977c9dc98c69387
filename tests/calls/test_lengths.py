"""A buffer that is shorter than its struct says is refused before the hypercall, whichever struct that is."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest
from worlds import Host

from xenfs import abi
from xenfs.abi.promises import promises
from xenfs.calls import sysctl
from xenfs.calls.control import fill, needed
from xenfs.errors import PoolError
from xenfs.pool import Buffer, Pool, SimulatedPages
from xenfs.pool.handles import struct_name

NEWEST = [abi.load((4, 22), arch) for arch in ("x86_64", "arm64")]
OLD = abi.load((4, 14))
HEADERS = sorted(Path(abi.__file__).parent.glob("*.h"))
KNOWN = {pair: promise for header in HEADERS for pair, promise in promises(header.read_text()).items()}
PROMISED = sorted(
    pair for pair, promise in KNOWN.items() if "." not in pair[1] and "." not in promise.count and promise.count
)


@pytest.mark.parametrize(("struct", "handle"), PROMISED)
def test_one_byte_too_few_is_refused_and_just_enough_is_not(struct: str, handle: str) -> None:
    layouts = next(each for each in (*NEWEST, OLD) if each.has(struct))
    if dict(layouts.ffi.typeof(struct).fields)[handle].type.kind == "array":
        return  # what follows the struct is no handle
    counts = {
        name: 65
        for name, field in layouts.ffi.typeof(struct).fields
        if field.type.kind == "primitive" and "int" in field.type.cname and name != handle
    }
    with Pool(SimulatedPages(), check=True) as pool, pool.take(layouts.sizeof(struct)) as buf:
        view = layouts.view(struct, buf)
        fill(layouts, buf, view, counts)
        enough = needed(layouts, view, handle)
        assert enough > 0
        with pool.take(enough) as other:
            fill(layouts, buf, view, {handle: other, **counts})
            with pool.admitted((buf,)):
                pass
        with pool.take(max(1, enough - 1)) as short:
            fill(layouts, buf, view, {handle: short, **counts})
            with pytest.raises(PoolError, match=f"{short.name} is attached to {buf.name}, which needs {enough}") as why:
                pool.admit((buf,))
            assert why.value.errno == errno.EINVAL
            buf.attach(view, handle, None)


def test_xen_does_not_hear_of_a_buffer_that_is_too_short(host: Host) -> None:
    before = host.counts.copy()
    with host.xen.pool.take(63) as times, pytest.raises(PoolError, match="needs 64 bytes"):
        sysctl.sysctl(host.xen, sysctl.GETCPUINFO, "getcpuinfo", max_cpus=8, info=times)
    assert not host.asked(before)


@pytest.mark.parametrize("settings", ["xen=4.14,profile=full", "xen=4.22,profile=full", "xen=4.22,arch=arm64"])
def test_every_handle_in_use_has_a_length(settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lengthless: set[tuple[str, object]] = set()
    seen: set[str] = set()
    attach = Buffer.attach

    def watched(self: Buffer, view: Any, field: Any, other: Buffer | None, needs: int = 0) -> None:
        seen.add(struct_name(view))
        if other is not None and not needs and (struct_name(view), field) not in KNOWN:
            lengthless.add((struct_name(view), field))
        attach(self, view, field, other, needs)

    monkeypatch.setattr(Buffer, "attach", watched)
    with Host(settings) as host:
        for place in host.files():
            place.node.produce(host.xen, place.ids)  # type: ignore[attr-defined]
        host.write("host/debug_keys", "q")
        host.write("domains/1/vcpus/0/affinity_hard", "0")
    assert len(seen) > 5
    assert {struct for struct, _ in lengthless} <= {"struct multicall_entry"}  # plain words, no counts beside them
