"""The models and settings of the public code of 2016, defects included, and the same with all defects repaired.

Every defect is a setting (:mod:`rnnaudio.runs.defects`); ``repaired`` changes all that a config has. The
settings files beside this module have such configs in full.
"""

import dataclasses
from functools import reduce
from typing import Any

from rnnaudio.runs.defects import that_apply_to, without
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig

COMMON: dict[str, Any] = {
    "optimizer": "rmsprop_2016",
    "learning_rate": 1e-3,
    "max_gradient_norm": None,
    "scaling": "min_max_2016",
    "validation": "same_pieces",
    "judged_by": "train",
    "noise_in_evaluation": True,
    "saved_history": "until_best",
    "generation": "two_functions_2016",
    "patience": 1000,
}


def memory_lstm_2016(n: int, n_steps: int, batch_size: int, noise: float = 0.005, **settings: Any) -> FramesConfig:
    """The noisy LSTM of 21 March: depth 2, gates that are MLPs, noise in every layer, target = current input."""
    model = ModelConfig.of(
        cell="memory-lstm", n_layers=2, layer_noise=noise, initial_state_noise=0.01,
        readout_units=2 * n, readout_weights="rand_2016", readout_noise=noise,
    )  # fmt: skip
    base = FramesConfig(
        model=model, frame_size=n, n_steps=n_steps, batch_size=batch_size, target_shift=0, **COMMON
    )  # fmt: skip
    return dataclasses.replace(base, **settings)


def gru_2016(n: int, n_layers: int, n_steps: int, batch_size: int, **settings: Any) -> FramesConfig:
    """DUGRU of the last week: unshared GRUs as wide as a frame, the top h is the prediction, cost on the last step.

    Its noise is on the inputs only: with noise on the state too, which 2016 had as an option, a step needs scan and
    takes ten times as long.
    """
    model = ModelConfig(
        cell="gru", n_units=n, n_layers=n_layers, weights="iso_2016", learn_initial_state=True,
        input_noise=0.01, readout="none",
    )  # fmt: skip
    base = FramesConfig(
        model=model, frame_size=n, n_steps=n_steps, batch_size=batch_size, cost="last_step", **COMMON
    )  # fmt: skip
    return dataclasses.replace(base, **settings)


def repaired(config: FramesConfig, keep: tuple[str, ...] = ()) -> FramesConfig:
    """The config with every defect repaired but those in ``keep``, and without toy problems before the run.

    The last repairs come first, so that batches that carry the state are the ones that stay.
    """
    names = [name for name in reversed(switchable(config)) if name not in (*keep, "no-toy-problem")]
    return reduce(without, names, config)


def switchable(config: FramesConfig) -> list[str]:
    """The names of the defects that this config could have."""
    return [defect.name for defect in that_apply_to(config)]
