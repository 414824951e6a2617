"""Matrix products, whole recurrences and other functions on NumPy arrays, compiled by numba.

No kernel imports the engine; :mod:`rnnaudio.ops` wraps kernels as operations of the engine's graphs. Each kernel was
measured to be faster than the engines' code for the same equation, and tests/kernels checks that the kernel computes
this equation.
"""
