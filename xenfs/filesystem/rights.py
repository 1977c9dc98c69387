"""Who may do what: by the modes alone, which the kernel sees to, or by a policy, which is asked here besides.

Rights are decided when a file or a directory is opened, a link followed, a directory made or removed. What was opened
stays open, as everywhere.
"""

from __future__ import annotations

import errno
import os

from xenfs.errors import XenfsError
from xenfs.filesystem.callers import Caller, who
from xenfs.filesystem.inodes import Inode
from xenfs.nodes.policy import Policy, shown
from xenfs.nodes.tables.base import Node
from xenfs.options import Options


class Rights:
    """The modes are the access control: whoever gets here was let in by the kernel."""

    by_path = False
    """Whether entries of one shape may differ in their modes."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._only = None if options.allow_other else os.getuid()  # who alone may look

    def mode(self, inode: Inode) -> int:
        """File type and permission bits: what belongs to one user shows none to others.

        Nor does the mount itself without allow_other, so that they can look at the directory that it is in.
        """
        mode = inode.node.mode
        if self._only is not None and inode.parent is None:
            mode &= ~0o077
        return mode & ~0o077 if inode.node.owner(inode.ids) is not None else mode & ~self._options.umask

    def require_open(self, caller: Caller, inode: Inode, flags: int) -> None:
        """EACCES, with the reason, where this file may not be opened so."""
        self._require_user(caller)
        require_owner(caller, inode.node.owner(inode.ids))

    def require_list(self, caller: Caller, inode: Inode) -> None:
        """The same of a directory."""
        self._require_user(caller)
        require_owner(caller, inode.node.owner(inode.ids))

    def require_look(self, caller: Caller, inode: Inode) -> None:
        """The same of a name that is looked up in a directory of private things. For others the modes alone suffice:
        the kernel remembers names for all users together."""

    def require_link(self, caller: Caller, inode: Inode) -> None:
        """The same of a link."""
        self._require_user(caller)

    def require_change(self, caller: Caller, path: str, node: Node, owner: int | None = None) -> None:
        """The same of making or removing a directory, and of cutting a file; `owner` is the user whose it is."""
        self._require_user(caller)
        require_owner(caller, owner)

    def _require_user(self, caller: Caller) -> None:
        """Of a directory that somebody was handed, and did not come to by its path, the modes do not speak."""
        if self._only is not None and caller.uid != self._only:
            raise XenfsError("without allow_other this is for who has mounted it", errno.EACCES)


def require_owner(caller: Caller, owner: int | None) -> bool:
    """Whether it belongs to one user, who asks, or to whom root may look; EACCES where somebody else asks."""
    if owner is not None and caller.uid not in (0, owner):
        raise XenfsError(f"it belongs to user {owner}", errno.EACCES)
    return owner is not None


class PolicyRights(Rights):
    """Rights by a policy. Root and the mount's owner are above it."""

    by_path = True

    def __init__(self, options: Options, policy: Policy) -> None:
        super().__init__(options)
        self._policy = policy
        self._above = frozenset((0, options.uid))

    def mode(self, inode: Inode) -> int:
        """For all but the owner what the policy could grant to anybody."""
        if inode.node.owner(inode.ids) is not None:
            return super().mode(inode)
        return shown(self._policy, inode.path, inode.node)

    def require_open(self, caller: Caller, inode: Inode, flags: int) -> None:
        """Reading and writing are two rights; of what is one's own one has both."""
        if require_owner(caller, inode.node.owner(inode.ids)):
            return
        access = flags & os.O_ACCMODE
        if access != os.O_WRONLY:
            self._require_right(caller, inode.path, inode.node, write=False)
        if access != os.O_RDONLY:
            self._require_right(caller, inode.path, inode.node, write=True)

    def require_list(self, caller: Caller, inode: Inode) -> None:
        """Where something in it or below is granted."""
        if require_owner(caller, inode.node.owner(inode.ids)) or caller.uid in self._above:
            return
        if not self._policy.may_list(who(caller, groups=self._policy.by_group), inode.path, inode.node):
            raise XenfsError(f"the policy does not let user {caller.uid} list this directory", errno.EACCES)

    def require_look(self, caller: Caller, inode: Inode) -> None:
        """Whoever may list it."""
        self.require_list(caller, inode)

    def require_link(self, caller: Caller, inode: Inode) -> None:
        """A link is read."""
        self._require_right(caller, inode.path, inode.node, write=False)

    def require_change(self, caller: Caller, path: str, node: Node, owner: int | None = None) -> None:
        """Making and removing is writing the directory's name."""
        if not require_owner(caller, owner):
            self._require_right(caller, path, node, write=True)

    def _require_right(self, caller: Caller, path: str, node: Node, *, write: bool) -> None:
        if caller.uid in self._above:
            return
        asking = who(caller, groups=self._policy.by_group)
        if not self._policy.may(asking, path, node, write=write):
            what = "write" if write else "read"
            doubt = "" if asking.certain else ", whose groups cannot be found out,"
            raise XenfsError(f"the policy does not let user {caller.uid}{doubt} {what} this", errno.EACCES)
