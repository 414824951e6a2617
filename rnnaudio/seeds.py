"""The range of random seeds, the same for every command, and generators made from seeds."""

import numpy as np

from rnnaudio.errors import RnnaudioError

GREATEST_SEED = 2**63 - 1  # the keys of noise are int64
LEGACY_RANGE = 2**32  # the integers that seed a RandomState


def check_seed(seed: int, name: str = "seed") -> None:
    """Raise RnnaudioError if a seed is below 0 or above GREATEST_SEED, 2^63 - 1; the message calls it ``name``."""
    if not 0 <= seed <= GREATEST_SEED:
        got = str(seed) if seed.bit_length() < 200 else "a number of many digits"
        raise RnnaudioError(f"{name} is {got}; expected a whole number from 0 to {GREATEST_SEED} (2^63 - 1)")


def random_state(seed: int) -> np.random.RandomState:
    """Make a generator from a seed below 2^64; below 2^32 it equals ``RandomState(seed)``, which SciPy would use."""
    return np.random.RandomState(seed if seed < LEGACY_RANGE else [seed % LEGACY_RANGE, seed // LEGACY_RANGE])
