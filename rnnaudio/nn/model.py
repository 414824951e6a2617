"""Stacks: several layers combined into one layer."""

import functools
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeAlias, TypeVar

import numpy as np

from rnnaudio.engine import Size, Symbolic, tt
from rnnaudio.kernels.step import Chain, Step, Total
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.feedforward import Activation, BatchNorm, Dense, Dropout, GaussianNoise
from rnnaudio.nn.initializers import Initializer, glorot_uniform
from rnnaudio.nn.layer import Context, Layer
from rnnaudio.nn.state import State, StateSizes, parts_of

Run: TypeAlias = Callable[[Layer, Symbolic, State], tuple[Symbolic, State]]
"""A function (child, x, state) -> (y, new state) that calls the child's ``step`` or ``unroll``."""

Value = TypeVar("Value")


class Composite(Layer):
    """A layer made of child layers. Subclasses define ``_wire``, which connects them for ``step`` and ``unroll``.

    The state is a tuple with the state of each child.
    """

    @property
    def state_sizes(self) -> StateSizes:
        return tuple(child.state_sizes for child in self._children.values())

    def initial_state(self, batch_size: Size) -> State:
        return tuple(child.initial_state(batch_size) for child in self._children.values())

    def activations(self) -> Activations:
        return functools.reduce(Activations.beside, (child.activations() for child in self._children.values()))

    def step(self, x: Symbolic, state: State, context: Context) -> tuple[Symbolic, State]:
        return self._wire(x, state, lambda child, x, state: child.step(x, state, context))

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        return self._wire(x, state, lambda child, x, state: child.unroll(x, state, context, mask))

    def _wire(self, x: Symbolic, state: State, run: Run) -> tuple[Symbolic, State]:
        raise NotImplementedError

    def _compiled_steps(self, n_streams: int) -> list[Step]:
        """Make the compiled steps of all children; an empty list if any child has none."""
        steps = [child.compiled_step(n_streams) for child in self._children.values()]
        known = [step for step in steps if step is not None]
        return known if len(known) == len(steps) else []


class Sequential(Composite):
    """K layers one after the other: y = f_K(... f_2(f_1(x))), where layer k computes y_k = f_k(...).

    With ``skip=True`` (Graves 2013), layers k = 2..K-1 take the stack's input concatenated with the output of the
    layer below, f_k([x, y_{k-1}]), and the last layer takes the outputs of all layers below, f_K([y_1, ..., y_{K-1}]).
    With ``read_all=True`` and no skip, only the last layer takes the outputs of all layers below. The ``n_in`` of each
    layer must be the total width of its inputs.

    A child layer is named after its class; further layers of the same class are numbered: lstm, lstm_2, dense.

    ValueError if there are no layers, or if a layer's ``n_in`` is not the width of its inputs.
    """

    def __init__(self, layers: Sequence[Layer], *, skip: bool = False, read_all: bool = False):
        super().__init__()
        if not layers:
            raise ValueError("Sequential got no layers; expected one or more")
        self._skip, self._read_all = skip, read_all or skip
        for layer in layers:
            kind = layer.kind
            count = sum(other.kind == kind for other in self._children.values()) + 1
            self._child(kind if count == 1 else f"{kind}_{count}", layer)
        self.n_in, self.n_out = layers[0].n_in, layers[-1].n_out
        widths = [layer.n_out for layer in layers]
        for k, (name, child) in enumerate(self._children.items()):
            expected = sum(self._inputs_of(k, self.n_in, widths[:k]))
            if child.n_in != expected:
                raise ValueError(f"layer {k} ({name}) takes {child.n_in} inputs, but {expected} reach it")

    def _inputs_of(self, k: int, x: Value, outputs: list[Value]) -> list[Value]:
        """Return the list of the inputs of layer k, given the stack's input x and the outputs of the layers below.

        Given the widths of x and of the outputs instead, it returns the widths of the inputs.
        """
        if k == 0:
            return [x]
        if k == len(self._children) - 1:
            return outputs if self._read_all else outputs[-1:]
        return [x, outputs[-1]] if self._skip else outputs[-1:]

    def activations(self) -> Activations:
        later = list(self._children.values())[1:]
        joined = [child.n_in for child in (later if self._skip else later[-1:] if self._read_all else [])]
        # Concatenated inputs are kept; their gradients are held twice, concatenated and split.
        return super().activations().beside(Activations(widths(*joined), widths(*joined, *joined)))

    def _wire(self, x: Symbolic, state: State, run: Run) -> tuple[Symbolic, State]:
        outputs: list[Symbolic] = []
        states = []
        for k, (child, old) in enumerate(zip(self._children.values(), parts_of(state), strict=True)):
            inputs = self._inputs_of(k, x, outputs)
            y, new = run(child, inputs[0] if len(inputs) == 1 else tt.concatenate(inputs, axis=x.ndim - 1), old)
            outputs.append(y)
            states.append(new)
        return outputs[-1], tuple(states)

    def compiled_step(self, n_streams: int) -> Step | None:
        steps = self._compiled_steps(n_streams)
        return Chain(steps, self._inputs_of) if steps else None


