"""Random numbers as a pure function of a key, sampled in several threads."""

from collections.abc import Callable, Sequence

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.buffers import empty

BLOCK = 131_072  # numbers per generator; fixed, so that results do not depend on the number of threads


def sample(distribution: str, key: Sequence[int], stream: int, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Sample an array from N(0, 1) or U(0, 1), as a pure function of key, stream, shape and dtype.

    ``distribution`` is "normal" or "uniform"; ``key`` is (seed, update) or (seed, update, segment); ``stream``
    distinguishes arrays with the same key.

    Each block of BLOCK numbers is sampled by its own NumPy generator. The seed of the generator is (*key, stream,
    purpose) for the first block, and (*key, stream, purpose, k) for block k = 1, 2, ...

    ``purpose`` is 1 for a key (seed, update). NumPy pads seeds of fewer than four numbers with zeros, so this 1 makes
    the seed differ from the seeds of batches and weights. ``purpose`` is 0 for a key (seed, update, segment). The seed
    of the first block then has five numbers and ends in 0, while seeds of five numbers that are made from a key (seed,
    update) end in k > 0.
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
