"""What every layer is: named parameters, children, a state that is passed and returned, one step and its unrolling."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rnnaudio import engine
from rnnaudio.kernels.step import Step
from rnnaudio.nn.activations import Activations, widths

# The methods that say what a layer computes: one that overrides any of them is another function.
_EQUATION = {"initial_state", "step", "unroll", "apply", "sequences", "recur", "equations", "output", "_wire"}


class Context:
    """How one graph is built: training or evaluation, the source of its noise, and what it reports back.

    A context is an argument of every ``step`` and ``unroll`` and is handed on to every child, so that no layer can be
    left in the wrong mode. Make one with :meth:`training_with` or :meth:`evaluation`.

    updates
        (shared variable, new value) pairs that a training step must apply: running statistics.
    taps
        ``None``, or a list that cells append ``(cell, {name: variable})`` to: the gate activations for diagnostics.
    """

    def __init__(self, training: bool, key: Any, truncate_gradient: int, taps: list[Any] | None):
        self.training = training
        self.truncate_gradient = truncate_gradient
        self.updates: list[tuple[Any, Any]] = []
        self.taps = taps
        self._key = key
        self._n_streams = 0

    @classmethod
    def training_with(cls, key: Any, *, truncate_gradient: int = -1) -> "Context":
        """Training graph; ``key`` (int64 vector: seed, update and, if in segments, segment) decides all its noise."""
        return cls(True, key, truncate_gradient, None)

    @classmethod
    def evaluation(cls, *, taps: list[Any] | None = None) -> "Context":
        """Deterministic graph: no noise, no dropout, stored statistics."""
        return cls(False, None, -1, taps)

    def normal(self, shape: Sequence[Any]) -> Any:
        """N(0, 1) draws, from the next stream of this graph; raises in evaluation."""
        return engine.normal(self._key, self._next_stream(), shape)

    def uniform(self, shape: Sequence[Any]) -> Any:
        """U(0, 1) draws, from the next stream of this graph; raises in evaluation."""
        return engine.uniform(self._key, self._next_stream(), shape)

    @property
    def update(self) -> Any:
        """The number of the update, from 0, int64; raises in evaluation."""
        self._check_training()
        return self._key[1]

    def _check_training(self) -> None:
        if not self.training:
            raise ValueError("noise was asked for in evaluation; a layer must check context.training first")

    def _next_stream(self) -> int:
        self._check_training()
        self._n_streams += 1
        return self._n_streams - 1


class Layer:
    """A function of (x, state) with named parameters.

    Subclasses set ``n_in`` and ``n_out`` and define ``step`` and ``unroll``. Parameters are declared once, in order,
    by :meth:`_parameter`; their full name is their path, e.g. ``lstm.w_hidden``.
    """

    n_in: int
    n_out: int
    needs_whole_sequence = False  # in training a step's output depends on later steps too: it cannot be cut in time

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if cls._first_with(_EQUATION) < cls._first_with({"compiled_step"}):
            cls.compiled_step = Layer.compiled_step  # type: ignore[method-assign]  # what is inherited is no longer true

    @classmethod
    def _first_with(cls, names: set[str]) -> int:
        """Where in the order of inheritance one of the names is defined first."""
        return next(k for k, parent in enumerate(cls.__mro__) if names & vars(parent).keys())

    def __init__(self) -> None:
        self._parameters: dict[str, Any] = {}
        self._statistics: dict[str, Any] = {}
        self._children: dict[str, Layer] = {}

    @property
    def kind(self) -> str:
        """The class name in snake case: ``lstm``, ``batch_norm``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()

    def _parameter(self, name: str, value: np.ndarray) -> Any:
        self._parameters[name] = engine.shared(value, name)
        return self._parameters[name]

    def _statistic(self, name: str, value: np.ndarray) -> Any:
        """A stored value that is saved with the parameters but not trained: running means, noise levels."""
        self._statistics[name] = engine.shared(value, name)
        return self._statistics[name]

    def _child(self, name: str, layer: "Layer") -> "Layer":
        self._children[name] = layer
        return layer

    def layers(self, prefix: str = "") -> Iterator[tuple[str, "Layer"]]:
        """This layer and all below it, depth first, with their paths."""
        yield prefix.rstrip("."), self
        for name, child in self._children.items():
            yield from child.layers(f"{prefix}{name}.")

    def parameters(self) -> dict[str, Any]:
        """Trained shared variables by full path, in the order of declaration."""
        return self._collect("_parameters")

    def statistics(self) -> dict[str, Any]:
        """Stored but untrained shared variables by full path."""
        return self._collect("_statistics")

    def _collect(self, kind: str) -> dict[str, Any]:
        return {
            f"{path}.{name}".lstrip("."): variable
            for path, layer in self.layers()
            for name, variable in getattr(layer, kind).items()
        }

    def get_values(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and statistics by full path."""
        return {name: variable.get_value() for name, variable in (self.parameters() | self.statistics()).items()}

    def set_values(self, values: dict[str, np.ndarray]) -> None:
        """Set all parameters and statistics; ValueError that names the first difference if they do not fit."""
        variables = self.parameters() | self.statistics()
        difference = describe_difference({n: v.get_value(borrow=True).shape for n, v in variables.items()}, values)
        if difference:
            raise ValueError(difference)
        for name, variable in variables.items():
            variable.set_value(np.asarray(values[name], dtype=variable.dtype, order="C"))

    @property
    def n_parameters(self) -> int:
        """How many numbers are trained."""
        return sum(v.get_value(borrow=True).size for v in self.parameters().values())

    @property
    def state_sizes(self) -> Any:
        """The widths of the state's arrays, nested as the state is; ``()`` for layers without memory."""
        return ()

    def initial_state(self, batch_size: Any) -> Any:
        """The state before the first step, each array (batch_size, n); ``()`` for layers without memory."""
        return ()

    def activations(self) -> Activations:
        """What a training step holds for this layer, by the kernel in use; without an own answer, its output."""
        return Activations(widths(self.n_out), widths(self.n_in, self.n_out))

    def step(self, x: Any, state: Any, context: Context) -> tuple[Any, Any]:
        """One time step: x (batch, n_in), state -> y (batch, n_out), new state."""
        raise NotImplementedError

    def unroll(self, x: Any, state: Any, context: Context, mask: Any = None) -> tuple[Any, Any]:
        """All time steps: x (time, batch, n_in) -> y (time, batch, n_out), final state.

        mask (time, batch): where it is 0 the state is carried over unchanged.
        """
        raise NotImplementedError

    def compiled_step(self, n_streams: int) -> Step | None:
        """:meth:`step` in evaluation on arrays of :func:`engine.float_type`, its state kept in place.

        It has the values that the parameters have now. None if the layer has no such step; then :meth:`step` is the
        only one. A subclass that redefines the equation without redefining this has none.
        """
        return None


def current(*variables: Any) -> list[np.ndarray]:
    """Copies of the values of shared variables, as a compiled step takes them."""
    return [np.ascontiguousarray(variable.get_value(), engine.float_type()) for variable in variables]


def describe_difference(shapes: dict[str, tuple[int, ...]], values: dict[str, np.ndarray]) -> str:
    """The first way in which ``values`` does not fit a model of these parameter shapes; empty if it fits."""
    for name, shape in shapes.items():
        if name not in values:
            return f"the model's parameter {name!r} {shape} is missing"
        if np.shape(values[name]) != shape:
            return f"parameter {name!r} is {np.shape(values[name])}, the model's is {shape}"
    extra = [name for name in values if name not in shapes]
    return f"parameter {extra[0]!r} {np.shape(values[extra[0]])} is unknown to the model" if extra else ""


def flatten(nested: Any) -> list[Any]:
    """The leaves of nested tuples, in order."""
    if isinstance(nested, tuple):
        return [leaf for item in nested for leaf in flatten(item)]
    return [nested]


def leaf_names(nested: Any) -> list[str]:
    """The path of each leaf of nested NamedTuples and tuples: ``hidden``, ``frames_0``."""
    if not isinstance(nested, tuple):
        return [""]
    keys = getattr(nested, "_fields", range(len(nested)))
    return [f"{key}_{below}".rstrip("_") for key, item in zip(keys, nested, strict=True) for below in leaf_names(item)]


def unflatten(like: Any, leaves: Sequence[Any]) -> Any:
    """Put ``leaves`` back into the nested tuples of ``like``."""
    remaining = iter(leaves)

    def build(node: Any) -> Any:
        if not isinstance(node, tuple):
            return next(remaining)
        items = [build(item) for item in node]
        return type(node)(*items) if hasattr(node, "_fields") else tuple(items)

    return build(like)
