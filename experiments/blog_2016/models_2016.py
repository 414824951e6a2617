"""The models and settings of the public code of 2016, including its defects, and a way to repair them.

Every defect is a choice of settings (:mod:`rnnaudio.runs.defects`), which :func:`repaired` replaces. The settings
files in this folder contain such configs in full.
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
    """Config of the noisy LSTM of 21 March: depth 2, MLPs as gates, noise in every layer, target = current input."""
    model = ModelConfig.of(
        cell="memory-lstm", n_layers=2, layer_noise=noise, initial_state_noise=0.01,
        readout_units=2 * n, readout_weights="rand_2016", readout_noise=noise,
    )  # fmt: skip
    base = FramesConfig(
        model=model, frame_size=n, n_steps=n_steps, batch_size=batch_size, target_shift=0, **COMMON
    )  # fmt: skip
    return dataclasses.replace(base, **settings)


def gru_2016(n: int, n_layers: int, n_steps: int, batch_size: int, **settings: Any) -> FramesConfig:
    """Config of DUGRU, of the last week: unshared GRUs as wide as a frame, prediction = top h, cost on the last step.

    Noise is added to the inputs only. Noise on the state as well, which was an option in 2016, would require scan and
    make a step ten times slower.
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
    """Return the config with every defect repaired except ``no-toy-problem`` and those in ``keep``.

    The repair of ``no-toy-problem``, toy problems before the run, does not change the run itself. Defects are repaired
    in reverse order: of the repairs that set ``batches``, the one that carries the state is made last, and holds.
    """
    names = [name for name in reversed(switchable(config)) if name not in (*keep, "no-toy-problem")]
    return reduce(without, names, config)


def switchable(config: FramesConfig) -> list[str]:
    """The names of the defects that can be switched on or off in this config."""
    return [defect.name for defect in that_apply_to(config)]
