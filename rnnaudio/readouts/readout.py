"""The interface of read-outs, and their common functions."""

from typing import Any, Protocol

import numpy as np

from rnnaudio.engine import Array, Symbolic


class Sampling(Protocol):
    """Settings for sampling, such as the temperature: :class:`rnnaudio.generation.sampling.Sampling`."""

    @property
    def temperature(self) -> float: ...

    @property
    def is_whole(self) -> bool:
        """True if every code may be sampled."""
        ...

    def sample(self, logits: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Sample codes (m,) by logits (m, n_codes) and numbers U(0, 1) (m,)."""
        ...


class Readout(Protocol):
    """A distribution of each of n values, with P parameters per value.

    ``prediction`` (..., P n), a model's output, holds P blocks of n, one number for each value in each block. Each
    read-out is a file of its own, and no other file depends on it.
    """

    @property
    def n_parameters(self) -> int:
        """The number P of parameters per value."""
        ...

    def nats(self, prediction: Symbolic, target: Symbolic) -> Symbolic:
        """-log P(target), or of its density, mean per value: prediction (..., P n), target (..., n) -> scalar."""
        ...

    def sample(self, prediction: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        """Sample values from the predicted distributions: (..., P n) -> (..., n)."""
        ...


class FrameReadout(Readout, Protocol):
    """A read-out of real numbers, which have a mean."""

    def mean(self, prediction: Array) -> Array:
        """Compute the distributions' means: (..., P n) -> (..., n), NumPy arrays or symbolic variables."""
        ...


class LevelReadout(Readout, Protocol):
    """A read-out of levels 0 .. n_levels - 1, the values of quantised samples."""

    @property
    def n_levels(self) -> int: ...

    @property
    def kernel(self) -> str:
        """The name in :data:`rnnaudio.kernels.samples.SAMPLERS` that samples as ``sample`` does; empty for none."""
        ...

    @property
    def kernel_constants(self) -> tuple[float, float]:
        """The constants of that kernel: the unit of locations, and the least scale in units."""
        ...

    def shifted(self, prediction: Array, centre: Array) -> Array:
        """Shift the predicted locations by ``centre`` (..., n), in the values -1 to 1 that levels stand for.

        ValueError if the distribution has no location.
        """
        ...


def blocks(prediction: Array, n_blocks: int) -> Array:
    """Split the last axis into blocks: (..., P n) -> (..., P, n)."""
    last = prediction.ndim - 1
    leading: list[Any] = [prediction.shape[axis] for axis in range(last)]
    return prediction.reshape([*leading, n_blocks, prediction.shape[last] // n_blocks])


def chosen(numbers: np.ndarray, component: np.ndarray) -> np.ndarray:
    """Pick the numbers of each value's component: (..., K, n), (..., n) -> (..., n)."""
    return np.take_along_axis(numbers, component[..., None, :], axis=-2)[..., 0, :]


def sampled_component(logits: np.ndarray, sampling: Sampling, uniform: np.ndarray) -> np.ndarray:
    """Sample the component of each value by logits (..., K, n) and numbers U(0, 1) (..., n): (..., n)."""
    rows = np.moveaxis(logits, -2, -1)
    return sampling.sample(rows.reshape(-1, rows.shape[-1]), uniform.reshape(-1)).reshape(uniform.shape)
