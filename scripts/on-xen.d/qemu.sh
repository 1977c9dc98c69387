#!/usr/bin/env bash
# Pack what a dom0 lacks to have a QEMU of its own: qemu.sh ARCH SUITE ARCHIVE DISK FILE
#
# FILE becomes a tar of Debian's qemu-system-xen and of all that it needs and the dom0 on DISK has not. dom0-up unpacks it
# at boot, so that the disks of all other runs stay as small as they are.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=scripts/on-xen.d/apt.sh
. "$here/apt.sh"

arch=$1 suite=$2 archive=$3 disk=$4 file=$5

work=$(mktemp -d -p "$(dirname "$file")")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,state,system}
apt_line "$arch" "$suite" "$archive" >"$work/sources.list"
debugfs -R 'cat /var/lib/dpkg/status' "$disk" >"$work/status" 2>/dev/null
options=(-qq
    -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State=$work/state"
    -o "Dir::State::Lists=$work/lists" -o "Dir::State::Status=$work/status" -o "Dir::Cache=$work/cache"
    -o "APT::Architecture=$arch" -o "APT::Architectures=$arch" -o Debug::NoLocking=1
    -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=)
apt-get "${options[@]}" update
apt-get "${options[@]}" install --yes --download-only --no-install-recommends qemu-system-xen
for package in "$work"/cache/archives/*.deb; do dpkg-deb --extract "$package" "$work/system"; done
# Words in all languages, pictures, and what starts another kind of machine.
rm -rf "$work"/system/usr/share/{doc,man,locale,iso-codes,xml,icons,applications,qemu/slof.bin}
tar -C "$work/system" -cf "$file.new" .
mv "$file.new" "$file"
