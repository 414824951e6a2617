"""The settings of a run over frames."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.config import (
    MOST_HALVINGS,
    from_dict,
    require_at_most,
    require_more_than_zero,
    require_zero_or_more,
)
from rnnaudio.runs.frames.batchers import BATCHERS
from rnnaudio.runs.frames.cells import CELLS, ONCE_OF_ALL, CellKind, CellOptions
from rnnaudio.schema import Plain
from rnnaudio.seeds import check_seed

MOST_LAYERS, MOST_SKIPPED = 1000, 10_000  # a graph of more would take hours to compile


@dataclass(frozen=True)
class ModelConfig:
    """Settings of the model: a stack of recurrent layers with a read-out."""

    cell: str = "lstm"  # lstm (the default), gru, gru-early-2016, or memory-lstm of 2016, as wide as a frame
    options: CellOptions = field(default_factory=CellOptions)  # options of the cell
    n_units: int = 300  # units per layer; the memory-lstm has one per sample of a frame
    n_layers: int = 1  # recurrent layers; for the memory-lstm its depth
    units: tuple[int, ...] = ()  # units of each layer, if they differ; (): n_units each
    learn_initial_state: bool = False  # train the initial state; else it is zero or sampled
    input_noise: float = 0.0  # standard deviation of training noise on the input of every recurrent layer
    state_noise: float = 0.0  # standard deviation of training noise on the state of every recurrent layer
    weights: Literal["usual", "iso_2016", "gaussian_2016"] = "usual"  # initial weights of the recurrent layers
    initial_state_noise: float = 0.0  # standard deviation of a sampled initial state; 0: it is zero or learnt
    shared_depth: bool | None = None  # one set of weights for all layers; None: yes for the memory-lstm, else no
    readout: Literal["linear", "tanh", "none"] = "linear"  # none: the top layer's output is the prediction
    readout_weights: Literal["glorot", "rand_2016"] = "glorot"  # initial weights; rand_2016: smaller
    readout_noise: float = 0.0  # standard deviation of training noise in each layer of the read-out, even the last
    skip_connections: bool = False  # feed the input to every layer, and every layer to the read-out
    readout_units: int = 0  # hidden units of the read-out MLP; 0: a linear layer
    linear_skip: int = 0  # past frames of a linear predictor that is added to the stack; 0: none

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", tuple(self.units))  # JSON has lists only
        object.__setattr__(self, "options", _options_for(self.cell, self.options))
        if self.units:
            self._check_units()
        if self.learn_initial_state and self.initial_state_noise:
            raise RnnaudioError("the initial state is either learnt or sampled: leave out one of the two settings")
        if self.readout == "none" and (self.readout_units or self.readout_noise or self.skip_connections):
            raise RnnaudioError("readout 'none' has no read-out: leave out its units and noise, and skip connections")
        if self.weights != "usual" and not (self.kind.has_gates or self.kind.wide_as_frame):
            raise RnnaudioError(f"weights {self.weights!r} are those of gates; a {self.cell} has none: leave it out")
        if self.kind.wide_as_frame:
            self._check_width_of_a_frame()
        elif self.shared_depth and self.skip_connections:
            raise RnnaudioError("skip_connections join layers of different widths; with shared_depth they are one")
        require_more_than_zero(self, "n_units", "n_layers")
        require_at_most(self, MOST_LAYERS, "n_layers")
        require_at_most(self, MOST_SKIPPED, "linear_skip")
        require_zero_or_more(
            self, "input_noise", "state_noise", "initial_state_noise", "readout_units", "readout_noise", "linear_skip"
        )

    def _check_width_of_a_frame(self) -> None:
        if self.n_units != ModelConfig.n_units:
            raise RnnaudioError(
                f"n_units is {self.n_units}, but is no option of the {self.cell}, whose width is frame_size: "
                "leave it out"
            )
        if self.skip_connections:
            raise RnnaudioError(f"skip_connections join several layers; a {self.cell} is one, read at all its depths")

    def _check_units(self) -> None:
        if self.kind.wide_as_frame or self.shared_depth:
            what = f"the {self.cell}" if self.kind.wide_as_frame else "shared_depth"
            raise RnnaudioError(f"units is {self.units}, but all layers of {what} have one width: leave it out")
        if self.n_units != ModelConfig.n_units:
            raise RnnaudioError(f"the layers have either n_units {self.n_units} or units {self.units}: leave out one")
        if len(self.units) != self.n_layers:
            raise RnnaudioError(f"units is {self.units}, for n_layers {self.n_layers}; expected one number a layer")
        if min(self.units) <= 0:
            raise RnnaudioError(f"units is {self.units}; expected more than 0 for each layer")

    @property
    def kind(self) -> CellKind:
        """The cell's entry in the registry :data:`CELLS`."""
        return CELLS[self.cell]

    @property
    def shares_depth(self) -> bool:
        """True if all layers share one set of weights."""
        return self.kind.wide_as_frame if self.shared_depth is None else self.shared_depth

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Number of units of each layer; not valid for a cell that is as wide as a frame."""
        return self.units or (self.n_units,) * self.n_layers

    @staticmethod
    def of(**settings: Plain) -> "ModelConfig":
        """Make a config from settings by name, the cell's options among them: ``ModelConfig.of(peepholes=True)``."""
        return from_dict(ModelConfig, settings)

    @staticmethod
    def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
        """Return saved settings in today's form, with all options of the cell under ``options``.

        :func:`from_dict` calls this method. Earlier versions saved the options of all cells beside the other settings.
        RnnaudioError for an option that the cell does not have, unless it has its default value.
        """
        cell, given = values.get("cell", ModelConfig.cell), values.get("options", {})
        if not isinstance(cell, str) or not isinstance(given, Mapping):
            return dict(values)  # a wrong type, which is reported later, or an options object
        mine = CELLS[cell].Options.__dataclass_fields__
        flat = {name: value for name, value in values.items() if name in mine or name in ONCE_OF_ALL}
        others = {name: value for name, value in values.items() if name != "options" and name not in flat}
        options = {**given, **flat}
        for name in [name for name in options if name not in mine]:
            if _is_unused(cell, name, options[name]):
                del options[name]
        return others | {"options": from_dict(CELLS[cell].Options, options)}


