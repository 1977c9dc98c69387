"""The policy file: which users and groups may read and write which paths of the tree."""

from xenfs.nodes.policy.reading import load
from xenfs.nodes.policy.rules import Policy, Rule, Who, shown

__all__ = ["Policy", "Rule", "Who", "load", "shown"]
