"""One plain function for each operation of Xen: arguments in, values out, HypercallError when Xen refuses.

What is known of an operation stands in the function's docstring: units, errno values, since which release.
Open sysctl.py first, then control.py, which packs the structs of sysctl, domctl and platform_op. The simulator, the
recordings and the faults are rooms beside this one; none of the four imports another.
"""
