# shellcheck shell=bash
# Debian's archive, as this machine's own apt knows it. Sourced by ../on-xen and image.sh.
#
# No archive is named here. apt is asked which of its sources is Debian itself, so both notations of sources,
# mirrors and proxies work without this file knowing about them. A machine that is no Debian (a CI runner with
# Ubuntu, say) has no such source: there, XENFS_DEBIAN_ARCHIVE has to say where one is.

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# debian_archive: print the address of the first Debian archive among apt's sources, or nothing.
# (Origin and Label come with the package lists; without lists apt cannot tell Debian from a third party.)
debian_archive() {
    if [ -n "${XENFS_DEBIAN_ARCHIVE:-}" ]; then
        printf '%s\n' "$XENFS_DEBIAN_ARCHIVE"
    else
        # shellcheck disable=SC2016  # $(REPO_URI) is apt's notation
        apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Label: Debian' | awk 'NR == 1'
    fi
}

# apt_line ARCH SUITE ARCHIVE: one line for a sources.list
apt_line() { printf 'deb [arch=%s signed-by=%s] %s %s main\n' "$1" "$keyring" "$3" "$2"; }

# unpack_packages ARCH SUITE ARCHIVE DIR PACKAGE...: download packages and unpack them, uninstalled, into DIR.
# Uses an apt configuration of its own: needs no root and leaves the machine's package lists alone.
# A meta-package (linux-image-amd64) stands for the versioned image that it depends on.
unpack_packages() {
    local arch=$1 suite=$2 archive=$3 into=$4 apt package real
    shift 4
    apt=$(mktemp -d)
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs" "$into"
    apt_line "$arch" "$suite" "$archive" >"$apt/sources.list"
    : >"$apt/status"
    local options=(-qq
        -o "Dir::Etc::SourceList=$apt/sources.list" -o Dir::Etc::SourceParts=-
        -o "Dir::State::Lists=$apt/lists" -o "Dir::State::Status=$apt/status" -o "Dir::Cache=$apt/cache"
        -o "APT::Architecture=$arch" -o "APT::Architectures=$arch"
        -o Acquire::Languages=none -o Acquire::Retries=3 -o APT::Sandbox::User=)
    (
        set -e
        cd "$apt/debs"
        apt-get "${options[@]}" update
        for package; do
            real=$(apt-cache "${options[@]}" depends "$package" |
                sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
            apt-get "${options[@]}" download "${real:-$package}"
        done
        for package in *.deb; do dpkg-deb --extract "$package" "$into"; done
    ) || { rm -rf "$apt"; return 1; }
    rm -rf "$apt"
}
