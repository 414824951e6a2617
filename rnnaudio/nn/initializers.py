"""Initializers of parameters: functions ``(rng, shape) -> float64 array``; ``shape`` is (n_in, n_out) or (n,)."""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from rnnaudio.errors import RnnaudioError

Initializer = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


class Sparing(np.random.Generator):
    """A random generator with a limit, to build a model into which ``n_values`` saved numbers are then loaded.

    Sampling more than ``n_values`` numbers in total raises RnnaudioError before memory is allocated. A damaged file
    whose settings describe a larger model than it holds thus cannot exhaust the memory.
    """

    def __init__(self, n_values: int):
        super().__init__(np.random.PCG64(0))
        self._n_values = self._n_left = n_values

    def spend(self, *shape: int) -> None:
        """Count an array of this shape as sampled. RnnaudioError if the limit is exceeded.

        Call it for arrays that are made without the generator.
        """
        self._n_left -= math.prod(shape)
        if self._n_left < 0:
            raise RnnaudioError(f"its settings describe a larger model than the {self._n_values} values that it holds")

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """Sample U(low, high), as NumPy does. RnnaudioError if the limit is exceeded."""
        self.spend(*_sides(size))
        return super().uniform(low, high, size)

    def standard_normal(self, size: Any = None, *arguments: Any, **options: Any) -> Any:
        """Sample N(0, 1), as NumPy does. RnnaudioError if the limit is exceeded."""
        self.spend(*_sides(size))
        return super().standard_normal(size, *arguments, **options)


def _sides(size: Any) -> list[int]:
    return [int(side) for side in np.atleast_1d(1 if size is None else size)]


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample U(-a, a) with a = sqrt(6 / (n_in + n_out)); ``shape`` is (n_in, n_out). Glorot and Bengio (2010)."""
    bound = np.sqrt(6.0 / sum(shape))
    return rng.uniform(-bound, bound, shape)


@functools.cache
def _libraries() -> ThreadpoolController:
    """Return the controller of the loaded libraries' threads. It is cached: finding them takes milliseconds."""
    return ThreadpoolController()


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample a matrix with orthonormal rows or columns, whichever are fewer. Saxe et al. (2013).

    The QR decomposition runs on one thread. Several threads would wait for each other in busy loops, which takes
    seconds while another program uses a core; and the last bits of the result would depend on the number of threads.
    """
    rows, columns = shape
    sampled = rng.standard_normal((max(shape), min(shape)))
    with _libraries().limit(limits=1, user_api="blas"):
        q, r = np.linalg.qr(sampled)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over the orthogonal group (Mezzadri 2007)
    return q if rows >= columns else q.T


def uniform(low: float, high: float) -> Initializer:
    """Return an initializer that samples U(low, high)."""
    return lambda rng, shape: rng.uniform(low, high, shape)


def gaussian(std: float) -> Initializer:
    """Return an initializer that samples a Gaussian of mean 0 and standard deviation ``std``."""
    return lambda rng, shape: std * rng.standard_normal(shape)


def constant(value: float) -> Initializer:
    """Return an initializer that sets all elements to ``value``."""
    return lambda rng, shape: np.full(shape, float(value))


def rand_2016(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample U(-.5, .5) / sqrt(n_in + n_out), called ``rand`` in the blog of 2016.

    The range is 1 / sqrt(24) of the range of :func:`glorot_uniform`.
    """
    return rng.uniform(-0.5, 0.5, shape) / np.sqrt(sum(shape))


def iso_2016(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample a matrix U V^T with orthonormal rows or columns, called ``iso`` in the blog of 2016.

    U S V^T is the singular value decomposition of a matrix whose elements are sampled from N(0, 1).
    """
    u, _, vt = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    return u @ vt


def rand_february_2016(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample U(-.5, .5) / (n_in + n_out), as the author of the blog of 2016 did on MNIST in February 2016.

    For a layer 784 -> 100 the range is 1/146 of the range of :func:`glorot_uniform`.
    """
    return rng.uniform(-0.5, 0.5, shape) / sum(shape)


def rand_mnist_2016(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample U(-.5, .5) / (n_in + n_out) / 1000.

    The blog of 2016 used this for the network that reached an accuracy of 97.7 % on MNIST.
    """
    return rng.uniform(-0.5, 0.5, shape) / sum(shape) / 1000.0


def side_by_side(initializer: Initializer, n_blocks: int) -> Initializer:
    """Return an initializer that samples ``n_blocks`` matrices with ``initializer`` and places them side by side.

    A matrix (n_in, n_blocks * n) then consists of n_blocks independent matrices (n_in, n), for example one for each
    gate of a cell. The gates are initialised separately because Glorot's bound and orthogonality both refer to the
    matrix of a single gate.
    """

    def blocks(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        block = (shape[0], shape[1] // n_blocks)
        return np.concatenate([initializer(rng, block) for _ in range(n_blocks)], axis=1)

    return blocks
