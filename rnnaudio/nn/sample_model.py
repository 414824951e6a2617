"""A model of sound sample by sample, in tiers of frames: Mehri et al., SampleRNN (2017)."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from rnnaudio import engine, ops
from rnnaudio.engine import tt
from rnnaudio.nn.feedforward import Dense
from rnnaudio.nn.layer import Context, Layer
from rnnaudio.nn.recurrent import GRU, LSTM
from rnnaudio.nn.wrappers import LearntInitialState
from rnnaudio.readouts import LevelReadout

CELLS = {"lstm": LSTM, "gru": GRU}


class FrameTier(Layer):
    """A recurrence over frames of F samples, that says c' of each of the ``ratio`` r parts of the next frame.

        z_i = f_{i-1} W + b + c_i                  f_{i-1}: the F samples before frame i; c_i: what the tier above says
        h_i = RNN(z_i, h_{i-1})                    h before the first: learnt
        c'_{r i + j} = h_i U_j + b_j               j = 0 .. r - 1: a frame of the tier below, or a sample

    Children: ``hear`` (W, b), the cell, ``tell`` (all U_j side by side, and b_j).
    """

    def __init__(
        self, n_samples: int, n_units: int, *, ratio: int, n_below: int, rng: np.random.Generator, cell: str = "gru"
    ):
        super().__init__()
        if cell not in CELLS or n_samples % ratio:
            raise ValueError(f"got a cell {cell!r}, frames of {n_samples} in {ratio} parts; expected equal parts")
        self.n_in, self.n_out, self.n_samples, self.ratio = n_samples, n_below, n_samples, ratio
        self.n_units = n_units
        self.hear = self._child("hear", Dense(n_samples, n_units, rng=rng))
        self.cell = self._child(cell, LearntInitialState(CELLS[cell](n_units, n_units, rng=rng)))
        self.tell = self._child("tell", Dense(n_units, ratio * n_below, rng=rng))

    @property
    def state_sizes(self) -> Any:
        return self.cell.state_sizes

    def initial_state(self, batch_size: Any) -> Any:
        return self.cell.initial_state(batch_size)

    def says(self, frames: Any, above: Any, state: Any, context: Context) -> tuple[Any, Any]:
        """f (n, batch, F), c (n, batch, n_units) or None on top, h -> c' (r n, batch, n_below), h."""
        z, _ = self.hear.unroll(frames, (), context)
        h, state = self.cell.unroll(z if above is None else z + above, state, context)
        told, _ = self.tell.unroll(h, (), context)
        n, batch = told.shape[0], told.shape[1]
        parts = told.reshape((n, batch, self.ratio, self.n_out)).transpose(0, 2, 1, 3)  # a part's time before batch
        return parts.reshape((n * self.ratio, batch, self.n_out)), state


