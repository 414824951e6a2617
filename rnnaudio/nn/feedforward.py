"""Layers without a state. They accept any leading axes: (batch, n) as well as (time, batch, n)."""

import numpy as np

from rnnaudio import engine, ops
from rnnaudio.engine import Symbolic, tt
from rnnaudio.kernels.dense import ActivationStep, DenseStep
from rnnaudio.kernels.step import NormalisedStep, Step, Unchanged
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.initializers import Initializer, constant, glorot_uniform
from rnnaudio.nn.layer import Context, Layer, current, hide_masked, known_std
from rnnaudio.nn.state import State


class FeedForward(Layer):
    """A layer whose output depends on the current input only; subclasses define :meth:`apply`."""

    def apply(self, x: Symbolic, context: Context) -> Symbolic:
        """Compute y (..., n_out) from x (..., n_in)."""
        raise NotImplementedError

    def step(self, x: Symbolic, state: State, context: Context) -> tuple[Symbolic, State]:
        return self.apply(x, context), ()

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        return self.apply(hide_masked(x, mask), context), ()


def known_activation(kind: str) -> str:
    """Return the name of an activation function after checking that it is in :data:`rnnaudio.ops.ACTIVATIONS`.

    ValueError if it is not.
    """
    if kind not in ops.ACTIVATIONS:
        raise ValueError(f"activation is {kind!r}; expected one of {', '.join(ops.ACTIVATIONS)}")
    return kind


def tapped(layer: Layer, kind: str, y: Symbolic, context: Context) -> Symbolic:
    """Return y, the output of ``layer``, after appending (layer, {kind: y}) to the context's taps, if any.

    ``kind`` is the name of the activation function that computed y; for ``linear`` nothing is appended.
    """
    if context.taps is not None and kind != "linear":
        context.taps.append((layer, {kind: y}))
    return y


class Dense(FeedForward):
    """y = activation(x W + b): x (..., n_in), W (n_in, n_out), b (n_out,) -> (..., n_out).

    ``weights`` and ``bias`` are the initializers of W and b, which sample with ``rng``; ``activation`` is one of
    linear, relu, tanh, sigmoid. ValueError for any other name.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        rng: np.random.Generator,
        activation: str = "linear",
        weights: Initializer = glorot_uniform,
        bias: Initializer = constant(0.0),  # noqa: B008 (a pure function)
    ):
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        self._activation = known_activation(activation)
        self.weight = self._parameter("weight", weights(rng, (n_in, n_out)))
        self.bias = self._parameter("bias", bias(rng, (n_out,)))

    def activations(self) -> Activations:
        bent = widths() if self._activation == "linear" else widths(self.n_out)
        # The kernel's gradient needs the activation's output only; the engine's own also needs its input.
        kept = widths(self.n_out) + (widths() if engine.kernel() == "fused" else bent)
        return Activations(kept, widths(self.n_in, self.n_out) + bent)

    def apply(self, x: Symbolic, context: Context) -> Symbolic:
        y = ops.affine(x, self.weight, self.bias, self._activation)
        return tapped(self, self._activation, y, context)

    def compiled_step(self, n_streams: int) -> Step:
        weight, bias = current(self.weight, self.bias)
        return DenseStep(weight, bias, self._activation, n_streams)


class Activation(FeedForward):
    """y = f(x) on ``n`` features; ``kind`` is f's name: linear, relu, tanh or sigmoid. ValueError for any other."""

    def __init__(self, n: int, kind: str):
        super().__init__()
        self.n_in = self.n_out = n
        self._kind = known_activation(kind)

    def apply(self, x: Symbolic, context: Context) -> Symbolic:
        return tapped(self, self._kind, ops.ACTIVATIONS[self._kind](x), context)

    def compiled_step(self, n_streams: int) -> Step:
        return ActivationStep(self.n_in, self._kind, n_streams, engine.float_type())


