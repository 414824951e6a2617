"""Compiled products and whole recurrences: NumPy arrays in and out, numba inside, no engine.

Each exists because it was measured to be faster than what the engines make of the same equation; each is proven equal
to it (tests/kernels). :mod:`rnnaudio.ops` makes operations of a graph from them.
"""
