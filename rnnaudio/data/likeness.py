"""Detection, by band energies over time, of pieces that hold the same sound in other formats, rates or levels."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import scipy.fft

from rnnaudio.audio.arrays import Audio
from rnnaudio.data.landmarks import HOP_SECONDS, MOST_LAG, Print, candidates, may_be_compared

EDGES_HZ = (60.0, 150.0, 300.0, 500.0, 800.0, 1200.0, 1800.0, 2600.0, 3400.0)  # below 4 kHz: telephone recordings, too
RANGE_DB = 40.0  # below the loudest frame
LIKENESS = 0.7  # measured on ten recordings: up to .49 for different sounds, from .82 for the same, half a hop apart
LEAST_VARIATION_DB = 1.0  # a steady sound resembles every other of its level
LEAST_SECONDS = 1.0


def print_of(audio: Audio, sample_rate_hz: int) -> Print:
    """Compute the fingerprint of a sound, its energy in 8 bands over time: (n_samples,) -> (n_hops, 8) float32.

    The energies, in dB, are those of bands from 60 to 3,400 Hz every .05 s. They are floored 40 dB below the largest,
    then the mean of each band is subtracted. The result does not depend on the level, and hardly on the sample rate
    and the codec. It has no rows for audio shorter than 1 s.
    """
    n_hop = max(1, round(HOP_SECONDS * sample_rate_hz))
    n_hops = audio.size // n_hop
    if n_hops < round(LEAST_SECONDS / HOP_SECONDS):
        return np.zeros((0, len(EDGES_HZ) - 1), np.float32)
    frames = np.asarray(audio[: n_hops * n_hop]).reshape(n_hops, n_hop) * np.hanning(n_hop).astype(np.float32)
    frequencies = np.fft.rfftfreq(n_hop, 1.0 / sample_rate_hz)
    edges = np.searchsorted(frequencies, EDGES_HZ)
    columns = []
    for block in np.array_split(frames, max(1, n_hops // 2000)):
        power = np.abs(np.fft.rfft(block, axis=1)) ** 2
        sums = np.concatenate([np.zeros((len(block), 1)), np.cumsum(power, axis=1)], axis=1)
        columns.append(
            sums[:, np.minimum(edges[1:], power.shape[1])] - sums[:, np.minimum(edges[:-1], power.shape[1])]
        )
    energy = np.concatenate(columns)
    floor = max(float(energy.max()), 1e-12) * 10.0 ** (-RANGE_DB / 10.0)
    decibel = 10.0 * np.log10(np.maximum(energy, floor))
    return (decibel - decibel.mean(axis=0)).astype(np.float32)


def likeness(a: Print, b: Print) -> float:
    """Compute the correlation, -1 to 1, of two prints where they overlap, at the best shift in time of up to 1 s.

    Prints are results of :func:`print_of`. The result is 0 if a print is empty or steady; a print is steady if its
    standard deviation is below 1 dB.
    """
    if min(len(a), len(b)) == 0 or min(a.std(), b.std()) < LEAST_VARIATION_DB:
        return 0.0
    n_fft = scipy.fft.next_fast_len(len(a) + len(b), real=True)
    cross = np.sum(scipy.fft.rfft(a, n_fft, axis=0) * np.conj(scipy.fft.rfft(b, n_fft, axis=0)), axis=1)
    lags = np.arange(-min(MOST_LAG, len(b) - 1), min(MOST_LAG, len(a) - 1) + 1)
    lag = int(lags[np.argmax(scipy.fft.irfft(cross, n_fft)[lags])])  # a[n + lag] is like b[n]
    x, y = a[max(0, lag) :], b[max(0, -lag) :]
    n_both = min(len(x), len(y))
    x, y = x[:n_both] - x[:n_both].mean(axis=0), y[:n_both] - y[:n_both].mean(axis=0)
    norms = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(np.sum(x * y)) / norms if norms > 0.0 else 0.0


def alike(prints: Sequence[Print], origins: Sequence[str] | None = None) -> list[tuple[int, int]]:
    """Find the pairs of prints of the same sound; returns their indices (i, j), i < j, sorted.

    origins: for each print, the name of its origin; prints of the same origin are not compared with each other, unless
    the name is empty. None: all are compared.

    Prints (results of :func:`print_of`) are of the same sound if their lengths differ by at most 1 s or 2 %, whichever
    is more, and their :func:`likeness` is .7 or more; empty and steady prints match none. If there are more than 32
    pairs of such lengths per print, each print is compared only with the 16 that are most like it around the onsets
    (:mod:`rnnaudio.data.landmarks`), so that the effort grows with the number of prints, not with its square. Of three
    or more copies of one sound, not all pairs are returned, but enough to connect them.
    """
    origins = origins or [""] * len(prints)
    equal: dict[bytes, dict[str, list[int]]] = {}  # usable prints by content and origin
    for k, one in enumerate(prints):
        if len(one) and one.std() >= LEAST_VARIATION_DB:
            equal.setdefault(one.tobytes(), {}).setdefault(origins[k], []).append(k)
    pairs = _of_equals(equal.values())
    alone = [members for by_origin in equal.values() for members in by_origin.values()]  # one for all its equals
    firsts = [members[0] for members in alone]
    compared = set(pairs)
    for i, j in candidates([prints[k] for k in firsts], [origins[k] for k in firsts]):
        pair = (min(firsts[i], firsts[j]), max(firsts[i], firsts[j]))
        if pair not in compared and likeness(prints[pair[0]], prints[pair[1]]) >= LIKENESS:
            pairs |= {(min(a, b), max(a, b)) for a in alone[i] for b in alone[j] if a == firsts[i] or b == firsts[j]}
        compared.add(pair)
    return sorted(pairs)


def _of_equals(equal: Iterable[Mapping[str, Sequence[int]]]) -> set[tuple[int, int]]:
    """Pair each print with the first equal print of each origin with which it may be compared.

    Returns pairs of indices (i, j), i < j. equal: for each set of equal prints, their indices by origin.
    """
    pairs = set()
    for by_origin in equal:
        for origin, members in by_origin.items():
            others = [own[0] for other, own in by_origin.items() if may_be_compared(origin, other)]
            pairs |= {(min(k, other), max(k, other)) for k in members for other in others if k != other}
    return pairs
