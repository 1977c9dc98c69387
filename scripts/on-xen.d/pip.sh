#!/usr/bin/env bash
# Make a virtual environment inside a tree: pip.sh ROOT PIP-SETTINGS VENV REQUIREMENT...
#
# PIP-SETTINGS holds NAME=VALUE lines (PIP_INDEX_URL=..., see pip_settings in ../on-xen): pip in the tree uses the
# index that pip on this machine uses. Folders and files that the settings point to are mounted into the tree at
# the same place, so this runs in a mount namespace of its own (unshare --mount), where the mounts end with it.
set -euo pipefail
root=$1 settings=$2 venv=$3
shift 3

# lend PATH: make a file or folder of this machine visible in the tree
lend() {
    if [ -d "$1" ]; then
        mkdir -p "$root$1"
    else
        mkdir -p "$root$(dirname "$1")"
        [ -e "$root$1" ] || : >"$root$1"
    fi
    mount --bind "$1" "$root$1"
}

mapfile -t variables <"$settings"
for variable in "${variables[@]}"; do
    for word in ${variable#*=}; do
        case $word in
            # an index of files: its pages point to files beside them
            file:///*/*) word=$(dirname "${word#file://}") ;;
        esac
        if [ "${word#/}" != "$word" ] && [ -e "$word" ]; then lend "$word"; fi
    done
done
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
cp --remove-destination "$(readlink -f /etc/resolv.conf)" "$root/etc/resolv.conf"

in_tree() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "${variables[@]}" chroot "$root" "$@"
}
in_tree python3 -m venv "$venv"
in_tree "$venv/bin/pip" install --no-cache-dir "$@"
in_tree "$venv/bin/pip" uninstall --yes pip setuptools