class SampleTier(Layer):
    """What is said of each sample, by the F samples before it and what the tier above says.

    a_t  = relu([u_{t-1}, .., u_{t-F}] W_1 + c_t)
    a'_t = relu(a_t W_2 + b_2)
    said = a'_t W_3 + b_3                      the parameters of ``readout``
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

    def says(self, windows: Any, above: Any, context: Context) -> Any:
        """[u_{t-1}, .., u_{t-F}] (n, batch, F), c (n, batch, n_units) -> said (n, batch, n_out)."""
        a = ops.activated(ops.dot(windows, self.w_input) + above, "relu")
        a, _ = self.hidden.unroll(a, (), context)
        return self.output.unroll(a, (), context)[0]


class SampleModel(Layer):
    """P(x_1, .., x_T) = prod_t P(x_t | samples before), x_t a level 0 .. L - 1 (:mod:`rnnaudio.data.quantize`).

        v_t = 2 x_t / (L - 1) - 1,   u_t = v_t / deviation

    tiers
        :class:`FrameTier` of u, those of the longest frames first; each tells the next.
    samples
        the :class:`SampleTier`, told by the last of them.
    deviation
        of the values v that are usual.
    taps
        (p + 1,) or None: a linear path. What is said is meant about a_0 v_{t-1} + .. + a_{p-1} v_{t-p} + a_p, which
        needs a read-out with locations. Fixed: least squares.

    ``unroll`` takes codes (n_context + n, batch, 1), levels, of which the first n_context are only heard; n is a
    whole number of frames of the first tier. It gives said (n, batch, n_out). The state is that of the tiers. There is
    no ``step``: :class:`rnnaudio.generation.samples.SamplePlayer` goes sample by sample.
    """

    def __init__(
        self, tiers: Sequence[FrameTier], samples: SampleTier, *, deviation: float, taps: np.ndarray | None = None
    ):
        super().__init__()
        self.n_in, self.n_out, self.deviation = 1, samples.n_out, deviation
        below = [*((tier.n_units, tier.n_samples) for tier in tiers[1:]), (samples.n_units, 1)]
        for tier, (n_units, n_samples) in zip(tiers, below, strict=True):
            if (tier.n_out, tier.n_samples) != (n_units, tier.ratio * n_samples):
                said = f"{tier.n_out} numbers for each {tier.n_samples} / {tier.ratio} samples"
                raise ValueError(f"a tier says {said}, but the one below takes {n_units} for each {n_samples}")
        self.tiers, self.samples = list(tiers), samples
        for k, tier in enumerate(tiers, 1):
            self._child(f"tier_{k}", tier)
        self._child("samples", samples)
        self.taps = None if taps is None else self._statistic("taps", np.asarray(taps, float))
        if self.taps is not None:
            samples.readout.about(np.zeros((1, self.n_out)), np.zeros((1, 1)))  # refuses if it has no location

    @property
    def n_taps(self) -> int:
        """p; 0 without a linear path."""
        return 0 if self.taps is None else len(self.taps.get_value(borrow=True)) - 1

    @property
    def n_context(self) -> int:
        """Samples that have to be known before the first one that is foretold."""
        return max(self.tiers[0].n_samples, self.samples.n_samples, self.n_taps)

    @property
    def state_sizes(self) -> Any:
        return tuple(tier.state_sizes for tier in self.tiers)

    def initial_state(self, batch_size: Any) -> Any:
        return tuple(tier.initial_state(batch_size) for tier in self.tiers)

    def unroll(self, x: Any, state: Any, context: Context, mask: Any = None) -> tuple[Any, Any]:
        n_levels, begin = self.samples.readout.n_levels, self.n_context
        dtype = engine.float_type()
        v = tt.cast(2 * x[..., 0] - (n_levels - 1), dtype) / np.asarray(n_levels - 1, dtype)
        u = v / np.asarray(self.deviation, dtype)
        n, batch = u.shape[0] - begin, u.shape[1]
        above, states = None, []
        for tier, old in zip(self.tiers, state, strict=True):
            size = tier.n_samples
            frames = u[begin - size : begin - size + n].reshape((n // size, size, batch)).transpose(0, 2, 1)
            above, new = tier.says(frames, above, old, context)
            states.append(new)
        said = self.samples.says(lags(u, begin, self.samples.n_samples), above, context)
        if self.taps is not None:
            centre = tt.dot(lags(v, begin, self.n_taps), self.taps[:-1]) + self.taps[-1]
            said = self.samples.readout.about(said, centre[..., None])
        return said, tuple(states)


def lags(x: Any, begin: int, n_lags: int) -> Any:
    """(time, batch) -> (time - begin, batch, n_lags): x_{t-1}, .., x_{t-n_lags} of each t from ``begin`` on."""
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
    """Tiers of frames of so many samples, the longest first, all of n_units; the last reads ``window`` samples."""
    sizes = [*frames, 1]
    tiers = [
        FrameTier(size, n_units, ratio=size // below, n_below=n_units, rng=rng, cell=cell)
        for size, below in pairwise(sizes)
    ]
    return SampleModel(tiers, SampleTier(window, n_units, readout, rng=rng), deviation=deviation, taps=taps)
