"""Diagnosis of trained runs, and toy problems that are tried before training."""
