"""Random numbers in a graph, as a pure function of a key."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnaudio.engine.compiling import tensor
from rnnaudio.engine.environment import NAME, backend, float_type, tt
from rnnaudio.engine.symbolic import Key, Node, Size, Storage, Symbolic
from rnnaudio.kernels import noise

_graph: Any = backend if NAME == "theano" else backend.graph


class Random(_graph.Op):
    """An operation that samples random numbers as a pure function of (key, stream, shape), so updates can be repeated.

    ``key`` is an int64 vector: the seed, the number of the update and, if sequences are cut into segments, the number
    of the segment. ``stream`` distinguishes arrays with the same key. ``distribution`` is ``normal``, N(0, 1), or
    ``uniform``, U(0, 1); ``ndim`` is the number of axes of the result. Both engines and all modes give the same
    numbers. There is no generator whose state a checkpoint would have to hold: seed and update are enough for a
    resumed run to get the same numbers as an uninterrupted run.
    """

    __props__ = ("distribution", "stream", "ndim", "dtype")

    def __init__(self, distribution: str, stream: int, ndim: int, dtype: str):
        self.distribution, self.stream, self.ndim, self.dtype = distribution, stream, ndim, dtype

    def make_node(self, key: Key, *shape: Size) -> Node:
        inputs = [tt.as_tensor_variable(v) for v in (key, *shape)]
        return _graph.Apply(self, inputs, [tensor("", self.ndim, self.dtype).type()])

    def perform(self, node: Node, inputs: list[np.ndarray], outputs: list[Storage]) -> None:
        key, shape = [int(k) for k in inputs[0]], [int(n) for n in inputs[1:]]
        outputs[0][0] = noise.sample(self.distribution, key, self.stream, shape, self.dtype)

    def connection_pattern(self, node: Node) -> list[list[bool]]:
        return [[False] for _ in node.inputs]

    def infer_shape(self, *arguments: Any) -> list[list[Symbolic]]:
        node = arguments[-2]  # PyTensor passes graph, node and shapes; Theano node and shapes
        return [node.inputs[1:]]


def normal(key: Key, stream: int, shape: Sequence[Size]) -> Symbolic:
    """Sample an array of ``shape`` from N(0, 1): a pure function of ``shape``, ``key`` and ``stream``.

    ``key`` is (seed, update) or (seed, update, segment); ``stream`` distinguishes arrays with the same key.
    """
    return Random("normal", stream, len(shape), float_type())(key, *shape)


def uniform(key: Key, stream: int, shape: Sequence[Size]) -> Symbolic:
    """Sample an array of ``shape`` from U(0, 1): a pure function of ``shape``, ``key`` and ``stream``.

    ``key`` is (seed, update) or (seed, update, segment); ``stream`` distinguishes arrays with the same key.
    """
    return Random("uniform", stream, len(shape), float_type())(key, *shape)
