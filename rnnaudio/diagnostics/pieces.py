"""Measurements of each piece of music (level, bandwidth, offset, share of silence), and detection of outliers."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rnnaudio.audio.arrays import Array, Flags, Floats
from rnnaudio.audio.cleaning import SILENCE_DBFS
from rnnaudio.audio.sources import Samples

WINDOW_SECONDS, OFFSET_SECONDS = 0.02, 0.25
SILENCE_SECONDS, EXCERPT_SECONDS = 1.0, 2.0
SILENT_DB = -50.0  # below the training music as a whole
BAND_DB = -60.0  # below the strongest band, where the bandwidth of a piece ends
BLOCK = 256  # samples per spectrum
SMOOTHED = 3  # bins of a spectrum that are averaged
LEAST_SECONDS = 1.0  # shorter pieces are single sounds, whose levels differ in any case
READ_AT_MOST = 1 << 20  # samples, of all pieces together, unless that is less than 2 s of each
MOST_PIECES = 400  # if there are more, this many are measured, evenly spaced
N_PLACES = 8

# How far a piece may lie from the median of all music, by figure.
APART = {"level": 20.0, "bandwidth": 1.0, "offset": 0.5, "silence": 0.5}
UNITS = {
    "level": "{:+.0f} dB against {:+.0f} dB",
    "bandwidth": "{:.0f} Hz against {:.0f} Hz",
    "offset": "mean {:+.2f} against {:+.2f} deviations",
    "silence": "{:.0%} against {:.0%} silent",
}


class PieceFigures(NamedTuple):
    """Measurements of a piece.

    title
        see :func:`title_of`.
    seconds
        length of the piece in seconds.
    level
        rms of its windows of 20 ms that are not silent, in dB relative to the rms of all training music; -inf if all
        windows are silent.
    bandwidth
        highest frequency in Hz at which the mean spectrum is within 60 dB of its maximum; NaN if all windows are
        silent.
    offset
        constant part of the samples: the median of the means of all quarters of a second, over the standard deviation
        of all training music. A thump or slow changes (infrasound) hardly affect this median.
    silence
        share of the time, 0 to 1, in silences of 1 s or more. Silent windows are 50 dB or more below the training
        music as a whole and, if full scale is known, not above -60 dBFS, the limit of the option --drop-silence.
    held_out
        True if the piece is not one of the training pieces.
    """

    title: str
    seconds: float
    level: float
    bandwidth: float
    offset: float
    silence: float
    held_out: bool


class _Read(NamedTuple):
    """Measurements made while a piece is read: power of each window, by excerpt; mean spectrum (bins,); offset."""

    powers: list[Floats]
    spectrum: Floats
    offset: float


def piece_figures(
    pieces: Sequence[Samples],
    sample_rate_hz: int,
    others: Sequence[Samples] = (),
    full_scale: float | None = None,
) -> tuple[PieceFigures, ...]:
    """Measure the training pieces, then ``others``, the held-out pieces; returns a row for each piece measured.

    About a million samples are read in all, but at least 2 s of each piece. If there are more than ``MOST_PIECES``
    pieces, training and held-out pieces together, about that many are measured, evenly spaced and in proportion from
    both kinds. Levels are relative to the training pieces, so they do not depend on the scale of the samples.
    full_scale: the sample value that is full scale (0 dBFS); None if unknown.
    """
    n_all = len(pieces) + len(others)
    chosen = [*_spaced(0, len(pieces), n_all), *_spaced(len(pieces), len(others), n_all)]
    everything = [(k, pieces[k] if k < len(pieces) else others[k - len(pieces)]) for k in chosen]
    share = min(1.0, READ_AT_MOST / max(1, sum(piece.n_samples for _, piece in everything)))
    read = [_read_piece(piece, sample_rate_hz, share) for _, piece in everything]
    trained = [one.powers for (k, _), one in zip(everything, read, strict=True) if k < len(pieces)]
    power = max(float(np.concatenate([part for parts in trained for part in parts]).mean()), 1e-30)
    silent_below = power * 10.0 ** (SILENT_DB / 10.0)
    if full_scale is not None:
        silent_below = min(silent_below, full_scale**2 * 10.0 ** (SILENCE_DBFS / 10.0))
    rows = []
    for (k, piece), one in zip(everything, read, strict=True):
        is_silent = [powers <= silent_below for powers in one.powers]
        sounding = np.concatenate(one.powers)[~np.concatenate(is_silent)]
        level = 10.0 * np.log10(sounding.mean() / power) if sounding.size else -np.inf
        rows.append(
            PieceFigures(
                title_of(piece, k + 1),
                piece.n_samples / sample_rate_hz,
                float(level),
                _bandwidth(one.spectrum, sample_rate_hz) if sounding.size else float("nan"),
                one.offset / float(np.sqrt(power)),
                float(np.concatenate([_long(part) for part in is_silent]).mean()),
                held_out=k >= len(pieces),
            )
        )
    return tuple(rows)


def _spaced(first: int, n: int, n_all: int) -> list[int]:
    """Choose the pieces to measure, evenly spaced among the ``n`` pieces from index ``first``; returns the indices.

    n_all: number of all pieces, training and held-out: if it is at most ``MOST_PIECES``, all pieces are chosen.
    """
    n_measured = n if n_all <= MOST_PIECES else min(n, max(1, MOST_PIECES * n // n_all))
    return (first + np.arange(n_measured) * n // max(1, n_measured)).tolist()


def title_of(piece: Samples, number: int) -> str:
    """Return the title of a piece or, for a section, of the whole piece; ``piece <number>`` if it has no title."""
    whole = getattr(piece, "piece", piece)
    return str(getattr(whole, "title", f"piece {number}"))


def _read_piece(piece: Samples, rate: int, share: float) -> _Read:
    """Read a share, 0 to 1, of a piece, but at least 2 s, at up to eight places, and measure it."""
    n_window, n_least = max(2, round(WINDOW_SECONDS * rate)), round(EXCERPT_SECONDS * rate)
    n_places = int(np.clip(share * piece.n_samples / n_least, 1, N_PLACES)) if share < 1.0 else 1
    bounds = np.linspace(0, piece.n_samples, n_places + 1).astype(int)
    parts = []
    for start, stop in pairwise(bounds.tolist()):
        end = min(stop, start + max(n_least, round(share * (stop - start))))
        parts.append(np.asarray(piece.read(start, end), np.float64))
    # Not the mean square: a constant, such as an offset, or silence in samples scaled to -1..1, is no sound.
    powers = [np.var(_cut(part, n_window), axis=1) for part in parts]
    spectra = np.concatenate([_cut(part, BLOCK) for part in parts])
    hann = np.hanning(BLOCK)
    spectrum = np.mean(
        np.abs(np.fft.rfft((spectra - spectra.mean(axis=1, keepdims=True)) * hann, axis=1)) ** 2, axis=0
    )
    means = np.concatenate([_cut(part, min(len(part), round(OFFSET_SECONDS * rate))).mean(axis=1) for part in parts])
    return _Read(powers, spectrum, float(np.median(means)))


def _long(is_silent: Flags) -> Flags:
    """Mark those of the silent windows, (n,), that are part of a silence of 1 s or more: (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], is_silent, [False]]).astype(int))).reshape(-1, 2)
    result = np.zeros(len(is_silent), bool)
    for start, stop in edges:
        result[start:stop] = stop - start >= SILENCE_SECONDS / WINDOW_SECONDS
    return result


