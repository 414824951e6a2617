"""Parts shared by recipes whose loss is in bits: optimizer, schedule and limits, and a baseline from code counts."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from rnnaudio.data.code_batches import CodeBatch
from rnnaudio.optimizers import Adam
from rnnaudio.runs.config import RunConfig
from rnnaudio.runs.recipe import Fitting
from rnnaudio.training import EarlyStopping, Limits, WarmupCosine

NEVER = 1_000_000  # patience in validations: only the limits end such a run


class BitsConfig(RunConfig, Protocol):
    """The settings that :func:`fitting` needs."""

    @property
    def validate_every(self) -> int: ...


def fitting(config: BitsConfig, patience: int = 0) -> Fitting:
    """Return the training rules: Adam with a cosine schedule until a limit of the config is reached.

    The gradient norm is clipped to 1. patience: number of validations without improvement after which training stops
    early; 0: no early stopping.
    """
    return Fitting(
        Adam(config.learning_rate, max_gradient_norm=1.0),
        EarlyStopping(patience or NEVER),
        Limits(config.max_updates, config.minutes * 60.0, config.validate_every),
        config.seed,
        warmup_cosine(config.learning_rate, config.max_updates),
    )


def warmup_cosine(learning_rate: float, max_updates: int) -> WarmupCosine:
    """Schedule that rises to ``learning_rate`` in 10 % of the updates, 100 at most, then falls to 3 % by a cosine."""
    return WarmupCosine(learning_rate, min(100, max_updates // 10), max_updates, 0.03)


def bits_by_counts(sequences: Sequence[np.ndarray], validation: Sequence[CodeBatch], n_context: int = 1) -> float:
    """Bits per frame, on validation windows, of a unigram model: code frequencies from the training sequences.

    A code that occurs c times among the n training frames costs log2((n + k) / (c + 1)) bits, where k - 1 is the
    highest code of the stage in training and validation; mean over frames, summed over stages. sequences: the training
    sequences, (n_frames, n_stages) whole numbers each. n_context: frames at the start of a window that are not
    predicted.
    """
    bits = 0.0
    for stage in range(sequences[0].shape[1]):
        codes = np.concatenate([sequence[:, stage] for sequence in sequences])
        predicted = np.concatenate([batch.codes[n_context:, :, stage].ravel() for batch in validation])
        counts = np.bincount(codes, minlength=int(max(codes.max(), predicted.max())) + 1) + 1.0
        bits -= float(np.mean(np.log2(counts / counts.sum())[predicted]))
    return bits