def _is_unused(cell: str, name: str, value: Plain) -> bool:
    """Return True if an option that ``cell`` lacks can be dropped: ``value`` is its default in other cells.

    False if no cell has the option. RnnaudioError if other cells have it, and ``value`` is not their default. A GRU
    once accepted ``forget_bias`` without effect, so that any value of it can be dropped.
    """
    owners = {other: kind.Options for other, kind in CELLS.items() if name in kind.Options.__dataclass_fields__}
    in_vain = name == "forget_bias" and not CELLS[cell].wide_as_frame  # a GRU once accepted it, without effect
    if owners and not in_vain and all(value != getattr(options, name) for options in owners.values()):
        only = " and the ".join(owners)
        raise RnnaudioError(f"{name} is an option of the {only} only, not of the {cell}: leave it out")
    return bool(owners)


def _options_for(cell: str, options: CellOptions) -> CellOptions:
    """Return the options if they are of the cell's class, else the cell's default options.

    RnnaudioError if the options are of another class and not at their defaults.
    """
    wanted = CELLS[cell].Options
    if type(options) is wanted:
        return options
    if options != type(options)():
        raise RnnaudioError(f"{options} are no options of the {cell}, which has {wanted.__name__}: leave them out")
    return wanted()


@dataclass(frozen=True)
class FramesConfig:
    """All settings of a run over frames."""

    strategy: Literal["predict_next", "reconstruct_current"] = "predict_next"  # target: the next frame, or the input
    target_shift: int | None = None  # frames from input to target; None: the strategy's default; 0: none, as in 2016
    cost: Literal["all_steps", "last_step"] = "all_steps"  # steps that the loss counts
    burn_in: int = 0  # first steps of each sequence that the loss leaves out
    scaling: Literal["standard", "min_max_2016"] = "standard"  # standard: mean 0, deviation 1; min_max_2016: -1 to 1
    model: ModelConfig = field(default_factory=ModelConfig)
    frame_size: int = 200  # samples per frame, which is one step
    n_steps: int = 32  # steps per sequence, through which the gradient is propagated back
    segment_steps: int = 0  # train in segments of this many steps: same gradient, less memory; 0: all steps at once
    batch_size: int = 64  # sequences per update
    batches: str = "random"  # random, shifted, offsets or consecutive windows
    optimizer: Literal["rmsprop", "adam", "momentum", "sgd", "rmsprop_2016"] = "rmsprop"  # rmsprop_2016: unscaled
    learning_rate: float = 1e-3
    schedule: Literal["constant", "cosine", "exponential"] = "constant"  # cosine: warm-up, then decay to max_updates
    halve_every: int = 1000  # updates in which the exponential schedule halves the learning rate
    max_gradient_norm: float | None = 1.0  # clip the norm of the whole gradient to this; None: no clipping
    anneal_noise_over: int = 0  # updates over which the noise falls to zero; 0: constant noise
    minutes: float = 15.0  # limit on the training time
    max_updates: int = 1_000_000  # limit on the number of updates
    validate_every: int | None = None  # updates between validations; None: one pass over the training data
    validation: Literal["split", "same_pieces", "training"] = "split"  # same_pieces: last tenth of each piece
    judged_by: Literal["valid", "train"] = "valid"  # loss that decides about stopping and the best parameters
    noise_in_evaluation: bool = False  # leave noise and dropout on in validation and generation
    saved_history: Literal["all", "until_best"] = "all"  # until_best: cut the history after its best row
    generation: Literal["one_function", "two_functions_2016"] = "one_function"  # 2016: each frame is consumed twice
    generation_noise: bool = False  # add noise with the variance of the validation error to the generated samples
    checkpoint_minutes: float = 5.0  # training time that a crash may cost: a checkpoint is written at least so often
    preflight: bool = False  # try toy problems before training
    back_off: int = 0  # times that a run whose loss is not finite returns to its last validation, at half the rate
    stopping: Literal["patience", "mean_difference"] = "patience"  # mean_difference: the rule of 2016
    patience: int = 20  # validations without improvement before training stops
    min_improvement: float = 0.0  # fall of the normalised MSE that counts as an improvement, for patience
    seed: int = 2016  # seed of all random numbers of the run

    def __post_init__(self) -> None:
        require_more_than_zero(
            self, "frame_size", "n_steps", "batch_size", "learning_rate", "halve_every", "max_gradient_norm",
            "minutes", "max_updates", "validate_every", "checkpoint_minutes", "patience",
        )  # fmt: skip
        require_zero_or_more(self, "segment_steps", "anneal_noise_over", "min_improvement", "burn_in", "back_off")
        require_at_most(self, MOST_HALVINGS, "back_off")
        check_seed(self.seed)
        BATCHERS.check(self.batches)
        if self.burn_in >= self.n_steps:
            raise RnnaudioError(f"a burn_in of {self.burn_in} of {self.n_steps} steps leaves no cost: lower it")
        if self.cost == "last_step" and self.burn_in:
            raise RnnaudioError("a cost on the last step has no burn_in: leave it out")
        if self.segment_steps and (self.cost == "last_step" or self.burn_in):
            raise RnnaudioError("a cost that leaves out steps cannot be trained in segments: leave out segment_steps")
        if self.target_shift not in (None, 0, 1):
            raise RnnaudioError(f"target_shift is {self.target_shift}; expected 0 or 1, or leave it out")
        if self.schedule == "cosine" and self.max_updates == FramesConfig.max_updates:
            raise RnnaudioError("the cosine schedule falls over max_updates: set it (--max-updates)")
