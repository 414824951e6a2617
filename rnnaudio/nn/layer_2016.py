"""The feed-forward layer of 2016, which adds the bias after normalisation, noise and dropout; MLPs of such layers."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from rnnaudio import engine, ops
from rnnaudio.engine import Symbolic
from rnnaudio.kernels.dense import ActivationStep, DenseStep
from rnnaudio.kernels.step import Chain, NormalisedStep, Step
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.feedforward import FeedForward, known_activation, tapped
from rnnaudio.nn.initializers import Initializer, rand_2016
from rnnaudio.nn.layer import Context, current, hide_masked
from rnnaudio.nn.model import Sequential
from rnnaudio.nn.state import State


class Layer2016(FeedForward):
    """The dense layer of the blog of 2016: y = activation(between(x W) + b), W (n_in, n_out), b (n_out,).

    ``between`` holds feed-forward layers n_out -> n_out, applied in order. The blog used
    ``BatchNorm(n, shift=False)``, ``GaussianNoise(n, s)`` and ``Dropout(n, 0.5)``, each of them optional; b serves as
    the shift of the batch norm. Because dropout comes before the bias, the output of a dropped unit is activation(b).
    ``weights`` is the initializer of W, which samples with ``rng``; b starts at 0.

    ValueError if a layer of ``between`` is not n_out -> n_out, or for an unknown activation.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        rng: np.random.Generator,
        between: Sequence[FeedForward] = (),
        activation: str = "relu",
        weights: Initializer = rand_2016,
    ):
        super().__init__()
        self.n_in, self.n_out = n_in, n_out
        self._activation = known_activation(activation)
        self._between = list(between)
        self.weight = self._parameter("weight", weights(rng, (n_in, n_out)))
        self.bias = self._parameter("bias", np.zeros(n_out))
        for layer in between:
            if (layer.n_in, layer.n_out) != (n_out, n_out):
                raise ValueError(f"{layer.kind} between is {layer.n_in} -> {layer.n_out}; expected {n_out} -> {n_out}")
            self._child(layer.kind, layer)

    def activations(self) -> Activations:
        total = Activations(widths(*[self.n_out] * 2), widths(self.n_in, self.n_out, self.n_out))
        for layer in self._between:
            total = total.beside(layer.activations())
        return total

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        return self.apply(hide_masked(x, mask), context, mask), ()

    def apply(self, x: Symbolic, context: Context, mask: Symbolic | None = None) -> Symbolic:
        y = ops.dot(x, self.weight)
        for layer in self._between:
            y, _ = layer.unroll(y, (), context, mask)
        return tapped(self, self._activation, ops.ACTIVATIONS[self._activation](y + self.bias), context)

    def compiled_step(self, n_streams: int) -> Step | None:
        weight, bias = current(self.weight, self.bias)
        between = [layer.compiled_step(n_streams) for layer in self._between]
        known = [step for step in between if step is not None]
        if len(known) < len(between):
            return None
        zero = np.zeros_like(bias)
        first = DenseStep(weight, zero, "linear", n_streams)
        shifted = NormalisedStep(zero, np.ones_like(bias), bias, n_streams)
        last = ActivationStep(self.n_out, self._activation, n_streams, engine.float_type())
        return Chain([first, *known, shifted, last], lambda k, x, outputs: outputs[-1:] or [x])


def mlp_2016(
    sizes: Sequence[int],
    *,
    rng: np.random.Generator,
    between: Callable[[int], Sequence[FeedForward]] = lambda n: (),
    inner: str = "relu",
    final: str = "linear",
    weights: Initializer = rand_2016,
) -> Sequential:
    """Build a multi-layer perceptron sizes[0] -> ... -> sizes[-1] of layers :class:`Layer2016`.

    ``between(n)`` returns the layers n -> n to apply between the product and the bias of a layer with n outputs. As in
    2016, the last layer has them too, although noise and dropout on the output set a lower bound to the cost.
    ``inner`` is the activation of all layers but the last, ``final`` that of the last. ``rng`` and ``weights`` are
    passed to every layer. ValueError for fewer than two sizes, and as for :class:`Layer2016`.
    """
    pairs = list(pairwise(sizes))
    activations = [inner] * (len(pairs) - 1) + [final]
    return Sequential(
        [
            Layer2016(n_in, n, rng=rng, between=between(n), activation=activation, weights=weights)
            for (n_in, n), activation in zip(pairs, activations, strict=True)
        ]
    )
