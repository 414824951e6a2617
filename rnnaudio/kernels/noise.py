"""Random numbers as a pure function of a key, drawn side by side."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnnaudio.kernels import threads
from rnnaudio.kernels.buffers import empty

BLOCK = 131_072  # numbers of one generator; how many threads there are does not change a draw


def draw(distribution: str, key: Sequence[int], stream: int, shape: Sequence[int], dtype: str) -> np.ndarray:
    """N(0, 1) ("normal") or U(0, 1) ("uniform"), decided by (key, stream) alone.

    The first block of numbers comes from NumPy's generator of the seed (*key, stream, 1), block k of (.., 1, k). The 1
    keeps these draws apart from batches and weights, for NumPy pads shorter seeds with zeros. A key of three has one
    number more than NumPy pads to, so its draws are those of no key of two.
    """
    out = empty(tuple(shape), dtype)
    flat = out.reshape(-1)
    n_blocks = -(-flat.size // BLOCK)

    def fill(first: int, last: int) -> None:
        for block in range(first, last):
            rng = np.random.default_rng([*key, stream, 1, *([block] if block else [])])
            numbers: Any = rng.standard_normal if distribution == "normal" else rng.random
            numbers(out=flat[block * BLOCK : (block + 1) * BLOCK], dtype=dtype)

    threads.run(fill, threads.split(n_blocks))
    return out
