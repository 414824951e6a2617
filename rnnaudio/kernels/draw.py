"""All steps of DRAW, forward and backward; each thread computes a share of the batch.

The equations are in :class:`rnnaudio.nn.draw.Draw`. A sum of matrix products is computed as a single product: the
encoder multiplies [reading, h, k] by [W; R]. The shapes, for T steps, B images, n units, m codes and P pixels, are:

prepared
    (T, B, 4 n), the part of the encoder's pre-activations that depends on the image alone; with attention (T, B, P),
    the images. The first axis may have length 1 if the values are the same at every step.
noise
    (T, B, m)
w_encoder
    (S + 2 n, 4 n), where S is the width of a reading: P without attention (sigmoid(canvas)), 2 n_read^2 with attention
w_codes, w_decoder
    (n, 2 m) and (m + n, 4 n)
w_write
    (n, P), or with attention (n, n_write^2 + 5)
w_place
    (n, 5), or empty if reading is without attention
"""

from typing import NamedTuple

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.arrays import Frames, Matrix, Vector
from rnnaudio.kernels.buffers import empty
from rnnaudio.kernels.draw_steps import back_through_steps, through_steps
from rnnaudio.kernels.micro import SHARE_ROWS
from rnnaudio.kernels.product import column_sums, pack, product, require_shapes


class Grids(NamedTuple):
    """Image size in pixels, and numbers of filters per side of the grids that read and write; 0 for no attention."""

    height: int
    width: int
    n_read: int
    n_write: int


class Weights(NamedTuple):
    """Weights and biases of the layers. The shapes of the weights are listed in the docstring of the module.

    A bias has one number for each column of the weight.
    """

    w_encoder: Matrix
    b_encoder: Vector
    w_codes: Matrix
    b_codes: Vector
    w_decoder: Matrix
    b_decoder: Vector
    w_write: Matrix
    b_write: Vector
    w_place: Matrix
    b_place: Vector


class States(NamedTuple):
    """The states of B images: arrays (T, B, width) after each of T steps, or (B, width) at one time.

    The states of the LSTMs have the width n, the number of units; the canvas has the number of pixels as its width.
    ``nats`` holds the KL divergence of each code from N(0, 1), summed over the steps so far; its width is m, the
    number of codes.
    """

    encoder_hidden: Frames
    encoder_cell: Frames
    decoder_hidden: Frames
    decoder_cell: Frames
    canvas: Frames
    nats: Frames


class Kept(NamedTuple):
    """Arrays that the forward pass stores for the backward pass, in addition to the states.

    The symbols are those of the module's docstring.

    reading
        (T, B, S + 2 n): the reading, then h and k before the step, by which the encoder's weights are multiplied.
    encoder_gates, decoder_gates
        (T, B, 4 n): the gates i, f, g, o of the LSTMs.
    codes
        (T, B, 2 m): means, then logarithms of standard deviations.
    joined
        (T, B, m + n): the sampled codes, and the decoder's hidden state before the step.
    places
        (T, B, 5): the five numbers of the reading grid; width 0 if n_read is 0.
    strokes
        (T, B, n_write^2 + 5): the patch and the five numbers of the writing grid; width 0 if n_write is 0.
    """

    reading: Frames  # (T, B, S + 2 n)
    encoder_gates: Frames  # (T, B, 4 n)
    codes: Frames  # (T, B, 2 m): mean, log std
    joined: Frames  # (T, B, m + n): sampled code, and the decoder's hidden state before the step
    decoder_gates: Frames  # (T, B, 4 n)
    places: Frames  # (T, B, 5), empty without attention
    strokes: Frames  # (T, B, n_write^2 + 5), empty without attention


def forward(prepared: Frames, noise: Frames, weights: Weights, start: States, grids: Grids) -> tuple[States, Kept]:
    """Compute the states after every step, and the arrays that :func:`backward` needs from the forward pass.

    ``start`` is the state before the first step. The shapes are described in the docstrings of the module,
    :class:`States` and :class:`Kept`. ValueError if shapes do not match.
    """
    n_steps, batch, m = noise.shape
    n, n_pixels = start.encoder_hidden.shape[1], grids.height * grids.width
    n_reading = 2 * grids.n_read**2 or n_pixels
    n_stroke = grids.n_write**2 + 5 if grids.n_write else n_pixels
    n_place = 5 if grids.n_read else 0
    _check(prepared, weights, start, n_steps, batch, n, m, n_pixels, n_reading, n_stroke, n_place, bool(grids.n_read))

    def room(*width: int) -> list[np.ndarray]:
        return [empty((n_steps, batch, w), noise.dtype) for w in width]

    states = States(*room(n, n, n, n, n_pixels, m))
    kept = Kept(*room(n_reading + 2 * n, 4 * n, 2 * m, m + n, 4 * n, n_place, n_stroke if grids.n_write else 0))
    packed = tuple(pack(w) if w.size else w for w in weights[::2])
    shares = threads.split(batch, SHARE_ROWS)
    fixed = (prepared, noise, packed, tuple(weights[1::2]), tuple(start), tuple(states), tuple(kept), tuple(grids))
    threads.run(through_steps, [(*fixed, *share) for share in shares])
    return states, kept


