"""domains/<d>/cpupool: which cpupool a domain is in."""

from __future__ import annotations

import errno

from xenfs.calls import domains, pools, sysctl
from xenfs.calls.domains import DomainInfo
from xenfs.errors import BadInput
from xenfs.hypervisor.base import Hypervisor
from xenfs.hypervisor.lives import Domain
from xenfs.hypervisor.sources import asks
from xenfs.nodes.domains.own import require_other
from xenfs.nodes.tables import parse, show
from xenfs.nodes.tables.base import File

_MOST = 2**31 - 1


@asks(domains.GETDOMAININFO, checked=True)
def _pool(xen: Hypervisor, domain: Domain) -> int:
    return domains.info(xen, domain).cpupool


def _move(xen: Hypervisor, domain: Domain, wanted: int, known: DomainInfo) -> None:
    if wanted == known.cpupool:
        return
    found = next((pool for pool in sysctl.cpupools(xen) if pool.id == wanted), None)
    if found is None:
        raise BadInput(f"there is no cpupool {wanted}", errno.ERANGE, word=str(wanted))
    if not found.cpus:
        raise BadInput(f"cpupool {wanted} has no CPUs", word=str(wanted))
    require_other(xen, domain, errno.EPERM)
    pools.move_domain(xen, domain.domid, wanted)


CPUPOOL = File(
    "cpupool", "Id of its cpupool; write another to move it there", read=_pool, write=_move, show=show.dec,
    knowing=True, parse=parse.integer(0, _MOST, "cpupool"), call="domctl getdomaininfo, sysctl cpupool_op",
)  # fmt: skip
