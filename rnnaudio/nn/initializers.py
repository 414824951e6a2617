"""Initializers of parameters, functions ``(rng, shape) -> float64 array``; ``shape`` is (n_in, n_out) or (n,)."""

from collections.abc import Callable

import numpy as np

Initializer = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample U(-a, a), a = sqrt(6 / (n_in + n_out)). Glorot and Bengio (2010)."""
    bound = np.sqrt(6.0 / sum(shape))
    return rng.uniform(-bound, bound, shape)


def orthogonal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample a matrix with orthonormal rows or columns, whichever are fewer. Saxe et al. (2013)."""
    rows, columns = shape
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q *= np.sign(np.diag(r))  # makes the distribution uniform over the orthogonal group (Mezzadri 2007)
    return q if rows >= columns else q.T


def uniform(low: float, high: float) -> Initializer:
    """Return an initializer that samples U(low, high)."""
    return lambda rng, shape: rng.uniform(low, high, shape)


def gaussian(std: float) -> Initializer:
    """Return an initializer that samples N(0, std), ``std`` a standard deviation."""
    return lambda rng, shape: std * rng.standard_normal(shape)


def constant(value: float) -> Initializer:
    """Return an initializer that sets all elements to ``value``."""
    return lambda rng, shape: np.full(shape, float(value))


def rand_2016(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample U(-.5, .5) / sqrt(n_in + n_out), ``rand`` of the blog of 2016: 1 / sqrt(24) of Glorot's range."""
    return rng.uniform(-0.5, 0.5, shape) / np.sqrt(sum(shape))


def iso_2016(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample a matrix U V^T with orthonormal rows or columns, ``iso`` of the blog of 2016.

    U S V^T is the singular value decomposition of a matrix whose elements are sampled from N(0, 1).
    """
    u, _, vt = np.linalg.svd(rng.standard_normal(shape), full_matrices=False)
    return u @ vt


def rand_february_2016(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample U(-.5, .5) / (n_in + n_out), used on MNIST in February 2016; for 784 -> 100, 1/146 of Glorot's range."""
    return rng.uniform(-0.5, 0.5, shape) / sum(shape)


def rand_mnist_2016(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Sample U(-.5, .5) / (n_in + n_out) / 1000, used in the blog of 2016 for the network with 97.7 % on MNIST."""
    return rng.uniform(-0.5, 0.5, shape) / sum(shape) / 1000.0


def side_by_side(initializer: Initializer, n_blocks: int) -> Initializer:
    """Return an initializer that samples ``n_blocks`` matrices with ``initializer`` and places them side by side.

    A matrix (n_in, n_blocks * n) thus consists of n_blocks independent matrices (n_in, n), one for each gate of a
    cell, for example. Gates are initialised separately because Glorot's bound and orthogonality both refer to the
    matrix of a single gate.
    """

    def blocks(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        block = (shape[0], shape[1] // n_blocks)
        return np.concatenate([initializer(rng, block) for _ in range(n_blocks)], axis=1)

    return blocks
