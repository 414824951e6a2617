"""The base class of all layers: named parameters, child layers, explicit state, one step and its unrolling."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Key, SharedVariable, Size, Symbolic, tt
from rnnaudio.kernels.step import Step
from rnnaudio.markup import table
from rnnaudio.nn.activations import Activations, widths
from rnnaudio.nn.state import State, StateSizes
from rnnaudio.nn.state import flatten as flatten
from rnnaudio.nn.state import leaf_names as leaf_names
from rnnaudio.nn.state import unflatten as unflatten

Parameters: TypeAlias = dict[str, SharedVariable]
"""The shared variables of a model by full path, such as ``lstm.w_hidden``."""

Values: TypeAlias = dict[str, np.ndarray]
"""The values of shared variables, as NumPy arrays, by full path."""

Gates: TypeAlias = dict[str, Symbolic]
"""Activations of a layer by name, such as ``forget`` or ``relu``."""

Taps: TypeAlias = list[tuple["Layer", Gates]]
"""Activations recorded by the layers of a graph: pairs (layer, activations by name), in the order of computation."""

Child = TypeVar("Child", bound="Layer")

# The methods that define what a layer computes: if a subclass overrides one, an inherited compiled step is wrong.
_EQUATION = {"initial_state", "step", "unroll", "apply", "sequences", "recur", "equations", "output", "_wire"}


class Context:
    """The mode of one graph (training or evaluation), its random numbers, and the updates and taps of its layers.

    A context is an argument of every ``step`` and ``unroll`` and is passed on to every child layer, so that all layers
    of a graph are in the same mode. Make contexts with :meth:`training_with` and :meth:`evaluation`.

    training
        True in training, False in evaluation.
    truncate_gradient
        number of steps, counted back from the last step, through which the gradient flows; -1: all steps.
    updates
        pairs (shared variable, new value) that each training update must also assign, such as running statistics.
    taps
        a list to which layers append their activations, as pairs ``(layer, {name: variable})``, for diagnostics; None:
        no activations are recorded.
    """

    def __init__(self, training: bool, key: Key | None, truncate_gradient: int, taps: Taps | None):
        self.training = training
        self.truncate_gradient = truncate_gradient
        self.updates: list[tuple[SharedVariable, Symbolic]] = []
        self.taps = taps
        self._key = key
        self._n_streams = 0

    @classmethod
    def training_with(cls, key: Key, *, truncate_gradient: int = -1) -> "Context":
        """Make the context of a training graph. All random numbers of the graph are a function of ``key``.

        key
            symbolic int64 vector (seed, update) or, if batches are cut into segments, (seed, update, segment).
        truncate_gradient
            number of steps, counted back from the last step, through which the gradient flows; -1: all steps.
        """
        return cls(True, key, truncate_gradient, None)

    @classmethod
    def evaluation(cls, *, taps: Taps | None = None) -> "Context":
        """Make the context of a deterministic graph: no noise, no dropout; batch norm uses its running statistics.

        taps
            the list to which layers append their activations; None: no activations are recorded.
        """
        return cls(False, None, -1, taps)

    def normal(self, shape: Sequence[Size], *, batch_axis: int = -2) -> Symbolic:
        """Sample an array of ``shape`` from N(0, 1). Each call samples new numbers. ValueError in evaluation.

        ``batch_axis`` is the axis of ``shape`` that counts the sequences of the batch; the default, -2, is correct for
        arrays (time, batch, feature).
        """
        return engine.normal(self._training_key(), self._next_stream(), shape, batch_axis=batch_axis)

    def uniform(self, shape: Sequence[Size], *, batch_axis: int = -2) -> Symbolic:
        """Sample an array of ``shape`` from U(0, 1). Arguments and errors are those of :meth:`normal`."""
        return engine.uniform(self._training_key(), self._next_stream(), shape, batch_axis=batch_axis)

    @property
    def update(self) -> Symbolic:
        """The number of the current training update from 0 on, a symbolic int64 scalar. ValueError in evaluation."""
        return self._training_key()[1]

    def _training_key(self) -> Key:
        if not self.training or self._key is None:
            raise ValueError("noise was requested in evaluation; a layer must check context.training first")
        return self._key

    def _next_stream(self) -> int:
        self._n_streams += 1
        return self._n_streams - 1


class Layer:
    """A function (x, state) -> (y, new state) with named parameters.

    Subclasses set ``n_in`` and ``n_out``, the widths of x and y, and define :meth:`step` and :meth:`unroll`. The
    constructor declares each parameter with :meth:`_parameter`. The full path of a parameter consists of the names of
    the layers that contain it and its own name, joined by dots, such as ``lstm.w_hidden``.
    """

    n_in: int
    n_out: int
    needs_whole_sequence = False  # True: in training, outputs depend on later steps, so batches are not cut in time

    def __init_subclass__(cls, **options: object):
        super().__init_subclass__(**options)
        if cls._first_with(_EQUATION) < cls._first_with({"compiled_step"}):
            cls.compiled_step = Layer.compiled_step  # type: ignore[method-assign]  # the inherited step differs

    @classmethod
    def _first_with(cls, names: set[str]) -> int:
        """Return the index, in the method resolution order, of the first class that defines one of ``names``."""
        return next(k for k, parent in enumerate(cls.__mro__) if names & vars(parent).keys())

    def __init__(self) -> None:
        self._parameters: Parameters = {}
        self._statistics: Parameters = {}
        self._children: dict[str, Layer] = {}

    @property
    def kind(self) -> str:
        """The class name in snake case: ``lstm``, ``batch_norm``."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(self).__name__).lower()

    def _parameter(self, name: str, value: np.ndarray) -> SharedVariable:
        """Declare a parameter (a trained shared variable) with this initial value, and return it."""
        self._parameters[name] = engine.shared(value, name)
        return self._parameters[name]

    def _statistic(self, name: str, value: np.ndarray) -> SharedVariable:
        """Declare and return a shared variable that is saved but not trained, such as a running mean."""
        self._statistics[name] = engine.shared(value, name)
        return self._statistics[name]

    def _child(self, name: str, layer: Child) -> Child:
        """Declare a child layer, and return it. If ``name`` is empty, the child has the same path as this layer."""
        self._children[name] = layer
        return layer

    def layers(self, prefix: str = "") -> Iterator[tuple[str, "Layer"]]:
        """Iterate over (path, layer) for this layer and all its descendants, depth first.

        A path is ``prefix`` followed by the names of the child layers, joined by dots.
        """
        yield prefix.rstrip("."), self
        for name, child in self._children.items():
            yield from child.layers(f"{prefix}{name}." if name else prefix)

    def parameters(self) -> Parameters:
        """Return the trained shared variables by full path, in the order of declaration."""
        return self._collect("_parameters")

    def statistics(self) -> Parameters:
        """Return, by full path, the shared variables that are saved with the model but not trained."""
        return self._collect("_statistics")

    def _collect(self, kind: str) -> Parameters:
        return {
            f"{path}.{name}".lstrip("."): variable
            for path, layer in self.layers()
            for name, variable in getattr(layer, kind).items()
        }

    def get_values(self) -> Values:
        """Return copies of all parameters and statistics, by full path."""
        return {name: variable.get_value() for name, variable in (self.parameters() | self.statistics()).items()}

    def set_values(self, values: Mapping[str, np.ndarray]) -> None:
        """Set all parameters and statistics from arrays by full path.

        Raises ValueError, with the first difference, if the names or shapes are not those of this layer; nothing is
        set in this case.
        """
        variables = self.parameters() | self.statistics()
        difference = describe_difference({n: v.get_value(borrow=True).shape for n, v in variables.items()}, values)
        if difference:
            raise ValueError(difference)
        for name, variable in variables.items():
            variable.set_value(np.asarray(values[name], dtype=variable.dtype, order="C"))

    @property
    def n_parameters(self) -> int:
        """The number of trained scalars, in all parameters together."""
        return sum(v.get_value(borrow=True).size for v in self.parameters().values())

    def _repr_html_(self) -> str:
        """Return HTML for notebooks: a line with the sizes of the layer and a table of its parameters' shapes."""
        rows = [
            {"parameter": name, "shape": " x ".join(map(str, value.shape)) or "scalar", "numbers": value.size}
            for name, value in ((name, v.get_value(borrow=True)) for name, v in self.parameters().items())
        ]
        kind = type(self).__name__
        return f"<p>{kind}: {self.n_in} in, {self.n_out} out, {self.n_parameters} parameters</p>{table(rows)}"

    @property
    def state_sizes(self) -> StateSizes:
        """The widths of the state's arrays, nested like the state; ``()`` for layers without a state."""
        return ()

    def initial_state(self, batch_size: Size) -> State:
        """Return the state before the first step, arrays (batch_size, n); ``()`` for layers without a state."""
        return ()

    def activations(self) -> Activations:
        """Count the arrays that a training update holds in memory for this layer, with the kernel in use.

        The default counts the output as kept for the backward pass, and the gradients with respect to input and output
        as working memory of the backward pass.
        """
        return Activations(widths(self.n_out), widths(self.n_in, self.n_out))

    def step(self, x: Symbolic, state: State, context: Context) -> tuple[Symbolic, State]:
        """Compute one time step: x (batch, n_in), state -> y (batch, n_out), new state."""
        raise NotImplementedError

    def unroll(
        self, x: Symbolic, state: State, context: Context, mask: Symbolic | None = None
    ) -> tuple[Symbolic, State]:
        """Compute all time steps: x (time, batch, n_in), initial state -> y (time, batch, n_out), final state.

        mask (time, batch): a step at which it is 0 leaves the state unchanged, and its x may have any value, even NaN;
        None: no step is masked.
        """
        raise NotImplementedError

    def compiled_step(self, n_streams: int) -> Step | None:
        """Make a compiled form of :meth:`step` in evaluation, on NumPy arrays, for ``n_streams`` sequences at once.

        The compiled step holds its own state, which each call updates in place, and a copy of the current values of
        the parameters, of dtype :func:`engine.float_type`. Returns None if the layer has no compiled step. A subclass
        that changes the computation without overriding this method has none.
        """
        return None


