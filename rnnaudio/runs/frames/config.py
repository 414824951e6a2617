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

    cell: Literal["lstm", "gru", "gru-early-2016", "memory-lstm"] = "lstm"  # memory-lstm: of 2016, wide as a frame
    n_units: int = 300  # per layer; not of the memory-lstm
    n_layers: int = 1  # of the memory-lstm: its depth
    units: tuple[int, ...] = ()  # of each layer, where they differ; (): n_units each
    peepholes: bool = False  # LSTM only
    forget_bias: float = 1.0  # LSTM only
    learn_initial_state: bool = False
    input_noise: float = 0.0  # standard deviation, on the input of every recurrent layer, in training
    state_noise: float = 0.0  # the same on the state
    layer_noise: float = 0.0  # memory-lstm only: the same in each layer of its gates; the blog's was 0.005
    weights: Literal["usual", "iso_2016", "gaussian_2016"] = "usual"  # of the recurrent layers
    initial_state_noise: float = 0.0  # standard deviation of a drawn initial state; 0: zero, or learnt
    shared_depth: bool | None = None  # one set of weights for all layers; None: as memory-lstm yes, others no
    bounded_memory: bool = False  # memory-lstm only: input gate = 1 - forget gate
    forget_bias_hidden: float = 2.0  # memory-lstm only: on the hidden layer of the forget gate's MLP too
    readout: Literal["linear", "tanh", "none"] = "linear"  # none: the top layer's output is the prediction
    readout_weights: Literal["glorot", "rand_2016"] = "glorot"
    readout_noise: float = 0.0  # in each layer of the read-out, the last one too, in training
    skip_connections: bool = False  # the input to every layer, every layer to the read-out
    readout_units: int = 0  # hidden units of the read-out MLP; 0: a linear layer
    linear_skip: int = 0  # frames of a linear predictor beside the stack; 0: none

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", tuple(self.units))  # JSON knows lists only
        if self.units:
            self._check_units()
        if self.cell != "lstm" and self.peepholes:
            raise RnnaudioError(f"peepholes are an option of the LSTM only; the cell is {self.cell!r}")
        if self.cell != "memory-lstm" and self.layer_noise:
            raise RnnaudioError(f"layer_noise is an option of the memory-lstm only, not of {self.cell}: leave it out")
        for name in ("bounded_memory", "forget_bias_hidden"):
            if self.cell != "memory-lstm" and getattr(self, name) != getattr(ModelConfig, name):
                raise RnnaudioError(f"{name} is an option of the memory-lstm only, not of {self.cell}: leave it out")
        if self.learn_initial_state and self.initial_state_noise:
            raise RnnaudioError("the initial state is either learnt or drawn: leave out one of the two settings")
        if self.readout == "none" and (self.readout_units or self.readout_noise or self.skip_connections):
            raise RnnaudioError("readout 'none' has no read-out: leave out its units and noise, and skip connections")
        if self.shared_depth and self.skip_connections and self.cell != "memory-lstm":
            raise RnnaudioError("skip_connections join layers of different widths; with shared_depth they are one")
        for name in ("n_units", "forget_bias"):
            if self.cell == "memory-lstm" and getattr(self, name) != getattr(ModelConfig, name):
                raise RnnaudioError(
                    f"{name} is {getattr(self, name)}, but is no option of the memory-lstm, whose width is "
                    "frame_size: leave it out"
                )
        if self.cell == "memory-lstm" and self.skip_connections:
            raise RnnaudioError("skip_connections join several layers; a memory-lstm is one, read at all its depths")
        require_more_than_zero(self, "n_units", "n_layers")
        for name in (
            "input_noise", "state_noise", "layer_noise", "initial_state_noise", "readout_units", "readout_noise",
            "linear_skip",
        ):  # fmt: skip
            if not getattr(self, name) >= 0:
                raise RnnaudioError(f"{name} is {getattr(self, name)}; expected 0 or more")

    def _check_units(self) -> None:
        if self.cell == "memory-lstm" or self.shared_depth:
            what = "the memory-lstm" if self.cell == "memory-lstm" else "shared_depth"
            raise RnnaudioError(f"units is {self.units}, but all layers of {what} have one width: leave it out")
        if self.n_units != ModelConfig.n_units:
            raise RnnaudioError(f"the layers have either n_units {self.n_units} or units {self.units}: leave out one")
        if len(self.units) != self.n_layers:
            raise RnnaudioError(f"units is {self.units}, for n_layers {self.n_layers}; expected one number a layer")
        if min(self.units) <= 0:
            raise RnnaudioError(f"units is {self.units}; expected more than 0 for each layer")

    @property
    def shares_depth(self) -> bool:
        """Whether all layers have one set of weights."""
        return self.cell == "memory-lstm" if self.shared_depth is None else self.shared_depth

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Units of each layer; not of the memory-lstm, which is as wide as a frame."""
        return self.units or (self.n_units,) * self.n_layers


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run."""

    strategy: Literal["predict_next", "reconstruct_current"] = "predict_next"
    target_shift: int | None = None  # frames; None: what the strategy promises; 0 as in 2016: the input itself
    cost: Literal["all_steps", "last_step"] = "all_steps"
    burn_in: int = 0  # steps at the beginning that the cost leaves out
    scaling: Literal["standard", "min_max_2016"] = "standard"  # min_max_2016: lowest sample -1, highest 1
    model: ModelConfig = field(default_factory=ModelConfig)
    frame_size: int = 200  # samples a step
    n_steps: int = 32  # steps the gradient runs back through
    segment_steps: int = 0  # train in segments of so many steps, same gradient in less memory; 0: all steps at once
    batch_size: int = 64
    batches: Literal["random", "shifted", "offsets", "consecutive"] = "random"
    optimizer: Literal["rmsprop", "adam", "momentum", "sgd", "rmsprop_2016"] = "rmsprop"  # _2016: forgets to divide
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "exponential"] = "constant"  # cosine: warm-up, then down over max_updates
    halve_every: int = 1000  # updates; for the exponential schedule
    max_gradient_norm: float | None = 1.0
    anneal_noise_over: int = 0  # updates over which the noise falls to zero; 0: constant noise
    minutes: float = 15.0  # at most
    max_updates: int = 1_000_000  # at most
    validate_every: int | None = None  # updates; None: once per pass over the training data
    validation: Literal["split", "same_pieces", "training"] = "split"  # same_pieces: their last tenths
    judged_by: Literal["valid", "train"] = "valid"  # which loss decides about stopping and the best parameters
    noise_in_evaluation: bool = False  # leave noise and dropout on in validation and generation
    saved_history: Literal["all", "until_best"] = "all"
    generation: Literal["one_function", "two_functions_2016"] = "one_function"
    generation_noise: bool = False  # add noise of the variance of the validation error to what is generated
    preflight: bool = False  # toy problems before training
    stopping: Literal["patience", "mean_difference"] = "patience"  # mean_difference: the blog's rule
    patience: int = 20  # validations without improvement
    min_improvement: float = 0.0  # of the normalised MSE, for patience
    seed: int = 2016

    def __post_init__(self) -> None:
        require_more_than_zero(
            self, "frame_size", "n_steps", "batch_size", "learning_rate", "halve_every", "max_gradient_norm",
            "minutes", "max_updates", "validate_every", "patience",
        )  # fmt: skip
        for name in ("segment_steps", "anneal_noise_over", "min_improvement", "seed", "burn_in"):
            if getattr(self, name) < 0:
                raise RnnaudioError(f"{name} is {getattr(self, name)}; expected 0 or more")
        if self.burn_in >= self.n_steps:
            raise RnnaudioError(f"a burn_in of {self.burn_in} of {self.n_steps} steps leaves no cost: lower it")
        if self.cost == "last_step" and self.burn_in:
            raise RnnaudioError("a cost on the last step has no burn_in: leave it out")
        if self.segment_steps and (self.cost == "last_step" or self.burn_in):
            raise RnnaudioError("a cost that leaves out steps cannot be trained in segments: leave out segment_steps")
        if self.target_shift not in (None, 0, 1):
            raise RnnaudioError(f"target_shift is {self.target_shift}; expected 0 or 1, or leave it out")
        if self.schedule == "cosine" and self.max_updates == TrainConfig.max_updates:
            raise RnnaudioError("the cosine schedule falls over max_updates: say how many (--max-updates)")


def require_more_than_zero(config: Any, *names: str) -> None:
    """RnnaudioError for the first of these settings that is neither None nor more than 0."""
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
