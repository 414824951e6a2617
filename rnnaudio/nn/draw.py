"""DRAW: a recurrent net that paints an image in many small steps. Gregor et al. (2015)."""

from typing import Any, NamedTuple

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import sigmoid, tt
from rnnaudio.errors import RnnaudioError
from rnnaudio.kernels.draw import Grids
from rnnaudio.nn import attention
from rnnaudio.nn.attention import AttentiveWrite, Window, in_loop
from rnnaudio.nn.feedforward import Dense
from rnnaudio.nn.initializers import glorot_uniform, side_by_side
from rnnaudio.nn.layer import Context, Layer, flatten, unflatten
from rnnaudio.nn.recurrent import LSTM, Cell, repeat_rows, split, unroll
from rnnaudio.nn.wrappers import LearntInitialState
from rnnaudio.ops.draw import paint

Size = tuple[int, int]


class PainterState(NamedTuple):
    decoder: Any  # LSTMState
    canvas: Any  # (batch, pixels), in logits


class Painter(Cell):
    """The half that generates: codes in, a canvas that fills.

        h_t = LSTM(z_t, h_{t-1})        c_t = c_{t-1} + write(h_t)

    z_t (batch, n_codes); the output is the canvas c_t (batch, height width). ``write`` is W h + b, or with
    ``n_write`` filters a side a patch through a grid of Gaussians (:class:`AttentiveWrite`). The first canvas and both
    states of the LSTM are trained.
    """

    def __init__(self, n_codes: int, size: Size, n_units: int, *, rng: np.random.Generator, n_write: int = 0):
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
        self.state_sizes = PainterState(self.decoder.state_sizes, self.n_out)

    def initial_state(self, batch_size: Any) -> PainterState:
        return PainterState(self.decoder.initial_state(batch_size), repeat_rows(self._canvas, batch_size))

    def start_from(self, mean: np.ndarray) -> None:
        """Let the first canvas be this image (pixels,), values within 0 and 1: the mean of the training set, say."""
        q = np.clip(np.asarray(mean, float), 0.01, 0.99)
        self._canvas.set_value(np.log(q / (1 - q)).astype(self._canvas.dtype))

    def sequences(self, x: Any, context: Context) -> Any:
        return self.decoder.sequences(x, context)

    def receive(self, code: Any) -> Any:
        """:meth:`sequences` of one step, inside a loop."""
        return tt.dot(code, self.lstm.w_input) + self.lstm.bias

    def recur(self, inputs: Any, state: PainterState) -> PainterState:
        decoder = self.decoder.recur(inputs, state.decoder)
        h = decoder.hidden
        stroke = in_loop(self.write, h) if isinstance(self.write, Dense) else self.write.apply(h, Context.evaluation())
        return PainterState(decoder, state.canvas + stroke)

    def stroke_weights(self) -> list[Any]:
        """Weight and bias of what is made of the decoder's state: pixels, or a patch and its window."""
        dense = self.write if isinstance(self.write, Dense) else self.write.dense
        return [dense.weight, dense.bias]

    def output(self, states: PainterState) -> Any:
        return states.canvas


class Reader(Layer):
    """What the encoder sees of the image x and of the error x - sigmoid(canvas), as its pre-activations.

    Subclasses give ``prepare(x)``, what depends on the image alone (any leading axes), and ``glance(prepared, canvas,
    hidden)``, the rest, at each step; hidden is the decoder's. ``weights()`` is what a kernel takes: what multiplies
    that which is seen of the canvas, then weight and bias of the window, or None.
    """

    n: int  # filters a side, 0 for none

    def prepare(self, x: Any) -> Any:
        raise NotImplementedError

    def glance(self, prepared: Any, canvas: Any, hidden: Any) -> Any:
        raise NotImplementedError

    def weights(self) -> list[Any]:
        raise NotImplementedError


