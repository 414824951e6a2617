"""Recurrent neural networks that hear and play raw audio."""

__version__ = "0.1.0"
