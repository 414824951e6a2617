"""Sizes of the models of the benchmark, for ours and PyTorch's; this module does not load our engine."""

from typing import Any, Literal

from rnnaudio.runs.codes.config import CodesConfig, fitted
from rnnaudio.runs.samples.config import SamplesConfig

Size = Literal["full", "tiny"]
HOUR, RATE_HZ = 3600.0, 16_000  # of music, for which the recipe over codes has its largest sizes
#: of the class Facts of recipe samples
FACTS: dict[str, Any] = {"peak": 1.0, "deviation": 0.2, "unit": 0.05, "taps": (1.2, -0.4, *[0.0] * 15)}


def codes_config(size: Size) -> CodesConfig:
    """The settings of the recipe over codes for an hour of music."""
    small: dict[str, Any] = {"n_components": 6, "n_codes": 5, "n_units": 4, "head_units": 3, "n_steps": 4}
    return fitted(CodesConfig(batch_size=3, **small) if size == "tiny" else CodesConfig(), HOUR, RATE_HZ)


def samples_config(size: Size, cell: Literal["gru", "lstm"]) -> SamplesConfig:
    """The settings of the recipe over samples."""
    small: dict[str, Any] = {"frames": (8, 2), "window": 2, "n_units": 4, "n_steps": 16, "n_valid": 16}
    return SamplesConfig(cell=cell, batch_size=3, **small) if size == "tiny" else SamplesConfig(cell=cell)
