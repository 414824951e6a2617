"""Parts shared by the recipes ``codes`` and ``samples``, whose loss is in bits."""

from collections.abc import Sequence, Set
from typing import Protocol, TypeVar

import numpy as np

from rnnaudio.audio.arrays import Codes
from rnnaudio.nn import Layer
from rnnaudio.objectives import Counted
from rnnaudio.optimizers import Adam
from rnnaudio.runs.config import RunConfig
from rnnaudio.runs.recipe import Fitting, Recipe
from rnnaudio.training import EarlyStopping, Limits, WarmupCosine
from rnnaudio.training.memory import check_memory, in_bytes

NEVER = 1_000_000  # patience in validations: only the limits end such a run


class BitsConfig(RunConfig, Protocol):
    """Protocol of the settings that recipes with a loss in bits have in common, besides those of all recipes.

    validate_every: updates between validations. n_steps, batch_size: frames or samples per sequence, and sequences per
    update.
    """

    @property
    def validate_every(self) -> int: ...

    @property
    def n_steps(self) -> int: ...

    @property
    def batch_size(self) -> int: ...


B = TypeVar("B", bound=BitsConfig)


class BitsRecipe(Recipe[B]):
    """Base class of recipes whose loss is in bits.

    Their learning rate falls over ``max_updates`` updates, so this limit cannot change when a run is resumed.
    """

    def may_change(self, config: B) -> Set[str]:
        return super().may_change(config) - {"max_updates"}

    def in_words(self, loss: float) -> str:
        return f"{loss:.3f} {self.quantity}"


class HasCodes(Protocol):
    """Protocol of a batch with an array ``codes`` of whole numbers, (time, batch, stages)."""

    @property
    def codes(self) -> Codes: ...


def fitting(config: BitsConfig, patience: int = 0) -> Fitting:
    """Make the training rules of a config: Adam with a warm-up and cosine schedule, and the limits of the config.

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


def check_fits(model: Layer, objective: Counted, training: Fitting, config: BitsConfig) -> None:
    """Print how much memory a training step needs; RnnaudioError if so much is not available."""
    sizes = {"n_steps": config.n_steps, "batch_size": config.batch_size}
    memory = check_memory(model, objective, training.optimizer, segment_steps=None, **sizes)
    print(f"a step needs about {in_bytes(memory.total)} of memory")


def warmup_cosine(learning_rate: float, max_updates: int) -> WarmupCosine:
    """Make a schedule: a linear warm-up to ``learning_rate``, then half a cosine down to 3 % of it.

    The warm-up takes 10 % of ``max_updates``, and 100 updates at most; the cosine ends at ``max_updates``.
    """
    return WarmupCosine(learning_rate, min(100, max_updates // 10), max_updates, 0.03)


def bits_by_counts(sequences: Sequence[np.ndarray], validation: Sequence[HasCodes], n_context: int = 1) -> float:
    """Compute the bits per frame that a unigram model of the training codes needs for the validation windows.

        sum over stages of the mean over frames of log2((n + k) / (c + 1))

    c is the number of training frames that have the frame's code at this stage, n the number of all training frames,
    and k the number of codes of the stage: 1 + the highest code in training and validation. In runs over samples, a
    frame is one sample.

    sequences: the training sequences, (n_frames, n_stages) whole numbers each. validation: batches of windows.
    n_context: number of frames at the start of each window that are not predicted.
    """
    bits = 0.0
    for stage in range(sequences[0].shape[1]):
        codes = np.concatenate([sequence[:, stage] for sequence in sequences])
        predicted = np.concatenate([batch.codes[n_context:, :, stage].ravel() for batch in validation])
        counts = np.bincount(codes, minlength=int(max(codes.max(), predicted.max())) + 1) + 1.0
        bits -= float(np.mean(np.log2(counts / counts.sum())[predicted]))
    return bits
