#!/bin/sh
# A domain's whole life with raw/ alone: made, given memory, looked at, ended. $1 is the mount point.
set -eu
cd "$1/raw"

ask() { # a file and a question; the answer, or nothing and a failure
    exec 9<>"$1"
    cat >&9 <<END && cat <&9
$2
END
    status=$?
    exec 9>&-
    return $status
}
member() { sed -n "s/^$1 //p"; } # one member of an answer

arch=$(sed -n 's/^arch //p' ../xenfs/interface)
[ "$arch" = arm64 ] && flags=3 || flags=0 # hvm and hap; a PV domain
extra=""
grep -q '^grant_opts' domctl/createdomain && extra="grant_opts=1"

uuid=$(cat /proc/sys/kernel/random/uuid)
new=$(ask domctl/createdomain "domain=0x7ff5 handle=$uuid flags=$flags max_vcpus=1 max_evtchn_port=1023 \
max_grant_frames=4 max_maptrack_frames=4 $extra" | member domain)
echo "made domain $new"
trap 'ask domctl/destroydomain "domain=$new uuid=$uuid" >/dev/null 2>&1 || true' EXIT

ask domctl/max_vcpus "domain=$new uuid=$uuid max=1" >/dev/null
ask domctl/max_mem "domain=$new uuid=$uuid max_memkb=4096" >/dev/null
if [ "$arch" = arm64 ]; then # its page tables take memory too
    grep -q . domctl/set_paging_mempool_size 2>/dev/null &&
        ask domctl/set_paging_mempool_size "domain=$new size=0x400000" >/dev/null
fi
mkdir buffers/frames # the numbers of sixteen frames, 0 to 15
trap 'ask domctl/destroydomain "domain=$new uuid=$uuid" >/dev/null 2>&1 || true; rmdir buffers/frames || true' EXIT
for frame in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    printf '%b' "\\0$(printf %03o "$frame")\\0000\\0000\\0000\\0000\\0000\\0000\\0000"
done | dd of=buffers/frames/data conv=notrunc 2>/dev/null
done=$(ask memory_op/populate_physmap "domid=$new extent_start=%frames nr_extents=16 extent_order=0" | member result)
echo "gave it $done pages"
[ "$done" = 16 ]

pages=$(ask domctl/getdomaininfo "domain=$new uuid=$uuid" | member tot_pages)
echo "it has $pages pages"
[ "$pages" -ge 16 ]
[ "$(ask domctl/getvcpuinfo "domain=$new vcpu=0" | member online)" = 0 ]
[ "$(ask domctl/getdomaininfo "domain=$new" | member handle)" = "$(echo "$uuid" | tr -d -)" ]
if ask domctl/pausedomain "domain=$new uuid=00000000-0000-0000-0000-000000000001" 2>/dev/null; then
    echo "paused another domain than the one that was meant" >&2
    exit 1
fi

until ask domctl/destroydomain "domain=$new uuid=$uuid" >/dev/null 2>&1; do
    ask domctl/getdomaininfo "domain=$new uuid=$uuid" >/dev/null 2>&1 || break # EAGAIN or ERESTART: once more
done
if ask domctl/getvcpuinfo "domain=$new vcpu=0 uuid=$uuid" >/dev/null 2>&1; then
    [ "$(cat "../domains/$new/state" 2>/dev/null || echo dying)" = dying ] # its pages may still be freed
fi
rmdir buffers/frames
trap - EXIT
echo "ended domain $new"
