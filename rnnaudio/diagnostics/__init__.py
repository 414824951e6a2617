"""Diagnostics: measurements of models, batches and losses that make no use of the settings of a run."""

from rnnaudio.diagnostics.baselines import LinearPrediction, baselines, linear_prediction
from rnnaudio.diagnostics.batch_check import BatchCheck, check_batch, measured_shifts
from rnnaudio.diagnostics.gradient_check import ArrayCheck, GradientReport, check_gradients
from rnnaudio.diagnostics.probe import Histogram, Probe, probe

__all__ = [
    "ArrayCheck",
    "BatchCheck",
    "GradientReport",
    "Histogram",
    "LinearPrediction",
    "Probe",
    "baselines",
    "check_batch",
    "check_gradients",
    "linear_prediction",
    "measured_shifts",
    "probe",
]
