"""Conversion of a network to the contents of an ONNX file, checked by ``onnx``, with metadata as JSON."""

import json
from typing import Any

import numpy as np

import rnnaudio
from rnnaudio.errors import RnnaudioError
from rnnaudio.export.graph import Graph, Node, Port
from rnnaudio.export.network import Network

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:  # everything else works without it
    MISSING = str(error)
else:
    MISSING = ""

OPSET, IR_VERSION = 18, 8  # of 2022; onnxruntime reads them from 1.14 on
KEY = "rnnaudio"  # of the metadata
MOST_BYTES = 2**31 - 1  # that protocol buffers can hold


def require_onnx() -> None:
    """Raise RnnaudioError if the package onnx cannot be imported."""
    if MISSING:
        raise RnnaudioError(
            f"the package onnx, which writes the file, cannot be imported ({MISSING}): pip install 'rnnaudio[onnx]'"
        )


def as_bytes(network: Network) -> bytes:
    """Return the contents of an ONNX file of a network, checked by ``onnx``.

    The metadata have one entry, ``rnnaudio``: :meth:`Network.record` as JSON. RnnaudioError if the package onnx is
    missing, or if the network is larger than such a file can be or breaks a rule of ONNX.
    """
    require_onnx()
    n_bytes = sum(array.nbytes for array in network.graph.constants.values())
    if n_bytes > MOST_BYTES:
        raise RnnaudioError(
            f"the parameters have {n_bytes / 1e9:.2f} GB; an ONNX file holds {MOST_BYTES / 1e9:.2f} GB: train a "
            "smaller model"
        )
    graph = _graph(network.graph, "step")
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, producer_name="rnnaudio", ir_version=IR_VERSION)
    model.producer_version = rnnaudio.__version__
    helper.set_model_props(model, {KEY: json.dumps(network.record(), allow_nan=False)})
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        first = str(error).strip().partition("\n")[0]
        raise RnnaudioError(f"this network breaks a rule of ONNX ({first}): rewrite its layer more simply") from error
    return bytes(model.SerializeToString())


def _graph(graph: Graph, name: str) -> "onnx.GraphProto":
    constants = [numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    inputs, outputs = map(_port, graph.inputs), map(_port, graph.outputs)
    return helper.make_graph(list(map(_node, graph.nodes)), name, list(inputs), list(outputs), constants)


def _port(port: Port) -> "onnx.ValueInfoProto":
    return helper.make_tensor_value_info(port.value.name, _type(port.value.dtype), port.shape)


def _node(node: Node) -> "onnx.NodeProto":
    attributes = {name: _attribute(value, node) for name, value in node.attributes.items()}
    return helper.make_node(node.op, node.inputs, node.outputs, name=node.outputs[0], **attributes)


def _attribute(value: Any, node: Node) -> Any:
    if isinstance(value, Graph):
        return _graph(value, f"{node.outputs[0]}_body")
    return _type(str(value)) if isinstance(value, np.dtype) else value


def _type(dtype: str) -> int:
    number: int = TensorProto.BOOL if dtype == "bool" else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return number
