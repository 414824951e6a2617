"""Recurrent neural networks that model and play raw audio."""

__version__ = "0.1.0"

from rnnaudio import blas  # noqa: F401  (before NumPy is loaded)
