"""Numerical proofs and cross-checks of the package."""
