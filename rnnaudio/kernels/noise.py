"""Random numbers as a pure function of a key, sampled in parallel."""

from collections.abc import Callable, Sequence

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.buffers import empty

BLOCK = 131_072  # numbers of one generator, so that the number of threads changes nothing


def sample(distribution: str, key: Sequence[int], stream: int, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Sample N(0, 1) ("normal") or U(0, 1) ("uniform"), a pure function of (key, stream) and ``shape``.

    The first block of numbers comes from NumPy's generator with the seed (*key, stream, purpose), block k from the one
    with k appended to it. The purpose is 1 for a key of two (seed, update); it keeps these numbers apart from those of
    batches and weights, for NumPy pads shorter seeds with zeros to four. It is 0 for a key of three (seed, update,
    segment): no seed of five made from a key of two ends in 0.
    """
    out = empty(tuple(shape), dtype)
    seed = [*key, stream, 1 if len(key) == 2 else 0]
    flat = out.reshape(-1)
    n_blocks = -(-flat.size // BLOCK)

    def fill(first: int, last: int) -> None:
        for block in range(first, last):
            rng = np.random.default_rng([*seed, *([block] if block else [])])
            fill_block: Callable[..., object] = rng.standard_normal if distribution == "normal" else rng.random
            fill_block(out=flat[block * BLOCK : (block + 1) * BLOCK], dtype=dtype)

    threads.run(fill, threads.split(n_blocks))
    return out
