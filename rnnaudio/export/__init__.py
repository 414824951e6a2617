"""Export of networks as ONNX graphs, translated operation by operation from the engine's symbolic graph.

Only :mod:`rnnaudio.export.file`, which writes the result, imports ``onnx``.
"""

from rnnaudio.export.graph import Graph, Value
from rnnaudio.export.network import Network, State, initial_rows, layer_network, stepped
from rnnaudio.export.translate import applied

__all__ = ["Graph", "Network", "State", "Value", "applied", "initial_rows", "layer_network", "stepped"]
