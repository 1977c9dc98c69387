"""Which interface numbers each Xen release speaks, and which releases a pair of numbers may mean."""

from __future__ import annotations

from xenfs.abi.select import Version

# release: (domctl, sysctl). 4.19 and 4.20 share a pair: only XENVER_version tells them apart.
INTERFACES: dict[Version, tuple[int, int]] = {
    (4, 22): (0x18, 0x16),
    (4, 21): (0x17, 0x16),
    (4, 20): (0x17, 0x15),
    (4, 19): (0x17, 0x15),
    (4, 18): (0x16, 0x15),
    (4, 17): (0x15, 0x15),
    (4, 16): (0x14, 0x14),
    (4, 15): (0x13, 0x13),
    (4, 14): (0x12, 0x13),
}
# What the development branch of a release to come was found to speak: not verified before it is released.
DEVELOPMENT: dict[Version, tuple[int, int]] = {(4, 23): (0x18, 0x16)}
RELEASES = tuple(sorted(INTERFACES))
DOMCTLS = tuple(sorted({domctl for domctl, _ in INTERFACES.values()}))
SYSCTLS = tuple(sorted({sysctl for _, sysctl in INTERFACES.values()}))
ARCHES = ("x86_64", "arm64")


def interfaces(release: Version) -> tuple[int, int]:
    """(domctl, sysctl) of a release; of the nearest known one where xenfs does not know the release."""
    known = [each for each in RELEASES if each <= release[:2]] or RELEASES[:1]
    return INTERFACES[known[-1]]


def releases_speaking(domctl: int | None = None, sysctl: int | None = None) -> list[Version]:
    """The releases, oldest first, that speak these numbers; None stands for any."""
    wanted = (domctl, sysctl)
    return [
        release
        for release in RELEASES
        if all(want in (None, number) for want, number in zip(wanted, INTERFACES[release], strict=True))
    ]
