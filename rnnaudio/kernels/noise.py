"""Random numbers as a pure function of a key, drawn side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.buffers import empty

BLOCK = 131_072  # numbers of one generator; how many threads there are does not change a draw


def draw(distribution: str, key: Sequence[int], stream: int, shape: Sequence[int], dtype: str) -> np.ndarray:
    """N(0, 1) ("normal") or U(0, 1) ("uniform"), decided by (key, stream) alone.

    The first block of numbers comes from NumPy's generator of the seed (*key, stream, purpose), block k of the same
    and k. The purpose is 1 for a key of two (seed, update); it keeps these draws apart from batches and weights, for
    NumPy pads shorter seeds with zeros to four. For a key of three (seed, update, segment) it is 0: no seed of five of
    a key of two ends in 0.
    """
    out = empty(tuple(shape), dtype)
    seed = [*key, stream, 1 if len(key) == 2 else 0]
    flat = out.reshape(-1)
    n_blocks = -(-flat.size // BLOCK)

    def fill(first: int, last: int) -> None:
        for block in range(first, last):
            rng = np.random.default_rng([*seed, *([block] if block else [])])
            numbers: Any = rng.standard_normal if distribution == "normal" else rng.random
            numbers(out=flat[block * BLOCK : (block + 1) * BLOCK], dtype=dtype)

    threads.run(fill, threads.split(n_blocks))
    return out
