# shellcheck shell=bash
# What becomes of a clean Debian with the packages: installed, tested, upgraded, removed, purged. Sourced by ../package.

# shellcheck disable=SC2154 # cache, work, out, version and the functions are ../package's
need_packages autopkgtest
mapfile -t runs_on < <(dpkg-deb --field "$out/xenfs_${version}_all.deb" Depends | tr ',' '\n' | sed -E 's/^ +//; s/[ (|].*//; /^$/d' | sort -u)
tree install "${runs_on[@]}" ca-certificates
root=$(unpacked install)

# files_of ROOT: every path that an installation may leave behind, accounts and package lists aside
files_of() {
    (cd "$1" && find . -xdev -path ./proc -prune -o -path ./sys -prune -o -path ./dev -prune -o -path ./run -prune -o \
        -path ./tmp -prune -o -path ./build -prune -o -path ./var/lib/apt -prune -o -path ./var/lib/dpkg -prune -o \
        -path ./var/cache -prune -o -path ./var/log -prune -o -print) |
        grep -vE '^\./etc/((passwd|group|shadow|gshadow)-|\.pwd\.lock|subuid-?|subgid-?)$' | sort
}

# apt in the tree: what it says is of interest when it fails
apt_in() { quiet inside "$root" apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" || die "apt-get $* failed in the clean tree"; }

mkdir "$root/build"
cp "$out/xenfs_${version}_all.deb" "$out/xenfs-monitoring_${version}_all.deb" "$root/build/"
as_version 0.1.9 "$root/build/old.deb"

apt_in update
files_of "$root" >"$work/before"
say "installing, upgrading"
apt_in install /build/old.deb
[ "$(inside "$root" xenfs --version)" = "xenfs ${version%%[-+~]*}" ] || die "the installed command tells another version"
echo '#XENFS_OPTIONS=changed' >>"$root/etc/default/xenfs" # a setting of the administrator's survives
apt_in install "/build/xenfs_${version}_all.deb" "/build/xenfs-monitoring_${version}_all.deb"
grep -q changed "$root/etc/default/xenfs" || die "the upgrade lost a setting"
inside "$root" getent passwd xenfs >/dev/null || die "there is no user xenfs after the installation"

for example in fleet.yml ansible/site.yml ansible/roles/xenfs/templates/fleet.toml.j2; do # docs/fleet.md names them
    [ -e "$root/usr/share/doc/xenfs-monitoring/examples/$example" ] || die "there is no example $example"
done
[ -e "$root/etc/apparmor.d/xenfs" ] || die "there is no AppArmor profile"
grep -qx 'AppArmorProfile=-xenfs' "$root/usr/lib/systemd/system/xenfs.service" || die "the unit names no AppArmor profile"

say "debian/tests, installed"
sed -nE 's/^Tests: //p' "$checkout/debian/tests/control" | while read -r name; do
    inside "$root" sh -c 'cd /tmp && exec sh -s' <"$checkout/debian/tests/$name" >"$work/$name.log" 2>&1 || {
        tail -n 30 "$work/$name.log" >&2
        die "debian/tests/$name failed"
    }
done

say "removing, purging"
apt_in remove xenfs xenfs-monitoring
[ -e "$root/etc/default/xenfs" ] || die "removing took the settings along, which is for purge"
apt_in purge xenfs xenfs-monitoring
files_of "$root" >"$work/after"
diff "$work/before" "$work/after" >"$work/left" || {
    head -n 20 "$work/left" >&2
    die "purge leaves that behind"
}
! findmnt --noheadings --raw --output FSTYPE,TARGET | grep -F 'fuse.xenfs' | grep -qF "$root" || die "a mount is left"

say "autopkgtest"
quiet autopkgtest "$out/xenfs_${version}_all.deb" "$out/xenfs_$version.dsc" -- chroot "$root" || die "autopkgtest failed"
say "all is well"
