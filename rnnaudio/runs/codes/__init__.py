"""Runs over codes of spectra."""
