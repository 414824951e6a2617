"""Translations of the engine's elementwise functions to ONNX: each adds the nodes of one function to a graph.

Their arguments are those of :data:`Translation`: the graph, the dtype of the result, and the function's arguments.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from rnnaudio.export.graph import Graph, Value

Translation: TypeAlias = Callable[[Graph, str, list[Value]], Value]
"""Function (graph, dtype of the result, arguments) -> the result; it adds the nodes of one function to the graph."""


def computed(op: str) -> Translation:
    """Make the translation to the ONNX operator ``op``; more than two arguments are combined from left to right."""

    def translation(graph: Graph, dtype: str, values: list[Value]) -> Value:
        first, *others = (graph.cast(value, dtype) for value in values)
        if not others:
            return graph.add(op, first, dtype=dtype, ndim=first.ndim)
        for value in others:
            first = graph.add(op, first, value, dtype=dtype, ndim=max(first.ndim, value.ndim))
        return first

    return translation


def compared(op: str) -> Translation:
    """Make the translation to the comparison operator ``op``; arguments are converted to their common dtype."""

    def translation(graph: Graph, dtype: str, values: list[Value]) -> Value:
        common = str(np.result_type(*(np.dtype(value.dtype) for value in values)))
        a, b = (graph.cast(value, common) for value in values)
        return graph.add(op, a, b, dtype="bool", ndim=max(a.ndim, b.ndim))

    return translation


def switch(graph: Graph, dtype: str, values: list[Value]) -> Value:
    """Add to ``graph`` the nodes for ``a if condition else b``; returns the result."""
    condition, a, b = graph.cast(values[0], "bool"), graph.cast(values[1], dtype), graph.cast(values[2], dtype)
    return graph.add("Where", condition, a, b, dtype=dtype, ndim=max(condition.ndim, a.ndim, b.ndim))


def second(graph: Graph, dtype: str, values: list[Value]) -> Value:
    """Add to ``graph`` the nodes for the second argument broadcast to the shape of the first; returns the result."""
    like, value = values[0], graph.cast(values[1], dtype)
    shape = graph.add("Shape", like, dtype="int64", ndim=1)
    return graph.add("Expand", value, shape, dtype=dtype, ndim=like.ndim)


def not_equal(graph: Graph, dtype: str, values: list[Value]) -> Value:
    """Add to ``graph`` the nodes for a != b; returns the result."""
    equal = compared("Equal")(graph, dtype, values)
    return graph.add("Not", equal, dtype="bool", ndim=equal.ndim)


def square(graph: Graph, dtype: str, values: list[Value]) -> Value:
    """Add to ``graph`` the nodes for x^2; returns the result."""
    return computed("Mul")(graph, dtype, [values[0], values[0]])


def in_double(formula: Translation) -> Translation:
    """Make the translation that computes ``formula`` in float64, because it would lose digits in float32."""

    def translation(graph: Graph, dtype: str, values: list[Value]) -> Value:
        return graph.cast(formula(graph, "float64", values), dtype)

    return translation


def log1p(graph: Graph, dtype: str, values: list[Value]) -> Value:
    """Add to ``graph`` the nodes for log(1 + x); returns the result."""
    return computed("Log")(graph, dtype, [computed("Add")(graph, dtype, [*values, graph.constant(np.float64(1.0))])])


def expm1(graph: Graph, dtype: str, values: list[Value]) -> Value:
    """Add to ``graph`` the nodes for exp(x) - 1; returns the result."""
    return computed("Sub")(graph, dtype, [computed("Exp")(graph, dtype, values), graph.constant(np.float64(1.0))])


def softplus(graph: Graph, dtype: str, values: list[Value]) -> Value:
    """Add to ``graph`` the nodes for log(1 + exp(x)); returns the result.

    It is computed as max(x, 0) + log(1 + exp(-|x|)), which does not overflow.
    """
    zero = graph.constant(np.float64(0.0))
    negative = computed("Neg")(graph, dtype, [computed("Abs")(graph, dtype, values)])
    rest = log1p(graph, dtype, [computed("Exp")(graph, dtype, [negative])])
    return computed("Add")(graph, dtype, [computed("Max")(graph, dtype, [*values, zero]), rest])


def identity(graph: Graph, dtype: str, values: list[Value]) -> Value:
    """Add to ``graph`` the nodes for x converted to ``dtype``; returns the result."""
    return graph.cast(values[0], dtype)


#: translations by the name of the engine's function
ELEMENTWISE: dict[str, Translation] = {
    "Add": computed("Add"), "Sub": computed("Sub"), "Mul": computed("Mul"), "TrueDiv": computed("Div"),
    "Pow": computed("Pow"), "Maximum": computed("Max"), "ScalarMaximum": computed("Max"),
    "Minimum": computed("Min"), "ScalarMinimum": computed("Min"),
    "Neg": computed("Neg"), "Abs": computed("Abs"), "Sign": computed("Sign"), "Sqr": square,
    "Sqrt": computed("Sqrt"), "Reciprocal": computed("Reciprocal"),
    "Exp": computed("Exp"), "Log": computed("Log"), "Log1p": in_double(log1p), "Expm1": in_double(expm1),
    "Sigmoid": computed("Sigmoid"), "Tanh": computed("Tanh"), "Softplus": in_double(softplus),
    "Sin": computed("Sin"), "Cos": computed("Cos"), "Floor": computed("Floor"), "Ceil": computed("Ceil"),
    "RoundHalfToEven": computed("Round"), "Erf": computed("Erf"),
    "LT": compared("Less"), "LE": compared("LessOrEqual"), "GT": compared("Greater"),
    "GE": compared("GreaterOrEqual"), "EQ": compared("Equal"), "NEQ": not_equal,
    "AND": computed("And"), "OR": computed("Or"), "XOR": computed("Xor"), "Invert": computed("Not"),
    "Switch": switch, "Second": second, "Cast": identity, "Identity": identity,
}  # fmt: skip
