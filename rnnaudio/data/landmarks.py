"""Shortlist of the pairs of pieces that may hold the same sound, found by comparing the sound after strong onsets.

The time to compare all pairs of pieces grows with the square of their number. To avoid this, up to 32 strong onsets of
each piece are its landmarks, each described by 12 numbers. For each landmark of a piece, the landmarks of other pieces
with similar descriptions at similar times vote for their pieces. The pieces with the most votes for one shift in time
form the shortlist.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from rnnaudio.audio.arrays import Floats

Print = NDArray[np.float32]  # (n_hops, n_bands), dB, each band with mean 0

HOP_SECONDS = 0.05
MOST_LAG_SECONDS = 1.0  # encoders and trimming move the start
MOST_LAG = round(MOST_LAG_SECONDS / HOP_SECONDS)
LENGTHS_DIFFER = 0.02
MOST_COMPARED = 32  # pairs of like length for each piece, up to which all are compared
N_SHORTLISTED = 16

# Chosen on synthetic notes of 2.5 to 5 s, resampled, attenuated, with noise and up to .9 s cut off: the right piece is
# among 16 in 98.5 % at 2.5 s and in all at 5 s.
N_LANDMARKS, APART = 32, 3  # hops between them at least
PATCH = 16  # hops described
RANGE_DB = 20.0  # below the maximum of a band: what is softer differs between copies
SMOOTHING = np.array([0.25, 0.5, 0.25])  # over hops: copies are up to half a hop apart
N_OVER_TIME, N_OVER_BANDS = 4, 3  # coefficients of the cosine transform; the first over time, the level, left out
N_NEAREST = 8


def may_be_compared(origin: str, other: str) -> bool:
    """Return False if both pieces come from the same earlier corpus, else True.

    origin, other: path of the corpus from which each piece was taken; empty for a piece that was taken from none.
    """
    return not origin or origin != other


def candidates(prints: Sequence[Print], origins: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of indices of prints that may be of the same sound.

    Only pairs whose origins may be compared (:func:`may_be_compared`) and whose lengths differ by at most 1 s or 2 %,
    whichever is more, are considered. If there are at most 32 pairs of such lengths per print, all of them are
    yielded; otherwise only the pairs of the shortlist, where a pair may occur twice, in either order. Prints must not
    be empty.
    """
    lengths = np.array([len(one) for one in prints])
    order = np.argsort(lengths, kind="stable")
    ordered = lengths[order]
    longest = np.maximum(ordered + MOST_LAG, np.floor(ordered / (1.0 - LENGTHS_DIFFER)))
    ends = np.searchsorted(ordered, longest, side="right")  # of those that are as long or longer
    if np.sum(ends - np.arange(len(order)) - 1) <= MOST_COMPARED * len(order):
        for place, i in enumerate(order):
            for j in order[place + 1 : ends[place]]:
                if may_be_compared(origins[i], origins[j]):
                    yield int(i), int(j)
        return
    yield from _shortlisted(prints, origins, lengths)


def _shortlisted(
    prints: Sequence[Print], origins: Sequence[str], lengths: NDArray[np.int_]
) -> Iterator[tuple[int, int]]:
    described = [landmarks(one) for one in prints]
    members: dict[str, list[int]] = defaultdict(list)
    for k, origin in enumerate(origins):
        members[origin].append(k)
    for origin, own in members.items():
        others = _Landmarks(described, own)
        for k, (places, descriptions) in enumerate(described):
            if may_be_compared(origin, origins[k]) and len(places):
                for other in others.most_like(k, places, descriptions, lengths):
                    yield k, other


class _Landmarks:
    """Search index of the landmarks of some pieces.

    described: for every piece, the result of :func:`landmarks`. own: indices of the pieces whose landmarks are
    searched.
    """

    def __init__(self, described: Sequence[tuple[NDArray[np.int_], Floats]], own: Sequence[int]):
        self._places = np.concatenate([described[k][0] for k in own])
        self._pieces = np.repeat(own, [len(described[k][0]) for k in own])
        self._tree = cKDTree(np.concatenate([described[k][1] for k in own]))

    def most_like(
        self, piece: int, places: NDArray[np.int_], descriptions: Floats, lengths: NDArray[np.int_]
    ) -> list[int]:
        """Return the indices of up to 16 pieces most like ``piece``, in descending order of votes.

        The votes for a piece are those for the one shift in time that gets the most. Pieces whose length differs from
        that of ``piece`` by more than 1 s or 2 %, whichever is more, are left out. piece: an index. places,
        descriptions: its landmarks. lengths: lengths of all prints in hops.
        """
        if not len(self._places):
            return []
        # One more, for the landmark itself may be among them.
        distance, found = self._tree.query(descriptions, k=min(N_NEAREST + 1, len(self._places)))
        distance, found = distance.reshape(len(places), -1), found.reshape(len(places), -1)
        shift = self._places[found] - places[:, None]
        other = self._pieces[found]
        longer = np.maximum(lengths[other], lengths[piece])
        alike = np.abs(lengths[other] - lengths[piece]) <= np.maximum(MOST_LAG, LENGTHS_DIFFER * longer)
        counts = (np.abs(shift) <= MOST_LAG + 1) & alike & (other != piece)
        weight = np.exp(-distance / max(float(np.median(distance)), 1e-9))
        votes: dict[tuple[int, int], float] = defaultdict(float)
        for voted, at, how_much in zip(other[counts], shift[counts], weight[counts], strict=True):
            for near in (at - 1, at, at + 1):
                votes[int(voted), int(near)] += float(how_much)
        best: dict[int, float] = defaultdict(float)
        for (voted, _), total in votes.items():
            best[voted] = max(best[voted], total)
        return sorted(best, key=lambda k: (-best[k], k))[:N_SHORTLISTED]


def landmarks(one: Print) -> tuple[NDArray[np.int_], Floats]:
    """Find the strongest onsets of a print; returns the indices of their hops, (n,), and descriptions, (n, 12).

    n is 32 at most. A description holds coefficients of the cosine transform, over bands and time, of the .8 s that
    follow the onset; those that are constant in time are left out, so that level and spectral envelope do not matter.
    Both arrays are empty if the print is not longer than .8 s.
    """
    if len(one) < PATCH + 1:
        return np.zeros(0, np.int_), np.zeros((0, N_OVER_BANDS * N_OVER_TIME))
    clear = np.maximum(one, one.max(axis=0) - RANGE_DB).astype(np.float64)
    smooth = np.stack([np.convolve(band, SMOOTHING, "same") for band in clear.T], axis=1)
    rise = np.maximum(np.diff(smooth, axis=0), 0.0).sum(axis=1)[: len(one) - PATCH]
    places: list[int] = []
    is_taken = np.zeros(len(rise), bool)
    for place in np.argsort(-rise, kind="stable"):
        if not is_taken[place]:
            places.append(int(place))
            is_taken[max(0, place - APART) : place + APART + 1] = True
            if len(places) == N_LANDMARKS:
                break
    patches = np.lib.stride_tricks.sliding_window_view(clear, PATCH, axis=0)[places]  # (n, bands, hops)
    shape = scipy.fft.dctn(patches, axes=(1, 2), norm="ortho")[:, :N_OVER_BANDS, 1 : N_OVER_TIME + 1]
    return np.array(places), shape.reshape(len(places), -1)
