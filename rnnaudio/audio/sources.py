"""Interfaces of audio sources: pieces, and collections of them."""

from collections.abc import Sequence
from typing import Protocol

from rnnaudio.audio.arrays import Audio


class Samples(Protocol):
    """A piece of audio whose samples are read one range at a time."""

    @property
    def n_samples(self) -> int: ...

    def read(self, start: int, stop: int) -> Audio:
        """Read samples start to stop - 1: (stop - start,) float32, standardised.

        Standardised audio is (audio - mean) / std, with mean and standard deviation of the corpus's training split.
        """


class HasPieces(Protocol):
    """A collection of pieces, such as a :class:`rnnaudio.data.Split`."""

    @property
    def pieces(self) -> Sequence[Samples]: ...
