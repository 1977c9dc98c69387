"""What the simulator can be told to be."""

from __future__ import annotations

import pytest

from xenfs.errors import StartError
from xenfs.simulator.settings import HELP, Settings, parse


def test_nothing_is_the_default_host() -> None:
    assert parse("") == Settings()
    assert parse("").nr_nodes == 2


def test_settings_are_read() -> None:
    settings = parse("xen=4.20, arch=arm64,domains=100,cpus=16,nodes=4,seed=7,speed=2.5,hypfs=off")
    assert (settings.xen, settings.arch, settings.domains, settings.cpus) == ("4.20", "arm64", 100, 16)
    assert (settings.nr_nodes, settings.seed, settings.speed, settings.hypfs) == (4, 7, 2.5, False)
    assert settings.dom0 == "pvh"


@pytest.mark.parametrize(
    ("given", "series", "point"), [("4.17", "4.17", 7), ("4.17.2", "4.17", 2), ("4.23", "4.22", 0)]
)
def test_point_releases_and_releases_to_come(given: str, series: str, point: int) -> None:
    settings = parse(f"xen={given}")
    assert (settings.series, settings.point) == (series, point)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour=red", "no setting 'colour'"),
        ("cpus", "cpus needs a value, as in cpus=8"),
        ("hypfs=", "hypfs needs a value, as in hypfs=on"),
        ("cpus=many", "cpus is a number from 1 to 4096, not 'many'"),
        ("domains=10001", "domains is a number from 1 to 10000"),
        ("xen=4.13", "cannot be Xen '4.13'"),
        ("xen=new", "cannot be Xen 'new'"),
        ("arch=riscv", "arch is x86_64 or arm64"),
        ("speed=fast", "speed is a number"),
        ("speed=nan", "speed is a number"),
        ("hypfs=maybe", "hypfs is on or off"),
        ("profile=rich", "profile is default or bare or full"),
        ("cpus=2,nodes=4", "4 nodes need at least as many CPUs"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(text: str, says: str) -> None:
    with pytest.raises(StartError, match=says):
        parse(text)


def test_a_profile_stands_for_settings_that_can_still_be_given() -> None:
    assert not parse("profile=bare").hypfs
    assert parse("profile=bare,hypfs=on").hypfs
    assert parse("hypfs=on,profile=bare").hypfs


def test_every_setting_is_in_the_help() -> None:
    for name in vars(Settings()):
        assert f"{name}=" in HELP
