"""What plays exported networks: onnxruntime alone."""

import importlib.util
from pathlib import Path

import numpy as np

from rnnaudio.export.file import as_bytes

PROGRAM = Path(__file__).parents[2] / "docs" / "examples" / "play_onnx.py"


def example():
    """The program of the documents."""
    spec = importlib.util.spec_from_file_location("play_onnx", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def session(network):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(as_bytes(network), options)


class Player:
    """A network with its states, for ``n_streams``; the outputs by name are returned."""

    def __init__(self, network, n_streams=1):
        self._network, self._session = network, session(network)
        self._names = [output.name for output in self._session.get_outputs()]
        self.state = {state.name: np.tile(state.initial, (n_streams, 1)) for state in network.states}

    def __call__(self, **inputs):
        results = self._session.run(None, inputs | self.state)
        outputs = dict(zip(self._names, results, strict=True))
        self.state = {state.name: outputs[state.after] for state in self._network.states}
        return outputs