class BatchNorm(FeedForward):
    """y = gain (x - mean) / sqrt(variance + 1e-5) + shift, for each of ``n`` features. Ioffe and Szegedy (2015).

    In training, mean and (biased) variance are statistics s of the batch, over the unmasked elements of all leading
    axes, and each update also applies ``r <- (1 - momentum) r + momentum s`` to the running statistics r. Evaluation
    uses the running statistics. Gain and shift are trained; with ``shift=False`` there is no shift.
    """

    epsilon = 1e-5
    needs_whole_sequence = True

    def __init__(self, n: int, *, momentum: float = 0.1, shift: bool = True):
        super().__init__()
        self.n_in = self.n_out = n
        self.momentum = momentum
        self.gain = self._parameter("gain", np.ones(n))
        self.shift = self._parameter("shift", np.zeros(n)) if shift else None
        self.running_mean = self._statistic("running_mean", np.zeros(n))
        self.running_variance = self._statistic("running_variance", np.ones(n))

    def activations(self) -> Activations:
        return Activations(widths(*[self.n_out] * 3), widths(*[self.n_out] * 3))  # normalised, scaled, shifted

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        return self.apply(hide_masked(x, mask), context, mask), ()

    def apply(self, x: Symbolic, context: Context, mask: Symbolic | None = None) -> Symbolic:
        if context.training:
            mean = self._mean(x, mask)
            variance = self._mean(tt.sqr(x - mean), mask)
            for stored, batch in ((self.running_mean, mean), (self.running_variance, variance)):
                moved = (1.0 - self.momentum) * stored + self.momentum * batch
                if mask is not None:
                    moved = tt.switch(tt.any(tt.neq(mask, 0)), moved, stored)
                context.updates.append((stored, tt.cast(moved, stored.dtype)))
        else:
            mean, variance = self.running_mean, self.running_variance
        y = self.gain * (x - mean) / tt.sqrt(variance + self.epsilon)
        return y if self.shift is None else y + self.shift

    def _mean(self, x: Symbolic, mask: Symbolic | None) -> Symbolic:
        leading = list(range(x.ndim - 1))
        if mask is None:
            return tt.mean(x, axis=leading)
        n = tt.sum(tt.cast(mask, x.dtype))
        return tt.sum(hide_masked(x, mask), axis=leading) / tt.switch(tt.eq(n, 0), tt.ones_like(n), n)

    def compiled_step(self, n_streams: int) -> Step:
        gain, mean, variance = current(self.gain, self.running_mean, self.running_variance)
        shift = np.zeros_like(mean) if self.shift is None else current(self.shift)[0]
        return NormalisedStep(mean, gain / np.sqrt(variance + variance.dtype.type(self.epsilon)), shift, n_streams)


class Dropout(FeedForward):
    """Dropout, which sets each element of (..., n) to 0 with probability ``rate``. Srivastava et al. (2014).

    In training, y = x m / (1 - rate) with m ~ Bernoulli(1 - rate) for each element; in evaluation, y = x. ValueError
    unless 0 <= rate < 1.
    """

    def __init__(self, n: int, rate: float):
        super().__init__()
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"dropout rate is {rate}; expected 0 <= rate < 1")
        self.n_in = self.n_out = n
        self.rate = rate

    def activations(self) -> Activations:
        return Activations(widths(self.n_out, self.n_out), widths(self.n_out, self.n_out))  # random numbers, output

    def apply(self, x: Symbolic, context: Context) -> Symbolic:
        if not context.training or self.rate == 0.0:
            return x
        keep = context.uniform([x.shape[axis] for axis in range(x.ndim)]) >= self.rate
        return tt.switch(keep, x / np.asarray(1.0 - self.rate, x.dtype), tt.zeros_like(x))

    def compiled_step(self, n_streams: int) -> Step:
        return Unchanged(self.n_in, n_streams, engine.float_type())


class GaussianNoise(FeedForward):
    """y = x + e in training, with Gaussian noise e of standard deviation ``std`` on each element of (..., n).

    In evaluation, y = x. ``std`` is saved with the model but not trained; :meth:`set_std` changes it. ValueError
    unless it is 0 or more and finite.
    """

    def __init__(self, n: int, std: float):
        super().__init__()
        self.n_in = self.n_out = n
        self.std = self._statistic("std", known_std(std))

    def set_std(self, std: float) -> None:
        """Set the standard deviation of the noise, for example to anneal it.

        ValueError unless it is 0 or more and finite.
        """
        self.std.set_value(known_std(std).astype(self.std.dtype))

    def apply(self, x: Symbolic, context: Context) -> Symbolic:
        if not context.training:
            return x
        return x + self.std * context.normal([x.shape[axis] for axis in range(x.ndim)])

    def compiled_step(self, n_streams: int) -> Step:
        return Unchanged(self.n_in, n_streams, engine.float_type())
