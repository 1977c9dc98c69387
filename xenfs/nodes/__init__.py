"""The tree: tables of files, laid out as the mount is, so that who knows a path knows the file that makes it.

A room such as host/ makes the directory of its name, and so do the files hypfs.py, version.py and xenfs.py.
But tables/ is the grammar that all of them use, and policy/ who may do what.
Open host/__init__.py first; tree.py joins them all.
"""
