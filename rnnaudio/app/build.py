"""From settings to a model and an optimizer."""

import numpy as np

from rnnaudio.app.config import ModelConfig, TrainConfig
from rnnaudio.nn import GRU, LSTM, Cell, Dense, Layer, LearntInitialState, LinearPredictor, Noisy, Sequential, Sum, mlp
from rnnaudio.nn.initializers import constant, glorot_uniform
from rnnaudio.optimizers import SGD, Adam, Momentum, Optimizer, RMSprop


def build_model(config: TrainConfig) -> Layer:
    """The model of a config, initialised from its seed."""
    rng = np.random.default_rng(config.seed)
    n, m = config.frame_size, config.model
    layers: list[Layer] = [
        _recurrent_layer(m, (n if k == 0 else m.n_units) + (n if k and m.skip_connections else 0), rng)
        for k in range(m.n_layers)
    ]
    n_read = m.n_units * (m.n_layers if m.skip_connections else 1)
    # Beside a linear predictor the stack starts silent: the model begins as the predictor and only adds to it.
    weights = constant(0.0) if m.linear_skip else glorot_uniform
    layers.append(
        mlp([n_read, m.readout_units, n], rng=rng) if m.readout_units else Dense(n_read, n, rng=rng, weights=weights)
    )
    stack = Sequential(layers, skip=m.skip_connections)
    return Sum(stack=stack, linear=LinearPredictor(n, n, n_frames=m.linear_skip)) if m.linear_skip else stack


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
