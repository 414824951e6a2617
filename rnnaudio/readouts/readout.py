"""The interface of read-outs, and what they share."""

from typing import Any, Protocol

import numpy as np


class Sampling(Protocol):
    """How boldly to draw: :class:`rnnaudio.generation.sampling.Sampling`."""

    @property
    def temperature(self) -> float: ...

    @property
    def is_whole(self) -> bool:
        """Whether no code is left out."""
        ...

    def sample(self, logits: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """(m, n_codes) logits and (m,) numbers U(0, 1) -> (m,) codes."""
        ...


class Readout(Protocol):
    """A distribution of each of n values, given by P numbers a value.

    ``said`` (.., P n), what a model says, holds P blocks of n, one number for each value in each block. A read-out
    that is added is a file of its own; nothing else knows of it.
    """

    @property
    def n_parameters(self) -> int:
        """P."""
        ...

    def nats(self, said: Any, target: Any) -> Any:
        """-log P(target), or of its density, mean per value, symbolic: said (.., P n), target (.., n) -> scalar."""
        ...

    def sample(self, said: np.ndarray, sampling: Sampling, rng: np.random.Generator) -> np.ndarray:
        """Values, (.., n), drawn from what is said; NumPy."""
        ...


class FrameReadout(Readout, Protocol):
    """A read-out of real numbers, which have a mean."""

    def mean(self, said: Any) -> Any:
        """(.., P n) -> (.., n), of NumPy arrays and symbolic variables alike."""
        ...


class LevelReadout(Readout, Protocol):
    """A read-out of levels 0 .. n_levels - 1: what a quantised sample is."""

    @property
    def n_levels(self) -> int: ...

    @property
    def kernel(self) -> str:
        """One of :data:`rnnaudio.kernels.samples.DRAWS`, which does as ``sample``; empty where there is none."""
        ...

    @property
    def kernel_constants(self) -> tuple[float, float]:
        """What that kernel has to know: the unit of locations, and the least scale in it."""
        ...

    def about(self, said: Any, centre: Any) -> Any:
        """said, where locations are meant relative to ``centre`` (.., n); ValueError if nothing in it is a location.

        Levels 0 .. n_levels - 1 stand for the values -1 .. 1, in which the centre is given.
        """
        ...


def blocks(said: Any, n_blocks: int) -> Any:
    """(.., P n) -> (.., P, n)."""
    last = said.ndim - 1
    return said.reshape([*(said.shape[axis] for axis in range(last)), n_blocks, said.shape[last] // n_blocks])


def chosen(numbers: np.ndarray, component: np.ndarray) -> np.ndarray:
    """Of (.., K, n) numbers those of each value's component, (.., n)."""
    return np.take_along_axis(numbers, component[..., None, :], axis=-2)[..., 0, :]


def drawn_component(logits: np.ndarray, sampling: Sampling, uniform: np.ndarray) -> np.ndarray:
    """(.., K, n) logits and (.., n) numbers U(0, 1) -> the component of each value, (.., n)."""
    rows = np.moveaxis(logits, -2, -1)
    return sampling.sample(rows.reshape(-1, rows.shape[-1]), uniform.reshape(-1)).reshape(uniform.shape)
