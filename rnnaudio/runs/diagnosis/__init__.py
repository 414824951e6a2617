"""Diagnosis of trained runs, and toy problems before training."""
