"""SampleRNN, a model that predicts sound sample by sample, with tiers at several rates. Mehri et al. (2017)."""

import functools
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from rnnaudio import engine, ops
from rnnaudio.engine import Size, Symbolic, tt
from rnnaudio.nn.activations import Activations, per_frame, widths
from rnnaudio.nn.feedforward import Dense
from rnnaudio.nn.layer import Context, Layer
from rnnaudio.nn.recurrent import GRU, LSTM
from rnnaudio.nn.state import State, StateSizes, parts_of
from rnnaudio.nn.wrappers import LearntInitialState
from rnnaudio.readouts import LevelReadout

CELLS = {"lstm": LSTM, "gru": GRU}


class FrameTier(Layer):
    """A recurrent layer over frames of F samples. Its output c' conditions the tier below for the following frame.

        z_i = f_{i-1} W + b + c_i                  f_{i-1}: the F samples before frame i; c_i: output of the tier above
        h_i = RNN(z_i, h_{i-1})                    the initial h is trained
        c'_{r i + j} = h_i U_j + b_j               j = 0 .. r - 1: frames of the tier below, or samples

    F is ``n_samples`` and r is ``ratio``, the number of frames of the tier below per frame of this tier. z, c and h
    have ``n_units`` numbers, c' has ``n_below``. RNN is the ``cell``, lstm or gru. The child layers are ``input``
    (W, b), the cell, and ``output`` (all U_j side by side, and all b_j); ``rng`` samples their weights. ValueError for
    an unknown cell, or if F is not a multiple of r.
    """

    def __init__(
        self, n_samples: int, n_units: int, *, ratio: int, n_below: int, rng: np.random.Generator, cell: str = "gru"
    ):
        super().__init__()
        if cell not in CELLS or n_samples % ratio:
            raise ValueError(
                f"got a cell {cell!r} and frames of {n_samples} samples in {ratio} parts; expected one of "
                f"{', '.join(CELLS)}, and equal parts"
            )
        self.n_in, self.n_out, self.n_samples, self.ratio = n_samples, n_below, n_samples, ratio
        self.n_units = n_units
        self.input_layer = self._child("input", Dense(n_samples, n_units, rng=rng))
        self.cell = self._child(cell, LearntInitialState(CELLS[cell](n_units, n_units, rng=rng)))
        self.output_layer = self._child("output", Dense(n_units, ratio * n_below, rng=rng))

    @property
    def state_sizes(self) -> StateSizes:
        return self.cell.state_sizes

    def initial_state(self, batch_size: Size) -> State:
        return self.cell.initial_state(batch_size)

    def activations(self) -> Activations:
        """Count arrays as :meth:`Layer.activations` does, per sample: those of a frame divided by its length F."""
        z, parts = widths(self.n_units, self.n_units), widths(self.ratio * self.n_out)
        layers = self.input_layer, self.cell, self.output_layer
        own = Activations(z + parts + widths(self.n_in), z + parts)
        frame = functools.reduce(Activations.beside, (layer.activations() for layer in layers), own)
        return per_frame(frame, self.n_samples)

    def unroll_frames(
        self, frames: Symbolic, above: Symbolic | None, state: State, context: Context
    ) -> tuple[Symbolic, State]:
        """Compute the outputs c' (r n, batch, n_below) for n frames, and the final state; see :class:`FrameTier`.

        ``frames`` (n, batch, F) are the frames f, and ``above`` (n, batch, n_units) is the output c of the tier above,
        None for the top tier. ``state`` is the state before the first frame.
        """
        z, _ = self.input_layer.unroll(frames, (), context)
        h, state = self.cell.unroll(z if above is None else z + above, state, context)
        output, _ = self.output_layer.unroll(h, (), context)
        n, batch = output.shape[0], output.shape[1]
        parts = output.reshape((n, batch, self.ratio, self.n_out)).transpose(0, 2, 1, 3)  # time, part, batch, unit
        return parts.reshape((n * self.ratio, batch, self.n_out)), state


