"""The graph operation that computes all steps of DRAW by the kernel of :mod:`rnnaudio.kernels.draw`."""

from collections.abc import Sequence

import numpy as np

from rnnaudio import engine
from rnnaudio.engine import Gradient, Symbolic
from rnnaudio.kernels import draw as kernel
from rnnaudio.ops.arrays import absent

N_WEIGHTS, N_STATES, N_KEPT = (len(kind._fields) for kind in (kernel.Weights, kernel.States, kernel.Kept))


def paint(
    prepared: Symbolic, noise: Symbolic, weights: list[Symbolic | None], start: list[Symbolic], grids: kernel.Grids
) -> list[Symbolic]:
    """Compute the states of DRAW after every step: a list of variables (time, batch, width).

    ``start`` holds the states (batch, width) before the first step. Both lists have the order of the fields of
    :class:`rnnaudio.kernels.draw.States`. ``weights`` has the order of the fields of
    :class:`rnnaudio.kernels.draw.Weights`, with None for weights that the model does not have. The shapes and meanings
    of all arguments are described in :mod:`rnnaudio.kernels.draw`.
    """
    ndims = [2 - k % 2 for k in range(N_WEIGHTS)]
    inputs = [absent(ndim, noise.dtype) if w is None else w for w, ndim in zip(weights, ndims, strict=True)]
    return list(_Painting(*grids)(prepared, noise, *inputs, *start))[:N_STATES]


class _Painting(engine.Kernel):
    """The graph operation (prepared, noise, weights, start) -> the states, and the arrays kept for the gradient."""

    __props__ = ("height", "width", "n_read", "n_write")
    ndims = (3,) * (N_STATES + N_KEPT)
    is_sequence = True
    data = (1,)  # the noise

    def __init__(self, height: int, width: int, n_read: int, n_write: int):
        self.height, self.width, self.n_read, self.n_write = height, width, n_read, n_write

    @property
    def grids(self) -> kernel.Grids:
        return kernel.Grids(self.height, self.width, self.n_read, self.n_write)

    def compute(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        states, kept = kernel.forward(*_arguments(arrays), self.grids)
        return [*states, *kept]

    def gradients(
        self, inputs: list[Symbolic], outputs: list[Symbolic], output_gradients: list[Gradient]
    ) -> list[Gradient]:
        d_states = [absent(3, inputs[0].dtype) if g is None else g for g in output_gradients[:N_STATES]]
        d_prepared, *rest = _PaintingGradient(*self.grids)(*inputs, *outputs, *d_states)
        return [d_prepared, None, *rest]


class _PaintingGradient(_Painting):
    """The gradient of :class:`_Painting`.

    Its inputs are the inputs and outputs of :class:`_Painting` and the gradients of the states; its outputs are the
    gradients with respect to prepared, weights and start.
    """

    ndims = (3, *[2 - k % 2 for k in range(N_WEIGHTS)], *[2] * N_STATES)

    def compute(self, *arrays: np.ndarray) -> Sequence[np.ndarray]:
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


def _arguments(arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, kernel.Weights, kernel.States]:
    prepared, noise, *others = map(np.ascontiguousarray, arrays)
    return prepared, noise, kernel.Weights(*others[:N_WEIGHTS]), kernel.States(*others[N_WEIGHTS:])
