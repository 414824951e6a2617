"""What sound is read from: pieces, and collections of them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Samples(Protocol):
    """What a piece is to those who read it."""

    @property
    def n_samples(self) -> int: ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """Samples start to stop - 1, (stop - start,) float32, standardised."""


class HasPieces(Protocol):
    """A `corpus.Split`, or anything else with pieces."""

    @property
    def pieces(self) -> Sequence[Samples]: ...