class PlainReader(Reader):
    """[x, x - sigmoid(c)] W: all of it; as x (W_1 + W_2) - sigmoid(c) W_2 the image's part needs no loop."""

    def __init__(self, n_pixels: int, n_out: int, *, rng: np.random.Generator):
        super().__init__()
        self.n_in, self.n_out, self.n = n_pixels, n_out, 0
        both = side_by_side(glorot_uniform, 4)(rng, (2 * n_pixels, n_out))
        self.w_image = self._parameter("w_image", both[:n_pixels])
        self.w_error = self._parameter("w_error", both[n_pixels:])

    def prepare(self, x: Any) -> Any:
        return tt.dot(x, self.w_image + self.w_error)

    def glance(self, prepared: Any, canvas: Any, hidden: Any) -> Any:
        return prepared - tt.dot(sigmoid(canvas), self.w_error)

    def weights(self) -> list[Any]:
        return [-self.w_error, None, None]


class AttentiveReader(Reader):
    """[read(x), read(x - sigmoid(c))] W, both through one grid of N x N filters that the decoder's state places."""

    def __init__(self, size: Size, n: int, n_units: int, n_out: int, *, rng: np.random.Generator):
        super().__init__()
        self.n_in, self.n_out, self.size, self.n = size[0] * size[1], n_out, size, n
        self._place = Dense(n_units, attention.N_NUMBERS, rng=rng)
        self._child("place", self._place)
        self._weight = self._parameter("weight", side_by_side(glorot_uniform, 4)(rng, (2 * n * n, n_out)))

    def cover_image(self) -> None:
        """Start with a grid over all of it; a constant image is read as that constant at any width."""
        bias = self._place.bias.get_value()
        bias[2], _ = attention.covering(self.size, self.n)
        self._place.bias.set_value(bias)

    def window(self, hidden: Any) -> Window:
        """Where it looks after the decoder was in this state (batch, n_units)."""
        return attention.window(in_loop(self._place, hidden), self.size, self.n)

    def prepare(self, x: Any) -> Any:
        return x

    def glance(self, prepared: Any, canvas: Any, hidden: Any) -> Any:
        at = self.window(hidden)
        of = attention.banks(at, self.size, self.n)
        shape = (canvas.shape[0], *self.size)
        seen = [attention.read(x.reshape(shape), at, of) for x in (prepared, prepared - sigmoid(canvas))]
        return tt.dot(tt.concatenate(seen, axis=1), self._weight)

    def weights(self) -> list[Any]:
        return [self._weight, self._place.weight, self._place.bias]


class DrawState(NamedTuple):
    encoder: Any  # LSTMState
    painter: Any  # PainterState
    nats: Any  # (batch, n_codes): KL(q || N(0, 1)) of each code, summed over the steps so far


class DrawInputs(NamedTuple):
    image: Any  # what the reader has prepared
    noise: Any  # (batch, n_codes), or () in evaluation: then a code is its mean


