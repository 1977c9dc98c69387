"""A pretended Xen behind the same seam as the real one: to try xenfs without a Xen host, and to test it."""

from xenfs.simulator.settings import HELP, Settings
from xenfs.simulator.simulator import Simulator

__all__ = ["HELP", "Settings", "Simulator"]
