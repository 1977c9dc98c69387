"""Faults on purpose: a backend in front of another one, which fails, delays or spoils calls as rules say."""

from xenfs.faults.backend import Faulty
from xenfs.faults.rules import HELP, Plan, parse

__all__ = ["HELP", "Faulty", "Plan", "parse"]
