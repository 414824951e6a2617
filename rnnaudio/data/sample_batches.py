"""Recordings as sequences of quantised samples, which :mod:`rnnaudio.data.code_batches` treats as one-stage codes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Codes, Whole
from rnnaudio.data.corpus import Split
from rnnaudio.data.quantize import Quantizer
from rnnaudio.errors import RnnaudioError


class Levels(NamedTuple):
    """Quantised pieces of a split.

    sequences
        one per piece, (n_samples, 1) of an unsigned integer dtype.
    counts
        (n_levels,) int64: how often each level occurs in all sequences.
    """

    sequences: tuple[Codes, ...]
    counts: Whole


def fitted_quantizer(split: Split, n_levels: int, law: str) -> Quantizer:
    """Make a :class:`Quantizer` whose peak is the largest magnitude in a split.

    n_levels, law: as in :class:`Quantizer`. RnnaudioError if the split is silent, or if n_levels or law is invalid.
    """
    peaks = [float(np.abs(piece.read(0, piece.n_samples)).max(initial=0.0)) for piece in split.pieces]
    return Quantizer(max(peaks, default=0.0), n_levels, law)


def levels_of(split: Split, quantizer: Quantizer) -> Levels:
    """Quantise all pieces of a split, in memory: one byte per sample for up to 256 levels, else two."""
    sequences = tuple(quantizer.levels(piece.read(0, piece.n_samples))[:, None] for piece in split.pieces)
    counts = np.zeros(quantizer.n_levels, np.int64)
    for sequence in sequences:
        counts += np.bincount(sequence[:, 0], minlength=quantizer.n_levels)
    return Levels(sequences, counts)


def stretches(sequences: Sequence[Codes], n_samples: int, most: int) -> tuple[Codes, ...]:
    """Choose up to ``most`` stretches of ``n_samples`` samples, spread evenly over all sequences; returns views.

    Stretches do not overlap. sequences: (length, n_stages) each; result: a tuple of (n_samples, n_stages) each.
    RnnaudioError if every sequence is shorter than a stretch.
    """
    places = [(s, start) for s in sequences for start in range(0, len(s) - n_samples + 1, n_samples)]
    if not places:
        longest = max(map(len, sequences), default=0)
        raise RnnaudioError(f"a stretch of {n_samples} samples is longer than the longest piece, {longest}: lower it")
    chosen = np.unique(np.linspace(0, len(places) - 1, most).round().astype(int))
    return tuple(places[k][0][places[k][1] : places[k][1] + n_samples] for k in chosen)
