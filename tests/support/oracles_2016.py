"""The models of 2016 in plain NumPy, written from the equations of the scripts of that year, gate by gate.

Nothing here imports rnnaudio. Axes are (time, batch, feature); a product acts on rows: x W. Each gate has matrices of
its own, as the scripts had; support/models_2016.py takes them out of a model of the package.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Affine = tuple[Array, Array]  # W (n_in, n_out), b (n_out,)
Noise = Callable[..., Any]  # what is added in a layer, by (layer, step, depth, gate)


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a))."""
    return 1.0 / (1.0 + np.exp(-a))


def relu(a: Array) -> Array:
    """max(a, 0)."""
    return np.where(a > 0.0, a, 0.0)


def silent(*where: Any) -> float:
    """No noise."""
    return 0.0


# --- The memory-only LSTM -----------------------------------------------------------------------------------------


def gate(z: Array, layers: Sequence[Affine], inner: Any, final: Any, noise: Callable[[int], Any]) -> Array:
    """MLP [2n, 2n, n]: x W, then noise, then the bias, then the nonlinearity, in both layers."""
    (w_1, b_1), (w_2, b_2) = layers
    return final(inner(z @ w_1 + noise(0) + b_1) @ w_2 + noise(1) + b_2)


def memories(
    x: Array, m_0: Sequence[Array], gates: Sequence[dict[str, Sequence[Affine]]], noise: Noise = silent,
    bounded: bool = False,
) -> Array:  # fmt: skip
    """[M(i,1) .. M(i,k)] of all steps i, (T, B, k n).

    With M(i,0) = x_i and z = [M(i-1,d), M(i,d-1)]: M(i,d) = f M(i-1,d) + g c, where f and g are sigmoid MLPs with a
    relu layer, c a tanh MLP with a tanh layer. ``gates``: one set for each depth (the same one k times where the
    depths share it). ``bounded``: g = 1 - f.
    """
    before, rows = list(m_0), []
    for i in range(len(x)):
        below = x[i]
        for d, of_depth in enumerate(gates):
            z = np.concatenate([before[d], below], axis=1)
            e = {name: (lambda layer, i=i, d=d, name=name: noise(layer, i, d, name)) for name in "fgc"}
            f = gate(z, of_depth["f"], relu, sigmoid, e["f"])
            g = 1.0 - f if bounded else gate(z, of_depth["g"], relu, sigmoid, e["g"])
            c = gate(z, of_depth["c"], np.tanh, np.tanh, e["c"])
            before[d] = below = f * before[d] + g * c
        rows.append(np.concatenate(before, axis=1))
    return np.stack(rows)


def readout(x: Array, layers: Sequence[Affine], final: Any = None, noise: Callable[[int], Any] = silent) -> Array:
    """MLP with relu layers and a last one that is linear, or ``final``; noise in every layer, the last one too."""
    for k, (w, b) in enumerate(layers):
        x = x @ w + noise(k) + b
        if k < len(layers) - 1:
            x = relu(x)
    return final(x) if final else x


# --- GRU ----------------------------------------------------------------------------------------------------------


def gru(
    x: Array, h: Array, gates: dict[str, Affine], early: bool = False,
    noise_x: Array | float = 0.0, noise_h: Array | float = 0.0,
) -> Array:  # fmt: skip
    """All h of x (T, B, n_in) from h (B, n): hx = [h, x]; r, u = sigmoid(hx); c = tanh([h r, x]);
    h' = h (1 - u) + c u. ``early``: c = tanh([r, x]). The noise is added to x and h before anything else.
    """
    noise_x, noise_h = np.broadcast_to(noise_x, x.shape), np.broadcast_to(noise_h, (len(x), *h.shape))
    rows = []
    for x_t, e_x, e_h in zip(x, noise_x, noise_h, strict=True):
        x_t, h = x_t + e_x, h + e_h
        hx = np.concatenate([h, x_t], axis=1)
        r = sigmoid(hx @ gates["r"][0] + gates["r"][1])
        u = sigmoid(hx @ gates["u"][0] + gates["u"][1])
        seen = np.concatenate([r if early else h * r, x_t], axis=1)
        c = np.tanh(seen @ gates["c"][0] + gates["c"][1])
        h = h * (1.0 - u) + c * u
        rows.append(h)
    return np.stack(rows)


# --- LSTM with peepholes ------------------------------------------------------------------------------------------


def lstm(x: Array, gates: dict[str, tuple[Array, Array, Array]], peepholes: dict[str, Array]) -> Array:
    """All h of x (T, B, n_in) from zero h and c; gates i, f, g, o: (W of x, R of h, b); peepholes of i, f and o."""
    n = peepholes["i"].size
    h, c, rows = np.zeros((x.shape[1], n)), np.zeros((x.shape[1], n)), []
    for x_t in x:
        a = {name: x_t @ w + h @ r + b for name, (w, r, b) in gates.items()}
        i = sigmoid(a["i"] + peepholes["i"] * c)
        f = sigmoid(a["f"] + peepholes["f"] * c)
        c = f * c + i * np.tanh(a["g"])
        h = sigmoid(a["o"] + peepholes["o"] * c) * np.tanh(c)
        rows.append(h)
    return np.stack(rows)


# --- Generation, optimiser, scaling -------------------------------------------------------------------------------


def two_functions(
    f: Callable[[Array, Array], Array], f2: Callable[[Array, Array], Array], k: Array, h: Array, noise: Array
) -> Array:
    """k = f(k, h) + noise; h = f2(k, h), in turn, from the last true frame k and the h that has seen it: all new k."""
    frames = []
    for e in noise:
        k = f(k, h) + e
        h = f2(k, h)
        frames.append(k)
    return np.stack(frames)


def rmsprop_2016(p: Array, g: Array, r: Array, *, learning_rate: float, rho: float) -> tuple[Array, Array]:
    """r <- rho r + (1 - rho) g^2, and p <- p - eta g, not g / sqrt(r)."""
    return p - learning_rate * g, rho * r + (1.0 - rho) * g**2


def min_max(samples: Array) -> Array:
    """2 (a - min) / (max - min) - 1."""
    low, high = samples.min(), samples.max()
    return 2.0 * (samples - low) / (high - low) - 1.0
