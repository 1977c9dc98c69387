"""Finding a hypervisor: which Xen this is, whether its answers make sense, and hearing of its news.

This is the only room that knows the calls and every backend: a real Xen, the simulator, a recording, faults.
Open opening.py first: `open_hypervisor(name)` is the way in from a prompt and from the command.
"""
