"""A run's settings: frozen, saved with the run, read back with every key checked."""

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rnnaudio.errors import RnnaudioError


@dataclass(frozen=True)
class ModelConfig:
    """A stack of recurrent layers with a read-out."""

    cell: Literal["lstm", "gru", "memory-lstm"] = "lstm"  # memory-lstm: the blog's of 2016, as wide as a frame
    n_units: int = 300  # per layer; not of the memory-lstm
    n_layers: int = 1  # of the memory-lstm: its depth
    peepholes: bool = False  # LSTM only
    forget_bias: float = 1.0  # LSTM only
    learn_initial_state: bool = False
    input_noise: float = 0.0  # standard deviation, on the input of every recurrent layer, in training
    state_noise: float = 0.0  # the same on the state
    layer_noise: float = 0.0  # memory-lstm only: the same in each layer of its gates; the blog's was 0.005
    skip_connections: bool = False  # the input to every layer, every layer to the read-out
    readout_units: int = 0  # hidden units of the read-out MLP; 0: a linear layer
    linear_skip: int = 0  # frames of a linear predictor beside the stack; 0: none

    def __post_init__(self) -> None:
        if self.cell != "lstm" and self.peepholes:
            raise RnnaudioError(f"peepholes are an option of the LSTM only; the cell is {self.cell!r}")
        if self.cell != "memory-lstm" and self.layer_noise:
            raise RnnaudioError(f"layer_noise is an option of the memory-lstm only, not of {self.cell}: leave it out")
        for name in ("n_units", "forget_bias"):
            if self.cell == "memory-lstm" and getattr(self, name) != getattr(ModelConfig, name):
                raise RnnaudioError(
                    f"{name} is {getattr(self, name)}, but is no option of the memory-lstm, whose width is "
                    "frame_size: leave it out"
                )
        if self.cell == "memory-lstm" and self.skip_connections:
            raise RnnaudioError("skip_connections join several layers; a memory-lstm is one, read at all its depths")
        _require_more_than_zero(self, "n_units", "n_layers")
        for name in ("input_noise", "state_noise", "layer_noise", "readout_units", "linear_skip"):
            if not getattr(self, name) >= 0:
                raise RnnaudioError(f"{name} is {getattr(self, name)}; expected 0 or more")


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run."""

    strategy: Literal["predict_next", "reconstruct_current"] = "predict_next"
    model: ModelConfig = field(default_factory=ModelConfig)
    frame_size: int = 200  # samples a step
    n_steps: int = 32  # steps the gradient runs back through
    segment_steps: int = 0  # train in segments of so many steps, same gradient in less memory; 0: all steps at once
    batch_size: int = 64
    batches: Literal["random", "shifted", "offsets", "consecutive"] = "random"
    optimizer: Literal["rmsprop", "adam", "momentum", "sgd"] = "rmsprop"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "exponential"] = "constant"  # cosine: warm-up, then down over max_updates
    halve_every: int = 1000  # updates; for the exponential schedule
    max_gradient_norm: float | None = 1.0
    anneal_noise_over: int = 0  # updates over which the noise falls to zero; 0: constant noise
    minutes: float = 15.0  # at most
    max_updates: int = 1_000_000  # at most
    validate_every: int | None = None  # updates; None: once per pass over the training data
    stopping: Literal["patience", "mean_difference"] = "patience"  # mean_difference: the blog's rule
    patience: int = 20  # validations without improvement
    min_improvement: float = 0.0  # of the normalised MSE, for patience
    seed: int = 2016

    def __post_init__(self) -> None:
        _require_more_than_zero(
            self, "frame_size", "n_steps", "batch_size", "learning_rate", "halve_every", "max_gradient_norm",
            "minutes", "max_updates", "validate_every", "patience",
        )  # fmt: skip
        for name in ("segment_steps", "anneal_noise_over", "min_improvement", "seed"):
            if getattr(self, name) < 0:
                raise RnnaudioError(f"{name} is {getattr(self, name)}; expected 0 or more")
        if self.schedule == "cosine" and self.max_updates == TrainConfig.max_updates:
            raise RnnaudioError("the cosine schedule falls over max_updates: say how many (--max-updates)")


def _require_more_than_zero(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise RnnaudioError(f"{name} is {value}; expected more than 0")


def from_dict(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """A config dataclass from plain values; RnnaudioError names an unknown key and the nearest known one."""
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            nearest = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(fields)}"
            raise RnnaudioError(f"unknown setting {key!r} of {kind.__name__}; {hint}")
    nested = {"model": ModelConfig}
    return kind(**{k: from_dict(nested[k], v) if k in nested else v for k, v in values.items()})
