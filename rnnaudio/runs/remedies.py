"""Repairs that recipes have in common: another learning rate, another size; as options of `train`."""

from rnnaudio.runs.defects import in_words

LEAST_UNITS = 8
RATE_CAUSES = ("learning-rate-too-high", "learning-rate-too-low")


def other_rate(learning_rate: float, factor: float) -> str:
    """The option for a learning rate that is multiplied by ``factor``."""
    return in_words({"learning_rate": float(f"{learning_rate * factor:.3g}")})


def fewer(n_units: int) -> int:
    """A quarter of the units, but eight or more: what a run over codes that overfits is to have."""
    return max(min(n_units, LEAST_UNITS), n_units // 4)


def more(n_units: int) -> int:
    """Four times the units, but sixteen or more: what a run that has learnt little is to have."""
    return max(2 * LEAST_UNITS, 4 * n_units)
