"""Parts shared by recipes whose loss is in bits: Adam for a set number of updates, and a baseline from counts."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rnnaudio.data.code_batches import CodeBatch
from rnnaudio.optimizers import Adam
from rnnaudio.runs.config import RunConfig
from rnnaudio.runs.recipe import Fitting
from rnnaudio.training import EarlyStopping, Limits, WarmupCosine

NEVER = 1_000_000  # validations without improvement: limits end these runs


class BitsConfig(RunConfig, Protocol):
    """Settings that decide how a run with a loss in bits is trained."""

    @property
    def validate_every(self) -> int: ...


def fitting(config: BitsConfig) -> Fitting:
    """Adam under a cosine schedule, for all updates or minutes."""
    return Fitting(
        Adam(config.learning_rate, max_gradient_norm=1.0),
        EarlyStopping(NEVER),
        Limits(config.max_updates, config.minutes * 60.0, config.validate_every),
        config.seed,
        warmup_cosine(config.learning_rate, config.max_updates),
    )


def warmup_cosine(learning_rate: float, max_updates: int) -> WarmupCosine:
    """Rise over a tenth of the updates, 100 at most, then fall along a cosine to 3 %."""
    return WarmupCosine(learning_rate, min(100, max_updates // 10), max_updates, 0.03)


def bits_by_counts(sequences: Sequence[np.ndarray], validation: Sequence[CodeBatch], n_context: int = 1) -> float:
    """Bits per frame, on validation windows, of a model that knows only how often each code of a stage occurs.

    log2 (n + k) / (c + 1) for a code that occurs c times among n, of k codes; summed over stages.
    """
    bits = 0.0
    for stage in range(sequences[0].shape[1]):
        codes = np.concatenate([sequence[:, stage] for sequence in sequences])
        predicted = np.concatenate([batch.codes[n_context:, :, stage].ravel() for batch in validation])
        counts = np.bincount(codes, minlength=int(max(codes.max(), predicted.max())) + 1) + 1.0
        bits -= float(np.mean(np.log2(counts / counts.sum())[predicted]))
    return bits
