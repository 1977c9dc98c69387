"""Disks that QEMU serves (qdisk): what has gone through them, as QEMU tells it to who may ask.

qmp.py knows the words and sockets.py speaks them, both in a process of root's; disks.py asks that process.
Open disks.py first.
"""