class Draw(Cell):
    """An encoder that looks at the image and at what is not painted yet, and tells a :class:`Painter` what to add.

        e_t = x - sigmoid(c_{t-1})
        k_t = LSTM([read(x, e_t, h_{t-1}), h_{t-1}], k_{t-1})
        m_t, log s_t = W k_t + b          z_t = m_t + s_t * noise_t
        h_t, c_t = painter(z_t)
        nats_t = nats_{t-1} + (m_t^2 + s_t^2 - 1) / 2 - log s_t

    The input is the image at each step, (time, batch, height width), values within 0 and 1; :meth:`paint` takes one
    image for all steps. The output is the canvas, in logits. In evaluation there is no noise, and what the state then
    says of nats is that of the means: a bound needs the draws of training.

    n_read, n_write
        filters a side of the grids that read and write; 0: all pixels, by a matrix each.
    learns_std
        for Gaussian pixels, of mean sigmoid(c): their common ``log_std`` is trained too.

    RnnaudioError if a grid has more filters a side than the image has pixels.
    """

    def __init__(
        self,
        size: Size,
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
        self.state_sizes = DrawState(self.encoder.state_sizes, self.painter.state_sizes, n_codes)

    def cover_image(self) -> None:
        """Let the grids, where it has some, start over the whole image with filters that meet."""
        for part in (self.reader, self.painter.write):
            if isinstance(part, AttentiveReader | AttentiveWrite):
                part.cover_image()

    def initial_state(self, batch_size: Any) -> DrawState:
        none = repeat_rows(super().initial_state(1).nats[0], batch_size)
        return DrawState(self.encoder.initial_state(batch_size), self.painter.initial_state(batch_size), none)

    def sequences(self, x: Any, context: Context) -> DrawInputs:
        leading = [x.shape[axis] for axis in range(x.ndim - 1)]
        return DrawInputs(self.reader.prepare(x), self._noise(leading, context))

    def _noise(self, leading: list[Any], context: Context) -> Any:
        return context.normal([*leading, self.n_codes]) if context.training else ()

    def recur(self, inputs: DrawInputs, state: DrawState) -> DrawState:
        h = state.painter.decoder.hidden
        seen = self.reader.glance(inputs.image, state.painter.canvas, h)
        seen = seen + tt.dot(h, self._lstm.w_input) + self._lstm.bias
        encoder = self.encoder.recur(seen, state.encoder)
        mean, log_std = split(in_loop(self.codes, encoder.hidden), 2, self.n_codes)
        std = tt.exp(log_std)
        code = mean if isinstance(inputs.noise, tuple) else mean + std * inputs.noise
        painter = self.painter.recur(self.painter.receive(code), state.painter)
        nats = 0.5 * (tt.sqr(mean) + tt.sqr(std) - 1) - log_std
        return DrawState(encoder, painter, state.nats + nats)

    def output(self, states: DrawState) -> Any:
        return states.painter.canvas

    def paint(self, images: Any, n_steps: int, state: DrawState, context: Context) -> DrawState:
        """All states of ``n_steps`` steps on images (batch, height width): what they need alone is computed once."""
        once = self.reader.prepare(images)
        once = once.reshape((1, once.shape[0], once.shape[1]))  # Theano could not undo an added axis in the gradient
        noise = self._noise([n_steps, images.shape[0]], context)
        if engine.kernel() == "fused" and context.truncate_gradient < 0 and self.can_fuse(False, context):
            if isinstance(noise, tuple):
                noise = tt.zeros((n_steps, images.shape[0], self.n_codes), dtype=once.dtype)
            return self._by_kernel(once, noise, state)
        every = tt.zeros((n_steps, 1, 1), dtype=once.dtype) + once
        return unroll(self, DrawInputs(every, noise), state, None, context.truncate_gradient)

    def can_fuse(self, masked: bool, context: Context) -> bool:
        return self.has_kernel and not masked

    def fused(self, x: Any, state: DrawState, mask: Any, context: Context) -> DrawState:
        prepared, noise = self.sequences(x, context)
        if isinstance(noise, tuple):
            noise = tt.zeros((x.shape[0], x.shape[1], self.n_codes), dtype=x.dtype)
        return self._by_kernel(prepared, noise, state)

    def _by_kernel(self, prepared: Any, noise: Any, state: DrawState) -> DrawState:
        encoder, decoder = self._lstm, self.painter.lstm
        seen, *place = self.reader.weights()
        weights = [
            tt.concatenate([seen, encoder.w_input, encoder.w_hidden]), encoder.bias,
            self.codes.weight, self.codes.bias,
            tt.concatenate([decoder.w_input, decoder.w_hidden]), decoder.bias,
            *self.painter.stroke_weights(), *place,
        ]  # fmt: skip
        grids = Grids(*self.size, self.reader.n, self.painter.n_write)
        return unflatten(state, paint(prepared, noise, weights, flatten(state), grids))


def _check_grid(what: str, n: int, size: Size) -> None:
    if not 0 <= n <= min(size):
        raise RnnaudioError(
            f"n_{what} is {n} for images of {size[0]} x {size[1]} pixels; expected 0 (no attention) to {min(size)}"
        )
