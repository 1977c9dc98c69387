"""How the pretended Xen answers: one file for a family of operations, from bytes to bytes.

Open domctl.py first; hypercalls.py, beside this room, joins them all.
"""
