"""Construction of the model, the optimizer and the training rules of a run over frames from its settings."""

import dataclasses
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from rnnaudio.errors import RnnaudioError
from rnnaudio.nn import (
    Activation,
    Cell,
    Dense,
    DrawnInitialState,
    GaussianNoise,
    Layer,
    LearntInitialState,
    LinearPredictor,
    Noisy,
    Repeated,
    Sequential,
    Sum,
)
from rnnaudio.nn.initializers import Initializer, gaussian, glorot_uniform, iso_2016, rand_2016, side_by_side
from rnnaudio.objectives import STRATEGIES, Strategy
from rnnaudio.optimizers import SGD, Adam, Momentum, Optimizer, RMSprop, RMSprop2016
from rnnaudio.registry import resolve
from rnnaudio.runs.frames.config import FramesConfig, ModelConfig
from rnnaudio.training import Constant, EarlyStopping, ExponentialDecay, Judging, MeanDifferenceStopping, WarmupCosine
from rnnaudio.training.run import StoppingRule

WEIGHTS: dict[str, Initializer] = {"iso_2016": iso_2016, "gaussian_2016": gaussian(0.1)}


def build_model(config: FramesConfig, rng: np.random.Generator | None = None) -> Layer:
    """Build the model of a config; RnnaudioError if the widths of its layers do not match.

    rng: generator of the initial parameters; None: one seeded with the config's seed.
    """
    # 2: a random stream for initialisation, apart from those of batches and noise with the same seed.
    rng = rng or np.random.default_rng((config.seed, 0, 2))
    n, m = config.frame_size, config.model
    layers = _recurrent_layers(m, n, rng)
    read_all = m.skip_connections or m.kind.wide_as_frame
    n_top = layers[-1].n_out
    readout: list[Layer] = []
    if m.readout != "none":
        n_read = sum(layer.n_out for layer in layers) if read_all else n_top
        readout = [_readout(m, [n_read, *([m.readout_units] if m.readout_units else []), n], rng)]
    elif n_top != n:
        raise RnnaudioError(f"without a read-out the top layer is the output: got {n_top} units for frames of {n}")
    stack = Sequential([*layers, *readout], skip=m.skip_connections, read_all=bool(readout) and read_all)
    if not m.linear_skip:
        return stack
    # With a linear skip path the output of the stack starts at zero, so the initial model is the linear predictor.
    for last in [layer for part in readout for _, layer in part.layers() if isinstance(layer, Dense)][-1:]:
        last.set_values({name: np.zeros_like(value) for name, value in last.get_values().items()})
    return Sum(stack=stack, linear=LinearPredictor(n, n, n_frames=m.linear_skip))


def _readout(config: ModelConfig, sizes: list[int], rng: np.random.Generator) -> Sequential:
    """Build a read-out: dense layers of the widths ``sizes``, input and output included, with relu between them.

    ``readout_noise`` is added in each layer, even the last, as in 2016.
    """
    weights = {"glorot": glorot_uniform, "rand_2016": rand_2016}[config.readout_weights]
    layers: list[Layer] = []
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        activation = config.readout if k == len(sizes) - 2 else "relu"
        if config.readout_noise:
            layers += [Dense(n_in, n_out, rng=rng, weights=weights), GaussianNoise(n_out, config.readout_noise)]
            layers += [Activation(n_out, activation)]
        else:
            layers.append(Dense(n_in, n_out, rng=rng, activation=activation, weights=weights))
    return Sequential(layers)


def _recurrent_layers(config: ModelConfig, frame_size: int, rng: np.random.Generator) -> list[Layer]:
    depth = config.n_layers
    if config.kind.wide_as_frame:
        depths = [depth] if config.shares_depth else [1] * depth
        weights = WEIGHTS.get(config.weights, iso_2016)
        cells = [_cell(config, frame_size, k, rng, weights=weights) for k in depths]
        return [_wrapped(config, cell, number) for number, cell in enumerate(cells)]
    if config.shares_depth:
        if frame_size != config.n_units:
            raise RnnaudioError(
                f"shared_depth needs n_units {config.n_units} = frame_size {frame_size}: the layers are one"
            )
        return [Repeated(_wrapped(config, _gated_cell(config, frame_size, frame_size, rng), 0), depth)]
    beside = frame_size if config.skip_connections else 0
    n_ins = [frame_size, *[n + beside for n in config.layer_widths[:-1]]]
    sizes = zip(n_ins, config.layer_widths, strict=True)
    return [_wrapped(config, _gated_cell(config, *pair, rng), number) for number, pair in enumerate(sizes)]


