#!/usr/bin/env bash
# Build a dom0: image.sh ARCH SUITE ARCHIVE DIR [PIP-SETTINGS]
#
# Fills DIR with disk.img (root file system), vmlinuz and initrd. ARCH is Debian's name: amd64 or arm64.
# Run by ../on-xen, as root. The text of every file in this folder that goes into an image is part of the image's
# key in the cache (see ../on-xen), so an edit here or there makes a new image.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=scripts/on-xen.d/apt.sh
. "$here/apt.sh"

arch=$1 suite=$2 archive=$3 out=$4 pip_settings=${5:-/dev/null}

# What dom0 holds besides a base system and Xen's tools.
packages=(
    python3 python3-cffi fuse3 xenstore-utils busybox-static
    kmod procps iproute2 util-linux mount jq strace time psmisc cpio
    systemd # not its init; for scripts/under-systemd
)
case $suite in
    bookworm)
        tools=4.17 other_tools=(bullseye:4.14)
        # Its pyfuse3 and trio are too old: a virtual environment brings newer ones.
        from_pip=('pyfuse3>=3.4' 'trio>=0.25' 'cffi>=1.15' pytest pytest-timeout hypothesis)
        ;;
    trixie)
        tools=4.20 other_tools=(bookworm:4.17)
        # On amd64, Xen 4.14 cannot unpack this kernel anyway.
        [ "$arch" = amd64 ] || other_tools+=(bullseye:4.14)
        packages+=(python3-pyfuse3 python3-trio python3-pytest python3-pytest-timeout python3-hypothesis)
        from_pip=()
        ;;
    *) echo "image.sh: no recipe for $suite" >&2; exit 2 ;;
esac
packages+=("xen-utils-$tools")
# Packages count as installed before these, which no other package asks for, so arm64 has to name them.
essentials=(
    base-files base-passwd bash coreutils dash debianutils diffutils findutils gawk grep gzip hostname libc-bin
    login ncurses-base ncurses-bin passwd sed tar
)
# Modules that an emulated machine has no use for.
superfluous=(sound drivers/gpu drivers/media drivers/infiniband drivers/net/wireless drivers/net/ethernet drivers/isdn)

work=$(mktemp -d -p "$out")
trap 'rm -rf "$work"' EXIT
root=$work/root

say() { echo "image.sh: $*"; }

# bootstrap VARIANT DIR PACKAGES [OPTION...]: a Debian tree without manuals and translations
bootstrap() {
    local variant=$1 dir=$2 include=$3
    shift 3
    # A proxy in the machine's apt configuration counts here too.
    apt-config dump --no-empty Acquire::http Acquire::https >"$work/apt.conf"
    mmdebstrap --mode=root --architectures="$arch" --variant="$variant" --include="$include" \
        --aptopt="$work/apt.conf" --aptopt='Acquire::Languages "none"' --aptopt='Acquire::Retries "3"' \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        "$@" "$suite" "$dir" "$(apt_line "$arch" "$suite" "$archive")"
}

join() { local IFS=,; echo "$*"; }

# The machine's own architecture: packages are installed the usual way.
native_root() { bootstrap apt "$root" "$(join "${packages[@]}")"; }

# A foreign architecture: packages are only unpacked, for no maintainer script of theirs can run here, and the
# little that those scripts would have done is done by hand. Only Python's byte-compiler and ldconfig are worth
# running, by user emulation: without it each first import in an emulated dom0 takes a quarter of a minute.
foreign_root() {
    local name python emulate=(qemu-aarch64-static -L "$root")
    # shellcheck disable=SC2016  # $1 is mmdebstrap's
    bootstrap extract "$root" "$(join "${essentials[@]}" "${packages[@]}")" --setup-hook='
        for dir in bin sbin lib; do mkdir -p "$1/usr/$dir"; ln -s "usr/$dir" "$1/$dir"; done'
    for name in passwd group; do cp "$root/usr/share/base-passwd/$name.master" "$root/etc/$name"; done
    for name in awk:gawk sh:dash; do
        [ -e "$root/usr/bin/${name%:*}" ] || ln -s "${name#*:}" "$root/usr/bin/${name%:*}"
    done
    # Xen's tools want /var/run to be /run, or a guest's console never comes up.
    rm -rf "$root/var/run" "$root/var/lock"
    ln -s /run "$root/var/run"
    ln -s /run/lock "$root/var/lock"
    mkdir -p "$root/root" "$root/var/log"
    chmod 1777 "$root/tmp"
    "${emulate[@]}" "$root/usr/sbin/ldconfig" -r "$root"
    python=$(find "$root/usr/bin" -name 'python3.*[0-9]' -printf '%f\n' | head -n 1)
    PYTHONHOME=$root/usr "${emulate[@]}" "$root/usr/bin/$python" -m compileall -q -s "$root" -p / \
        -x '/(test|tests|idlelib|tkinter)/' "$root/usr/lib/$python" "$root/usr/lib/python3/dist-packages" || true
}

