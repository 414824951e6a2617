"""Translation of a symbolic graph of the engine into nodes of an ONNX graph, operation by operation.

A cell's equation is a graph of some forty elementary operations, whatever the cell. So no layer is known here, and a
cell of one's own is translated like those of the package.
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
    """Add a function's operations to a graph; returns its results.

    function: takes a symbolic variable for each of ``values`` and returns a sequence of them. Its graph is built with
    the engine's own operations (kernel ``scan``), in float32. RnnaudioError for an operation without a translation,
    which is named, and for another engine than PyTensor.
    """
    if engine.NAME != "pytensor":
        raise RnnaudioError(f"graphs of the engine {engine.NAME} cannot be exported: leave RNNAUDIO_ENGINE out")
    with engine.using_kernel("scan"), engine.precision("float32"):
        symbols = [engine.tensor(value.name, value.ndim, value.dtype) for value in values]
        return translated(list(function(*symbols)), dict(zip(symbols, values, strict=True)), graph)


def translated(outputs: Sequence[Symbolic], given: Mapping[Symbolic, Value], graph: Graph) -> list[Value]:
    """Add the operations that compute ``outputs`` to a graph; returns their values.

    given: values of symbolic inputs. RnnaudioError for an operation without a translation.
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
    """The value of a parameter or constant."""
    if hasattr(variable, "get_value"):
        return graph.parameter(variable)
    if hasattr(variable, "data"):
        return graph.constant(np.asarray(variable.data), variable.name or "")
    raise RnnaudioError(
        f"the network depends on {variable}, which is neither an input nor a parameter: mend its layer"
    )


def _result(variable: Any, node: Any, values: Mapping[Any, Value], graph: Graph) -> Value:
    """The value that an operation computes."""
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
    """The dtype of a variable in the graph, where all whole numbers are int64."""
    dtype = np.dtype(str(variable.dtype))
    return "int64" if dtype.kind in "iu" else str(dtype)
