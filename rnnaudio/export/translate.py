"""Translation of a symbolic graph of the engine into nodes of an ONNX graph, operation by operation.

The equations of all cells consist of the same elementary operations, about forty kinds. So this module needs no code
for particular layers, and translates user-defined cells like those of the package.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Symbolic
from rnnaudio.errors import RnnaudioError
from rnnaudio.export.graph import Graph, Value
from rnnaudio.export.operations import OPERATIONS, Unknown, name_of


def applied(graph: Graph, function: Callable[..., Sequence[Symbolic]], *values: Value) -> list[Value]:
    """Add the operations of a function to a graph; returns the values of its results.

    function: takes one symbolic variable per element of ``values`` and returns a sequence of symbolic results. It is
    called with the kernel ``scan``, so that the engine's own operations are used, in float32. RnnaudioError for an
    operation without a translation, which the message names, and for an engine other than PyTensor.
    """
    if engine.NAME != "pytensor":
        raise RnnaudioError(f"graphs of the engine {engine.NAME} cannot be exported: leave RNNAUDIO_ENGINE out")
    with engine.using_kernel("scan"), engine.precision("float32"):
        symbols = [engine.tensor(value.name, value.ndim, value.dtype) for value in values]
        return translated(list(function(*symbols)), dict(zip(symbols, values, strict=True)), graph)


def translated(outputs: Sequence[Symbolic], given: Mapping[Symbolic, Value], graph: Graph) -> list[Value]:
    """Add the operations that compute the symbolic ``outputs`` to a graph; returns the outputs' values in the graph.

    given: the value in the graph of each symbolic input. RnnaudioError for an operation without a translation, and for
    outputs that depend on other symbolic inputs.
    """
    values = dict(given)
    waiting = list(reversed(outputs))
    while waiting:  # no recursion: a thousand layers would be too deep
        variable = waiting[-1]
        node: Any = variable.owner
        missing = [] if variable in values or node is None else [v for v in node.inputs if v not in values]
        if missing:
            waiting += reversed(missing)
            continue
        if variable not in values:
            values[variable] = _leaf(variable, graph) if node is None else _result(variable, node, values, graph)
        waiting.pop()
    return [values[variable] for variable in outputs]


def _leaf(variable: Any, graph: Graph) -> Value:
    """Return the value in the graph of a parameter or constant; RnnaudioError for any other variable."""
    if hasattr(variable, "get_value"):
        return graph.parameter(variable)
    if hasattr(variable, "data"):
        return graph.constant(np.asarray(variable.data), variable.name or "")
    raise RnnaudioError(
        f"the network depends on {variable}, which is neither an input nor a parameter: mend its layer"
    )


def _result(variable: Any, node: Any, values: Mapping[Any, Value], graph: Graph) -> Value:
    """Translate the operation ``node`` that computes ``variable``; returns its value in the graph."""
    name = type(node.op).__name__
    try:
        if name not in OPERATIONS or len(node.outputs) != 1:
            raise Unknown(name_of(node.op))
        ndim = getattr(variable.type, "ndim", 0)
        return OPERATIONS[name](graph, node.op, [values[v] for v in node.inputs], _dtype(variable), ndim)
    except Unknown as unknown:
        raise RnnaudioError(
            f"the network computes {unknown}, which cannot be exported: write its layer with sums, products and "
            "functions of single numbers, or add a translation to rnnaudio.export"
        ) from None


def _dtype(variable: Any) -> str:
    """Return the dtype that a variable has in the ONNX graph: int64 for all integers, else the variable's own."""
    dtype = np.dtype(str(variable.dtype))
    return "int64" if dtype.kind in "iu" else str(dtype)
