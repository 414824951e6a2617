"""Runs of recipe ``codes``: models of spectra that are quantised to codes."""
