"""DRAW: a recurrent network that paints an image in many small steps. Gregor et al. (2015)."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeAlias, cast

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Size, Symbolic, sigmoid, tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels.draw import Grids
from rnnaudio.nn import attention
from rnnaudio.nn.attention import AttentiveWrite, ImageSize, Window, in_loop
from rnnaudio.nn.feedforward import Dense
from rnnaudio.nn.initializers import glorot_uniform, side_by_side
from rnnaudio.nn.layer import Context, Layer, flatten, unflatten
from rnnaudio.nn.recurrent import LSTM, Cell, LSTMState, repeat_rows, split, unroll
from rnnaudio.nn.state import Leaf
from rnnaudio.nn.wrappers import LearntInitialState
from rnnaudio.ops.draw import paint

Noise: TypeAlias = Symbolic | tuple[()]
"""Random numbers N(0, 1) of shape (..., n_codes), one for each code; an empty tuple in evaluation."""


class PainterState(NamedTuple, Generic[Leaf]):
    decoder: LSTMState[Leaf]
    canvas: Leaf  # (batch, pixels), in logits


class Painter(Cell[Symbolic, PainterState[Symbolic]]):
    """The decoder of DRAW: at each step it adds an image computed from the step's codes to a canvas.

        h_t = LSTM(z_t, h_{t-1})        c_t = c_{t-1} + write(h_t)

    z_t (batch, n_codes) are the codes; the output is the canvas c_t (batch, height width), in logits, for an image of
    ``size`` (height, width). ``write(h)`` is h W + b if ``n_write`` is 0; otherwise it writes a patch through a grid
    of n_write x n_write Gaussian filters (:class:`AttentiveWrite`). The LSTM has ``n_units`` units. The initial canvas
    and the initial state of the LSTM are trained; ``rng`` samples the initial weights. RnnaudioError if ``n_write`` is
    negative or exceeds the number of pixels of the shorter side.
    """

    def __init__(self, n_codes: int, size: ImageSize, n_units: int, *, rng: np.random.Generator, n_write: int = 0):
        super().__init__()
        _check_grid("write", n_write, size)
        self.n_in, self.n_out, self.size, self.n_write = n_codes, size[0] * size[1], size, n_write
        lstm = LSTM(n_codes, n_units, rng=rng)
        self.decoder = LearntInitialState(lstm)
        self._child("decoder", self.decoder)
        self.lstm = lstm
        self.write: Dense | AttentiveWrite = (
            AttentiveWrite(n_units, size, n_write, rng=rng) if n_write else Dense(n_units, self.n_out, rng=rng)
        )
        self._child("write", self.write)
        self._canvas = self._parameter("canvas", np.zeros(self.n_out))
        self.state_sizes: PainterState[int] = PainterState(lstm.state_sizes, self.n_out)

    def initial_state(self, batch_size: Size) -> PainterState[Symbolic]:
        decoder = cast("LSTMState[Symbolic]", self.decoder.initial_state(batch_size))
        return PainterState(decoder, repeat_rows(self._canvas, batch_size))

    def start_from(self, mean: np.ndarray) -> None:
        """Set the initial canvas to an image (pixels,), such as the mean of the training set.

        The image's values, from 0 to 1, are clipped to the range .01 to .99, so that their logits are moderate.
        """
        q = np.clip(np.asarray(mean, float), 0.01, 0.99)
        self._canvas.set_value(np.log(q / (1 - q)).astype(self._canvas.dtype))

    def sequences(self, x: Symbolic, context: Context) -> Symbolic:
        return self.decoder.sequences(x, context)

    def receive(self, code: Symbolic) -> Symbolic:
        """Compute z W + b for the codes z of one step, inside a loop over time.

        code (batch, n_codes) -> (batch, 4 n_units), the argument ``inputs`` of :meth:`recur`. Outside loops,
        :meth:`sequences` computes the same for all steps.
        """
        return tt.dot(code, self.lstm.w_input) + self.lstm.bias

    def recur(self, inputs: Symbolic, state: PainterState[Symbolic]) -> PainterState[Symbolic]:
        decoder = self.decoder.recur(inputs, state.decoder)
        h = decoder.hidden
        stroke = in_loop(self.write, h) if isinstance(self.write, Dense) else self.write.apply(h, Context.evaluation())
        return PainterState(decoder, state.canvas + stroke)

    def stroke_weights(self) -> list[Symbolic]:
        """Return [weight, bias] of the layer that maps the hidden state to pixels, or to a patch and its window.

        The shapes are (n_units, n) and (n,), where n is the number of pixels, or n_write^2 + 5 with attention.
        """
        dense = self.write if isinstance(self.write, Dense) else self.write.dense
        return [dense.weight, dense.bias]

    def output(self, states: PainterState[Symbolic]) -> Symbolic:
        return states.canvas


class Reader(Layer):
    """A layer that reads the image x and the error x - sigmoid(canvas) into pre-activations of the encoder's gates.

    Subclasses define three methods:

    ``prepare(x)``
        computes all that depends on the image x (..., pixels) alone, outside the loop over time.
    ``glance(prepared, canvas, hidden)``
        computes the pre-activations (batch, n_out) of one step from one step of the result of ``prepare``, the canvas
        (batch, pixels) and the decoder's hidden state (batch, n_units).
    ``weights()``
        returns the weight by which the kernel multiplies a reading, and the weight and the bias of the layer that
        computes the window; the last two are None without attention.
    """

    n: int  # filters per side, 0 for no attention

    def prepare(self, x: Symbolic) -> Symbolic:
        raise NotImplementedError

    def glance(self, prepared: Symbolic, canvas: Symbolic, hidden: Symbolic) -> Symbolic:
        raise NotImplementedError

    def weights(self) -> list[Symbolic | None]:
        raise NotImplementedError


class PlainReader(Reader):
    """A reader without attention: [x, x - sigmoid(c)] W for all pixels of the image x and the canvas c.

    It is computed as x (W_1 + W_2) - sigmoid(c) W_2, where W_1 and W_2 (pixels, n_out) are the upper and the lower
    half of W. The first product does not depend on the canvas, so it is computed before the loop over time.
    """

    def __init__(self, n_pixels: int, n_out: int, *, rng: np.random.Generator):
        super().__init__()
        self.n_in, self.n_out, self.n = n_pixels, n_out, 0
        both = side_by_side(glorot_uniform, 4)(rng, (2 * n_pixels, n_out))
        self.w_image = self._parameter("w_image", both[:n_pixels])
        self.w_error = self._parameter("w_error", both[n_pixels:])

    def prepare(self, x: Symbolic) -> Symbolic:
        return tt.dot(x, self.w_image + self.w_error)

    def glance(self, prepared: Symbolic, canvas: Symbolic, hidden: Symbolic) -> Symbolic:
        return prepared - tt.dot(sigmoid(canvas), self.w_error)

    def weights(self) -> list[Symbolic | None]:
        return [-self.w_error, None, None]


class AttentiveReader(Reader):
    """A reader with attention: [read(x), read(x - sigmoid(c))] W for the image x and the canvas c.

    Both are read through the same grid of n x n filters (:func:`rnnaudio.nn.attention.read`). The window of the grid
    is a function of the decoder's hidden state (batch, n_units); the result is (batch, n_out).
    """

    def __init__(self, size: ImageSize, n: int, n_units: int, n_out: int, *, rng: np.random.Generator):
        super().__init__()
        self.n_in, self.n_out, self.size, self.n = size[0] * size[1], n_out, size, n
        self._place = Dense(n_units, attention.N_NUMBERS, rng=rng)
        self._child("place", self._place)
        self._weight = self._parameter("weight", side_by_side(glorot_uniform, 4)(rng, (2 * n * n, n_out)))

    def cover_image(self) -> None:
        """Set the initial bias so that the grid covers the whole image.

        The intensity gamma stays 1, so that the patch read from a constant image has the same constant value.
        """
        bias = self._place.bias.get_value()
        bias[2], _ = attention.covering(self.size, self.n)
        self._place.bias.set_value(bias)

    def window(self, hidden: Symbolic) -> Window:
        """Compute the window through which the layer reads, given the decoder's previous hidden state."""
        return attention.window(in_loop(self._place, hidden), self.size, self.n)

    def prepare(self, x: Symbolic) -> Symbolic:
        return x

    def glance(self, prepared: Symbolic, canvas: Symbolic, hidden: Symbolic) -> Symbolic:
        at = self.window(hidden)
        bank = attention.banks(at, self.size, self.n)
        shape = (canvas.shape[0], *self.size)
        readings = [attention.read(x.reshape(shape), at, bank) for x in (prepared, prepared - sigmoid(canvas))]
        return tt.dot(tt.concatenate(readings, axis=1), self._weight)

    def weights(self) -> list[Symbolic | None]:
        return [self._weight, self._place.weight, self._place.bias]


