"""Images painted step by step by a trained DRAW model: samples from the prior, and reconstructions."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnnaudio import engine
from rnnaudio.audio.arrays import Floats, Images
from rnnaudio.engine import tt
from rnnaudio.nn import AttentiveWrite, Context, Draw
from rnnaudio.nn.attention import Window, shares
from rnnaudio.nn.draw import AttentiveReader
from rnnaudio.nn.recurrent import unroll

Symbolic: TypeAlias = Any  # a variable of the engine's graph


class Painted(NamedTuple):
    """The canvas of a DRAW model after each step, and its attention grids.

    canvases
        (n_steps, n, pixels), values from 0 to 1.
    reads, writes
        (n_steps, n, 4), positions of the attention grids: column and row of the centre, counted from 1, width and
        height, all in pixels; None without attention. ``reads`` is also None for samples from the prior.
    """

    canvases: Images
    reads: Floats | None
    writes: Floats | None


def sample_images(model: Draw, n_images: int, n_steps: int, seed: int) -> Painted:
    """Paint ``n_images`` images in ``n_steps`` steps, with latent codes sampled from the prior N(0, 1) at each step.

    ``seed`` determines the codes. The finished images are ``canvases[-1]`` of the result.
    """
    painter = model.painter
    codes = engine.tensor("codes", 3)
    start = painter.initial_state(codes.shape[1])
    states = unroll(painter, painter.sequences(codes, Context.evaluation()), start)
    z = np.random.default_rng((seed, 0, 5)).standard_normal((n_steps, n_images, painter.n_in))
    writes = _writes(model, states.decoder.hidden)
    canvases, *boxes = engine.function([codes], [engine.sigmoid(states.canvas), *writes])(z)
    return Painted(canvases, None, boxes[0] if boxes else None)


def reconstruct_images(model: Draw, images: Images, n_steps: int, seed: int) -> Painted:
    """Reconstruct images (n, pixels), values from 0 to 1, in ``n_steps`` steps.

    The latent codes are sampled from the encoder's posterior; ``seed`` determines the samples. The reconstructions are
    ``canvases[-1]`` of the result.
    """
    x, key = engine.tensor("images", 2), engine.tensor("key", 1, "int64")
    start = model.initial_state(x.shape[0])
    states = model.paint(x, n_steps, start, Context.training_with(key))
    hidden = states.painter.decoder.hidden
    before = tt.concatenate([tt.shape_padleft(start.painter.decoder.hidden), hidden[:-1]])
    reads, writes = _reads(model, before), _writes(model, hidden)
    function = engine.function([x, key], [engine.sigmoid(states.painter.canvas), *reads, *writes])
    canvases, *boxes = function(images, np.asarray([seed, 0], "int64"))
    return Painted(canvases, boxes[0] if reads else None, boxes[-1] if writes else None)


def _reads(model: Draw, hidden: Symbolic) -> list[Symbolic]:
    reader = model.reader
    return (
        [_boxes(reader.window(_flat(hidden)), model.size, reader.n, hidden)]
        if isinstance(reader, AttentiveReader)
        else []
    )


def _writes(model: Draw, hidden: Symbolic) -> list[Symbolic]:
    write = model.painter.write
    return (
        [_boxes(write.window(_flat(hidden)), model.size, write.n, hidden)] if isinstance(write, AttentiveWrite) else []
    )


def _flat(hidden: Symbolic) -> Symbolic:
    return hidden.reshape((-1, hidden.shape[2]))


def _boxes(at: Window, size: tuple[int, int], n: int, hidden: Symbolic) -> Symbolic:
    """Centre, width and height of attention grids, (time, batch, 4); n filters per side cover n strides."""
    high, wide = shares(size)
    boxes = tt.stack([at.x, at.y, wide * n * at.stride, high * n * at.stride], axis=1)
    return boxes.reshape((hidden.shape[0], hidden.shape[1], 4))
