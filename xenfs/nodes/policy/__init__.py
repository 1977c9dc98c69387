"""The policy file: which users and groups may read and write which paths of the tree.

reading.py reads it, globs.py matches paths. Open rules.py first: it says what a policy is and what it grants.
"""

from xenfs.nodes.policy.rules import Policy, Rule, Who, shown

__all__ = ["Policy", "Rule", "Who", "shown"]
