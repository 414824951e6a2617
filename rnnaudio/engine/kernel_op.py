"""The base class of graph operations that are computed by compiled kernels."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rnnaudio.engine.compiling import tensor
from rnnaudio.engine.environment import NAME, backend, tt
from rnnaudio.engine.symbolic import Gradient, Node, Storage, Symbolic

_graph: Any = backend if NAME == "theano" else backend.graph
_Disconnected: Any = backend.gradient.DisconnectedType


class Kernel(_graph.Op):
    """A graph operation computed by a function of NumPy arrays, in all modes but ``jax``.

    A subclass sets ``ndims``, the number of axes of each output, and defines ``compute(*arrays)``, which takes the
    values of the inputs and returns a sequence of the values of the outputs. To be differentiable, it also defines
    :meth:`gradients`. The first input and all float inputs are cast to the widest dtype of the float inputs, which is
    also the dtype of the outputs. No gradient flows to integer inputs (masks), or to the inputs whose positions are in
    ``data``.

    TypeError if the widest dtype of the float inputs is neither float32 nor float64.
    """

    __props__: tuple[str, ...] = ()
    ndims: tuple[int, ...]
    data: tuple[int, ...] = ()
    is_sequence = False  # True: computes a recurrence over all time steps, which takes most of an update's time

    compute: Callable[..., Sequence[np.ndarray]]

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        """Return the symbolic gradient of the loss with respect to each input, None for an input without a gradient.

        ``output_gradients`` holds the gradient with respect to each output, None if the loss does not depend on it.
        NotImplementedError for an operation that is not differentiable.
        """
        raise NotImplementedError(f"{self} has no gradient")

    def make_node(self, *inputs: Symbolic) -> Node:
        variables = [tt.as_tensor_variable(v) for v in inputs]
        dtype = backend.scalar.upcast(*(v.dtype for v in variables if v.dtype.startswith("float")))
        if dtype not in ("float32", "float64"):
            raise TypeError(f"{self} takes float32 or float64, got {[v.dtype for v in variables]}")
        first, *others = variables
        floats = [tt.cast(v, dtype) if v.dtype.startswith("float") else v for v in others]
        variables = [tt.cast(first, dtype), *floats]
        return _graph.Apply(self, variables, [tensor("", n, dtype).type() for n in self.ndims])

    def perform(self, node: Node, inputs: list[np.ndarray], outputs: list[Storage]) -> None:
        for storage, value in zip(outputs, self.compute(*inputs), strict=True):
            storage[0] = value

    def connection_pattern(self, node: Node) -> list[list[bool]]:
        connected = [v.dtype.startswith("float") and k not in self.data for k, v in enumerate(node.inputs)]
        return [[is_connected] * len(node.outputs) for is_connected in connected]

    def pullback(
        self, inputs: Sequence[Symbolic], outputs: Sequence[Symbolic], cotangents: Sequence[Symbolic]
    ) -> list[Symbolic]:
        known = [None if isinstance(g.type, _Disconnected) else g for g in cotangents]
        return [_Disconnected()() if g is None else g for g in self.gradients(list(inputs), list(outputs), known)]

    if NAME == "theano":
        L_op = pullback
