"""Recordings as sequences of levels, which :mod:`rnnaudio.data.code_batches` makes batches of: codes of one stage."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnaudio.data.corpus import Split
from rnnaudio.data.quantize import Quantizer
from rnnaudio.errors import RnnaudioError


class Levels(NamedTuple):
    """sequences: (n_samples, 1) unsigned, a piece each; counts: (n_levels,) how often each level occurs in them."""

    sequences: tuple[np.ndarray, ...]
    counts: np.ndarray


def fitted_quantizer(split: Split, n_levels: int, law: str) -> Quantizer:
    """One whose peak is that of the split. RnnaudioError for silence."""
    peaks = [float(np.abs(piece.read(0, piece.n_samples)).max(initial=0.0)) for piece in split.pieces]
    return Quantizer(max(peaks, default=0.0), n_levels, law)


def levels_of(split: Split, quantizer: Quantizer) -> Levels:
    """All pieces of a split; a byte a sample for 256 levels."""
    sequences = tuple(quantizer.levels(piece.read(0, piece.n_samples))[:, None] for piece in split.pieces)
    counts = np.zeros(quantizer.n_levels, np.int64)
    for sequence in sequences:
        counts += np.bincount(sequence[:, 0], minlength=quantizer.n_levels)
    return Levels(sequences, counts)


def stretches(sequences: Sequence[np.ndarray], n_samples: int, most: int) -> tuple[np.ndarray, ...]:
    """At most so many adjoining stretches of n_samples, spread evenly over all of them: views. RnnaudioError if none
    of the sequences is as long."""
    places = [(s, start) for s in sequences for start in range(0, len(s) - n_samples + 1, n_samples)]
    if not places:
        longest = max(map(len, sequences), default=0)
        raise RnnaudioError(f"a stretch of {n_samples} samples is longer than the longest piece, {longest}: lower it")
    chosen = np.unique(np.linspace(0, len(places) - 1, most).round().astype(int))
    return tuple(places[k][0][places[k][1] : places[k][1] + n_samples] for k in chosen)
