"""xenfs: Xen's hypercall interfaces as files."""

__version__ = "0.1.0"
