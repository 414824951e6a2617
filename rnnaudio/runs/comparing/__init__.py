"""Comparison of several runs on one page, by ear and by figures."""
