"""Diagnostics: what a model, a batch or a loss is really doing."""

from rnnaudio.diagnostics.baselines import LinearPrediction, baselines, linear_prediction
from rnnaudio.diagnostics.batch_check import BatchCheck, check_batch, measured_shifts
from rnnaudio.diagnostics.probe import Histogram, Probe, probe

__all__ = [
    "BatchCheck",
    "Histogram",
    "LinearPrediction",
    "Probe",
    "baselines",
    "check_batch",
    "linear_prediction",
    "measured_shifts",
    "probe",
]