def _cut(part: Array, n: int) -> Array:
    """Cut samples (m,) into windows (m // n, n); fewer than n samples are padded with zeros to one window."""
    whole = len(part) // n
    return part[: whole * n].reshape(whole, n) if whole else np.pad(part, (0, n - len(part)))[None]


def _bandwidth(spectrum: Floats, rate: int) -> float:
    """Highest frequency in Hz at which a power spectrum (bins,), smoothed, is within 60 dB of its maximum."""
    smooth = np.convolve(spectrum, np.ones(SMOOTHED) / SMOOTHED, mode="same")
    last = int(np.flatnonzero(smooth >= smooth.max() * 10.0 ** (BAND_DB / 10.0))[-1])
    return last * rate / (2.0 * (len(spectrum) - 1))


class Outlier(NamedTuple):
    """A piece that differs from the others.

    far
        name of each measurement that differs too much from the median -> ratio, above 1, of the difference to the
        largest one that ``APART`` allows.
    words
        title of the piece and these measurements, as a phrase for the user.
    """

    title: str
    far: dict[str, float]
    words: str


def outliers(rows: Sequence[PieceFigures]) -> tuple[Outlier, ...]:
    """Find the pieces with a measurement that differs from the median by more than ``APART`` allows.

    The piece with the greatest difference comes first. The median is weighted by the lengths of the pieces; bandwidths
    are compared in octaves. Pieces shorter than 1 s are ignored; a piece that is all silence is judged by its share of
    silence alone. The result is empty if fewer than two pieces remain.
    """
    rows = [row for row in rows if row.seconds >= LEAST_SECONDS]
    if len(rows) < 2:
        return ()
    usual = {name: _median(rows, name) for name in APART}
    found = []
    for row in rows:
        far, words = {}, []
        for name, allowed in APART.items():
            value, middle = getattr(row, name), usual[name]
            octaves = name == "bandwidth"
            distance = abs(np.log2(max(value, 1.0) / max(middle, 1.0)) if octaves else value - middle)
            if distance > allowed and not (name != "silence" and row.silence == 1.0):  # silence has no bandwidth
                far[name] = float(distance / allowed)
                words.append(f"{name} {UNITS[name].format(value, middle)}")
        if far:
            found.append(Outlier(row.title, far, f"{row.title} ({', '.join(words)})"))
    return tuple(sorted(found, key=lambda one: -max(one.far.values())))


def _median(rows: Sequence[PieceFigures], name: str) -> float:
    """Median of the measurement ``name`` where it is finite, weighted by length; NaN if it is finite nowhere."""
    known = sorted((getattr(row, name), row.seconds) for row in rows if np.isfinite(getattr(row, name)))
    if not known:
        return float("nan")
    values, seconds = np.array(known).T
    return float(values[np.searchsorted(np.cumsum(seconds), 0.5 * seconds.sum())])
