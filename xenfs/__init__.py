"""xenfs: Xen's hypercall interfaces as files.

Each folder here is a floor, and CONTRIBUTING.md shows how they stand one on the other.
Open nodes/host/__init__.py first: it is a table of files, and each line leads on to what makes it.
"""

__version__ = "0.2.0"