def _cell(config: ModelConfig, *sizes: int | np.random.Generator, **options: Initializer) -> Cell:
    """Build the cell that the config names.

    sizes: arguments of the cell's constructor: its widths, then the random generator. options: further arguments by
    name.
    """
    *widths, rng = sizes
    cell: Cell = resolve(config.kind.cell)(*widths, rng=rng, **config.options.arguments(), **options)
    return cell


def _gated_cell(config: ModelConfig, n_in: int, n_units: int, rng: np.random.Generator) -> Cell:
    cell = _cell(config, n_in, n_units, rng)
    if config.weights != "usual":
        _start_as_in_2016(cell, WEIGHTS[config.weights], rng)
    return cell


def _start_as_in_2016(cell: Cell, weights: Initializer, rng: np.random.Generator) -> None:
    """Set a cell's initial weights as in 2016.

    The weights from [h, x] to each gate are initialised as one matrix, each peephole vector as a (1, n) matrix.
    """
    values, n = cell.get_values(), cell.n_out
    n_gates = values["bias"].size // n
    joint = side_by_side(weights, n_gates)(rng, (n + cell.n_in, n_gates * n))
    values |= {"w_hidden": joint[:n], "w_input": joint[n:]}
    values |= {name: weights(rng, (1, n))[0] for name in values if name.startswith("peephole")}
    cell.set_values(values)


def _wrapped(config: ModelConfig, cell: Cell, number: int) -> Layer:
    if config.input_noise or config.state_noise:
        cell = Noisy(cell, std=config.input_noise, state_std=config.state_noise)
    if config.initial_state_noise:
        return DrawnInitialState(cell, std=config.initial_state_noise, number=number)
    return LearntInitialState(cell) if config.learn_initial_state else cell


def build_strategy(config: FramesConfig) -> Strategy:
    """Make the strategy of a config, with its shift of the target and the steps that its loss includes."""
    strategy = STRATEGIES[config.strategy]
    first_scored = -1 if config.cost == "last_step" else config.burn_in
    shift = strategy.shift if config.target_shift is None else config.target_shift
    return dataclasses.replace(strategy, shift=shift, first_scored=first_scored)


def build_judging(config: FramesConfig) -> Judging:
    """Make the rules of a config for model selection: the loss, noise in validation, and the history to save."""
    return Judging(config.judged_by, config.noise_in_evaluation, config.saved_history == "all")


def build_optimizer(config: FramesConfig) -> Optimizer:
    """Make the optimizer of a config, with its learning rate and gradient clipping."""
    rules = {"rmsprop": RMSprop, "rmsprop_2016": RMSprop2016, "adam": Adam, "momentum": Momentum, "sgd": SGD}
    return rules[config.optimizer](learning_rate=config.learning_rate, max_gradient_norm=config.max_gradient_norm)


def build_schedule(config: FramesConfig) -> Callable[[int], float]:
    """Make the learning rate as a function of the index of the update, from 0."""
    if config.schedule == "cosine":
        return WarmupCosine(config.learning_rate, min(100, config.max_updates // 10), config.max_updates)
    if config.schedule == "exponential":
        return ExponentialDecay(config.learning_rate, 0.5, config.halve_every)
    return Constant(config.learning_rate)


def build_stopping(config: FramesConfig) -> StoppingRule:
    """Make the early stopping rule of a config."""
    if config.stopping == "mean_difference":
        return MeanDifferenceStopping()
    return EarlyStopping(config.patience, config.min_improvement)
