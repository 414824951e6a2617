"""Corpora as HDF5 files: their layout, and the check that a file must pass before the package reads it.

The check runs in a process of its own (``python -m rnnaudio.corpus_file``), because a damaged file of a few kilobytes
can crash the HDF5 library or keep it in a loop that Ctrl-C does not end. This subpackage imports nothing else of the
package, to start fast.
"""
