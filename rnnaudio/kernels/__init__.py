"""Matrix products, whole recurrences and other functions on NumPy arrays, compiled by numba.

No kernel imports the engine; :mod:`rnnaudio.ops` wraps kernels as operations of its graphs. Each kernel was measured
to be faster than the engines' code for the same equation, and tests/kernels checks that it computes that equation.
"""
