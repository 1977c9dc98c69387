"""One plain function for each operation of Xen: arguments in, values out, HypercallError when Xen refuses."""
