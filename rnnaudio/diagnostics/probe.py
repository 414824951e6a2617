"""Probe of a model on a batch: saturation of its units, and decay of its gradient through time."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Array, Floats, Frames, Whole
from rnnaudio.engine import tt
from rnnaudio.nn import Context, Layer

SATURATED = 0.9
N_BINS = 50
Tap: TypeAlias = tuple[Layer, dict[str, Any]]  # a cell, and its activations by name (variables of the engine's graph)


class Histogram(NamedTuple):
    """Histogram of activations: edges (n_bins + 1,), counts (n_bins,), and the share of saturated values.

    Saturated values are within 5 % of an end of the range. For a relu, ``saturated`` is the share of units that are
    never active.
    """

    edges: Floats
    counts: Whole
    saturated: float


class Probe(NamedTuple):
    """Result of :func:`probe`: histograms by name of activation, and the norm of the gradient for each input frame.

    The norms, (time,), are sorted by lag, the number of steps from an input frame to the last frame: 0 .. time - 1.
    """

    saturation: dict[str, Histogram]
    gradient_through_time: Floats


def probe(model: Layer, x: Frames, target: Frames) -> Probe:
    """Run ``model`` in evaluation mode over x (time, batch, n_in) from its initial state; returns two measurements.

    saturation
        histograms of all activations (sigmoid gates, tanh candidates and units, relu units) over time, batch and
        units. For a relu, the range of the histogram is 0 to the largest value, and units that are never active count
        as saturated.
    gradient_through_time
        norm of the gradient of the mean squared error of the *last* step with respect to each input frame, root mean
        square over the sequences of the batch.

    target: (time, batch, n_out); only its last frame is used.
    """
    taps: list[Tap] = []
    frames, last = engine.tensor("x", 3), engine.tensor("last_target", 2)
    y, _ = model.unroll(frames, model.initial_state(frames.shape[1]), Context.evaluation(taps=taps))
    loss = tt.sum(tt.mean(tt.sqr(y[-1] - last), axis=1))  # a sum, so that no gradient depends on the batch size
    (gradient,) = engine.gradient(loss, [frames])
    norms = tt.sqrt(tt.mean(tt.sum(tt.sqr(gradient), axis=2), axis=1))
    paths = {id(layer): path for path, layer in model.layers()}
    named = {f"{paths[id(layer)]}.{name}": value for layer, values in taps for name, value in values.items()}
    through_time, *values = engine.function([frames, last], [norms, *named.values()])(x, target[-1])
    histograms = {name: _histogram(name, value) for name, value in zip(named, values, strict=True)}
    return Probe(histograms, np.asarray(through_time)[::-1].copy())


def _histogram(name: str, value: Array) -> Histogram:
    """Histogram over the range of the activation: (-1, 1) for a candidate or tanh, (0, max) for relu, else (0, 1)."""
    kind = name.rsplit(".", 1)[1]
    if kind == "relu":
        dead = float(np.mean(np.all(value <= 0, axis=tuple(range(value.ndim - 1)))))
        counts, edges = np.histogram(value, N_BINS, range=(0.0, max(float(value.max()), 1e-6)))
        return Histogram(edges, counts, dead)
    low, high = (-1.0, 1.0) if kind in ("candidate", "tanh") else (0.0, 1.0)
    counts, edges = np.histogram(np.clip(value, low, high), N_BINS, range=(low, high))
    centred = np.abs(2.0 * (value - low) / (high - low) - 1.0)
    return Histogram(edges, counts, float(np.mean(centred > SATURATED)))
