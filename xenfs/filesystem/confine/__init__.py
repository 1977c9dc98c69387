"""The fewest rights: nothing inherited that is not needed, and after the mount nothing kept that is not needed.

inheritance.py is about what came with the start, landlock.py about paths, unmounter.py about the one thing that still
needs a right. Open rights.py first.
"""

from xenfs.filesystem.confine.identity import Identity, identity
from xenfs.filesystem.confine.inheritance import forget_inheritance
from xenfs.filesystem.confine.opener import Opener
from xenfs.filesystem.confine.rights import RightsLeft, give_up_rights
from xenfs.filesystem.confine.unmounter import Unmounter

__all__ = ["Identity", "Opener", "RightsLeft", "Unmounter", "forget_inheritance", "give_up_rights", "identity"]
