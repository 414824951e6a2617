"""Matrix products, whole recurrences and other functions on NumPy arrays, compiled by numba.

Kernels do not import the engine; :mod:`rnnaudio.ops` wraps them as operations of the engine's graphs. Each kernel is,
by measurement, faster than the engines' own code for the same equation, and tests/kernels compares it with that
equation.
"""