class SampleTier(Layer):
    """The lowest tier: it predicts each sample from the F samples before it and the output c of the tier above.

        a_t  = relu([u_{t-1}, ..., u_{t-F}] W_1 + c_t)
        a'_t = relu(a_t W_2 + b_2)
        y_t  = a'_t W_3 + b_3

    F is ``n_samples``; a, a' and c have ``n_units`` numbers. u are the scaled samples of :class:`SampleModel`, and y_t
    holds the parameters of the distribution of sample t, as defined by ``readout``. ``rng`` samples the initial
    weights.
    """

    def __init__(self, n_samples: int, n_units: int, readout: LevelReadout, *, rng: np.random.Generator):
        super().__init__()
        self.n_in, self.n_out = n_samples, readout.n_parameters
        self.n_samples, self.n_units, self.readout = n_samples, n_units, readout
        self.w_input = self._parameter("w_input", Dense(n_samples, n_units, rng=rng).weight.get_value())
        self.hidden = Dense(n_units, n_units, rng=rng, activation="relu")
        self.output = Dense(n_units, self.n_out, rng=rng)
        self._child("hidden", self.hidden)
        self._child("output", self.output)

    def activations(self) -> Activations:
        a, lagged = widths(self.n_units), widths(self.n_samples)
        own = Activations(a + lagged, a + lagged)
        return own.beside(self.hidden.activations()).beside(self.output.activations())

    def predict(self, windows: Symbolic, above: Symbolic, context: Context) -> Symbolic:
        """Compute the predictions y (n, batch, n_out) of n samples, with the equations of :class:`SampleTier`.

        ``windows`` (n, batch, F) holds, for each sample, the F scaled samples before it, the latest first; ``above``
        (n, batch, n_units) is the output c of the tier above.
        """
        a = ops.activated(ops.dot(windows, self.w_input) + above, "relu")
        a, _ = self.hidden.unroll(a, (), context)
        return self.output.unroll(a, (), context)[0]


