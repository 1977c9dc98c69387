"""Faults on purpose: a backend in front of another one, which fails, delays or spoils calls as rules say.

It is for tests and for trying how a script bears a failing host. Open rules.py first; its HELP is the grammar.
"""

from xenfs.faults.backend import Faulty
from xenfs.faults.rules import HELP, Plan, parse

__all__ = ["HELP", "Faulty", "Plan", "parse"]
