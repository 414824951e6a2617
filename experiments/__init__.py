"""Experiments of the blog, studies, benchmarks and proofs: ``rnnaudio experiment list``."""
