"""Recurrent neural networks that model and generate raw audio."""

__version__ = "0.1.0"

from rnnaudio import blas  # noqa: F401  (sets environment variables that NumPy's BLAS reads when it is loaded)
