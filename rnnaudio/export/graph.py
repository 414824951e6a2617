"""A graph of ONNX operators under construction, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from rnnaudio.engine import SharedVariable

Length: TypeAlias = int | str | None
"""The length of an axis: a number; a name, for an unknown length that is equal wherever the name occurs; None: any."""


class Value(NamedTuple):
    """An array in a graph (an input, a constant or a result): its name, its dtype and its number of axes."""

    name: str
    dtype: str
    ndim: int


class Node(NamedTuple):
    """One operator of a graph, with the names of its inputs and outputs.

    ``attributes`` holds its attributes by name; the body of a loop is an attribute of type :class:`Graph`.
    """

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


class Port(NamedTuple):
    """An input or output of a graph; ``shape``: the length of each axis."""

    value: Value
    shape: tuple[Length, ...]


@dataclass
class Shared:
    """Data that a graph and the bodies of its loops share.

    constants
        arrays by name.
    variables
        the value in the graph of each shared variable of the model that is stored.
    n_names
        number of names made so far; each new name ends with its number.
    """

    constants: dict[str, np.ndarray] = field(default_factory=dict)
    variables: dict[Any, Value] = field(default_factory=dict)
    n_names: int = 0


class Graph:
    """An ONNX graph under construction: nodes in the order of computation, constants, inputs and outputs.

    names: the name under which the value of each of a model's shared variables is stored. outer: for the body of a
    loop, the graph that contains the loop; None for a whole graph.
    """

    def __init__(self, names: Mapping[SharedVariable, str] | None = None, outer: "Graph | None" = None):
        self.nodes: list[Node] = []
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self._names: dict[Any, str] = outer._names if outer else dict(names or {})
        self._shared: Shared = outer._shared if outer else Shared()
        self.is_body = outer is not None

    @property
    def constants(self) -> dict[str, np.ndarray]:
        """The constant arrays that nodes use, by name; empty for a body, whose constants belong to the whole graph."""
        if self.is_body:
            return {}
        used = self._used()
        return {name: array for name, array in self._shared.constants.items() if name in used}

    def _used(self) -> set[str]:
        """Names of the inputs of all nodes, including the nodes of bodies."""
        bodies = [value for node in self.nodes for value in node.attributes.values() if isinstance(value, Graph)]
        return {name for node in self.nodes for name in node.inputs}.union(*(body._used() for body in bodies))

    def body(self) -> "Graph":
        """Make an empty graph for the body of a loop, which may use all values and constants of this one."""
        return Graph(outer=self)

    def input(self, name: str, dtype: str, shape: Sequence[Length]) -> Value:
        """Declare an input of the graph and return its value; an empty ``name`` is replaced by a new one.

        shape: the length of each axis.
        """
        value = Value(name or self._new_name("in"), dtype, len(shape))
        self.inputs.append(Port(value, tuple(shape)))
        return value

    def output(self, name: str, value: Value, shape: Sequence[Length]) -> None:
        """Declare ``value`` as an output under the name ``name``; an empty name is replaced by a new one.

        shape: the length of each axis.
        """
        named = value._replace(name=name or self._new_name("out"))
        self.nodes.append(Node("Identity", (value.name,), (named.name,), {}))
        self.outputs.append(Port(named, tuple(shape)))

    def add(self, op: str, *inputs: Value, dtype: str, ndim: int, **attributes: Any) -> Value:
        """Add an operator with one output, of the given dtype and number of axes; returns the output.

        attributes: the operator's attributes by name, as ONNX defines them.
        """
        return self.add_many(op, inputs, [(dtype, ndim)], **attributes)[0]

    def add_many(
        self, op: str, inputs: Sequence[Value], kinds: Sequence[tuple[str, int]], **attributes: Any
    ) -> list[Value]:
        """Add an operator with an output for each (dtype, number of axes) in ``kinds``; returns the outputs.

        attributes: the operator's attributes by name, as ONNX defines them.
        """
        outputs = [Value(self._new_name(op), dtype, ndim) for dtype, ndim in kinds]
        names = tuple(value.name for value in inputs), tuple(value.name for value in outputs)
        self.nodes.append(Node(op, *names, attributes))
        return outputs

    def constant(self, value: np.ndarray | np.generic | Sequence[int], name: str = "") -> Value:
        """Store an array as a constant and return its value in the graph.

        Integers are stored as int64; other dtypes are kept. An empty or used ``name`` is replaced by a new one.
        """
        array = np.asarray(value)
        array = array.astype(np.int64) if array.dtype.kind in "iu" else array
        taken = name in self._shared.constants
        name = self._new_name(name or "constant") if taken or not name else name
        self._shared.constants[name] = array
        return Value(name, str(array.dtype), array.ndim)

    def parameter(self, variable: SharedVariable) -> Value:
        """Store the current value of a shared variable, under its name in the model; returns its value in the graph.

        A variable is stored once, however often it is used.
        """
        variables = self._shared.variables
        if variable not in variables:
            name = self._names.get(variable) or variable.name or "variable"
            variables[variable] = self.constant(variable.get_value(), name)
        return variables[variable]

    def known(self, value: Value) -> np.ndarray | None:
        """Return the array of ``value`` if it is a constant; None for a graph input or a node's output."""
        return self._shared.constants.get(value.name)

    def cast(self, value: Value, dtype: str) -> Value:
        """Return ``value`` converted to ``dtype``; a constant of one element becomes a new constant, not a node."""
        if value.dtype == dtype:
            return value
        known = self.known(value)
        if known is not None and known.size == 1:
            return self.constant(known.astype(dtype))
        return self.add("Cast", value, dtype=dtype, ndim=value.ndim, to=np.dtype(dtype))

    def scan(
        self, body: "Graph", carried: Sequence[Value], sequences: Sequence[Value], *, axis: int
    ) -> tuple[list[Value], list[Value]]:
        """Run ``body`` for each position along an axis of the sequences; returns (final carried values, outputs).

        The inputs of ``body`` are the carried values, then a slice of each sequence without the axis; its outputs are
        the new carried values, then slices of the outputs, which are stacked along the same axis.
        """
        n = len(carried)
        stacked = [(port.value.dtype, port.value.ndim + 1) for port in body.outputs[n:]]
        kinds = [(value.dtype, value.ndim) for value in carried] + stacked
        results = self.add_many(
            "Scan", [*carried, *sequences], kinds, body=body, num_scan_inputs=len(sequences),
            scan_input_axes=[axis] * len(sequences), scan_output_axes=[axis] * len(stacked),
        )  # fmt: skip
        return results[:n], results[n:]

    def _new_name(self, like: str) -> str:
        self._shared.n_names += 1
        return f"{like}_{self._shared.n_names}"