def known_std(std: float) -> np.ndarray:
    """Return a standard deviation as a float64 array of shape (). ValueError if it is negative or not finite."""
    if not 0.0 <= std < float("inf"):
        raise ValueError(f"noise has a std of {std}; expected 0 or more")
    return np.asarray(float(std))


def hide_masked(x: Symbolic, mask: Symbolic | None) -> Symbolic:
    """Return x (..., n) with zeros where ``mask`` (...) is 0, or x itself if ``mask`` is None.

    Otherwise a NaN at a masked step would make the gradient NaN, because 0 times NaN is NaN.
    """
    return x if mask is None else tt.switch(mask[..., None], x, tt.zeros_like(x))


def current(*variables: SharedVariable) -> list[np.ndarray]:
    """Return copies of the values of shared variables, C-contiguous arrays of dtype :func:`engine.float_type`."""
    return [np.ascontiguousarray(variable.get_value(), engine.float_type()) for variable in variables]


def describe_difference(shapes: Mapping[str, tuple[int, ...]], values: Mapping[str, np.ndarray]) -> str:
    """Describe the first difference between the arrays ``values`` and a model whose variables have these ``shapes``.

    A difference is a missing or unknown name, or another shape. The keys of both arguments are full paths. Returns a
    clause for an error message, or an empty string if there is no difference.
    """
    for name, shape in shapes.items():
        if name not in values:
            return f"the model's parameter {name!r} {shape} is missing"
        if np.shape(values[name]) != shape:
            return f"parameter {name!r} is {np.shape(values[name])}, the model's is {shape}"
    extra = [name for name in values if name not in shapes]
    return f"parameter {extra[0]!r} {np.shape(values[extra[0]])} is unknown to the model" if extra else ""
