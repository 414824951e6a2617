"""Runs over frames of samples."""