class DrawState(NamedTuple, Generic[Leaf]):
    encoder: LSTMState[Leaf]
    painter: PainterState[Leaf]
    nats: Leaf  # (batch, n_codes): KL(q || N(0, 1)) of each code, summed over the steps so far


class DrawInputs(NamedTuple):
    image: Symbolic  # what the reader's `prepare` returns
    noise: Noise  # (): each code is its mean


class Draw(Cell[DrawInputs, DrawState[Symbolic]]):
    """The DRAW network: an encoder that reads image and error, and a :class:`Painter` that decodes its codes.

        e_t = x - sigmoid(c_{t-1})
        k_t = LSTM([read(x, e_t, h_{t-1}), h_{t-1}], k_{t-1})
        m_t, log s_t = W k_t + b          z_t = m_t + s_t * noise_t
        h_t, c_t = painter(z_t)
        nats_t = nats_{t-1} + (m_t^2 + s_t^2 - 1) / 2 - log s_t

    x is the image, e the error, c the canvas, k and h the hidden states of encoder and decoder, z the codes, m and s
    their means and standard deviations, and nats the KL divergence of each code from N(0, 1), summed over the steps so
    far.

    The input is the image at each step, (time, batch, height width), values from 0 to 1; :meth:`paint` takes one image
    for all steps. The output is the canvas, of the same shape, in logits. In evaluation there is no noise: each code
    is its mean. The variational bound can then not be computed from the state's nats, because it needs sampled codes.

    size
        (height, width) of the image in pixels.
    n_units
        number of units of the encoder's LSTM, and also of the decoder's.
    n_codes
        number of codes z of a step.
    rng
        samples the initial weights.
    n_read, n_write
        filters per side of the grids that read and write; 0: no attention, but a weight matrix over all pixels.
    learns_std
        True for Gaussian pixels of mean sigmoid(c): the layer has a trained parameter ``log_std``, the logarithm of
        the standard deviation of all pixels. False: ``log_std`` is None.

    RnnaudioError if n_read or n_write is negative or exceeds the number of pixels of the image's shorter side.
    """

    def __init__(
        self,
        size: ImageSize,
        n_units: int,
        n_codes: int,
        *,
        rng: np.random.Generator,
        n_read: int = 0,
        n_write: int = 0,
        learns_std: bool = False,
    ):
        super().__init__()
        _check_grid("read", n_read, size)
        n_pixels = size[0] * size[1]
        self.n_in = self.n_out = n_pixels
        self.size, self.n_codes = size, n_codes
        self.reader: PlainReader | AttentiveReader = (
            AttentiveReader(size, n_read, n_units, 4 * n_units, rng=rng)
            if n_read
            else PlainReader(n_pixels, 4 * n_units, rng=rng)
        )
        self._child("reader", self.reader)
        self._lstm = LSTM(n_units, n_units, rng=rng)
        self.encoder = LearntInitialState(self._lstm)
        self._child("encoder", self.encoder)
        self.codes = Dense(n_units, 2 * n_codes, rng=rng)
        self._child("codes", self.codes)
        self.painter = Painter(n_codes, size, n_units, rng=rng, n_write=n_write)
        self._child("painter", self.painter)
        self.log_std = self._parameter("log_std", np.asarray(0.0)) if learns_std else None
        self.state_sizes = DrawState(self._lstm.state_sizes, self.painter.state_sizes, n_codes)

    def cover_image(self) -> None:
        """Set the initial biases of the attentive layers, if any, so that their grids cover the whole image."""
        for part in (self.reader, self.painter.write):
            if isinstance(part, AttentiveReader | AttentiveWrite):
                part.cover_image()

    def initial_state(self, batch_size: Size) -> DrawState[Symbolic]:
        zeros = cast("DrawState[Symbolic]", super().initial_state(1))
        nats = repeat_rows(zeros.nats[0], batch_size)
        encoder = cast("LSTMState[Symbolic]", self.encoder.initial_state(batch_size))
        return DrawState(encoder, self.painter.initial_state(batch_size), nats)

    def sequences(self, x: Symbolic, context: Context) -> DrawInputs:
        leading = [x.shape[axis] for axis in range(x.ndim - 1)]
        return DrawInputs(self.reader.prepare(x), self._noise(leading, context))

    def _noise(self, leading: Sequence[Size], context: Context) -> Noise:
        return context.normal([*leading, self.n_codes]) if context.training else ()

    def recur(self, inputs: DrawInputs, state: DrawState[Symbolic]) -> DrawState[Symbolic]:
        h = state.painter.decoder.hidden
        reading = self.reader.glance(inputs.image, state.painter.canvas, h)
        reading = reading + tt.dot(h, self._lstm.w_input) + self._lstm.bias
        encoder = self.encoder.recur(reading, state.encoder)
        mean, log_std = split(in_loop(self.codes, encoder.hidden), 2, self.n_codes)
        std = tt.exp(log_std)
        code = mean if isinstance(inputs.noise, tuple) else mean + std * inputs.noise
        painter = self.painter.recur(self.painter.receive(code), state.painter)
        nats = 0.5 * (tt.sqr(mean) + tt.sqr(std) - 1) - log_std
        return DrawState(encoder, painter, state.nats + nats)

    def output(self, states: DrawState[Symbolic]) -> Symbolic:
        return states.painter.canvas

    def paint(
        self, images: Symbolic, n_steps: int, state: DrawState[Symbolic], context: Context
    ) -> DrawState[Symbolic]:
        """Compute the states after each of ``n_steps`` steps with the same images as input of every step.

        images (batch, height width), values from 0 to 1; ``state`` is the state before the first step. The arrays of
        the result are (n_steps, batch, width).
        """
        once = self.reader.prepare(images)
        once = once.reshape((1, once.shape[0], once.shape[1]))  # Theano could not undo an added axis in the gradient
        noise = self._noise([n_steps, images.shape[0]], context)
        if engine.kernel() == "fused" and context.truncate_gradient < 0 and self.can_fuse(False, context):
            if isinstance(noise, tuple):
                noise = tt.zeros((n_steps, images.shape[0], self.n_codes), dtype=once.dtype)
            return self._by_kernel(once, noise, state)
        repeated = tt.zeros((n_steps, 1, 1), dtype=once.dtype) + once
        return unroll(self, DrawInputs(repeated, noise), state, None, context.truncate_gradient)

    def can_fuse(self, masked: bool, context: Context) -> bool:
        return self.has_kernel and not masked

    def fused(
        self, x: Symbolic, state: DrawState[Symbolic], mask: Symbolic | None, context: Context
    ) -> DrawState[Symbolic]:
        prepared, noise = self.sequences(x, context)
        if isinstance(noise, tuple):
            noise = tt.zeros((x.shape[0], x.shape[1], self.n_codes), dtype=x.dtype)
        return self._by_kernel(prepared, noise, state)

    def _by_kernel(self, prepared: Symbolic, noise: Symbolic, state: DrawState[Symbolic]) -> DrawState[Symbolic]:
        encoder, decoder = self._lstm, self.painter.lstm
        reading, *place = self.reader.weights()
        weights = [
            tt.concatenate([reading, encoder.w_input, encoder.w_hidden]), encoder.bias,
            self.codes.weight, self.codes.bias,
            tt.concatenate([decoder.w_input, decoder.w_hidden]), decoder.bias,
            *self.painter.stroke_weights(), *place,
        ]  # fmt: skip
        grids = Grids(*self.size, self.reader.n, self.painter.n_write)
        return unflatten(state, paint(prepared, noise, weights, flatten(state), grids))


def _check_grid(kind: str, n: int, size: ImageSize) -> None:
    if not 0 <= n <= min(size):
        raise RnnaudioError(
            f"n_{kind} is {n} for images of {size[0]} x {size[1]} pixels; expected 0 (no attention) to {min(size)}"
        )
