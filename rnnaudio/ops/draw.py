"""The painting of a DRAW as one operation of a graph, computed by :mod:`rnnaudio.kernels.draw`."""

from typing import Any

import numpy as np

from rnnaudio import engine
from rnnaudio.kernels import draw as kernel
from rnnaudio.ops.arrays import nothing

N_WEIGHTS, N_STATES, N_KEPT = (len(kind._fields) for kind in (kernel.Weights, kernel.States, kernel.Kept))


def paint(prepared: Any, noise: Any, weights: list[Any], start: list[Any], grids: kernel.Grids) -> list[Any]:
    """All states of all steps; weights and start in the order of kernel.Weights and kernel.States.

    None among the weights: there is no such one. Shapes: :mod:`rnnaudio.kernels.draw`.
    """
    ndims = [2 - k % 2 for k in range(N_WEIGHTS)]
    given = [nothing(ndim, noise.dtype) if w is None else w for w, ndim in zip(weights, ndims, strict=True)]
    return list(_Painting(*grids)(prepared, noise, *given, *start))[:N_STATES]


class _Painting(engine.Kernel):
    """prepared, noise, weights, start -> states, kept."""

    __props__ = ("height", "width", "n_read", "n_write")
    ndims = (3,) * (N_STATES + N_KEPT)
    is_sequence = True
    data = (1,)  # the noise

    def __init__(self, height: int, width: int, n_read: int, n_write: int):
        self.height, self.width, self.n_read, self.n_write = height, width, n_read, n_write

    @property
    def grids(self) -> kernel.Grids:
        return kernel.Grids(self.height, self.width, self.n_read, self.n_write)

    def compute(self, *arrays: np.ndarray) -> Any:
        states, kept = kernel.forward(*_arguments(arrays), self.grids)
        return [*states, *kept]

    def gradients(self, inputs: list[Any], outputs: list[Any], output_gradients: list[Any]) -> list[Any]:
        d_states = [nothing(3, inputs[0].dtype) if g is None else g for g in output_gradients[:N_STATES]]
        d_prepared, *rest = _PaintingGradient(*self.grids)(*inputs, *outputs, *d_states)
        return [d_prepared, None, *rest]


class _PaintingGradient(_Painting):
    """inputs, outputs and the states' gradients -> those of prepared, weights, start."""

    ndims = (3, *[2 - k % 2 for k in range(N_WEIGHTS)], *[2] * N_STATES)

    def compute(self, *arrays: np.ndarray) -> Any:
        n_inputs = 2 + N_WEIGHTS + N_STATES
        outputs = list(map(np.ascontiguousarray, arrays[n_inputs:]))
        result = kernel.backward(
            *_arguments(arrays[:n_inputs]),
            self.grids,
            kernel.States(*outputs[:N_STATES]),
            kernel.Kept(*outputs[N_STATES : N_STATES + N_KEPT]),
            kernel.States(*outputs[N_STATES + N_KEPT :]),
        )
        return [result.prepared, *result.weights, *result.start]


def _arguments(arrays: Any) -> tuple[Any, Any, kernel.Weights, kernel.States]:
    prepared, noise, *others = map(np.ascontiguousarray, arrays)
    return prepared, noise, kernel.Weights(*others[:N_WEIGHTS]), kernel.States(*others[N_WEIGHTS:])
