"""The interfaces of read-outs, and the functions that they share."""

from typing import Any, Protocol

import numpy as np

from rnnaudio.engine import Array, Symbolic


class Sampling(Protocol):
    """Settings for sampling, such as the temperature: :class:`rnnaudio.generation.sampling.Sampling`."""

    @property
    def temperature(self) -> float: ...

    @property
    def is_whole(self) -> bool:
        """True if every code may be sampled: neither top-k nor nucleus sampling."""
        ...

    def sample(self, logits: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Sample codes (m,), given logits (m, n_codes) and random numbers U(0, 1) (m,)."""
        ...


class Readout(Protocol):
    """A distribution for each of n values, with P parameters per value.

    ``prediction`` (..., P n) is a model's output: P blocks of n numbers, the k-th block holding the k-th parameter of
    all values. Each read-out has a file of its own, on which the files of the others do not depend.
    """

    @property
    def n_parameters(self) -> int:
        """The number P of parameters per value."""
        ...

    def nats(self, prediction: Symbolic, target: Symbolic) -> Symbolic:
        """-log P(target), P a probability or density, mean over values: (..., P n), (..., n) -> scalar, in nats."""
        ...

    def sample(self, prediction: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        """Sample values from the predicted distributions: (..., P n) -> (..., n)."""
        ...


class FrameReadout(Readout, Protocol):
    """A read-out of real numbers; its distribution has a mean."""

    def mean(self, prediction: Array) -> Array:
        """Compute the means of the distributions: (..., P n) -> (..., n), NumPy arrays or symbolic variables."""
        ...


class LevelReadout(Readout, Protocol):
    """A read-out of levels 0 .. n_levels - 1, the values of quantised samples."""

    @property
    def n_levels(self) -> int: ...

    @property
    def kernel(self) -> str:
        """Name in :data:`rnnaudio.kernels.samples.SAMPLERS` of the kernel that computes ``sample``; empty for none."""
        ...

    @property
    def kernel_constants(self) -> tuple[float, float]:
        """Constants of that kernel: the unit of locations, and the minimum of the scale in units."""
        ...

    def shifted(self, prediction: Array, centre: Array) -> Array:
        """Add ``centre`` (..., n), on the scale -1 to 1 of the levels, to the locations in a prediction (..., P n).

        ValueError if the distribution has no location.
        """
        ...


def blocks(prediction: Array, n_blocks: int) -> Array:
    """Split the last axis into blocks: (..., P n) -> (..., P, n)."""
    last = prediction.ndim - 1
    leading: list[Any] = [prediction.shape[axis] for axis in range(last)]
    return prediction.reshape([*leading, n_blocks, prediction.shape[last] // n_blocks])


def chosen(numbers: np.ndarray, component: np.ndarray) -> np.ndarray:
    """Pick for each value the number of its component: numbers (..., K, n), component (..., n) -> (..., n)."""
    return np.take_along_axis(numbers, component[..., None, :], axis=-2)[..., 0, :]


def sampled_component(logits: np.ndarray, sampling: Sampling, uniform: np.ndarray) -> np.ndarray:
    """Sample a component for each value: logits (..., K, n), random numbers U(0, 1) (..., n) -> indices (..., n)."""
    rows = np.moveaxis(logits, -2, -1)
    return sampling.sample(rows.reshape(-1, rows.shape[-1]), uniform.reshape(-1)).reshape(uniform.shape)
