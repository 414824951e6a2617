"""Splits made of arrays."""

import numpy as np

from rnnaudio.data.corpus import ArrayPiece, Split

PIECE = 100_000  # sample i of piece p is p * PIECE + i, exact in float32
LENGTHS = (900, 30, 1700, 77, 1234)  # samples; a window of the default sizes has 40
SIZES = {"frame_size": 8, "n_steps": 4, "batch_size": 6}


def ramps(lengths=LENGTHS) -> Split:
    return Split(
        "train", tuple(ArrayPiece(np.arange(n, dtype=np.float32) + PIECE * p) for p, n in enumerate(lengths)), 100
    )


def split_of(*pieces):
    return Split("train", tuple(ArrayPiece(np.asarray(piece, np.float32)) for piece in pieces), 16_000)
