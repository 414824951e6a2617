"""Interfaces of read-outs, and functions that several read-outs use."""

from typing import Any, Protocol

import numpy as np

from rnnaudio.engine import Array, Symbolic


class Sampling(Protocol):
    """Settings for sampling, such as the temperature, as :class:`rnnaudio.generation.sampling.Sampling` holds them."""

    @property
    def temperature(self) -> float: ...

    @property
    def is_whole(self) -> bool:
        """True if every code may be sampled: neither top-k nor nucleus sampling."""
        ...

    def sample(self, logits: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """Sample a code for each row: logits (rows, n_codes), random numbers U(0, 1) (rows,) -> codes (rows,)."""
        ...


class Readout(Protocol):
    """A distribution for each of n values, with P = ``n_parameters`` parameters per value.

    ``prediction`` (..., P n) is a model's output: P blocks of n numbers, the k-th block holding the k-th parameter of
    all values.
    """

    @property
    def n_parameters(self) -> int:
        """The number P of parameters that a model outputs for each value."""
        ...

    def nats(self, prediction: Symbolic, target: Symbolic) -> Symbolic:
        """Compute the negative log-likelihood of the target in nats, averaged over values: a scalar.

        prediction (..., P n), P parameters per value; target (..., n). The likelihood is a probability density for
        real values, and a probability for levels.
        """
        ...

    def sample(self, prediction: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        """Sample values from the predicted distributions, P parameters per value: (..., P n) -> (..., n).

        ``rng`` is the source of all random numbers.
        """
        ...


class FrameReadout(Readout, Protocol):
    """A read-out of real numbers, whose distributions have a mean."""

    def mean(self, prediction: Array) -> Array:
        """Compute the means of the distributions, P parameters per value: (..., P n) -> (..., n).

        The result is a NumPy array or a symbolic variable, as ``prediction`` is.
        """
        ...


class LevelReadout(Readout, Protocol):
    """A read-out of quantised samples, whose values are levels 0 .. n_levels - 1."""

    @property
    def n_levels(self) -> int: ...

    @property
    def kernel(self) -> str:
        """Name of the kernel that computes ``sample``, in :data:`rnnaudio.kernels.samples.SAMPLERS`.

        An empty string if there is no such kernel.
        """
        ...

    @property
    def kernel_constants(self) -> tuple[float, float]:
        """Constants of :attr:`kernel`: the unit of locations and scales, and the minimum scale in this unit."""
        ...

    def shifted(self, prediction: Array, centre: Array) -> Array:
        """Return a prediction (..., P n), P parameters per value, with ``centre`` (..., n) added to the locations.

        A location is the mean of a distribution, or of a component of a mixture. ``centre`` is on the scale of the
        values -1 to 1 for which the levels stand. ValueError if the distributions have no location.
        """
        ...


def blocks(prediction: Array, n_blocks: int) -> Array:
    """Split the last axis into blocks of equal length n: (..., n_blocks * n) -> (..., n_blocks, n)."""
    last = prediction.ndim - 1
    leading: list[Any] = [prediction.shape[axis] for axis in range(last)]
    return prediction.reshape([*leading, n_blocks, prediction.shape[last] // n_blocks])


def chosen(numbers: np.ndarray, component: np.ndarray) -> np.ndarray:
    """Pick one of K numbers for each of n values, by its index ``component`` (..., n): (..., K, n) -> (..., n)."""
    return np.take_along_axis(numbers, component[..., None, :], axis=-2)[..., 0, :]


def sampled_component(logits: np.ndarray, sampling: Sampling, uniform: np.ndarray) -> np.ndarray:
    """Sample one of K components for each value: logits (..., K, n), ``uniform`` (..., n) -> indices (..., n).

    ``uniform`` holds random numbers U(0, 1).
    """
    rows = np.moveaxis(logits, -2, -1)
    return sampling.sample(rows.reshape(-1, rows.shape[-1]), uniform.reshape(-1)).reshape(uniform.shape)
