"""Runs sample by sample."""