def _check(
    prepared: Frames, weights: Weights, start: States, n_steps: int, batch: int, n: int, m: int,
    n_pixels: int, n_reading: int, n_stroke: int, n_place: int, attends: bool,
) -> None:  # fmt: skip
    w = weights
    require_shapes(
        prepared=(prepared, (n_steps if len(prepared) > 1 else 1, batch, n_pixels if attends else 4 * n)),
        w_encoder=(w.w_encoder, (n_reading + 2 * n, 4 * n)), w_codes=(w.w_codes, (n, 2 * m)),
        w_decoder=(w.w_decoder, (m + n, 4 * n)), w_write=(w.w_write, (n, n_stroke)),
        w_place=(w.w_place, (n, n_place) if n_place else w.w_place.shape),
        b_encoder=(w.b_encoder, (4 * n,)), b_codes=(w.b_codes, (2 * m,)), b_decoder=(w.b_decoder, (4 * n,)),
        b_write=(w.b_write, (n_stroke,)), b_place=(w.b_place, (n_place,) if n_place else w.b_place.shape),
        canvas=(start.canvas, (batch, n_pixels)), nats=(start.nats, (batch, m)),
        **{name: (value, (batch, n)) for name, value in start._asdict().items() if name not in ("canvas", "nats")},
    )  # fmt: skip


class Backward(NamedTuple):
    """The results of :func:`backward`: loss gradients with respect to the arguments of the same names."""

    prepared: Frames
    weights: Weights
    start: States


def backward(
    prepared: Frames, noise: Frames, weights: Weights, start: States, grids: Grids, states: States, kept: Kept,
    d_states: States,
) -> Backward:  # fmt: skip
    """Compute the loss gradients with respect to prepared, weights and start, given d_states.

    d_states holds the loss gradients with respect to the states of all steps; an empty array (0, 0, 0) stands for a
    gradient of zero. ``states`` and ``kept`` are the results of :func:`forward`; the other arguments are those of
    ``forward``. ValueError if a non-empty array of d_states has another shape than that of the same field of states.
    """
    n_steps, batch, m = noise.shape
    n = start.encoder_hidden.shape[1]
    require_shapes(
        **{name: (d, getattr(states, name).shape if d.size else d.shape) for name, d in d_states._asdict().items()}
    )
    d_gates, d_codes, d_decoder_gates, d_strokes, d_places = (
        empty((n_steps, batch, width), noise.dtype)
        for width in (4 * n, 2 * m, 4 * n, weights.w_write.shape[1], kept.places.shape[2])
    )
    d_start = States(*(np.zeros_like(x) for x in start))
    d_image = np.zeros_like(prepared) if grids.n_read else prepared[:, :0]
    packed = tuple(pack(w.T) if w.size else w for w in weights[::2])
    fixed = (prepared, noise, packed, tuple(start), tuple(states), tuple(kept), tuple(d_states), tuple(grids))
    grads = (d_gates, d_codes, d_decoder_gates, d_strokes, d_places, d_image)
    shares = threads.split(batch, SHARE_ROWS)
    threads.run(back_through_steps, [(*fixed, *grads, tuple(d_start), *share) for share in shares])
    d_prepared = d_image if grids.n_read else d_gates if len(prepared) > 1 or n_steps == 1 else None
    if d_prepared is None:
        d_prepared = d_gates.sum(axis=0, keepdims=True)
    before = np.concatenate([start.decoder_hidden[None], states.decoder_hidden[:-1]]) if grids.n_read else None
    pairs = (
        (kept.reading, d_gates),
        (states.encoder_hidden, d_codes),
        (kept.joined, d_decoder_gates),
        (states.decoder_hidden, d_strokes),
        (before, d_places),
    )
    gradients: list[np.ndarray] = []
    for (x, dy), w, b in zip(pairs, weights[::2], weights[1::2], strict=True):
        gradients += [np.empty_like(w), np.empty_like(b)] if x is None else _affine_gradients(x, dy)
    return Backward(d_prepared, Weights(*gradients), d_start)


def _affine_gradients(x: Frames, dy: Frames) -> list[np.ndarray]:
    """Return the gradients with respect to W and b of y = x W + b, given x and dy of all steps, (T, B, width)."""
    flat_x, flat_dy = x.reshape(-1, x.shape[2]), dy.reshape(-1, dy.shape[2])
    d_w = empty((x.shape[2], dy.shape[2]), x.dtype)
    product(flat_x.T, flat_dy, d_w)
    return [d_w, column_sums(flat_dy)]
