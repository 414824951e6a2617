"""The prime of a pack: the sound that its run continues if there is no corpus."""

from pathlib import Path

import numpy as np

from rnnaudio.audio.arrays import Audio
from rnnaudio.errors import RnnaudioError
from rnnaudio.runs.packs.layout import PRIME
from rnnaudio.training import checkpoint

NAME = "prime"
LOUDEST = 1e6  # standard deviations of a corpus: no sound has more


def save_prime(folder: Path, prime: Audio) -> None:
    """Write a prime, (n,) standardised samples, to its file in a folder as float32."""
    checkpoint.save(folder / PRIME, checkpoint.Checkpoint({NAME: np.asarray(prime, np.float32)}, {}))


def packed_prime(folder: Path) -> Audio | None:
    """Read the prime in the folder of an unpacked pack: (n,) standardised samples, float32.

    None if there is no prime, as in the folder of a run. RnnaudioError if the file is damaged or holds no sound.
    """
    path = Path(folder) / PRIME
    if not path.exists():
        return None
    prime = checkpoint.load(path).arrays.get(NAME)
    if prime is None or prime.dtype != np.float32 or prime.ndim != 1 or not prime.size:
        raise RnnaudioError(f"{path} holds no prime: expected float32 samples; take another pack")
    if np.abs(prime).max() > LOUDEST:
        raise RnnaudioError(f"{path} holds no sound: a sample is {np.abs(prime).max():.3g}; take another pack")
    return prime
