"""Recurrent neural networks that model and generate raw audio."""

__version__ = "0.1.0"

from rnnaudio import blas, caches  # noqa: F401  (set environment variables that libraries read when they are loaded)