# Tools of other Xen releases, beside dom0's own: xl and friends work with their own release only. Debian keeps
# them apart by folder (/usr/lib/xen-4.NN) and their libraries by name, and its xl picks the folder that fits the
# running hypervisor, so unpacking is all it takes. Libraries that dom0 has already are left as they are.
add_tools() {
    local from=${1%:*} version=${1#*:} store=libxenstore4 tree=$work/tools-${1#*:} dir
    [ "$version" = 4.14 ] && store=libxenstore3.0
    unpack_packages "$arch" "$from" "$archive" "$tree" "xen-utils-$version" "libxenmisc$version" "$store"
    cp -a "$tree/usr/lib/xen-$version" "$root/usr/lib/"
    for dir in "$tree"/usr/lib/*-linux-gnu; do
        cp -an "$dir/." "$root/usr/lib/${dir##*/}/"
    done
}

# Newer Python packages than the suite has, at /opt/xenfs, compiled in a second tree that is thrown away.
python_environment() {
    bootstrap apt "$work/compile" gcc,libc6-dev,libfuse3-dev,pkg-config,python3-dev,python3-venv,ca-certificates
    unshare --mount bash "$here/pip.sh" "$work/compile" "$pip_settings" /opt/xenfs "${from_pip[@]}"
    cp -a "$work/compile/opt/xenfs" "$root/opt/"
    rm -rf "$work/compile"
}

# The kernel is unpacked, not installed: no need for an initramfs generator, which this would have to run.
kernel() {
    local release modules name
    unpack_packages "$arch" "$suite" "$archive" "$work/kernel" "linux-image-$arch"
    release=$(basename "$work"/kernel/boot/vmlinuz-*)
    release=${release#vmlinuz-}
    modules=$(find "$work/kernel" -type d -path "*/lib/modules/$release")
    for name in "${superfluous[@]}"; do rm -rf "$modules/kernel/$name"; done
    mkdir -p "$root/usr/lib/modules" "$root/boot"
    mv "$modules" "$root/usr/lib/modules/"
    depmod --basedir "$root" "$release"
    cp "$work/kernel/boot/vmlinuz-$release" "$root/boot/"
    cp "$work/kernel/boot/vmlinuz-$release" "$out/vmlinuz"
    small_initrd "$release"
    guests "$release"
}

# pack DIR FILE: a directory as a compressed initramfs
pack() { (cd "$1" && find . | cpio --create --format=newc --quiet | gzip -6) >"$2"; }

# dom0's initrd: busybox, and the modules on the way to the root disk, listed in the order of loading. (ext4 names
# crc32c-intel as the better checksum, but the emulated CPU has not what it takes.)
small_initrd() {
    local release=$1 dir=$work/initrd name file
    mkdir -p "$dir"/{bin,modules,proc,dev,new}
    cp "$root/bin/busybox" "$dir/bin/"
    install -m 755 "$here/initrd-init" "$dir/init"
    for name in virtio_pci virtio_mmio virtio_blk crc32c_generic ext4; do
        modprobe -d "$root" -S "$release" --show-depends "$name" || say "no module $name"
    done | awk '$1 == "insmod" && $2 !~ /crc32c-intel/ && !seen[$2]++ { print $2 }' >"$work/modules"
    while read -r file; do
        name=${file##*/}
        case $name in
            *.xz) xz -dc "$file" >"$dir/modules/${name%.xz}" ;;
            *) cp "$file" "$dir/modules/" ;;
        esac
        echo "${name%.xz}" >>"$dir/modules/order"
    done <"$work/modules"
    pack "$dir" "$out/initrd"
}

# What dom0 needs to start guests of its own: a kernel, an initramfs, and a configuration for xl of each type.
guests() {
    local release=$1 dir=$work/guest type types=(pvh) memory=192
    [ "$arch" = amd64 ] && types=(pv pvh)
    mkdir -p "$dir"/{bin,proc,dev} "$root/guest"
    cp "$root/bin/busybox" "$dir/bin/"
    install -m 755 "$here/guest-init" "$dir/init"
    pack "$dir" "$root/guest/initramfs"
    for type in "${types[@]}"; do
        cat >"$root/guest/$type.cfg" <<END
name = "g$type"
type = "$type"
kernel = "/boot/vmlinuz-$release"
ramdisk = "/guest/initramfs"
extra = "console=hvc0 quiet"
memory = $memory
vcpus = 2
END
    done
}

say "$suite, $arch"
if [ "$arch" = "$(dpkg --print-architecture)" ]; then native_root; else foreign_root; fi
for pair in "${other_tools[@]}"; do add_tools "$pair"; done
[ ${#from_pip[@]} -eq 0 ] || python_environment
kernel
install -m 755 "$here/dom0-init" "$root/dom0-init"
echo "$tools" >"$root/etc/xen-tools-version"
echo dom0 >"$root/etc/hostname"
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
mke2fs -q -F -t ext4 -d "$root" "$out/disk.img" 3G
chown --reference="$out" "$out"/*
say "complete"
