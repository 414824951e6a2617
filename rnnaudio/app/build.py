"""From settings to a model, an optimizer, a schedule and a stopping rule."""

from collections.abc import Callable

import numpy as np

from rnnaudio.app.config import ModelConfig, TrainConfig
from rnnaudio.nn import GRU, LSTM, Cell, Layer, LearntInitialState, LinearPredictor, Noisy, Sequential, Sum, mlp
from rnnaudio.optimizers import SGD, Adam, Momentum, Optimizer, RMSprop
from rnnaudio.training import Constant, EarlyStopping, ExponentialDecay, MeanDifferenceStopping, WarmupCosine
from rnnaudio.training.loop import StoppingRule


def build_model(config: TrainConfig) -> Layer:
    """The model of a config, initialised from its seed."""
    rng = np.random.default_rng((config.seed, 0, 2))  # 2: the purpose; batches and noise draw from the same seed
    n, m = config.frame_size, config.model
    layers: list[Layer] = [
        _recurrent_layer(m, (n if k == 0 else m.n_units) + (n if k and m.skip_connections else 0), rng)
        for k in range(m.n_layers)
    ]
    n_read = m.n_units * (m.n_layers if m.skip_connections else 1)
    hidden = [m.readout_units] if m.readout_units else []
    readout = mlp([n_read, *hidden, n], rng=rng)
    layers.append(readout)
    stack = Sequential(layers, skip=m.skip_connections)
    if not m.linear_skip:
        return stack
    # Beside a linear predictor the stack starts silent: the model begins as the predictor and only adds to it.
    *_, (_, last) = readout.layers()
    last.set_values({name: np.zeros_like(value) for name, value in last.get_values().items()})
    return Sum(stack=stack, linear=LinearPredictor(n, n, n_frames=m.linear_skip))


def _recurrent_layer(config: ModelConfig, n_in: int, rng: np.random.Generator) -> Cell:
    cell: Cell
    if config.cell == "lstm":
        cell = LSTM(n_in, config.n_units, rng=rng, peepholes=config.peepholes, forget_bias=config.forget_bias)
    else:
        cell = GRU(n_in, config.n_units, rng=rng)
    if config.input_noise or config.state_noise:
        cell = Noisy(cell, std=config.input_noise, state_std=config.state_noise)
    return LearntInitialState(cell) if config.learn_initial_state else cell


def build_optimizer(config: TrainConfig) -> Optimizer:
    """The rule of a config with its learning rate and clipping."""
    rules = {"rmsprop": RMSprop, "adam": Adam, "momentum": Momentum, "sgd": SGD}
    return rules[config.optimizer](learning_rate=config.learning_rate, max_gradient_norm=config.max_gradient_norm)


def build_schedule(config: TrainConfig) -> Callable[[int], float]:
    """The learning rate of an update."""
    if config.schedule == "cosine":
        return WarmupCosine(config.learning_rate, min(100, config.max_updates // 10), config.max_updates)
    if config.schedule == "exponential":
        return ExponentialDecay(config.learning_rate, 0.5, config.halve_every)
    return Constant(config.learning_rate)


def build_stopping(config: TrainConfig) -> StoppingRule:
    """The rule of early stopping."""
    if config.stopping == "mean_difference":
        return MeanDifferenceStopping()
    return EarlyStopping(config.patience, config.min_improvement)
