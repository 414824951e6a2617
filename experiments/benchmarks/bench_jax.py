"""The training step of ``experiments.benchmarks.bench`` written by hand in JAX: ``lax.scan`` within one jitted call.

The equations, layouts and update rule are those of rnnaudio, so that equal weights give equal losses. The code is what
a careful user would write: the part of the gates that depends on the input only is one large product before the loop,
and the buffers of parameters and mean squares are donated to the updated ones.
"""

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Recurrent(NamedTuple):
    w_input: Any  # (n_in, k n), the blocks of LSTM i, f, g, o (k = 4) or GRU r, u, k (k = 3)
    w_hidden: Any  # (n, k n)
    bias: Any  # (k n,)


class ReadOut(NamedTuple):
    weight: Any  # (n, n_out)
    bias: Any  # (n_out,)


def lstm(layer: Recurrent, x: Any) -> Any:
    """Hidden states of an LSTM at all steps: x (T, B, n_in) -> (T, B, n)."""

    def step(state: Any, from_input: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(from_input + h @ layer.w_hidden, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((x.shape[1], layer.w_hidden.shape[0]), x.dtype)
    return lax.scan(step, (zeros, zeros), x @ layer.w_input + layer.bias)[1]


def gru(layer: Recurrent, x: Any) -> Any:
    """Hidden states of a GRU at all steps: x (T, B, n_in) -> (T, B, n); reset gate before the product."""
    n = layer.w_hidden.shape[0]

    def step(h: Any, from_input: Any) -> Any:
        r, u = jnp.split(jax.nn.sigmoid(from_input[:, : 2 * n] + h @ layer.w_hidden[:, : 2 * n]), 2, axis=1)
        k = jnp.tanh(from_input[:, 2 * n :] + (h * r) @ layer.w_hidden[:, 2 * n :])
        h = (1 - u) * h + u * k
        return h, h

    return lax.scan(step, jnp.zeros((x.shape[1], n), x.dtype), x @ layer.w_input + layer.bias)[1]


CELLS: dict[str, Callable[[Recurrent, Any], Any]] = {"lstm": lstm, "gru": gru}


def mean_squared_error(parameters: list[Any], frames: Any, cell: str) -> Any:
    """Mean squared error of the next frame; frames: (T + 1, B, I), parameters: a list of layers and the read-out."""
    *layers, read_out = parameters
    x = frames[:-1]
    for layer in layers:
        x = CELLS[cell](layer, x)
    return jnp.mean(jnp.square(x @ read_out.weight + read_out.bias - frames[1:]))


@partial(jax.jit, static_argnames="cell", donate_argnums=(0, 1))
def update(parameters: list[Any], mean_squares: list[Any], frames: Any, cell: str) -> tuple[list[Any], list[Any], Any]:
    """RMSprop at rate 1e-3 on gradients clipped to norm 1; returns parameters, mean squares, and the loss before."""
    loss, gradients = jax.value_and_grad(mean_squared_error)(parameters, frames, cell)
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(gradients)))
    gradients = jax.tree.map(lambda g: g / jnp.maximum(norm, 1.0), gradients)
    mean_squares = jax.tree.map(lambda r, g: 0.9 * r + 0.1 * g * g, mean_squares, gradients)
    parameters = jax.tree.map(lambda p, g, r: p - 1e-3 * g / jnp.sqrt(r + 1e-8), parameters, gradients, mean_squares)
    return parameters, mean_squares, loss


def prepare(sizes: list[int], frames: np.ndarray, cell: str) -> Callable[[], float]:
    """Make a function that runs one training step and returns its loss; sizes: widths of the input and each layer."""
    rng = np.random.default_rng(0)
    n_blocks = {"lstm": 4, "gru": 3}[cell]
    layers = [
        Recurrent(_uniform(rng, n_in, n_blocks * n), _uniform(rng, n, n_blocks * n), _uniform(rng, n_blocks * n))
        for n_in, n in pairwise(sizes)
    ]
    parameters = [*layers, ReadOut(_uniform(rng, sizes[-1], sizes[0]), _uniform(rng, sizes[0]))]
    mean_squares = jax.tree.map(jnp.zeros_like, parameters)
    on_device = jax.device_put(frames)

    def step() -> float:
        nonlocal parameters, mean_squares
        parameters, mean_squares, loss = update(parameters, mean_squares, on_device, cell)
        return float(loss)

    return step


def _uniform(rng: np.random.Generator, *shape: int) -> Any:
    """Samples from U(-a, a), float32, with a = 1 / sqrt(length of the first axis)."""
    return jnp.asarray(rng.uniform(-1, 1, shape) / np.sqrt(shape[0]), "float32")
