"""Checks of the package that are shown as numbers."""
