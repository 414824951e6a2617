"""Sweeps: many runs whose settings are chosen within ranges, each a trial of one Optuna study."""
