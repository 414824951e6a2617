"""Translations of the engine's operations on arrays to ONNX: one small function for each operation.

A translation adds nodes to a graph and returns the operation's output. It raises :class:`Unknown` if ONNX has no
equivalent for the particular use of the operation.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from rnnaudio.export.elementwise import ELEMENTWISE
from rnnaudio.export.graph import Graph, Value

Translation: TypeAlias = Callable[[Graph, Any, list[Value], str, int], Value]
"""Function (graph, the engine's operation, its inputs, dtype and number of axes of its output) -> the output."""

FIRST, LAST = np.iinfo(np.int64).min, np.iinfo(np.int64).max  # ends of a slice that are beyond any axis


class Unknown(Exception):
    """Error for an operation, or a use of an operation, without a translation; the message names it."""


def name_of(op: Any) -> str:
    """Return the name of an operation's class, or, for a ``Blockwise`` operation, of the operation that it repeats."""
    return type(getattr(op, "core_op", op)).__name__


def elementwise(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for an elementwise function; returns the result.

    The functions are translated by :mod:`rnnaudio.export.elementwise`; Unknown for any other.
    """
    name = type(op.scalar_op).__name__
    if name not in ELEMENTWISE:
        raise Unknown(name)
    return ELEMENTWISE[name](graph, dtype, inputs)


def product(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for a matrix product; returns the result."""
    a, b = (graph.cast(value, dtype) for value in inputs)
    return graph.add("MatMul", a, b, dtype=dtype, ndim=ndim)


def batched(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for a matrix product that is repeated over leading axes; returns the result."""
    if type(op.core_op).__name__ != "Dot":
        raise Unknown(name_of(op))
    return product(graph, op.core_op, inputs, dtype, ndim)


def dimshuffle(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for a permutation of axes; returns the result.

    The permutation may also drop and insert axes of length 1.
    """
    (x,) = inputs
    known = graph.known(x)
    if known is not None and known.size == 1:
        return graph.constant(known.reshape((1,) * ndim))
    kept = [axis for axis in op.new_order if axis != "x"]
    dropped = [axis for axis in range(x.ndim) if axis not in kept]
    if dropped:
        x = graph.add("Squeeze", x, graph.constant(dropped), dtype=dtype, ndim=len(kept))
    order = [sorted(kept).index(axis) for axis in kept]
    if order != sorted(order):
        x = graph.add("Transpose", x, dtype=dtype, ndim=len(kept), perm=order)
    new = [place for place, axis in enumerate(op.new_order) if axis == "x"]
    return graph.add("Unsqueeze", x, graph.constant(new), dtype=dtype, ndim=ndim) if new else x


def vector(graph: Graph, values: Sequence[Value]) -> Value:
    """Stack scalars to a vector of int64: a constant if all of them are constants."""
    known = [graph.known(value) for value in values]
    if all(each is not None for each in known):
        return graph.constant(np.array([int(each) for each in known if each is not None], np.int64))
    whole = [graph.cast(value, "int64") for value in values]
    zero = graph.constant([0])
    rows = [graph.add("Unsqueeze", value, zero, dtype="int64", ndim=1) for value in whole]
    return graph.add("Concat", *rows, dtype="int64", ndim=1, axis=0)


def make_vector(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for a vector of integer scalars, such as lengths of axes; returns the result."""
    return vector(graph, inputs)


def subtensor(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for x[...] with slices and integers; returns the result.

    A single node applies all the slices; each integer takes one more node, which removes its axis.
    """
    x, *indices = inputs
    cuts = {axis: cut for axis, cut in enumerate(op.idx_list) if isinstance(cut, slice) and cut != slice(None)}
    if cuts:
        bounds = zip(*(_bounds(graph, cut, indices) for cut in cuts.values()), strict=True)
        starts, stops, steps = (vector(graph, each) for each in bounds)
        axes = graph.constant(list(cuts))
        x = graph.add("Slice", x, starts, stops, axes, steps, dtype=dtype, ndim=x.ndim)
    places = [axis for axis, index in enumerate(op.idx_list) if not isinstance(index, slice)]
    for axis in reversed(places):
        index = graph.cast(indices[op.idx_list[axis]], "int64")
        x = graph.add("Gather", x, index, dtype=dtype, ndim=x.ndim - 1, axis=axis)
    return x


def _bounds(graph: Graph, cut: slice, indices: list[Value]) -> tuple[Value, Value, Value]:
    """Return start, stop and step of a slice as values; the entries of ``cut`` are positions in ``indices``, or None.

    Raises Unknown if the step is not a constant.
    """
    step = None if cut.step is None else graph.known(indices[cut.step])
    if cut.step is not None and step is None:
        raise Unknown("Subtensor with a computed step")
    forwards = step is None or int(step) > 0
    ends = (0, LAST) if forwards else (LAST, FIRST)
    given = [None if place is None else indices[place] for place in (cut.start, cut.stop)]
    start, stop = (graph.constant(np.int64(end)) if one is None else one for one, end in zip(given, ends, strict=True))
    return start, stop, graph.constant(np.int64(1 if step is None else int(step)))


def gather(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the node for x[:, k], with an array k of integers on any one axis; returns the result."""
    x, *indices = inputs
    places = [axis for axis, index in enumerate(op.idx_list) if index != slice(None)]
    if len(places) != 1 or isinstance(op.idx_list[places[0]], slice) or indices[0].dtype == "bool":
        raise Unknown("AdvancedSubtensor with more than one array of positions")
    index = graph.cast(indices[0], "int64")
    return graph.add("Gather", x, index, dtype=dtype, ndim=ndim, axis=places[0])


def join(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for the concatenation of arrays along an axis; returns the result."""
    axis = graph.known(inputs[0])
    if axis is None:
        raise Unknown("Join along a computed axis")
    parts = [graph.cast(value, dtype) for value in inputs[1:]]
    return graph.add("Concat", *parts, dtype=dtype, ndim=ndim, axis=int(axis))


def reshape(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for a reshape; returns the result."""
    x, shape = inputs
    return graph.add("Reshape", x, graph.cast(shape, "int64"), dtype=dtype, ndim=ndim)


def shape(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the node for the shape of an array; returns the result, a vector of int64."""
    return graph.add("Shape", *inputs, dtype="int64", ndim=1)


def shape_of_axis(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for the length of one axis; returns the result."""
    lengths = shape(graph, op, inputs, dtype, 1)
    return graph.add("Gather", lengths, graph.constant(np.int64(op.i)), dtype="int64", ndim=0, axis=0)


def alloc(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for an array broadcast to a shape; returns the result."""
    value, *lengths = inputs
    if not lengths:
        return value
    return graph.add("Expand", value, vector(graph, lengths), dtype=dtype, ndim=ndim)


def arange(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the node for the range start, start + step, ..., without stop; returns the result."""
    return graph.add("Range", *(graph.cast(value, dtype) for value in inputs), dtype=dtype, ndim=1)


def reduced(name: str) -> Translation:
    """Make the translation of a reduction over axes to the ONNX operator ``name``, such as ``ReduceSum``."""

    def translation(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
        within = str(getattr(op, "acc_dtype", None) or dtype)
        x = graph.cast(inputs[0], "int64" if within in ("bool", "int8") else within)
        axes = range(x.ndim) if op.axis is None else np.atleast_1d(op.axis).tolist()
        y = graph.add(name, x, graph.constant(list(axes)), dtype=x.dtype, ndim=ndim, keepdims=0)
        return graph.cast(y, dtype)

    return translation


def argmax(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for the position of the first maximum along one axis; returns the result."""
    if op.axis is None or len(op.axis) != 1:
        raise Unknown("Argmax over several axes")
    return graph.add("ArgMax", *inputs, dtype="int64", ndim=ndim, axis=int(op.axis[0]), keepdims=0)


def cumulative(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for a cumulative sum along one axis; returns the result."""
    if op.mode != "add" or op.axis is None:
        raise Unknown("a cumulative product, or sum over all axes")
    axis = graph.constant(np.int64(op.axis))
    return graph.add("CumSum", graph.cast(inputs[0], dtype), axis, dtype=dtype, ndim=ndim)


def softmax(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Add to ``graph`` the nodes for a softmax, or its logarithm, along one axis; returns the result."""
    name, axis = type(op).__name__, None if op.axis is None else np.atleast_1d(op.axis).tolist()
    if axis is None or len(axis) != 1:
        raise Unknown(f"{name} over several axes")
    return graph.add(name, *inputs, dtype=dtype, ndim=ndim, axis=axis[0])


def unchanged(graph: Graph, op: Any, inputs: list[Value], dtype: str, ndim: int) -> Value:
    """Return the input of an operation that changes nothing outside training; no nodes are added."""
    return inputs[0]


#: translations by the name of the operation's class
OPERATIONS: dict[str, Translation] = {
    "Elemwise": elementwise, "Dot": product, "Blockwise": batched, "DimShuffle": dimshuffle,
    "Subtensor": subtensor, "AdvancedSubtensor": gather, "AdvancedSubtensor1": gather,
    "Join": join, "MakeVector": make_vector, "Reshape": reshape, "Shape": shape, "Shape_i": shape_of_axis,
    "Alloc": alloc, "ARange": arange, "Sum": reduced("ReduceSum"), "Prod": reduced("ReduceProd"),
    "Max": reduced("ReduceMax"), "Min": reduced("ReduceMin"), "Argmax": argmax, "CumOp": cumulative,
    "Softmax": softmax, "LogSoftmax": softmax,
    "DisconnectedGrad": unchanged, "ZeroGrad": unchanged, "ViewOp": unchanged, "SpecifyShape": unchanged,
    "CheckAndRaise": unchanged, "Assert": unchanged, "TensorFromScalar": unchanged, "ScalarFromTensor": unchanged,
}  # fmt: skip
