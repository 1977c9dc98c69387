"""From FUSE requests to nodes: inodes, open files, rights, who may wait, and how a mount ends.

pyfuse3 and trio appear here and above, nowhere below: whatever waits is a thread of its own (lanes.py).
Open operations.py first: one method for each FUSE request; boundary.py turns errors into an errno.
"""
