"""Which files tell of domains beside those below domains/<d>/, which a rule about that directory is not about.

They are answered for everybody alike, so that one scrape serves all. Who is not to know of a domain must not be let in
here either; docs/permissions.md has the same table.
"""

from __future__ import annotations

TELLERS = {
    "domains": "the id of every domain, by its name in the listing",
    "domains/stat": "id, UUID, state, CPU time, memory and all the rest of every domain",
    "domains/names": "id and name of every domain",
    "domains/device_stat": "id of every domain that has networks or disks of dom0's, and what went through them",
    "domains/events": "id, UUID, name and what became of every domain",
    "domains/by-name": "name and id of every domain",
    "domains/by-uuid": "UUID and id of every domain",
    "metrics/xen.prom": "id, name, UUID, CPU time, memory, network and disk counters of every domain",
    "cpupools/<p>/domains": "the id of every domain in the pool",
    "host/console/log": "whatever Xen says, which may name domains",
    "xenfs/calls/log": "the ids of domains that hypercalls were made on",
    "xenfs/calls/in_flight": "the ids of domains that hypercalls are being made on",
    "xenfs/error_log": "what others wrote, and to which domain's files",
}
"""The path, or pattern of paths, and what it tells of a domain to whoever may read or list it."""
