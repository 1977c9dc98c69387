# Shared by scripts/run, scripts/test and scripts/check: what has to be there before they can work. To be sourced.
#
# Python's packages go into a virtual environment on every system. Debian 13's own python3-pyfuse3 would do, but
# Debian 12's is too old; one way that works on both, and that leaves the system's Python alone, is worth the minute.
#
# environment
#   XENFS_VENV   the virtual environment (default: .venv in the checkout)
# shellcheck shell=bash

checkout=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
venv=${XENFS_VENV:-$checkout/.venv}
me=scripts/$(basename "$0")

say() { printf '%s: %s\n' "$me" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# as_root COMMAND...: with sudo where this is not root.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "needs root for: $* (and there is no sudo)"
    fi
}

# need_packages PACKAGE...: install with apt those that are not there.
need_packages() {
    local missing=() package
    if ! command -v apt-get >/dev/null; then
        [ -e "$(stamp_file)" ] || say "no apt-get here: taking it that these, or what they are called here, are installed: $*"
        return 0
    fi
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing with apt: ${missing[*]}"
    {
        flock 8 # one of us at a time: apt-get update does not wait for another
        install_packages "${missing[@]}"
    } 8>"${TMPDIR:-/tmp}/xenfs-apt.$UID.lock"
}

install_packages() {
    quiet as_root apt-get -qq update || say "apt-get update failed: trying with the package lists that are there"
    quiet as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install --no-install-recommends -y -o DPkg::Lock::Timeout=300 "$@" || die "apt-get could not install: $*"
}

# quiet COMMAND...: its output is only of interest when it fails.
quiet() {
    local output
    output=$("$@" 2>&1) && return 0
    printf '%s\n' "$output" >&2
    return 1
}

# find_python: sets $python to the first Python on the PATH that is new enough.
find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        python=$("$name" -c 'import sys; print(sys.executable if sys.version_info >= (3, 11) else "")' 2>/dev/null) || continue
        [ -z "$python" ] || return 0
    done
    return 1
}

# need_python: a Python, and what it takes to build pyfuse3 for it.
need_python() {
    local build=(gcc libc6-dev pkg-config libfuse3-dev)
    find_python || need_packages python3
    find_python || die "needs Python 3.11 or later on the PATH"
    case $(readlink -f "$python") in
        /usr/bin/*) build+=(python3-venv python3-dev) ;; # split off by Debian; a Python from elsewhere has its own
    esac
    need_packages fuse3 "${build[@]}"
}

# stamp_file, stamp: what the environment was made from. Where nothing has changed, it is not touched.
stamp_file() { printf '%s/xenfs-%s.stamp\n' "$venv" "${extra:-run}"; }
stamp() {
    printf '%s\n' "$checkout"
    "$python" -VV
    sha256sum <"$checkout/pyproject.toml"
}

# made: whether the environment has what is wanted as things are now. What has any extras has what a run needs, and is not
# touched for that: tests may be running in it.
made() {
    local file stamps=("$(stamp_file)") now
    [ -n "$extra" ] || stamps=("$venv"/xenfs-*.stamp)
    now=$(stamp)
    for file in "${stamps[@]}"; do
        [ "$(cat "$file" 2>/dev/null)" != "$now" ] || return 0
    done
    return 1
}

# need_venv run|EXTRAS: sets $py to the Python of an environment with xenfs's dependencies and those of the extras.
need_venv() {
    extra=${1#run}
    need_python
    py=$venv/bin/python
    ! made || return 0
    exec 9<"$checkout/pyproject.toml"
    flock 9 # a second script waits here, then finds the work done
    made || make_venv
    exec 9<&-
}

make_venv() {
    if [ "$("$py" -VV 2>/dev/null)" != "$("$python" -VV)" ]; then
        say "making a virtual environment in $venv ($("$python" -V))"
        "$python" -I -m venv --clear "$venv" || die "could not make a virtual environment in $venv"
    fi
    say "installing xenfs's dependencies there${extra:+, and those for \"$extra\"} (the first time takes a minute or two)"
    "$py" -I -m pip --disable-pip-version-check install --quiet --editable "$checkout${extra:+[$extra]}" ||
        die "pip could not install them"
    stamp >"$(stamp_file)"
}

# need_fuse: /dev/fuse, where the kernel has FUSE and this machine lets us make it. False when it is not to be had.
need_fuse() {
    [ -c /dev/fuse ] || make_fuse
    [ -c /dev/fuse ] || return 1
    if ! { : <>/dev/fuse; } 2>/dev/null && [ "$(id -u)" != 0 ]; then
        say "letting users open /dev/fuse: mode 0666, which is Debian's usual one"
        as_root chmod 666 /dev/fuse
    fi
    { : <>/dev/fuse; } 2>/dev/null
}

make_fuse() {
    say "loading the kernel's FUSE (there is no /dev/fuse)"
    command -v modprobe >/dev/null || [ -x /sbin/modprobe ] || need_packages kmod
    as_root modprobe fuse 2>/dev/null || true
    [ -c /dev/fuse ] || ! grep -qw fuse /proc/filesystems || as_root mknod -m 666 /dev/fuse c 10 229 2>/dev/null || true
}

# on_dom0: whether a Xen is underneath and this domain has the device to call it.
on_dom0() {
    [ -e /dev/xen/privcmd ] || [ -e /proc/xen/privcmd ] || return 1
    [ ! -e /sys/hypervisor/type ] || [ "$(cat /sys/hypervisor/type)" = xen ]
}

# run_pytest ARGUMENT...: with a folder for temporary files of its own. The one that pytest takes, all runs of a user share,
# and each that begins shuts other users out of it, whom tests of another run may need in there.
run_pytest() {
    local status=0
    PYTEST_DEBUG_TEMPROOT=$(mktemp -d "${TMPDIR:-/tmp}/x.XXXX") # short, for sockets are made below it
    chmod 755 "$PYTEST_DEBUG_TEMPROOT"
    export PYTEST_DEBUG_TEMPROOT
    "$py" -m pytest "$@" || status=$?
    [ "$status" != 0 ] || rm -rf --one-file-system "$PYTEST_DEBUG_TEMPROOT"
    return "$status"
}
