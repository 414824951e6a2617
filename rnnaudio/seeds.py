"""The range of random seeds, the same for every command."""

from rnnaudio.errors import RnnaudioError

GREATEST_SEED = 2**63 - 1  # the keys of noise are int64


def check_seed(seed: int, name: str = "seed") -> None:
    """Raise RnnaudioError if a seed is below 0 or above GREATEST_SEED, 2^63 - 1; the message calls it ``name``."""
    if not 0 <= seed <= GREATEST_SEED:
        got = str(seed) if seed.bit_length() < 200 else "a number of many digits"
        raise RnnaudioError(f"{name} is {got}; expected a whole number from 0 to {GREATEST_SEED} (2^63 - 1)")
