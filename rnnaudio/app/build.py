"""From settings to a model, an optimizer, a schedule and a stopping rule."""

from collections.abc import Callable, Iterator

import numpy as np

from rnnaudio.app.config import ModelConfig, TrainConfig
from rnnaudio.nn import (
    GRU,
    LSTM,
    Cell,
    Layer,
    LearntInitialState,
    LinearPredictor,
    MemoryLSTM,
    Noisy,
    Sequential,
    Sum,
    mlp,
)
from rnnaudio.optimizers import SGD, Adam, Momentum, Optimizer, RMSprop
from rnnaudio.training import Constant, EarlyStopping, ExponentialDecay, MeanDifferenceStopping, WarmupCosine
from rnnaudio.training.loop import StoppingRule


def build_model(config: TrainConfig) -> Layer:
    """The model of a config, initialised from its seed."""
    rng = np.random.default_rng((config.seed, 0, 2))  # 2: the purpose; batches and noise draw from the same seed
    n, m = config.frame_size, config.model
    layers: list[Layer] = list(_recurrent_layers(m, n, rng))
    n_read = sum(layer.n_out for layer in layers) if m.skip_connections else layers[-1].n_out
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


def _recurrent_layers(config: ModelConfig, frame_size: int, rng: np.random.Generator) -> Iterator[Layer]:
    if config.cell == "memory-lstm":
        yield _wrapped(config, MemoryLSTM(frame_size, config.n_layers, rng=rng, noise_std=config.layer_noise))
        return
    for k in range(config.n_layers):
        n_in = (frame_size if k == 0 else config.n_units) + (frame_size if k and config.skip_connections else 0)
        if config.cell == "lstm":
            lstm = LSTM(n_in, config.n_units, rng=rng, peepholes=config.peepholes, forget_bias=config.forget_bias)
            yield _wrapped(config, lstm)
        else:
            yield _wrapped(config, GRU(n_in, config.n_units, rng=rng))


def _wrapped(config: ModelConfig, cell: Cell) -> Layer:
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
