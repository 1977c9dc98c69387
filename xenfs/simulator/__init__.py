"""A pretended Xen behind the same seam as the real one: to try xenfs without a Xen host, and to test it.

world/ is what the machine is, without a byte. answers/ is how it answers, from bytes to bytes, by the layouts that a
compiler measured (golden/) and never by those of xenfs/abi. Where it differs from Xen, Xen is right. Open hypercalls.py
first: it leads from a number to the function that answers.
"""

from xenfs.simulator.settings import HELP, Settings
from xenfs.simulator.simulator import Simulator

__all__ = ["HELP", "Settings", "Simulator"]
