"""The tree: tables of files, laid out as the mount is, so that who knows a path knows the file that makes it.

host/, domains/, cpupools/ and metrics/ are rooms with the name of their directory; flask.py, hypfs.py, version.py and
xenfs.py are one directory each. tables/ is the grammar that all of them use, policy/ who may do what.
Open host/__init__.py first; tree.py joins them all.
"""
