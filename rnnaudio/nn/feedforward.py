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
    """A layer whose output depends only on the input at the same step. Subclasses define :meth:`apply`."""

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
    """Return ``kind``, the name of an activation function: linear, relu, tanh or sigmoid. ValueError for others."""
    if kind not in ops.ACTIVATIONS:
        raise ValueError(f"activation is {kind!r}; expected one of {', '.join(ops.ACTIVATIONS)}")
    return kind


def tapped(layer: Layer, kind: str, y: Symbolic, context: Context) -> Symbolic:
    """Record y, the output of ``layer``, in the context's taps if it has any, and return y.

    The entry is ``(layer, {kind: y})``, where ``kind`` is the name of the activation function that computed y. A
    ``linear`` output is not recorded.
    """
    if context.taps is not None and kind != "linear":
        context.taps.append((layer, {kind: y}))
    return y


class Dense(FeedForward):
    """A fully connected layer, y = activation(x W + b): x (..., n_in), W (n_in, n_out), b (n_out,) -> y (..., n_out).

    ``weights`` and ``bias`` are the initializers of W and b, which sample with ``rng``. ``activation`` is linear,
    relu, tanh or sigmoid. ValueError for any other name.
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
    """An activation function f, y = f(x), applied to each element of x (..., n).

    ``kind`` is the name of f: linear, relu, tanh or sigmoid. ValueError for any other name.
    """

    def __init__(self, n: int, kind: str):
        super().__init__()
        self.n_in = self.n_out = n
        self._kind = known_activation(kind)

    def apply(self, x: Symbolic, context: Context) -> Symbolic:
        return tapped(self, self._kind, ops.ACTIVATIONS[self._kind](x), context)

    def compiled_step(self, n_streams: int) -> Step:
        return ActivationStep(self.n_in, self._kind, n_streams, engine.float_type())


class BatchNorm(FeedForward):
    """Batch normalisation, y = gain (x - mean) / sqrt(variance + 1e-5) + shift, for each of ``n`` features.

    In training, mean and (biased) variance are computed over the unmasked elements of all leading axes of the batch,
    and each update also sets the running statistics r of both to ``(1 - momentum) r + momentum s``, s the statistics
    of the batch. In evaluation, mean and variance are the running statistics. Gain and shift are trained; with
    ``shift=False`` there is no shift. Ioffe and Szegedy (2015).
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
    """Dropout, which sets each element of x (..., n) to 0 with probability ``rate``. Srivastava et al. (2014).

    In training, y = x m / (1 - rate), where m is sampled for each element: 1 with probability 1 - rate, otherwise 0.
    In evaluation, y = x. ValueError unless 0 <= rate < 1.
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
    """Additive Gaussian noise: in training y = x + e, in evaluation y = x, for x (..., n).

    Each element of e has mean 0 and standard deviation ``std``, which is saved with the model but not trained;
    :meth:`set_std` changes it. ValueError if ``std`` is negative or not finite.
    """

    def __init__(self, n: int, std: float):
        super().__init__()
        self.n_in = self.n_out = n
        self.std = self._statistic("std", known_std(std))

    def set_std(self, std: float) -> None:
        """Set the standard deviation of the noise, for example to anneal it.

        ValueError if it is negative or not finite.
        """
        self.std.set_value(known_std(std).astype(self.std.dtype))

    def apply(self, x: Symbolic, context: Context) -> Symbolic:
        if not context.training:
            return x
        return x + self.std * context.normal([x.shape[axis] for axis in range(x.ndim)])

    def compiled_step(self, n_streams: int) -> Step:
        return Unchanged(self.n_in, n_streams, engine.float_type())
