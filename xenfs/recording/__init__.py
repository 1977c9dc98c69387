"""Recordings of a Xen: made with scripts/record, replayed as a backend, cleaned of what is nobody's business.

tests/recordings has those of real Xens, each with what the tree showed then. Open recorder.py first: it says what is
in one.
"""
