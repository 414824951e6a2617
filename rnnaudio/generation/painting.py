"""What a trained DRAW paints, step by step: samples from the prior, and images that it was shown."""

from typing import Any, NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import tt
from rnnaudio.nn import AttentiveWrite, Context, Draw
from rnnaudio.nn.attention import Window, shares
from rnnaudio.nn.draw import AttentiveReader
from rnnaudio.nn.recurrent import unroll


class Painted(NamedTuple):
    """canvases: (n_steps, n, pixels), as values within 0 and 1. reads, writes: (n_steps, n, 4), where each grid lay:
    column and row of its centre, counted from 1, its width and height in pixels; None without attention."""

    canvases: np.ndarray
    reads: np.ndarray | None
    writes: np.ndarray | None


def sample_images(model: Draw, n_images: int, n_steps: int, seed: int) -> Painted:
    """From codes drawn from the prior N(0, 1), by the painter alone."""
    painter = model.painter
    codes = engine.tensor("codes", 3)
    start = painter.initial_state(codes.shape[1])
    states = unroll(painter, painter.sequences(codes, Context.evaluation()), start)
    draws = np.random.default_rng((seed, 0, 5)).standard_normal((n_steps, n_images, painter.n_in))
    writes = _writes(model, states.decoder.hidden)
    canvases, *boxes = engine.function([codes], [engine.sigmoid(states.canvas), *writes])(draws)
    return Painted(canvases, None, boxes[0] if boxes else None)


def reconstruct_images(model: Draw, images: np.ndarray, n_steps: int, seed: int) -> Painted:
    """From codes that the encoder draws, looking at the images (n, pixels)."""
    x, key = engine.tensor("images", 2), engine.tensor("key", 1, "int64")
    start = model.initial_state(x.shape[0])
    states = model.paint(x, n_steps, start, Context.training_with(key))
    hidden = states.painter.decoder.hidden
    before = tt.concatenate([tt.shape_padleft(start.painter.decoder.hidden), hidden[:-1]])
    reads, writes = _reads(model, before), _writes(model, hidden)
    function = engine.function([x, key], [engine.sigmoid(states.painter.canvas), *reads, *writes])
    canvases, *boxes = function(images, np.asarray([seed, 0], "int64"))
    return Painted(canvases, boxes[0] if reads else None, boxes[-1] if writes else None)


def _reads(model: Draw, hidden: Any) -> list[Any]:
    reader = model.reader
    return (
        [_boxes(reader.window(_flat(hidden)), model.size, reader.n, hidden)]
        if isinstance(reader, AttentiveReader)
        else []
    )


def _writes(model: Draw, hidden: Any) -> list[Any]:
    write = model.painter.write
    return (
        [_boxes(write.window(_flat(hidden)), model.size, write.n, hidden)] if isinstance(write, AttentiveWrite) else []
    )


def _flat(hidden: Any) -> Any:
    return hidden.reshape((-1, hidden.shape[2]))


def _boxes(at: Window, size: tuple[int, int], n: int, hidden: Any) -> Any:
    """(time, batch, 4); a grid of n filters a side covers n strides."""
    high, wide = shares(size)
    boxes = tt.stack([at.x, at.y, wide * n * at.stride, high * n * at.stride], axis=1)
    return boxes.reshape((hidden.shape[0], hidden.shape[1], 4))
