"""Settings that repair the causes of bad sound that a diagnosis finds in runs over frames."""

from collections.abc import Callable
from typing import Any

from rnnaudio.runs.defects import in_words, present_in
from rnnaudio.runs.frames.cells import LSTMOptions
from rnnaudio.runs.frames.config import FramesConfig
from rnnaudio.runs.remedies import RATE_CAUSES, more, other_rate

HIGH_FORGET_BIAS = 4.0  # with it a state of the LSTM loses a fiftieth in each step


def _forget_less(config: FramesConfig) -> dict[str, Any]:
    """Return settings with which a cell forgets less: for an LSTM twice the forget bias, but at least 2 and at most 4.

    For other cells: the usual (orthogonal) recurrent weights; {} if the cell has them.
    """
    options = config.model.options
    if isinstance(options, LSTMOptions) and options.forget_bias < HIGH_FORGET_BIAS:
        return {"model.options.forget_bias": min(max(2.0, 2.0 * options.forget_bias), HIGH_FORGET_BIAS)}
    return {"model.weights": "usual"} if config.model.weights != "usual" else {}


def _larger(config: FramesConfig) -> dict[str, Any]:
    """Return a setting with four times the units; {} for layers of different widths, or of the width of a frame."""
    m = config.model
    return {} if m.units or m.kind.wide_as_frame else {"model.n_units": more(m.n_units)}


def _quieter(config: FramesConfig) -> dict[str, Any]:
    """Return a setting that switches noise off: at the input or, if there is none, in generation; else {}."""
    if config.model.input_noise:
        return {"model.input_noise": 0.0}
    return {"generation_noise": False} if config.generation_noise else {}


# For causes that are not among the defects of 2016, whose repairs are in :mod:`rnnaudio.runs.defects`.
REMEDIES: dict[str, Callable[[FramesConfig], dict[str, Any]]] = {
    "exploding-gradient": lambda config: {"max_gradient_norm": 1.0} if config.max_gradient_norm is None else {},
    "vanishing-gradient": _forget_less,
    "bounded-output": lambda config: {"model.readout": "linear"},
    "free-run-explodes": lambda config: {"model.input_noise": 0.1} if not config.model.input_noise else {},
    "no-better-than-linear": _larger,
    "noise-drowns-prediction": _quieter,
    "worse-than-baseline": lambda config: {"model.linear_skip": 2} if not config.model.linear_skip else {},
}


# A regressor without a fault still predicts a mean. Feeding back noise turned mixed recordings into hiss, so it is no
# remedy: another recipe is.
OTHER_RECIPE = {"noiseless-feedback": "--recipe codes"}


def remedy(cause: str, config: FramesConfig, rate_factor: float = 1.0) -> str:
    """Return the options of `train` that repair a cause found by the diagnosis; empty if no setting of this run does.

    cause: name of the cause. rate_factor: factor by which to multiply the learning rate, for a cause that another
    learning rate repairs.
    """
    if cause in RATE_CAUSES:
        return other_rate(config.learning_rate, rate_factor)
    if cause in OTHER_RECIPE:
        return OTHER_RECIPE[cause]
    for defect in present_in(config):
        if defect.name == cause:
            return in_words(defect.repaired)
    return in_words(REMEDIES[cause](config)) if cause in REMEDIES else ""
