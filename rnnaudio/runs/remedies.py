"""Repairs that recipes have in common: another learning rate, as an option of `train`, and another number of units."""

from rnnaudio.runs.defects import in_words

LEAST_UNITS = 8
RATE_CAUSES = ("learning-rate-too-high", "learning-rate-too-low")


def other_rate(learning_rate: float, factor: float) -> str:
    """Format ``learning_rate`` times ``factor`` as an option of ``rnnaudio train``: ``--learning-rate 0.001``."""
    return in_words({"learning_rate": float(f"{learning_rate * factor:.3g}")})


def fewer(n_units: int) -> int:
    """Return a smaller number of units, for a model that overfits: a quarter of ``n_units``, but at least 8.

    It is never more than ``n_units``.
    """
    return max(min(n_units, LEAST_UNITS), n_units // 4)


def more(n_units: int) -> int:
    """Return a larger number of units, for a model that has learnt little: four times as many, and at least 16."""
    return max(2 * LEAST_UNITS, 4 * n_units)
