"""Settings that repair the causes found by a diagnosis of a run over codes."""

from typing import Any

from rnnaudio.runs.codes.config import CodesConfig
from rnnaudio.runs.defects import in_words
from rnnaudio.runs.remedies import RATE_CAUSES, fewer, other_rate

MUCH_DROPOUT = 0.5


def remedy(cause: str, config: CodesConfig, rate_factor: float = 1.0) -> str:
    """Return the options of `train` that repair a cause found by the diagnosis; empty if no setting of this run does.

    cause: name of the cause. rate_factor: factor by which to multiply the learning rate, for a cause that another
    learning rate repairs.
    """
    if cause in RATE_CAUSES:
        return other_rate(config.learning_rate, rate_factor)
    settings: dict[str, Any] = {}
    if cause == "overfitting":
        settings = {"n_units": fewer(config.n_units)} if fewer(config.n_units) < config.n_units else {}
        settings |= {"dropout": MUCH_DROPOUT} if config.dropout < MUCH_DROPOUT else {}
    elif cause == "noise-drowns-prediction" and config.input_noise:
        settings = {"input_noise": 0.0}
    return in_words(settings)
