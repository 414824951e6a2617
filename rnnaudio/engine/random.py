"""Random numbers in a graph, computed as a pure function of a key."""

import contextlib
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from rnnaudio.engine.compiling import tensor
from rnnaudio.engine.environment import NAME, backend, float_type, tt
from rnnaudio.engine.symbolic import Key, Node, Size, Storage, Symbolic
from rnnaudio.kernels import noise

_graph: Any = backend if NAME == "theano" else backend.graph
WHOLE = (0, 1)
# The number of this part of each batch, and the number of parts. Each thread has its own value.
_part: ContextVar[tuple[int, int]] = ContextVar("part of batches", default=WHOLE)


@contextlib.contextmanager
def part_of_batches(part: int, n_parts: int) -> Iterator[None]:
    """Return a context manager to build a graph for one of ``n_parts`` equal parts of each batch.

    ``part`` is the number of the part, from 0. Random numbers are sampled for the whole batch and those of the part
    are used, so that each sequence gets the same numbers as in a graph for whole batches.
    """
    before = _part.set((part, n_parts))
    try:
        yield
    finally:
        _part.reset(before)


class Random(_graph.Op):
    """The graph operation (key, *shape) -> random numbers, a pure function of key, shape and ``stream``.

    ``key`` is an int64 vector: the seed, the number of the update and, if sequences are cut into segments, the number
    of the segment. ``stream`` distinguishes arrays with the same key. ``distribution`` is ``normal``, N(0, 1), or
    ``uniform``, U(0, 1); ``ndim`` is the number of axes of the result. ``part`` is (k, n) for a graph of part k, from
    0, of n equal parts of each batch along ``batch_axis``. Both engines and all modes give the same numbers. Because
    there is no state of a generator to save, a resumed run gets the same numbers as an uninterrupted run.
    """

    __props__ = ("distribution", "stream", "ndim", "dtype", "part", "batch_axis")

    def __init__(
        self, distribution: str, stream: int, ndim: int, dtype: str, part: tuple[int, int] = WHOLE, batch_axis: int = 0
    ):
        self.distribution, self.stream, self.ndim, self.dtype = distribution, stream, ndim, dtype
        self.part, self.batch_axis = part, batch_axis

    def make_node(self, key: Key, *shape: Size) -> Node:
        inputs = [tt.as_tensor_variable(v) for v in (key, *shape)]
        return _graph.Apply(self, inputs, [tensor("", self.ndim, self.dtype).type()])

    def perform(self, node: Node, inputs: list[np.ndarray], outputs: list[Storage]) -> None:
        key, shape = [int(k) for k in inputs[0]], [int(n) for n in inputs[1:]]
        outputs[0][0] = self.sampled(key, shape)

    def sampled(self, key: Sequence[int], shape: Sequence[int]) -> np.ndarray:
        """Return the array of random numbers for these values of ``key`` and ``shape``."""
        if self.part == WHOLE:
            return noise.sample(self.distribution, key, self.stream, shape, self.dtype)
        (part, n_parts), axis = self.part, self.batch_axis
        n_rows, whole = shape[axis], [*shape]
        whole[axis] *= n_parts
        rows = [slice(None)] * axis + [slice(part * n_rows, (part + 1) * n_rows)]
        sampled = noise.sample(self.distribution, key, self.stream, whole, self.dtype)
        return np.ascontiguousarray(sampled[tuple(rows)])

    def connection_pattern(self, node: Node) -> list[list[bool]]:
        return [[False] for _ in node.inputs]

    def infer_shape(self, *arguments: Any) -> list[list[Symbolic]]:
        node = arguments[-2]  # PyTensor passes graph, node and shapes; Theano node and shapes
        return [node.inputs[1:]]


def normal(key: Key, stream: int, shape: Sequence[Size], *, batch_axis: int = -2) -> Symbolic:
    """Sample an array of ``shape`` from N(0, 1): a pure function of ``shape``, ``key`` and ``stream``.

    ``key`` is (seed, update) or (seed, update, segment); ``stream`` distinguishes arrays with the same key.
    ``batch_axis`` is the batch axis of ``shape``; it has an effect only within :func:`part_of_batches`. The dtype is
    :func:`rnnaudio.engine.float_type`.
    """
    return _random("normal", key, stream, shape, batch_axis)


def uniform(key: Key, stream: int, shape: Sequence[Size], *, batch_axis: int = -2) -> Symbolic:
    """Sample an array of ``shape`` from U(0, 1): a pure function of ``shape``, ``key`` and ``stream``.

    The arguments are those of :func:`normal`.
    """
    return _random("uniform", key, stream, shape, batch_axis)


def _random(distribution: str, key: Key, stream: int, shape: Sequence[Size], batch_axis: int) -> Symbolic:
    """Apply the operation :class:`Random`, for the part of each batch that :func:`part_of_batches` has selected."""
    part = _part.get()
    if part == WHOLE:
        return Random(distribution, stream, len(shape), float_type())(key, *shape)
    axis = range(len(shape))[batch_axis]
    return Random(distribution, stream, len(shape), float_type(), part, axis)(key, *shape)