class Repeated(Layer):
    """One layer applied ``times`` times, y = f(f(... f(x))), with shared weights but a separate state each time.

    The DGRU of the blog of 2016 shares its weights in this way. ValueError if the layer's input and output differ in
    width, or if ``times`` is below 1.
    """

    def __init__(self, layer: Layer, times: int):
        super().__init__()
        if layer.n_in != layer.n_out or times < 1:
            got = f"a layer {layer.n_in} -> {layer.n_out}, {times} times"
            raise ValueError(f"Repeated got {got}; expected equal widths, and one time or more")
        self.n_in, self.n_out, self._times = layer.n_in, layer.n_out, times
        self._layer = self._child(layer.kind, layer)

    @property
    def state_sizes(self) -> StateSizes:
        return (self._layer.state_sizes,) * self._times

    def initial_state(self, batch_size: Size) -> State:
        return tuple(self._layer.initial_state(batch_size) for _ in range(self._times))

    def activations(self) -> Activations:
        return functools.reduce(Activations.beside, [self._layer.activations()] * self._times)

    def step(self, x: Symbolic, state: State, context: Context) -> tuple[Symbolic, State]:
        return self._through(x, state, lambda layer, y, old: layer.step(y, old, context))

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        return self._through(x, state, lambda layer, y, old: layer.unroll(y, old, context, mask))

    def _through(self, x: Symbolic, state: State, run: Run) -> tuple[Symbolic, State]:
        states = []
        for old in parts_of(state):
            x, new = run(self._layer, x, old)
            states.append(new)
        return x, tuple(states)

    def compiled_step(self, n_streams: int) -> Step | None:
        steps = [self._layer.compiled_step(n_streams) for _ in range(self._times)]
        known = [step for step in steps if step is not None]
        return Chain(known, lambda k, x, outputs: outputs[-1:] or [x]) if len(known) == self._times else None


class Sum(Composite):
    """The sum of parallel layers, y = f_1(x) + f_2(x) + ..., for example of a linear skip path and a stack.

    The layers f_i are keyword arguments; the keywords become the names of the child layers. ValueError if the layers
    differ in ``n_in`` or ``n_out``, or if there are none.
    """

    def __init__(self, **paths: Layer):
        super().__init__()
        for name, layer in paths.items():
            self._child(name, layer)
        widths = {(layer.n_in, layer.n_out) for layer in paths.values()}
        if len(widths) != 1:
            raise ValueError(f"the paths of a Sum have widths {sorted(widths)}; expected one (n_in, n_out) for all")
        self.n_in, self.n_out = widths.pop()

    def activations(self) -> Activations:
        return super().activations().beside(Activations(widths(self.n_out), widths()))

    def _wire(self, x: Symbolic, state: State, run: Run) -> tuple[Symbolic, State]:
        results = [run(child, x, old) for child, old in zip(self._children.values(), parts_of(state), strict=True)]
        y = results[0][0]
        for path, _ in results[1:]:
            y = y + path
        return y, tuple(new for _, new in results)

    def compiled_step(self, n_streams: int) -> Step | None:
        steps = self._compiled_steps(n_streams)
        return Total(steps, self.n_out) if steps else None


def mlp(
    sizes: Sequence[int],
    *,
    rng: np.random.Generator,
    activation: str = "relu",
    batch_norm: bool = False,
    dropout: float = 0.0,
    noise: float = 0.0,
    weights: Initializer = glorot_uniform,
) -> Sequential:
    """Build a multi-layer perceptron sizes[0] -> ... -> sizes[-1] with a linear last layer.

    Each hidden layer is Dense -> BatchNorm (if ``batch_norm``) -> activation -> Dropout (of rate ``dropout``, if above
    0). ``noise`` is the standard deviation of the Gaussian noise added to the input in training; 0: no noise. The last
    layer has no noise, dropout or normalisation, because these would set a lower bound to the cost. ``weights`` is the
    initializer of all weights; it samples with ``rng``.

    ValueError for fewer than two sizes, an unknown activation, a rate outside 0 <= rate < 1, or negative noise.
    """
    if len(sizes) < 2:
        raise ValueError(f"an MLP needs an input and an output size, got {list(sizes)}")
    layers: list[Layer] = [GaussianNoise(sizes[0], noise)] if noise else []
    for n_in, n_out in pairwise(sizes[:-1]):
        if batch_norm:
            layers += [Dense(n_in, n_out, rng=rng, weights=weights), BatchNorm(n_out), Activation(n_out, activation)]
        else:
            layers.append(Dense(n_in, n_out, rng=rng, activation=activation, weights=weights))
        layers += [Dropout(n_out, dropout)] if dropout else []
    layers.append(Dense(sizes[-2], sizes[-1], rng=rng, weights=weights))
    return Sequential(layers)
