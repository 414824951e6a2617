"""Compiled products and whole recurrences: NumPy arrays in and out, numba inside, no engine.

Each exists because it was measured to be faster than the engines' code for the same equation, and each is tested to
equal it (tests/kernels/test_kernels.py). :mod:`rnnaudio.ops` makes operations of a graph from them.
"""
