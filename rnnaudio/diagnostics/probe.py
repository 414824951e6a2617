"""One look inside a model on a batch: how saturated its units are, and how far its gradient reaches back."""

from typing import Any, NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import tt
from rnnaudio.nn import Context, Layer

SATURATED = 0.9
N_BINS = 50


class Histogram(NamedTuple):
    """edges (n_bins + 1,), counts (n_bins,), and the share of activations within 5 % of an end of the range."""

    edges: np.ndarray
    counts: np.ndarray
    saturated: float


class Probe(NamedTuple):
    """saturation: by activation name; gradient_through_time: |d loss_T / d x_{T-lag}| by lag 0..T-1."""

    saturation: dict[str, Histogram]
    gradient_through_time: np.ndarray


def probe(model: Layer, x: np.ndarray, target: np.ndarray) -> Probe:
    """Unroll ``model`` in evaluation over x (time, batch, n_in) from its initial state, and look.

    saturation
        histograms of every bounded activation (sigmoid gates, tanh candidates and units) over time, batch and units;
        of a relu its positive part, the share counted as saturated being the units that are never active.
    gradient_through_time
        the gradient of the squared error of the *last* step, mean over the batch, with respect to each input frame:
        its norm, root mean square over the batch. Where it falls below the noise of the rest, memory ends.
    """
    taps: list[Any] = []
    frames, last = engine.tensor("x", 3), engine.tensor("last_target", 2)
    y, _ = model.unroll(frames, model.initial_state(frames.shape[1]), Context.evaluation(taps=taps))
    loss = tt.sum(tt.mean(tt.sqr(y[-1] - last), axis=1))  # a sum, so that sequences do not share a gradient
    (gradient,) = engine.gradient(loss, [frames])
    norms = tt.sqrt(tt.mean(tt.sum(tt.sqr(gradient), axis=2), axis=1))
    paths = {id(layer): path for path, layer in model.layers()}
    named = {f"{paths[id(layer)]}.{name}": value for layer, values in taps for name, value in values.items()}
    through_time, *values = engine.function([frames, last], [norms, *named.values()])(x, target[-1])
    histograms = {name: _histogram(name, value) for name, value in zip(named, values, strict=True)}
    return Probe(histograms, np.asarray(through_time)[::-1].copy())


def _histogram(name: str, value: np.ndarray) -> Histogram:
    """The range follows from the kind: (-1, 1) for a candidate or tanh, (0, max) for relu, else a sigmoid's (0, 1)."""
    kind = name.rsplit(".", 1)[1]
    if kind == "relu":
        dead = float(np.mean(np.all(value <= 0, axis=tuple(range(value.ndim - 1)))))
        counts, edges = np.histogram(value, N_BINS, range=(0.0, max(float(value.max()), 1e-6)))
        return Histogram(edges, counts, dead)
    low, high = (-1.0, 1.0) if kind in ("candidate", "tanh") else (0.0, 1.0)
    counts, edges = np.histogram(np.clip(value, low, high), N_BINS, range=(low, high))
    centred = np.abs(2.0 * (value - low) / (high - low) - 1.0)
    return Histogram(edges, counts, float(np.mean(centred > SATURATED)))