class SampleModel(Layer):
    """A model of the samples of a sound: P(x_1, ..., x_T) = prod_t P(x_t | x_1, ..., x_{t-1}).

    x_t is an integer level 0 .. L - 1 (:mod:`rnnaudio.data.quantize`). The tiers take the scaled samples

        v_t = 2 x_t / (L - 1) - 1,   u_t = v_t / deviation

    tiers
        layers :class:`FrameTier` over frames of u, the longest frames first. Each conditions the next.
    samples
        the :class:`SampleTier`, conditioned on the output of the last frame tier. L is its read-out's ``n_levels``.
    deviation
        the typical standard deviation of v, so that u is of the order of 1.
    taps
        coefficients a (p + 1,) of a linear prediction, fitted by least squares and not trained. The distribution's
        locations are then relative to a_0 v_{t-1} + ... + a_{p-1} v_{t-p} + a_p, so the read-out must have locations.
        None: no linear prediction.

    ``unroll`` takes levels (n_context + n, batch, 1), where n is a multiple of the first tier's frame length, and
    returns predictions (n, batch, n_out), the parameters of the read-out for the last n samples; the first n_context
    levels are not predicted. ValueError if it is given a ``mask``. The state is a tuple with the state of each frame
    tier. There is no ``step``: to generate sample by sample, use :class:`rnnaudio.generation.samples.SamplePlayer`.

    ValueError if the widths of two tiers do not fit, or for taps with a read-out that has no locations.
    """

    def __init__(
        self, tiers: Sequence[FrameTier], samples: SampleTier, *, deviation: float, taps: np.ndarray | None = None
    ):
        super().__init__()
        self.n_in, self.n_out, self.deviation = 1, samples.n_out, deviation
        below = [*((tier.n_units, tier.n_samples) for tier in tiers[1:]), (samples.n_units, 1)]
        for tier, (n_units, n_samples) in zip(tiers, below, strict=True):
            if (tier.n_out, tier.n_samples) != (n_units, tier.ratio * n_samples):
                got = f"{tier.n_out} numbers for each {tier.n_samples} / {tier.ratio} samples"
                raise ValueError(f"a tier outputs {got}, but the one below takes {n_units} for each {n_samples}")
        self.tiers, self.samples = list(tiers), samples
        for k, tier in enumerate(tiers, 1):
            self._child(f"tier_{k}", tier)
        self._child("samples", samples)
        self.taps = None if taps is None else self._statistic("taps", np.asarray(taps, float))
        if self.taps is not None:
            samples.readout.shifted(np.zeros((1, self.n_out)), np.zeros((1, 1)))  # ValueError if it has no location

    @property
    def n_taps(self) -> int:
        """The number p of past samples that the linear prediction uses; 0 without ``taps``."""
        return 0 if self.taps is None else len(self.taps.get_value(borrow=True)) - 1

    @property
    def n_context(self) -> int:
        """The number of samples that must be known before the first predicted sample."""
        return max(self.tiers[0].n_samples, self.samples.n_samples, self.n_taps)

    @property
    def state_sizes(self) -> StateSizes:
        return tuple(tier.state_sizes for tier in self.tiers)

    def initial_state(self, batch_size: Size) -> State:
        return tuple(tier.initial_state(batch_size) for tier in self.tiers)

    def activations(self) -> Activations:
        taps = widths(self.n_taps) + widths(*[self.n_out] * 2) if self.taps is not None else widths()
        parts = [part.activations() for part in (*self.tiers, self.samples)]
        return functools.reduce(Activations.beside, parts, Activations(taps, taps))

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        if mask is not None:
            raise ValueError("a SampleModel got a mask; it has none: cut the sequences to equal lengths")
        n_levels, begin = self.samples.readout.n_levels, self.n_context
        dtype = engine.float_type()
        v = tt.cast(2 * x[..., 0] - (n_levels - 1), dtype) / np.asarray(n_levels - 1, dtype)
        u = v / np.asarray(self.deviation, dtype)
        n, batch = u.shape[0] - begin, u.shape[1]
        above: Symbolic | None = None
        states = []
        for tier, old in zip(self.tiers, parts_of(state), strict=True):
            size = tier.n_samples
            frames = u[begin - size : begin - size + n].reshape((n // size, size, batch)).transpose(0, 2, 1)
            above, new = tier.unroll_frames(frames, above, old, context)
            states.append(new)
        assert above is not None, "the model has no tiers"
        prediction = self.samples.predict(lags(u, begin, self.samples.n_samples), above, context)
        if self.taps is not None:
            centre = tt.dot(lags(v, begin, self.n_taps), self.taps[:-1]) + self.taps[-1]
            prediction = self.samples.readout.shifted(prediction, centre[..., None])
        return prediction, tuple(states)


def lags(x: Symbolic, begin: int, n_lags: int) -> Symbolic:
    """Stack x_{t-1}, ..., x_{t-n_lags} for each step t >= begin: (time, batch) -> (time - begin, batch, n_lags)."""
    n = x.shape[0] - begin
    return tt.stack([x[begin - lag : begin - lag + n] for lag in range(1, n_lags + 1)], axis=2)


def sample_model(
    frames: Sequence[int],
    window: int,
    n_units: int,
    readout: LevelReadout,
    *,
    rng: np.random.Generator,
    cell: str = "gru",
    deviation: float = 1.0,
    taps: np.ndarray | None = None,
) -> SampleModel:
    """Build a :class:`SampleModel` with one :class:`FrameTier` for each frame length in ``frames``, in samples.

    The longest frames come first, and each length must be a multiple of the next. All tiers have ``n_units`` units.
    The input of the sample tier is the last ``window`` samples, its output the parameters of ``readout``. ``cell`` is
    lstm or gru; ``rng`` samples the initial weights. ``deviation`` and ``taps``: see :class:`SampleModel`.

    ValueError if ``frames`` is empty or a length is not a multiple of the next, or for an unknown cell.
    """
    sizes = [*frames, 1]
    if not frames or min(sizes) < 1 or any(size < below for size, below in pairwise(sizes)):
        got = f"frames are {tuple(frames)}"
        raise ValueError(f"{got}; expected lengths that are multiples of the next, the longest first")
    tiers = [
        FrameTier(size, n_units, ratio=size // below, n_below=n_units, rng=rng, cell=cell)
        for size, below in pairwise(sizes)
    ]
    return SampleModel(tiers, SampleTier(window, n_units, readout, rng=rng), deviation=deviation, taps=taps)
