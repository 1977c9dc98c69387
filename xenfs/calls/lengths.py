"""How many bytes each guest handle promises to Xen, by the members that stand beside it.

Xen believes them: it reads and writes so much behind the handle, whatever is there. A buffer that is shorter is refused
before the hypercall. Where the elements differ from release to release, the caller of `fill` gives the length itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

LENGTHS: dict[tuple[str, str], Callable[[Any], int]] = {
    ("struct pm_cx_stat", "cc"): lambda s: 8 * s.nr_cc,
    ("struct pm_cx_stat", "pc"): lambda s: 8 * s.nr_pc,
    ("struct pm_cx_stat", "residencies"): lambda s: 8 * s.nr,
    ("struct pm_cx_stat", "triggers"): lambda s: 8 * s.nr,
    ("struct pm_px_stat", "pt"): lambda s: 24 * s.total,
    ("struct pm_px_stat", "trans_pt"): lambda s: 8 * s.total * s.total,
    ("struct xen_dm_op_buf", "h"): lambda s: s.size,
    ("struct xen_domctl_get_device_group", "sdev_array"): lambda s: 4 * s.max_sdevs,
    ("struct xen_domctl_cpu_policy", "leaves"): lambda s: 24 * s.nr_leaves,
    ("struct xen_domctl_cpu_policy", "msrs"): lambda s: 16 * s.nr_msrs,
    ("struct xen_domctl_hvmcontext", "buffer"): lambda s: s.size,
    ("struct xen_domctl_hvmcontext_partial", "buffer"): lambda s: s.bufsz,
    ("struct xen_flask_boolean", "name"): lambda s: s.size,
    ("struct xen_flask_sid_context", "context"): lambda s: s.size,
    ("struct xen_livepatch_name", "name"): lambda s: s.size,
    ("struct xen_mc_physcpuinfo", "info"): lambda s: 304 * s.ncpus,
    ("struct xen_get_cpufreq_para", "affected_cpus"): lambda s: 4 * s.cpu_num,
    ("struct xen_get_cpufreq_para", "scaling_available_frequencies"): lambda s: 4 * s.freq_num,
    ("struct xen_get_cpufreq_para", "scaling_available_governors"): lambda s: 16 * s.gov_num,
    ("struct xen_memory_map", "buffer"): lambda s: 20 * s.nr_entries,
    ("struct xen_reserved_device_memory_map", "buffer"): lambda s: 16 * s.nr_entries,
    ("struct xen_sysctl_cpu_featureset", "features"): lambda s: 4 * s.nr_features,
    ("struct xen_sysctl_cpu_policy", "leaves"): lambda s: 24 * s.nr_leaves,
    ("struct xen_sysctl_cpu_policy", "msrs"): lambda s: 16 * s.nr_msrs,
    ("struct xen_sysctl_cputopoinfo", "cputopo"): lambda s: 12 * s.num_cpus,
    ("struct xen_sysctl_debug_keys", "keys"): lambda s: s.nr_keys,
    ("struct xen_sysctl_getcpuinfo", "info"): lambda s: 8 * s.max_cpus,
    ("struct xen_sysctl_livepatch_list", "len"): lambda s: 4 * s.nr,
    ("struct xen_sysctl_livepatch_list", "metadata"): lambda s: s.metadata_total_size,
    ("struct xen_sysctl_livepatch_list", "metadata_len"): lambda s: 4 * s.nr,
    ("struct xen_sysctl_livepatch_list", "name"): lambda s: s.name_total_size,
    ("struct xen_sysctl_livepatch_list", "status"): lambda s: 8 * s.nr,
    ("struct xen_sysctl_numainfo", "distance"): lambda s: 4 * s.num_nodes * s.num_nodes,
    ("struct xen_sysctl_numainfo", "meminfo"): lambda s: 16 * s.num_nodes,
    ("struct xen_sysctl_page_offline_op", "status"): lambda s: 4 * (s.end - s.start + 1),
    ("struct xen_sysctl_pcitopoinfo", "devs"): lambda s: 4 * s.num_devs,
    ("struct xen_sysctl_pcitopoinfo", "nodes"): lambda s: 4 * s.num_devs,
    ("struct xen_sysctl_readconsole", "buffer"): lambda s: s.count,
    ("struct xenctl_bitmap", "bitmap"): lambda s: -(-s.nr_bits // 8),
    ("struct xenpf_resource_op", "entries"): lambda s: 24 * s.nr_entries,
}
