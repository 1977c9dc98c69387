"""A pretended Xen behind the same seam as the real one: to try xenfs without a Xen host, and to test it."""

from xenfs.hypervisor.simulator.settings import HELP, Settings
from xenfs.hypervisor.simulator.simulator import Simulator

__all__ = ["HELP", "Settings", "Simulator"]
