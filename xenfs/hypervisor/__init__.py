"""The seam: one `hypercall(op, *args)`, with a real Xen or a pretended one below and every call of xenfs above.

Each call is counted and logged here (ledger.py); here too is kept which life of a domain was seen (lives.py), and
what names there were a moment ago (recent.py). No operation of Xen's is known here. Open base.py first.
"""
